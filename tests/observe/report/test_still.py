"""The picture of the large plot that stands in the page itself."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from entrostat.observe.report import report_page

from .test_page import HOSTILE

MakeRun = Callable[..., Path]


def picture(path: Path) -> str:
    page = report_page(path)
    start = page.index('<div class="still"')
    return page[start : page.index("</figure>", start)].removesuffix("</div>")


def line(text: str, kind: str) -> list[tuple[float, float]]:
    found = re.search(rf'class="{kind} r\d" points="([^"]*)"', text)
    assert found is not None
    return [(float(x), float(y)) for x, y in (pair.split(",") for pair in found[1].split())]


def ticks(text: str, style: str) -> dict[str, float]:
    found = re.findall(rf'<span class="{style}" style="(?:left|bottom):([\d.-]+)%">([^<]*)</span>', text)
    return {name: float(place) for place, name in found}


def test_a_line_goes_where_its_axes_say(make_run: MakeRun, tmp_path: Path) -> None:
    make_run("none", steps=100, entropy=lambda step: 0.4 - 0.002 * step)
    text = picture(tmp_path)
    up, along = ticks(text, "up"), ticks(text, "along")
    assert list(up) == ["0.2", "0.3", "0.4"]
    assert list(along) == ["0", "50", "100"]
    seed = dict(line(text, "seed"))
    # step 50 has 0.3; the picture is 1000 wide and 400 high, from the top
    assert seed[round(10 * along["50"])] == pytest.approx(400 - 4 * up["0.3"], abs=0.5)
    assert (min(seed), max(seed)) == (round(0.1 * along["100"]), round(10 * along["100"]))


def test_far_apart_recipes_have_a_logarithmic_picture(make_run: MakeRun, tmp_path: Path) -> None:
    make_run("none", entropy=0.01)
    make_run("wild", entropy=lambda step: 1.0 if step > 3 else 0.0)
    up = ticks(picture(tmp_path), "up")
    assert up["1"] - up["0.1"] == pytest.approx(up["0.1"] - up["0.01"], abs=0.2)


def test_a_long_line_is_thinned_and_keeps_its_end(make_run: MakeRun, tmp_path: Path) -> None:
    make_run("none", steps=2000, entropy=lambda step: 0.4 - 0.0001 * step)
    drawn = line(picture(tmp_path), "median")
    assert len(drawn) <= 122
    assert drawn[-1][0] == round(1000 / 1.015)


def test_names_stand_at_the_ends_of_lines_and_apart(make_run: MakeRun, tmp_path: Path) -> None:
    for index, name in enumerate(HOSTILE[:4]):
        make_run(f"run{index}", entropy=0.4, described={"label": name})
    text = picture(tmp_path)
    places = sorted(float(place) for place in re.findall(r'<b class="at r\d" style="bottom:([\d.]+)%">', text))
    assert len(places) == 4
    assert min(b - a for a, b in itertools.pairwise(places)) >= 4.9
    assert set(re.findall(r"<(\w+)", text)) == {"div", "svg", "polyline", "span", "b"}


def test_one_step_that_is_all_the_same_can_be_drawn(make_run: MakeRun, tmp_path: Path) -> None:
    make_run("none", steps=1, entropy=0.0)
    assert 'class="median r0"' in picture(tmp_path)
