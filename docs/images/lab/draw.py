"""Draws the images of docs/lab.md from a page of the lab.

    entrostat lab --all --report DIR
    python docs/images/lab/draw.py DIR/lab.html

Needs matplotlib (and pillow, which comes with it). Draws what stands in the page as data and runs no claim.
"""

from __future__ import annotations

import html
import json
import re
import sys
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from PIL import Image

IMAGES = {
    "gradient": "The gradient vanishes with the entropy",
    "bias": "What the regularised optimum loses",
    "proposition-2": "How tight Proposition 2 is on random trees",
    "clamped-bias": "What the regularised optimum loses, one right token of 151936",
    "clamp-activity": "What the clamp takes from the entropy",
    "one-step-right": "Adam: the right token",
    "one-step-removed": "Adam: the tokens a clamp removes",
    "covariance": "Which rewarded tokens raise the entropy",
    "flow-matching": "Nine samples in ten are bad: the mass that a flow ends with near them",
    "toy-15": "15 right of 100000",
    "toy-10": "10 right of 100000",
    "toy-5": "5 right of 100000",
    "toy-1": "1 right of 100000",
    "toy-gain": "Gain over no bonus at the last step",
    "toy-coef": "Gain over no bonus by coef",
    "toy-clamp": "Gain over no bonus by clamp",
}
COLORS = ("#6b7680", "#155bb5", "#a8340a", "#3f9f68", "#44285e", "#96880d", "#1f9cce", "#7a2040")


def plots(page: str) -> dict[str, dict[str, Any]]:
    """Return every plot of the page by its title; the first one of a title that stands twice."""
    (data,) = re.findall(r'<script type="application/json" id="plots">(.*?)</script>', page, re.DOTALL)
    described = json.loads(data)
    captions = re.findall(r'<figcaption>(.*?)</figcaption><div class="plot" id="plot-(\d+)"', page)
    return {html.unescape(title): described[int(number)] for title, number in reversed(captions)}


def draw(title: str, plot: dict[str, Any], out: Path) -> None:
    """Write one plot as PNG."""
    figure, axes = plt.subplots(figsize=(5.6, 3.9), layout="constrained")
    for i, series in enumerate(plot["series"]):
        x, y, color = series["x"], series["y"], COLORS[i % len(COLORS)]
        name = html.unescape(series["name"])
        if series["points"]:
            axes.plot(x, y, ".", color=color, label=name, markersize=2.5, alpha=0.5)
            continue
        marker = "o" if len(x) <= 12 and not series["reference"] else ""
        style = "--" if series["reference"] else "-"
        axes.plot(x, y, style, color=color, label=name, marker=marker, markersize=4)
        if series["low"]:
            axes.fill_between(x, series["low"], series["high"], color=color, alpha=0.15, linewidth=0)
    if plot["log_x"]:
        axes.set_xscale("log")
    if plot["log_y"]:
        axes.set_yscale("log")
    axes.set_title(title, loc="left", fontsize=10)
    axes.set_xlabel(html.unescape(plot["x_label"]))
    axes.set_ylabel(html.unescape(plot["y_label"]))
    axes.grid(color="#ece9e1")
    axes.spines[["top", "right"]].set_visible(False)
    if len(plot["series"]) > 1:
        figure.legend(loc="outside lower left", ncols=3, fontsize=7.5, frameon=False)
    figure.savefig(out, dpi=100)
    plt.close(figure)
    with Image.open(out) as image:  # few colours, small files
        image.convert("RGB").quantize(48).save(out, optimize=True)


def main() -> None:
    """Draw every image whose plot is in the page."""
    found = plots(Path(sys.argv[1]).read_text(encoding="utf-8"))
    for name, title in IMAGES.items():
        if title not in found:
            sys.exit(f"the page has no plot {title!r}: make it with `entrostat lab --all --report DIR`")
        draw(title, found[title], Path(__file__).with_name(f"{name}.png"))
    print(f"drew {len(IMAGES)} images")


if __name__ == "__main__":
    main()
