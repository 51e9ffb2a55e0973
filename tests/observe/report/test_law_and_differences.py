"""What entropy bought, and differences to the baseline on the same seeds."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from entrostat.observe.analysis.law import NoLaw, fit_law
from entrostat.observe.report import load_runs, report_page
from entrostat.observe.report._groups import baseline, clear, groups, paired
from entrostat.observe.report._law import group_laws, law_drawing
from entrostat.observe.report._sentences import differences
from entrostat.observe.report._tables import columns

MakeRun = Callable[..., Path]
A, B = 0.5, 1.0


def falling(step: int) -> float:
    return 0.1 + 0.4 * 0.95**step


def lawful(seed: int) -> Callable[[int], float]:
    dice = random.Random(seed)
    noise = [dice.gauss(0, 0.01) for _ in range(200)]
    return lambda step: B - A * math.exp(falling(step)) + noise[step]


@pytest.fixture
def runs(make_run: MakeRun, tmp_path: Path) -> Path:
    for seed in range(3):
        make_run("none", seed=seed, steps=100, entropy=falling, reward=lawful(seed),
                 passes={0: {"1": 0.2}, 100: {"1": 0.30 + 0.1 * seed}})  # fmt: skip
        make_run("aent", seed=seed, steps=100, entropy=0.4, coef=0.04, reward=0.4,
                 passes={0: {"1": 0.2}, 100: {"1": 0.35 + 0.1 * seed + 0.01 * (seed == 1)}})  # fmt: skip
    make_run("alone", seed=9, steps=100, entropy=0.4, coef=0.04, passes={100: {"1": 0.9}})
    return tmp_path


def differences_of(path: Path) -> str:
    """The sentence about pass@1 with the recipes' names filled in."""
    everyone = groups(load_runs(path))
    return differences(everyone, ["1"]).format(*(group.label for group in everyone))


def test_the_reports_law_is_that_of_the_diagnosis(runs: Path) -> None:
    everyone = groups(load_runs(runs))
    none = baseline(everyone)
    law = group_laws(everyone)[none.index]
    alone = [fit_law(run.curves) for run in none.runs]
    assert law.fitted == alone
    assert law.ceiling is not None
    assert law.ceiling.seeds == 3
    assert law.ceiling.mean == pytest.approx(B - A, abs=0.02)
    assert law.at(0.0) == pytest.approx(law.ceiling.mean)


def test_one_seeds_ceiling_has_the_fits_own_interval(make_run: MakeRun, tmp_path: Path) -> None:
    make_run("none", steps=100, entropy=falling, reward=lawful(0))
    (laws,) = group_laws(groups(load_runs(tmp_path)))
    (law,) = laws.fitted
    assert laws.ceiling is not None
    assert (laws.ceiling.mean, laws.ceiling.half) == (law.ceiling, law.half)


def test_the_plot_has_a_cloud_a_law_and_a_ceiling(runs: Path) -> None:
    everyone = groups(load_runs(runs))
    drawing = law_drawing(group_laws(everyone))
    assert drawing is not None
    none = next(index for index, group in enumerate(everyone) if group.label == "none")
    kinds = {line["kind"]: line for line in drawing.lines if line["g"] == none}
    assert set(kinds) == {"dots", "law", "forecast", "ceiling"}
    assert len(kinds["dots"]["x"]) == 3 * 40
    assert kinds["ceiling"]["x"] == [0.0]
    assert kinds["forecast"]["y"][0] == kinds["ceiling"]["y"][0]
    assert kinds["forecast"]["x"][-1] == kinds["law"]["x"][0]
    assert "none: ceiling 0.499" in drawing.described


def test_the_page_shows_law_and_differences(runs: Path) -> None:
    text = report_page(runs)
    assert 'id="plot-law"' in text
    assert "What entropy bought" in text
    assert "not fitted: entropy hardly moved" in text
    assert "<h2>Against none</h2>" in text
    assert '<td class="clear">+5.3' in text


def test_an_exploded_run_does_not_stretch_the_axis(make_run: MakeRun, tmp_path: Path) -> None:
    make_run("none", seed=0, steps=100, entropy=falling, reward=lawful(0))
    make_run("wild", seed=0, steps=100, entropy=lambda step: 0.4 if step < 20 else 6.0, coef=0.1, reward=0.1)
    laws = group_laws(groups(load_runs(tmp_path)))
    drawing = law_drawing(laws)
    assert drawing is not None
    assert drawing.reach is not None
    assert drawing.reach < 0.6
    assert "marks of exploded runs lie further right" in drawing.panel.note
    wild = next(law for law in laws if law.group.label == "wild")
    assert [type(one) for one in wild.refused] == [NoLaw]


def test_accuracy_is_taken_where_every_run_has_enough_of_it(make_run: MakeRun, tmp_path: Path) -> None:
    passes = {step: {"1": B - A * math.exp(falling(max(step, 1)))} for step in range(0, 101, 10)}
    make_run("none", steps=100, entropy=falling, reward=0.1, passes=passes)
    (laws,) = group_laws(groups(load_runs(tmp_path)))
    assert laws.performance == "accuracy"
    assert [law.performance for law in laws.fitted] == ["accuracy"]
    make_run("aent", steps=100, entropy=0.4, coef=0.1, reward=0.1)
    assert {law.performance for law in group_laws(groups(load_runs(tmp_path)))} == {"reward"}


def test_without_performance_there_is_no_plot(make_run: MakeRun, tmp_path: Path) -> None:
    make_run("none", steps=40)
    assert law_drawing(group_laws(groups(load_runs(tmp_path)))) is None
    text = report_page(tmp_path)
    assert "What entropy bought" not in text
    assert "Against none" not in text


def test_pairs_take_out_what_the_seed_does(runs: Path) -> None:
    everyone = {group.label: group for group in groups(load_runs(runs))}
    value = columns(["1"])[0].value
    found = paired(everyone["aent"], everyone["none"], value)
    assert found is not None
    # differences 0.05, 0.06, 0.05: standard deviation 0.01 / sqrt(3), t(2) = 4.303
    assert found.mean == pytest.approx(0.16 / 3)
    assert found.half == pytest.approx(4.3027 * 0.01 / 3, rel=1e-3)
    assert clear(found)
    unpaired = everyone["aent"].passed("1")
    assert unpaired is not None
    assert unpaired.half is not None
    assert unpaired.half > 10 * found.half
    assert paired(everyone["alone"], everyone["none"], value) is None


def test_only_shared_seeds_and_clear_differences_are_named(runs: Path, make_run: MakeRun) -> None:
    assert differences_of(runs) == "Clearly apart from none: pass@1 of aent by +5.3\xa0±\xa01.4 points."
    make_run("one", seed=0, steps=100, entropy=0.4, coef=0.04, passes={100: {"1": 0.9}})
    assert "one" not in differences_of(runs).replace("none", "")


def test_an_unfinished_recipe_has_no_last_pass_to_compare(make_run: MakeRun, tmp_path: Path) -> None:
    make_run("none", passes={60: {"1": 0.5}})
    make_run("aent", steps=20, coef=0.04, described={"status": "running", "steps": 60})
    assert differences_of(tmp_path) == "No pass@k is on record for the same seeds."


def test_without_a_baseline_nothing_is_compared(make_run: MakeRun, tmp_path: Path) -> None:
    make_run("aent", coef=0.04, passes={60: {"1": 0.5}})
    make_run("skywork", coef=0.04, passes={60: {"1": 0.6}})
    text = report_page(tmp_path)
    assert "Against" not in text
    assert json.loads(text.split('id="curves">')[1].split("</script>")[0])["panels"]
