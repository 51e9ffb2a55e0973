"""The recipes' colours can be distinguished by every kind of eye, on light and on dark paper."""

from __future__ import annotations

import itertools
import math
import re

import pytest

from entrostat.observe.html import THEME

# Machado, Oliveira and Fernandes (2009), severity 1, on linear RGB.
EYES = {
    "usual": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "protan": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "deutan": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)),
    "tritan": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.303900)),
}
XYZ = ((0.4124, 0.3576, 0.1805), (0.2126, 0.7152, 0.0722), (0.0193, 0.1192, 0.9505))
WHITE = (0.9505, 1.0, 1.089)
Vector = tuple[float, ...]


def schemes() -> dict[str, dict[str, str]]:
    css = THEME.read_text(encoding="utf-8")
    light, dark = css.split("@media (prefers-color-scheme: dark)")[:2]
    return {name: dict(re.findall(r"--(\w+): (#\w{6});", text)) for name, text in (("light", light), ("dark", dark))}


def linear(color: str) -> Vector:
    channels = (value / 255 for value in bytes.fromhex(color[1:]))
    return tuple(v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in channels)


def times(matrix: tuple[Vector, ...], vector: Vector) -> Vector:
    return tuple(sum(a * b for a, b in zip(row, vector, strict=True)) for row in matrix)


def lab(rgb: Vector) -> Vector:
    scaled = (max(0.0, value) / white for value, white in zip(times(XYZ, rgb), WHITE, strict=True))
    x, y, z = (value ** (1 / 3) if value > 0.008856 else 7.787 * value + 16 / 116 for value in scaled)
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def contrast(one: str, other: str) -> float:
    low, high = sorted(times(XYZ, linear(color))[1] + 0.05 for color in (one, other))
    return high / low


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("eye", EYES)
def test_the_first_five_recipes_look_different(scheme: str, eye: str) -> None:
    colors = [schemes()[scheme][f"c{slot}"] for slot in range(5)]
    seen = [lab(times(EYES[eye], linear(color))) for color in colors]
    assert min(math.dist(a, b) for a, b in itertools.combinations(seen, 2)) > 20


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_lines_and_text_stand_out_from_the_paper(scheme: str) -> None:
    colors = schemes()[scheme]
    assert min(contrast(colors[f"c{slot}"], colors["paper"]) for slot in range(8)) >= 3
    text = [
        contrast(colors[name], colors[ground]) for name in ("ink", "soft", "alarm") for ground in ("paper", "raised")
    ]
    assert min(text) >= 4.5
