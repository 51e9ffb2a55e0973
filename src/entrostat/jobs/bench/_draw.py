"""The table as a picture: one panel a case, one bar a way, time on a logarithmic axis. Plain SVG, no library."""

from __future__ import annotations

import html
import math
from itertools import groupby

from entrostat.jobs.bench._measure import Result

_LEFT, _WIDTH, _BAR, _GAP = 250, 460, 18, 46
_OURS, _FLOOR, _OTHER = "#0b6e4f", "#b0b0b0", "#7a8ca3"


def draw(results: list[Result], facts: dict[str, str]) -> str:
    """Return the SVG text."""
    body: list[str] = []
    y = 34
    for case, group in groupby(
        results, key=lambda result: (result.level, result.dtype, result.rows, result.vocab, result.features)
    ):
        members = list(group)
        level, dtype, rows, vocab, features = case
        size = f"{rows} x {vocab}" + (f", D = {features}" if features else "")
        body.append(_text(8, y + 12, f"{level}, {dtype}, {size} (ms, forward + backward, logarithmic)", bold=True))
        y += 22
        for member, length in zip(members, _lengths([member.milliseconds for member in members]), strict=True):
            body.append(_bar(member, y, length))
            y += _BAR
        y += _GAP - 22
    title = _text(8, 18, ", ".join(facts.values()))
    style = "font-family:system-ui,sans-serif;font-size:12px;background:white"
    width = _LEFT + _WIDTH + 160
    size = f'viewBox="0 0 {width} {y}" width="{width}" height="{y}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} style="{style}">'
        f'<rect width="100%" height="100%" fill="white"/>{title}{"".join(body)}</svg>\n'
    )


def _lengths(values: list[float]) -> list[float]:
    low, high = math.log(min(values)) - 0.2, math.log(max(values))
    return [(math.log(value) - low) / (high - low) * _WIDTH for value in values]


def _bar(result: Result, y: int, length: float) -> str:
    floor = result.provider in ("copy", "one matrix product")
    color = _FLOOR if floor else _OURS if result.provider.startswith("entrostat") else _OTHER
    figure = f"{result.milliseconds:.3g} ms" + ("" if floor else f", {result.speedup:.1f}x")
    return (
        _text(_LEFT - 6, y + 12, result.provider, anchor="end")
        + f'<rect x="{_LEFT}" y="{y + 2}" width="{length:.1f}" height="{_BAR - 5}" fill="{color}"/>'
        + _text(_LEFT + length + 6, y + 12, figure)
    )


def _text(x: float, y: float, text: str, *, anchor: str = "start", bold: bool = False) -> str:
    weight = ' font-weight="600"' if bold else ""
    return f'<text x="{x:.1f}" y="{y}" text-anchor="{anchor}"{weight}>{html.escape(text)}</text>'
