from __future__ import annotations

import html
import json
import re
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from entrostat.observe.report import report_page, write_report
from entrostat.observe.report._answers import Sample, chosen
from entrostat.observe.report._curves import unpacked

pytest.importorskip("plotly")
MakeRun = Callable[..., Path]

HOSTILE = [
    "<script>document.documentElement.dataset.owned=1</script>",
    "</script><script>document.documentElement.dataset.owned=1</script>",
    "</pre></div></main><img src=x onerror=\"document.documentElement.dataset.owned=1\">",
    "<svg/onload=document.documentElement.dataset.owned=1><a href='javascript:alert(1)'>x</a>",
    "&lt;b&gt; &#60;script&#62; <!-- ]]> {{7*7}} $policy ${script}",
    "\u202eevil\u202c \u2066x\u2069 \u200b\u200f\ufeff\x00\x1b[31m\x7f\ud800 \u2028\u2029 e" + "\u0301" * 50,
]  # fmt: skip


class Page(HTMLParser):
    """Collects elements, attributes, and the text of table rows."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.rows: list[list[str]] = []
        self.script = ""
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        self._inside = dict(attrs).get("id") or tag

    def handle_data(self, data: str) -> None:
        if self._inside == "curves":
            self.script += data
        elif self.rows and self.rows[-1]:
            self.rows[-1][-1] += data

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def written(directory: Path) -> str:
    return report_page(directory)


def without_plotly(text: str) -> str:
    return re.sub(r"<script>/\*\*.*?</script>", "<script></script>", text, count=1, flags=re.DOTALL)


def test_the_page_needs_nothing_but_itself(four_recipes: Path) -> None:
    text = written(four_recipes)
    assert len(text.encode()) < 6_000_000
    page = Page(without_plotly(text))
    assert not page.named("link")
    loads = [(tag, name, value) for tag, some in page.tags for name, value in some.items() if name in ("src", "href")]
    assert loads == []
    assert not re.search(r"url\(|@import|https?://", without_plotly(text))
    policy = next(some["content"] for some in page.named("meta") if "content" in some and "http-equiv" in some)
    assert policy is not None
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe-inline" not in policy.split(";")[1]


def test_the_headline_and_the_entropy_come_first(four_recipes: Path) -> None:
    text = without_plotly(written(four_recipes))
    order = [text.index(mark) for mark in ("<h1>Entropy collapsed under", 'id="plot-entropy"', "What each recipe did")]
    assert order == sorted(order)


def test_every_panel_has_a_plot_its_numbers_and_words_for_it(four_recipes: Path) -> None:
    text = without_plotly(written(four_recipes))
    page = Page(text)
    data = json.loads(page.script)
    keys = [panel["key"] for panel in data["panels"]]
    assert keys[:3] == ["entropy", "clamped_entropy", "coef"]
    assert {"pass_at_1", "pass_at_8", "pass_at_16", "useless_mass", "reward"} <= set(keys)
    plots = {some["id"]: some for some in page.named("div") if some.get("class") == "plot"}
    assert set(plots) == {f"plot-{key}" for key in keys}
    assert all(some["role"] == "img" for some in plots.values())
    described = plots["plot-entropy"]["aria-label"]
    assert described is not None
    assert "none: starts at 0.394, ends at 0.125, between 0.100 and 0.394" in described
    missing = "bonus's share of the loss, silent groups, clipped from below and clipped from above"
    assert f"Not on record in any run: {missing}." in html.unescape(text)


def test_a_recipe_has_three_seeds_their_middle_half_one_median_and_its_band(four_recipes: Path) -> None:
    data = json.loads(Page(without_plotly(written(four_recipes))).script)
    lines = [(line["g"], line["kind"]) for line in data["panels"][0]["lines"]]
    aent = [group["name"] for group in data["groups"]].index("aent")
    assert [kind for index, kind in lines if index == aent] == ["band", "half", "seed", "seed", "seed", "median"]
    assert len({group["slot"] for group in data["groups"]}) == 4


def test_two_seeds_have_no_middle_half(make_run: MakeRun, tmp_path: Path) -> None:
    for seed in range(2):
        make_run("none", seed=seed)
    text = written(tmp_path)
    assert {line["kind"] for panel in island(text)["panels"] for line in panel["lines"]} == {"seed", "median"}
    assert 'id="halves"' not in text


def test_the_middle_half_runs_along_the_quartiles_and_back(make_run: MakeRun, tmp_path: Path) -> None:
    for seed in range(5):
        make_run("none", seed=seed, steps=2, entropy=0.1 * (seed + 1))
    panel = island(written(tmp_path))["panels"][0]
    (half,) = [line for line in panel["lines"] if line["kind"] == "half"]
    assert unpacked(half) == [(1, 0.2), (2, 0.2), (2, 0.4), (1, 0.4)]


def test_the_bonus_share_is_of_the_size_of_the_loss(make_run: MakeRun, tmp_path: Path) -> None:
    make_run("aent", bonus=-0.01, loss=lambda step: (0.02, -0.01, 0.0)[step % 3])
    (panel,) = [panel for panel in island(written(tmp_path))["panels"] if panel["key"] == "bonus_share"]
    # 0.01 of 0.04, of 0.01 and of 0.02, from step 1 on
    (line,) = [line for line in panel["lines"] if line["kind"] == "seed"]
    assert line["y"][:3] == [1.0, 0.5, 0.25]


def island(text: str) -> Any:
    """The data of the curves."""
    return json.loads(Page(without_plotly(text)).script)


def tables(directory: Path) -> dict[str, dict[str, list[str]]]:
    """The page's tables by their second heading: each its rows by their first cell."""
    found: dict[str, dict[str, list[str]]] = {}
    for row in ([cell.strip() for cell in row] for row in Page(without_plotly(written(directory))).rows):
        if row[0] in ("Recipe", "Run", "Setting"):
            found[f"{row[0]}, {row[1]}"] = here = {}
        here[row[0]] = row[1:]
    return found


def test_the_table_holds_means_and_intervals(four_recipes: Path) -> None:
    found = tables(four_recipes)
    rows = found["Recipe, pass@1"] | found["Run, pass@1"]
    head = rows["Recipe"]
    none = dict(zip(head, rows["none"], strict=True))
    assert none["pass@1"] == "51.0% ± 2.5"
    assert none["pass@16"] == "66.0% ± 2.5"
    # the last 20 steps: 0.4 - step / 180 from step 41 to 53, then 7 times 0.1: (13 * 0.4 - 611 / 180 + 0.7) / 20
    assert none["Entropy, nats"] == "0.125 ± 0.000"
    assert none["Reward"] == "0.300 ± 0.025"
    assert none["Useless mass, worst"] == "0.3% ± 0.0"
    assert none["Time"] == "1 min 15 s"
    bonus = dict(zip(head, rows["entropy_bonus"], strict=True))
    assert bonus["Entropy, nats"] == "1.47 ± 2.29"
    assert bonus["Useless mass, worst"] == "16.7% ± 35.7"
    assert rows["start model"][:3] == ["25.0%", "70.0%", "80.0%"]
    assert dict(zip(head, rows["entropy_bonus, seed 2"], strict=True))["Entropy, nats"] == "0.400"


def test_the_page_says_how_it_was_made(four_recipes: Path) -> None:
    (four_recipes / "job.toml").write_text('title = "<b>job</b>"\n', encoding="utf-8")
    text = written(four_recipes)
    assert "test: 192 problems, 16 samples each at temperature 1" in text
    assert "entrostat 0.1.0" in text
    assert "0, 1 and 2" in text
    assert "title = &#34;&lt;b&gt;job&lt;/b&gt;&#34;" in text
    rows = {row[0]: row[1:] for row in Page(without_plotly(text)).rows if row}
    assert "10" in rows["controller.warmup"]


def test_hostile_text_is_shown_and_does_nothing(make_run: MakeRun, tmp_path: Path) -> None:
    samples = [
        {"problem": i, "completion": text, "prompt": text, "reward": float(i % 2)} for i, text in enumerate(HOSTILE)
    ]
    for i in range(0, len(HOSTILE), 3):
        settings = {
            "label": HOSTILE[i],
            "description": HOSTILE[i + 1],
            "task": HOSTILE[i + 2],
            "parameters": {HOSTILE[i]: HOSTILE[i + 1]},
            "versions": {HOSTILE[i + 1]: HOSTILE[i + 2]},
        }
        make_run(f"hostile{i}", samples=samples[i : i + 3], described=settings, passes={60: {HOSTILE[i]: 0.5}})
    text = without_plotly(written(tmp_path))
    page = Page(text)
    assert len(page.named("script")) == 7  # the data, Plotly, and five of ours
    assert {tag for tag, _ in page.tags} & {"img", "a", "iframe", "object", "base", "form"} == set()
    assert not [name for _, some in page.tags for name in some if name.startswith("on")]
    assert not re.search("[\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]", text)
    assert "⟨U+202E⟩evil⟨U+202C⟩" in text
    assert "\u0301\u0301⟨U+0301⟩" in text
    assert "&lt;script&gt;document" in text
    assert "{{7*7}} $policy ${script}" in text  # the output of a model is no template


def test_a_long_completion_is_cut_and_says_so(make_run: MakeRun, tmp_path: Path) -> None:
    make_run("none", samples=[{"completion": "x" * 50_000}])
    assert "… (48,000 more characters)" in written(tmp_path)


def test_samples_are_right_and_wrong_in_turn() -> None:
    def sample(problem: int, reward: float) -> Sample:
        return Sample(step=1, split="test", problem=problem, prompt="", completion="", reward=reward)

    mixed = [sample(0, 0.0), sample(0, 1.0), sample(1, 0.0), sample(2, 1.0), sample(3, 1.0)]
    assert [(s.problem, s.reward) for s in chosen(mixed)] == [(0, 1.0), (1, 0.0), (2, 1.0)]
    wrong = [sample(problem, 0.0) for problem in range(5)]
    assert [s.problem for s in chosen(wrong)] == [0, 1, 2]
    assert len(chosen(wrong[:1])) == 1


@pytest.mark.parametrize("status", ["running", "stopped", "failed", "done"])
def test_runs_without_records_give_a_page_that_says_so(make_run: MakeRun, tmp_path: Path, status: str) -> None:
    make_run("aent", steps=0, described={"status": status, "steps": 60})
    text = written(tmp_path)
    assert "No run has a step on record yet." in text
    assert "without a single step on record." in text


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_a_few_steps_are_enough(make_run: MakeRun, tmp_path: Path, steps: int) -> None:
    make_run("aent", steps=steps, described={"status": "running", "steps": 60}, band_low=0.1, band_high=0.5, coef=0.1)
    assert f"aent, seed 0, is marked as still running after {steps} of 60 steps." in written(tmp_path)


def test_numbers_that_are_not_finite_leave_gaps_and_valid_json(make_run: MakeRun, tmp_path: Path) -> None:
    make_run("a", entropy=lambda step: float("nan") if step > 30 else 0.4, coef=0.1, kept_mass=float("nan"))
    make_run("b", entropy=float("nan"), clamped_entropy=float("nan"), kept_mass=float("nan"), coef=float("nan"))
    data = json.loads(Page(without_plotly(written(tmp_path))).script)
    assert len(data["panels"][0]["lines"][0]["y"]) == 30


def test_many_long_runs_stay_drawable(make_run: MakeRun, tmp_path: Path) -> None:
    for seed in range(2):
        make_run("none", seed=seed, steps=4000, entropy=lambda step: 0.4 + 1e-4 * (step * 7919 % 997), reward=0.3)
    data = json.loads(Page(without_plotly(written(tmp_path))).script)
    assert max(len(line["y"]) for panel in data["panels"] for line in panel["lines"]) <= 1502


def test_an_older_report_is_replaced_and_an_unwritable_one_refused(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run("none")
    out = tmp_path / "report.html"
    out.write_text("old", encoding="utf-8")
    assert write_report([run], out) == out
    assert out.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert list(tmp_path.glob("*.part")) == []
    with pytest.raises(ValueError, match="cannot write the page to"):
        write_report([run], tmp_path / "absent" / "report.html")


def test_without_plotly_one_sentence_says_what_to_install(
    make_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "plotly.offline", None)
    with pytest.raises(ImportError, match=r"pip install 'entrostat\[report\]'"):
        write_report([make_run("none")], tmp_path / "report.html")
