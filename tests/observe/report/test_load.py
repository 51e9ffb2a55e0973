from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest

from entrostat.observe.report import load_runs
from entrostat.observe.report._answers import last_samples

MakeRun = Callable[..., Path]


def test_a_directory_may_be_an_output_or_a_run(make_run: MakeRun, tmp_path: Path) -> None:
    one = make_run("none")
    make_run("aent", seed=1)
    assert [run.label for run in load_runs([one])] == ["none"]
    assert [(run.label, run.seed) for run in load_runs([tmp_path])] == [("none", 0), ("aent", 1)]


def test_one_path_may_be_given_alone_and_as_text(make_run: MakeRun) -> None:
    path = make_run("none")
    assert [run.label for run in load_runs(str(path))] == [run.label for run in load_runs(path)] == ["none"]


def test_columns_hold_a_value_for_every_step_and_nan_where_none_was_measured(make_run: MakeRun) -> None:
    (run,) = load_runs(make_run("none", steps=3, reward=lambda step: 0.5 if step > 1 else None))
    assert list(run.steps) == [1, 2, 3]
    assert {len(column) for column in run.columns.values()} == {3}
    assert math.isnan(run.columns["reward"][0])
    assert run.series("reward") == [(2, 0.5), (3, 0.5)]


def test_a_run_named_twice_counts_once(make_run: MakeRun, tmp_path: Path) -> None:
    assert len(load_runs([make_run("none"), tmp_path])) == 1


def test_the_baseline_comes_first(make_run: MakeRun, tmp_path: Path) -> None:
    for label in ("aent", "entropy_bonus", "none"):
        make_run(label)
    assert [run.label for run in load_runs([tmp_path])] == ["none", "entropy_bonus", "aent"]


def test_other_settings_under_the_same_label_are_another_recipe(make_run: MakeRun, tmp_path: Path) -> None:
    from_here = make_run("aent", seed=0)
    settings = {"label": "aent", "recipe": "aent", "parameters": {"clamp": 0.9}}
    elsewhere = make_run("elsewhere", seed=1, described=settings)
    assert {run.label for run in load_runs([from_here, elsewhere])} == {"aent (aent-seed0)", "aent (elsewhere-seed1)"}


def test_jobs_of_one_name_are_distinguished_by_their_path(tmp_path: Path, make_run: MakeRun) -> None:
    jobs = [make_run("aent").rename(tmp_path / "run"), make_run("aent")]
    (tmp_path / "b").mkdir()
    jobs[1] = jobs[1].rename(tmp_path / "b" / "run")
    assert {run.label for run in load_runs(jobs)} == {f"aent ({job})" for job in jobs}


def test_more_seeds_of_the_same_settings_are_pooled(make_run: MakeRun, tmp_path: Path) -> None:
    make_run("aent", seed=0)
    make_run("aent", seed=1)
    assert {run.label for run in load_runs([tmp_path])} == {"aent"}


def test_no_directory_is_refused() -> None:
    with pytest.raises(ValueError, match="`paths` must name an output directory"):
        load_runs([])


def test_a_missing_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is no directory"):
        load_runs([tmp_path / "absent"])


def test_a_directory_without_runs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds no run"):
        load_runs([tmp_path])


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "is not JSON text"),
        ("[]", "holds no JSON object"),
        ('{"schema": 2}', "schema 2"),
        ('{"schema": 1, "status": "lost"}', "status 'lost'"),
        ('{"schema": 1, "status": "done", "label": 3}', "field 'label' should be str, got 3"),
        ('{"schema": 1, "status": "done", "label": "a", "recipe": "a", "seed": true}', "field 'seed' should be int"),
    ],
)
def test_a_damaged_description_is_refused_by_name(make_run: MakeRun, text: str, complaint: str) -> None:
    path = make_run("none")
    (path / "run.json").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=complaint) as caught:
        load_runs([path])
    assert str(path / "run.json") in str(caught.value)


def test_corrupt_records_are_refused_by_line(make_run: MakeRun) -> None:
    path = make_run("none")
    with (path / "records.jsonl").open("a", encoding="utf-8") as file:
        file.write("{}\n")
    with pytest.raises(ValueError, match=r"records\.jsonl, line 61: schema None"):
        load_runs([path])


def test_a_run_may_have_neither_records_nor_samples(make_run: MakeRun) -> None:
    path = make_run("none", steps=0)
    (path / "records.jsonl").unlink()
    (path / "samples.jsonl").unlink()
    (run,) = load_runs([path])
    assert (list(run.steps), run.reached, run.finished, last_samples(run)) == ([], 0, False, [])


def test_samples_are_those_of_the_last_test(make_run: MakeRun) -> None:
    samples = [
        {"step": 0, "completion": "old"},
        {"step": 60, "completion": "other", "split": "validation"},
        {"step": 60, "completion": "new"},
    ]
    (run,) = load_runs([make_run("none", samples=samples)])
    assert [sample.completion for sample in last_samples(run)] == ["new"]


def test_a_cut_last_sample_is_dropped_and_a_damaged_one_refused(make_run: MakeRun) -> None:
    path = make_run("none", samples=[{"completion": "whole"}])
    with (path / "samples.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps({"schema": 1})[:-3])
    (run,) = load_runs([path])
    assert [sample.completion for sample in last_samples(run)] == ["whole"]
    with (path / "samples.jsonl").open("a", encoding="utf-8") as file:
        file.write("\n")
    with pytest.raises(ValueError, match=r"samples\.jsonl, line 2: not a sample"):
        last_samples(run)
