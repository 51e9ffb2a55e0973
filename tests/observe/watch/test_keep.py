"""A reader's choices on the served page survive its reload, in a real browser."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from entrostat.observe.records import RecordWriter
from entrostat.observe.watch import Page

from ...browser import NEEDED, WAIT, chromium
from ..report.conftest import answer, write_run
from .test_watch import step

if TYPE_CHECKING:
    from playwright.sync_api import Page as Tab

pytest.importorskip("plotly")
pytestmark = NEEDED
DRAWN, ZOOMED = "html[data-drawn]:not([data-drawn='0'])", "#reset:not([disabled])"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A job of two runs with answers token by token at two steps."""
    for label in ("none", "aent"):
        write_run(tmp_path, label, coef=0.01, answers=[answer(["4", "+", "7"], step=step) for step in (0, 60)])
    return tmp_path


@pytest.fixture
def tab(out: Path) -> Generator[tuple[Tab, Page, list[str]]]:
    """The served page in a browser, its server, and the browser's complaints."""
    served = Page(out, port=0, every=3600)
    served.start()
    said: list[str] = []
    with chromium() as browser:
        tab = browser.new_page(viewport={"width": 1280, "height": 900})
        tab.set_default_timeout(WAIT)
        tab.on("console", lambda message: said.append(message.text))
        tab.on("pageerror", lambda error: said.append(str(error)))
        yield tab, served, said
    served.close()


def test_choices_stay_when_the_page_comes_anew(out: Path, tab: tuple[Tab, Page, list[str]]) -> None:
    page, served, said = tab
    page.goto(served.address)
    page.locator("#seeds").click()
    page.locator("button[data-group]").first.click()
    page.locator("#step").fill("20")
    page.locator("button[data-scale]").first.click()
    page.locator("details").first.locator("summary").click()
    page.locator("input[name=token-step]").first.check(force=True)
    page.locator("#seeds").scroll_into_view_if_needed()
    page.wait_for_selector(DRAWN, state="attached")
    zoom = "{'xaxis.range[0]': 5, 'xaxis.range[1]': 20}"
    page.evaluate(f"Plotly.relayout(document.querySelector('.js-plotly-plot'), {zoom})")
    page.wait_for_selector(ZOOMED)
    log = next(out.glob("runs/aent-seed0/records.jsonl"))
    RecordWriter(log).write(step(61))
    assert served.refresh()
    for _ in range(2):
        page.reload()
        page.locator("#seeds").scroll_into_view_if_needed()
        page.wait_for_selector(ZOOMED)
        pressed = "nodes => nodes.map(node => node.getAttribute('aria-pressed'))"
        assert page.locator("#seeds").get_attribute("aria-pressed") == "false"
        assert page.locator("button[data-group]").evaluate_all(pressed) == ["false", "true"]
        assert page.locator("#step").get_attribute("aria-valuetext") == "step 20"
        assert page.locator("details").first.get_attribute("open") is not None
        assert page.locator("input[name=token-step]").first.is_checked()
        assert page.evaluate("document.querySelector('.js-plotly-plot').layout.xaxis.range") == [5, 20]
    page.locator("#reset").click()
    page.locator("#seeds").click()
    page.locator("#step").press("End")
    page.reload()
    page.locator("#seeds").scroll_into_view_if_needed()
    page.wait_for_selector(DRAWN, state="attached")
    assert page.locator("#reset").is_disabled()
    assert page.locator("#step").get_attribute("aria-valuetext") == "the end"
    assert page.locator("#seeds").get_attribute("aria-pressed") == "true"
    assert said == []
