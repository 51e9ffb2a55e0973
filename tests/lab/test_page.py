"""The page of the lab: complete, self-contained, and deaf to hostile text."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from entrostat import lab
from entrostat.lab import Checked, Claim, Outcome, Plot, Series

pytest.importorskip("plotly")
EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(1)>"


def checked(text: str, *, y: float = 2.0) -> Checked:
    series = Series(name=text, x=[1.0, 2.0], y=[1.0, y], low=[0.0, 1.0], high=[2.0, 3.0])
    plot = Plot(title=text, x_label=text, y_label=text, series=(series,), log_x=True)
    outcome = Outcome(verdict="does not hold", figures={text: text, "n": 0.5}, plots=(plot, plot), remarks=text)
    claim = Claim(name="one", statement=text, source=text, check=lambda quick: outcome, topic="theory")
    return lab.run_claim(claim)


def described(page: str) -> list[dict[str, object]]:
    (data,) = re.findall(r'<script type="application/json" id="plots">(.*?)</script>', page)
    return json.loads(data)


def test_page_shows_verdict_figures_and_plots(tmp_path: Path) -> None:
    page = lab.write_page([checked("plain words")], tmp_path / "new" / "lab.html").read_text()
    assert "0 of 1 claims hold; 1 does not hold." in page
    assert page.count('class="plot"') == len(described(page)) == 2
    assert "<td>0.5</td>" in page
    assert 'id="plot-1"' in page
    assert not re.search(r'(src|href)="(?!#)', page.split("<script")[0])


def test_hostile_text_stays_text(tmp_path: Path) -> None:
    page = lab.write_page([checked(EVIL)], tmp_path / "lab.html").read_text()
    assert "<script>alert" not in page
    assert "<img" not in page.split('<script type="application/json"')[0]
    # Plotly reads names as markup: they arrive escaped a second time.
    assert "&lt;img" in str(described(page)[0]["series"])


def test_infinite_values_leave_a_gap(tmp_path: Path) -> None:
    page = lab.write_page([checked("x", y=float("inf"))], tmp_path / "lab.html").read_text()
    assert described(page)[0]["series"][0]["y"] == [1.0, None]  # pyright: ignore


def test_run_claims_says_a_line_each_and_names_the_claim_of_an_error() -> None:
    lines: list[str] = []
    (one,) = lab.run_claims(["one_step_policy"], quick=True, say=lines.append)
    assert lines == [one.line]
    assert lines[0].startswith("holds")
    with pytest.raises(ValueError, match="Did you mean 'one_step_policy'"):
        lab.run_claims(["one_step_polic"])

    def broken(quick: bool) -> Outcome:
        raise RuntimeError("no")

    claim = Claim(name="bad", statement="s", source="s", check=broken, topic="theory")
    with pytest.raises(RuntimeError, match="no") as caught:
        lab.run_claim(claim)
    assert "'bad'" in caught.value.__notes__[0]
