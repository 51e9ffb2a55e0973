"""Opens reports in a real browser: the curves are drawn, every button works, hostile text is idle."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from entrostat.observe.report import write_report

from ...browser import NEEDED, WAIT, chromium, playwright
from .conftest import answer, write_run
from .test_page import HOSTILE

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytest.importorskip("plotly")
pytestmark = NEEDED
Open = Callable[..., "Page"]
MARK = "document.documentElement.dataset.owned=1"
TRICKS = [
    f"<script>{MARK}</script>",
    f"</script><script>{MARK}</script>",
    f'"><img src=x onerror="{MARK}">',
    f"<svg/onload={MARK}><a href='javascript:{MARK}'>x</a>",
    "\u202eevil\u202c \u2066x\u2069 \u200b\u200f\ufeff",
    "\ud800 \udfff \x00 \x1b[31mred\x1b[0m \x7f",
]


@pytest.fixture(scope="module")
def browser() -> Generator[Browser]:
    """One browser for all tests."""
    with chromium() as started:
        yield started


@pytest.fixture
def opened(browser: Browser) -> Generator[Open]:
    """Opens a page; afterwards it must have said nothing on the console and have run nothing foreign."""
    tabs: list[tuple[Page, list[str]]] = []

    def open_page(path: Path, *, width: int = 1280, height: int = 900, **looks: Any) -> Page:
        tab = browser.new_page(viewport={"width": width, "height": height}, **looks)
        tab.set_default_timeout(WAIT)
        said: list[str] = []
        tab.on("console", lambda message: said.append(message.text))
        tab.on("pageerror", lambda error: said.append(str(error)))
        tab.on("dialog", lambda dialog: said.append(dialog.message))
        tab.goto(path.as_uri())
        tabs.append((tab, said))
        return tab

    yield open_page
    for tab, said in tabs:
        assert said == []
        assert tab.locator("html[data-owned]").count() == 0
        tab.close()


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of two recipes with three seeds each, with answers token by token."""
    out = tmp_path_factory.mktemp("story")
    for seed in range(3):
        answers = [
            answer(["3", " +", " 4", f" {step}"], step=step, problem=problem, reward=float(problem == 1))
            for step in (0, 30, 60)
            for problem in range(3)
        ]
        passes = {0: {"1": 0.2, "8": 0.6}, 30: {"1": 0.3, "8": 0.6}, 60: {"1": 0.4, "8": 0.6}}
        common: dict[str, Any] = {"seed": seed, "passes": passes, "answers": answers, "reward": 0.3 + 0.01 * seed}
        write_run(out, "none", entropy=lambda step, seed=seed: max(0.1, 0.4 - 0.005 * step) + 0.01 * seed, **common)
        write_run(out, "aent", entropy=0.3 + 0.01 * seed, coef=0.04, bonus=-0.01, loss=0.02, useless_mass=0.01,
                  band_low=0.2, band_high=0.4, **common)  # fmt: skip
    return write_report([out], out / "report.html")


def drawn(tab: Page, count: int | None = None) -> int:
    """Wait until the plots near the screen, or so many lines in the first one, are drawn; return their lines."""
    tab.wait_for_selector("html[data-drawn]")
    lines = tab.locator("#plot-entropy .js-line")
    if count is not None:
        playwright.expect(lines).to_have_count(count, timeout=WAIT)
    return lines.count()


def drag(tab: Page, plot: str, start: float, stop: float) -> None:
    """Drag across a part of a plot; each step waits until the plot has answered the one before."""
    box = tab.locator(f"{plot} .nsewdrag").bounding_box()
    assert box is not None
    middle = box["y"] + box["height"] / 2
    tab.mouse.move(box["x"] + start * box["width"], middle)
    tab.mouse.down()
    tab.mouse.move(box["x"] + stop * box["width"], middle, steps=5)
    tab.wait_for_selector(f"{plot} .zoombox")
    tab.mouse.up()
    tab.wait_for_selector("#reset:enabled")
    drawn(tab)


def test_every_curve_is_drawn(four_recipes: Path, tmp_path: Path, opened: Open) -> None:
    tab = opened(write_report([four_recipes], tmp_path / "report.html"), height=12_000)
    plots = tab.locator(".plot").count()
    assert plots > 10
    tab.wait_for_selector(f'html[data-drawn="{plots}"]')
    assert tab.locator(".plot.js-plotly-plot").count() == plots
    # 12 seeds and 4 medians on each panel over the steps
    assert tab.locator(".js-line").count() >= 16 * (plots - 1)
    assert tab.locator(".still").count() == 0
    assert tab.get_by_role("group", name="What is shown").is_visible()


def test_a_recipe_can_be_hidden_by_keyboard(story: Path, opened: Open) -> None:
    tab = opened(story)
    # per recipe 3 seeds, their middle half, the median; aent's band besides
    assert drawn(tab, 11) == 11
    button = tab.locator('.legend button[data-group="1"]')
    button.focus()
    tab.keyboard.press("Enter")
    drawn(tab, 5)
    assert button.get_attribute("aria-pressed") == "false"
    tab.keyboard.press("Space")
    drawn(tab, 11)


def test_seeds_and_their_middle_half_can_be_hidden(story: Path, opened: Open) -> None:
    tab = opened(story)
    drawn(tab, 11)
    for name, without in (("every seed", 5), ("middle half", 9)):
        button = tab.get_by_role("button", name=name)
        button.click()
        drawn(tab, without)
        assert button.get_attribute("aria-pressed") == "false"
        button.click()
        drawn(tab, 11)


def test_an_axis_can_be_logarithmic(story: Path, opened: Open) -> None:
    tab = opened(story)
    drawn(tab)
    kind = "document.getElementById('plot-entropy').layout.yaxis.type"
    assert tab.evaluate(kind) == "linear"
    tab.get_by_role("button", name="Entropy: log scale", exact=True).click()
    drawn(tab)
    assert tab.evaluate(kind) == "log"


def test_zooming_one_panel_zooms_all_and_can_be_undone(story: Path, opened: Open) -> None:
    tab = opened(story, height=2500)
    drawn(tab)
    reset = tab.get_by_role("button", name="whole run")
    assert reset.is_disabled()
    drag(tab, "#plot-entropy", 0.25, 0.75)
    ranges = "[...document.querySelectorAll('.js-plotly-plot')].map((node) => node.layout.xaxis.range[0])"
    starts = tab.evaluate(ranges)
    assert len(starts) >= 2
    assert all(10 < start < 20 for start in starts)
    reset.focus()
    tab.keyboard.press("Enter")
    drawn(tab)
    assert reset.is_disabled()
    assert set(tab.evaluate(ranges)) == {0}


MARKS = """[...document.querySelectorAll('.js-plotly-plot:not(#plot-law)')].map((node) => {
  const [line, area] = ['.pointer', '.nsewdrag'].map((part) => node.querySelector(part).getBoundingClientRect());
  const [from, to] = node.layout.xaxis.range;
  return line.width ? from + ((line.left + line.width / 2 - area.left) / area.width) * (to - from) : null;
})"""


def marked(tab: Page) -> list[float | None]:
    """The step at which each plot has its mark, measured on the screen."""
    drawn(tab)
    return tab.evaluate(MARKS)


def test_a_step_pointed_at_is_marked_in_every_panel(story: Path, opened: Open) -> None:
    tab = opened(story, height=2500)
    drawn(tab)
    assert set(marked(tab)) == {None}
    ends = tab.locator("figure:has(#plot-entropy) .ends")
    assert re.fullmatch(r"at the end\s+none:\s+0.158\s+aent:\s+0.310", ends.inner_text())
    box = tab.locator("#plot-coef .nsewdrag").bounding_box()
    assert box is not None
    tab.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    tab.wait_for_selector(".pointer:visible")
    steps = marked(tab)
    assert len(steps) >= 3
    assert all(step is not None and abs(step - 30.5) < 1 for step in steps)
    # the median seed has 0.4 - 0.005 * step + 0.01
    assert re.fullmatch(r"at step 3[01]\s+none:\s+0.2[56]\d?\s+aent:\s+0.310", ends.inner_text())
    tab.mouse.move(5, 5)
    playwright.expect(ends).to_contain_text("at the end", timeout=WAIT)
    assert set(marked(tab)) == {None}


def test_a_step_is_chosen_by_keyboard(story: Path, opened: Open) -> None:
    tab = opened(story, height=2500)
    drawn(tab)
    slider = tab.get_by_role("slider", name="step")
    slider.focus()
    for _ in range(20):
        tab.keyboard.press("ArrowLeft")
    assert slider.get_attribute("aria-valuetext") == "step 40"
    steps = marked(tab)
    assert len(steps) >= 3
    assert all(step is not None and abs(step - 40) < 1 for step in steps)
    assert [text.split()[:3] for text in tab.locator(".ends").all_inner_texts()[:3]] == [["at", "step", "40"]] * 3
    assert "40.0%" not in tab.locator("figure:has(#plot-pass_at_1) .ends").inner_text()  # the last one before: step 30
    tab.get_by_role("button", name="closer").focus()
    tab.keyboard.press("Enter")
    drawn(tab)
    start, stop = tab.evaluate("document.getElementById('plot-entropy').layout.xaxis.range")
    assert (start + stop) / 2 == pytest.approx(40)
    assert stop - start == pytest.approx(1.015 * 60 / 2)
    assert all(step is not None and abs(step - 40) < 1 for step in marked(tab))
    slider.focus()
    tab.keyboard.press("Home")
    assert set(marked(tab)) == {None}  # out of sight
    tab.keyboard.press("End")
    assert slider.get_attribute("aria-valuetext") == "the end"


def test_a_token_tells_what_else_there_was(story: Path, opened: Open) -> None:
    tab = opened(story)
    card, tokens = tab.locator("#card"), tab.locator("#answers [role=option]")
    assert tokens.count() == 12  # 3 answers of 4 tokens
    tokens.nth(3).hover()
    assert "The clamp drops this token." in card.inner_text()
    assert re.search(r"60\s+75%\s+kept\s+alternative\s+6.25%\s+dropped", card.inner_text())
    tokens.first.focus()
    tab.keyboard.press("ArrowRight")
    assert card.locator("h3").inner_text() == "·+"
    tab.keyboard.press("End")
    assert card.locator("h3").inner_text() == "·60"
    tokens.nth(4).click()
    assert card.locator("h3").inner_text() == "3"
    assert tokens.nth(4).get_attribute("aria-selected") == "true"


def test_answers_are_chosen_by_recipe_seed_step_and_verdict(story: Path, opened: Open) -> None:
    tab = opened(story)
    form, answers = tab.locator("#choice"), tab.locator("#answers")
    form.get_by_label("aent").check(force=True)
    form.get_by_label("2", exact=True).check(force=True)
    form.get_by_label("start").check(force=True)
    assert answers.locator("[role=option]").nth(3).inner_text() == "·0"
    tab.keyboard.press("ArrowRight")
    assert answers.locator("[role=option]").nth(3).inner_text() == "·30"
    form.get_by_label("right").check(force=True)
    assert answers.locator("b").all_inner_texts() == ["right"]
    tab.keyboard.press("ArrowRight")
    assert answers.locator("b").all_inner_texts() == ["wrong", "wrong"]
    checked = form.locator("input:checked").evaluate_all("nodes => nodes.map((node) => node.value)")
    assert checked == ["1", "2", "30", "wrong"]


def assert_accessible(tab: Page) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    drawn(tab)
    tab.locator("#answers [role=option]").nth(3).focus()
    found = axe.run(tab).response["violations"]
    grave = [
        (one["id"], one["impact"], [node["html"][:150] for node in one["nodes"]])
        for one in found
        if one["impact"] in ("serious", "critical")
    ]
    assert grave == []
    assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_everybody_can_read_it_in_light_and_dark(story: Path, opened: Open) -> None:
    tab = opened(story, color_scheme="light")
    assert_accessible(tab)
    line = tab.locator("#plot-entropy .js-line").last
    before = line.evaluate("node => node.style.stroke")
    tab.emulate_media(color_scheme="dark")
    line.scroll_into_view_if_needed()  # a plot far from the screen is drawn when it comes near
    playwright.expect(line).not_to_have_css("stroke", before, timeout=WAIT)
    assert_accessible(tab)


def test_everybody_can_read_it_on_a_phone(story: Path, opened: Open) -> None:
    assert_accessible(opened(story, width=390, height=844, has_touch=True, is_mobile=True))


def test_the_large_plot_and_the_answers_stand_there_without_scripts(story: Path, opened: Open) -> None:
    tab = opened(story, java_script_enabled=False)
    assert tab.locator(".still").is_visible()
    assert tab.locator(".still :is(polyline, polygon)").count() == 11
    assert not tab.get_by_role("group", name="What is shown").is_visible()
    assert tab.locator("#tokens .tok span").count() == 24  # 2 recipes, 3 answers of 4 tokens
    assert not tab.locator("#choice").is_visible()


@pytest.mark.parametrize("where", ["everywhere", "tokens"])
def test_hostile_text_runs_nothing(make_run: Callable[..., Path], tmp_path: Path, opened: Open, where: str) -> None:
    if where == "tokens":
        make_run("none", answers=[answer(TRICKS + HOSTILE, others=TRICKS, prompt="".join(TRICKS), split=TRICKS[2])])
    else:
        samples = [{"problem": i, "completion": text, "prompt": text} for i, text in enumerate(TRICKS)]
        for i, text in enumerate(TRICKS):
            make_run(f"run{i}", samples=samples[i:], described={"label": text, "description": text, "task": text})
    tab = opened(write_report([tmp_path], tmp_path / "report.html"))
    drawn(tab)
    for number in range(tab.locator("#answers [role=option]").count()):
        tab.locator("#answers [role=option]").nth(number).focus()
        assert tab.locator("#card li").count() > 1
    assert tab.locator("img, iframe, object, embed, main a").count() == 0
    assert not re.search("[\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff\x1b\x7f]", tab.locator("body").inner_text())


def test_an_empty_run_opens_without_complaint(make_run: Callable[..., Path], tmp_path: Path, opened: Open) -> None:
    make_run("aent", steps=0, described={"status": "running", "steps": 60})
    tab = opened(write_report([tmp_path], tmp_path / "report.html"))
    assert tab.get_by_text("No run has a step on record yet.").count() >= 1
