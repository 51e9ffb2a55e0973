from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from entrostat.observe.report import load_runs
from entrostat.observe.report._groups import groups, ks, start_model
from entrostat.observe.report._sentences import account, headline, standfirst, unfinished, warnings
from entrostat.observe.text import PLUS_MINUS

MakeRun = Callable[..., Path]


def accounts(path: Path) -> dict[str, str]:
    runs = load_runs(path)
    return {group.label: account(group, ks(runs)) for group in groups(runs)}


def headline_of(path: Path) -> str:
    """The headline with the recipes' names filled in."""
    everyone = groups(load_runs(path))
    return headline(everyone).format(*(group.label for group in everyone))


def standfirst_of(path: Path, ks: list[str]) -> list[str]:
    """The sentences under the headline, the same."""
    everyone = groups(load_runs(path))
    return [sentence.format(*(group.label for group in everyone)) for sentence in standfirst(everyone, ks)]


def test_the_headline_says_where_each_recipe_took_the_entropy(four_recipes: Path) -> None:
    assert headline_of(four_recipes) == (
        "Entropy collapsed under none, exploded under entropy_bonus (2 of 3 seeds), stayed mostly inside its band "
        "under aent and fell as the coefficient was withdrawn under aent-tight."
    )


def test_a_recipe_without_band_or_alarm_is_described_by_its_share(make_run: MakeRun, tmp_path: Path) -> None:
    make_run("none", entropy=lambda step: 0.4 if step < 30 else 0.3)
    assert headline_of(tmp_path) == "Entropy ended at 75% of its start under none."


def test_a_left_band_is_not_called_held(make_run: MakeRun, tmp_path: Path) -> None:
    make_run("aent", coef=0.04, clamped_entropy=0.4, band_low=0.1, band_high=0.2)
    assert headline_of(tmp_path) == "Entropy left its band under aent."
    assert "inside the band for 0% of the steps after warm-up" in accounts(tmp_path)["aent"]


def test_the_standfirst_gives_pass_at_k_with_intervals_and_the_start(four_recipes: Path) -> None:
    first, second, clamp, leak, cost = standfirst_of(four_recipes, ["1", "8", "16"])
    # 0.50, 0.51 and 0.52: standard error 0.01 / sqrt(3), times t = 4.3027 of two degrees
    assert first.startswith(f"pass@1 ended at 51.0{PLUS_MINUS}2.5% under none, ")
    assert first.endswith("The start model had 25.0%.")
    assert second.startswith(f"pass@16 ended at 66.0{PLUS_MINUS}2.5% under none, ")
    assert leak == (
        "More than 1% of the probability leaked into useless tokens under entropy_bonus (at worst 25.0%, 2 of 3 seeds)."
    )
    # 0.31 nats against 0.3, and 0.4 in the first 12 of 60 steps
    assert clamp == "The clamp took -0.01 nats of the entropy (2.0% of the probability) under aent."
    assert cost == "A run took 1 min 15 s; all runs together, 16 min 0 s of CPU."


def test_the_standfirst_tells_what_did_nothing_or_went_wrong(make_run: MakeRun, tmp_path: Path) -> None:
    ceiling = {"parameters": {"controller": {"ceiling": 0.2}}}
    make_run("weak", kept_mass=0.999, clamped_entropy=0.399, coef=0.04, described={"wall_seconds": 90.0})
    make_run("idle")
    for seed in range(2):
        make_run("pinned", seed=seed, coef=0.2 - 0.1 * seed, described=ceiling)
    make_run("still", coef=0.1, clip_low=0.0, clip_high=0.0, described={"acts_on": "clip bounds"})
    assert standfirst_of(tmp_path, []) == [
        "The clamp hardly acted under weak.",
        "The coefficient sat at its ceiling, with no more to give, under pinned (1 of 2 seeds).",
        "The coefficient was zero at every step, so the recipe had no effect, under idle.",
        "No ratio reached a clip bound, so the recipe had no effect, under still.",
        "A run took 1 min 15 s under idle, 1 min 15 s under pinned, 1 min 15 s under still and 1 min 30 s under weak; "
        "all runs together, 6 min 40 s of CPU.",
    ]


def test_one_seed_is_said_to_have_no_interval(make_run: MakeRun, tmp_path: Path) -> None:
    make_run("none", passes={0: {"1": 0.2}, 60: {"1": 0.5}})
    assert standfirst_of(tmp_path, ["1"]) == [
        "pass@1 ended at 50.0% under none. The start model had 20.0%.",
        "One seed: no interval.",
        "A run took 1 min 15 s; all runs together, 1 min 20 s of CPU.",
    ]
    assert "one seed: no interval" in accounts(tmp_path)["none"]
    assert "pass@1 went from 20.0% to 50.0%." in accounts(tmp_path)["none"]


@pytest.mark.parametrize(
    ("ends", "words"),
    [
        ((0.5, 0.51, 0.52), "rose from 20.0%"),
        ((0.05, 0.06, 0.04), "fell from 20.0%"),
        ((0.1, 0.2, 0.36), "did not move"),
    ],
)
def test_a_direction_is_claimed_only_with_an_interval_off_zero(
    make_run: MakeRun, tmp_path: Path, ends: tuple[float, ...], words: str
) -> None:
    for seed, end in enumerate(ends):
        make_run("none", seed=seed, passes={0: {"1": 0.2}, 60: {"1": end}})
    assert f"pass@1 {words}" in accounts(tmp_path)["none"]


def test_the_last_evaluation_counts_and_not_the_best(make_run: MakeRun, tmp_path: Path) -> None:
    make_run("none", passes={0: {"1": 0.2}, 30: {"1": 0.9}, 60: {"1": 0.5}})
    assert "to 50.0%" in accounts(tmp_path)["none"]


def test_the_clamp_is_described_by_the_mass_and_entropy_removed(
    four_recipes: Path, make_run: MakeRun, tmp_path: Path
) -> None:
    make_run("weak", kept_mass=0.999, clamped_entropy=0.398, coef=0.04)
    found = accounts(tmp_path)
    assert "Nothing was clamped" in found["none"]
    assert "removed 0.1% of the probability and 0.002 nats (0.5% of the entropy)" in found["weak"]
    assert "nearly inert" in found["weak"]
    assert "removed 2.0% of the probability" in found["aent"]
    assert "it did something" in found["aent"]


def test_the_band_counts_after_warm_up(four_recipes: Path) -> None:
    # 12 steps outside; warm-up takes 10 of them: 48 of 50 are inside
    assert "inside the band for 96.0% of the steps after warm-up" in accounts(four_recipes)["aent"]


def test_warnings_name_steps_and_seeds(four_recipes: Path) -> None:
    found = {group.label: warnings(group) for group in groups(load_runs(four_recipes))}
    assert found["aent"] == []
    assert len(found["none"]) == 1
    assert found["none"][0].startswith("Collapsed: entropy fell below 50% of its start and stayed there, from step ")
    assert "(seed 0), " in found["none"][0]
    exploded, leaked = found["entropy_bonus"]
    assert exploded.startswith("Exploded: entropy rose above 1.5 times its start, from step ")
    assert "(seed 2)" not in exploded
    assert "at worst 25.0%" in leaked


def test_copies_of_one_start_evaluation_are_one_measurement(four_recipes: Path) -> None:
    found = start_model(load_runs(four_recipes), "16")
    assert found is not None
    assert (found.mean, found.half) == (0.8, None)


def test_unfinished_runs_are_named_and_do_not_dilute_last_values(make_run: MakeRun, tmp_path: Path) -> None:
    make_run("aent", seed=0, coef=0.04, steps=60)
    make_run("aent", seed=1, coef=0.04, steps=20, entropy=3.0, described={"status": "running", "steps": 60})
    make_run("aent", seed=2, steps=0, described={"status": "failed", "steps": 60})
    runs = load_runs(tmp_path)
    assert unfinished(runs) == [
        "aent, seed 1, is marked as still running after 20 of 60 steps.",
        "aent, seed 2, failed without a single step on record.",
    ]
    (group,) = groups(runs)
    assert [facts.run.seed for facts in group.final] == [0]


def test_a_failed_run_still_sounds_its_alarm(make_run: MakeRun, tmp_path: Path) -> None:
    make_run("aent", seed=0, coef=0.04)
    make_run("aent", seed=1, coef=0.04, entropy=lambda step: 0.4 if step < 20 else 3.0, described={"status": "failed"})
    assert headline_of(tmp_path) == "Entropy exploded under aent (1 of 2 seeds)."


def test_runs_without_steps_are_said_to_have_none(make_run: MakeRun, tmp_path: Path) -> None:
    make_run("aent", steps=0, described={"status": "running", "steps": 60})
    assert headline_of(tmp_path) == "No run has a step on record yet."
    assert accounts(tmp_path)["aent"] == "No step is on record yet."


def test_many_recipes_are_not_all_named(make_run: MakeRun, tmp_path: Path) -> None:
    for index in range(9):
        passes = {60: {"1": 0.5 + 0.01 * (index * 2 % 9)}}
        make_run(f"r{index}", entropy=lambda step: 0.4 if step < 20 else 0.1, passes=passes)
    assert headline_of(tmp_path) == "Entropy collapsed under r0, r1, r2, r3 and 5 more."
    assert standfirst_of(tmp_path, ["1"])[0] == "pass@1 ended between 50.0% under r0 and 58.0% under r4."


def test_the_usual_k_are_shown_of_many(make_run: MakeRun, tmp_path: Path) -> None:
    make_run("a", passes={60: dict.fromkeys(("1", "2", "4", "8", "16", "<b>"), 0.5)})
    make_run("b", passes={60: dict.fromkeys(("1", "2", "4", "32"), 0.5)})
    assert ks(load_runs(tmp_path / "runs" / "a-seed0")) == ["1", "8", "16"]
    assert ks(load_runs(tmp_path / "runs" / "b-seed0")) == ["1", "4", "32"]
