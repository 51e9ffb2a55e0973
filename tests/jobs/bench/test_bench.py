"""The benchmark compares things that agree, and writes what it prints."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch

from entrostat.jobs import bench
from entrostat.jobs.bench import _bench, _ways
from entrostat.jobs.bench._ways import Case
from entrostat.ops import available_backends, token_stats

TINY = (Case(dtype="float32", rows=4, vocab=50), Case(dtype="float32", rows=4, vocab=50, features=8))


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_bench, "QUICK", TINY)


@pytest.mark.parametrize("compute", [_ways.published, _ways.eager])
def test_what_we_are_compared_with_computes_the_same(compute: _ways.Compute) -> None:
    logits = torch.randn(1030, 50, generator=torch.Generator().manual_seed(0))
    targets = torch.arange(1030) % 50
    leaf, other = logits.clone().requires_grad_(), logits.clone().requires_grad_()
    logp, entropy = compute(leaf, targets)
    stats = token_stats(other, targets, clamp=_ways.CLAMP)
    torch.testing.assert_close(logp, stats.logprobs)
    torch.testing.assert_close(entropy, stats.clamped_entropy, rtol=1e-5, atol=1e-5)
    theirs = torch.autograd.grad((logp + entropy).sum(), leaf)[0]
    ours = torch.autograd.grad((stats.logprobs + stats.clamped_entropy).sum(), other)[0]
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def test_quick_prints_a_table_and_writes_it(tiny: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = bench.main(tmp_path / "out", quick=True)
    printed = capsys.readouterr().out
    with (tmp_path / "out" / "bench.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["provider"] for row in rows] == [result.provider for result in results]
    assert {row["level"] for row in rows} == {"logits", "linear"}
    assert all(result.provider in printed and result.milliseconds > 0 for result in results)
    assert all(row["torch"] == torch.__version__ and row["date"] for row in rows)
    assert {result.speedup for result in results if result.provider.startswith("published")} == {1.0}
    ElementTree.parse(tmp_path / "out" / "bench.svg")


def test_the_checks_of_a_call_are_cheap() -> None:
    assert _bench.check_microseconds(repeats=20) < 40  # 20 is the promise; machines that run tests may be slow


def test_json_is_all_that_is_printed(tiny: None, capsys: pytest.CaptureFixture[str]) -> None:
    results = bench.main(quick=True, json=True)
    written = capsys.readouterr()
    assert written.err == ""
    assert [row["provider"] for row in json.loads(written.out)["results"]] == [result.provider for result in results]


def test_all_our_implementations_take_part() -> None:
    names = Case(dtype="float32", rows=2, vocab=10).steps(compiled=False)
    for backend in available_backends(torch.device("cpu")):
        assert f"entrostat {backend}" in names


def test_the_floor_is_what_it_says() -> None:
    result = next(r for r in _ways.measure(TINY[0], 3, False, print) if r.provider == "copy")
    assert result.times_floor == pytest.approx(1 / 1.5)


@pytest.mark.slow
def test_memory_is_read_in_a_fresh_process() -> None:
    case = Case(dtype="float32", rows=64, vocab=50_000)
    published, ours = (_ways.extra_bytes(case, name) for name in ("published", "entrostat torch"))
    if published is None or ours is None:
        pytest.skip("this system does not tell a process its peak memory")
    logits = 64 * 50_000 * 4
    # Ours: the gradient and a few chunks. The published way: masks and several copies.
    assert logits * 0.9 < ours < published
    assert published > 4 * logits


@pytest.mark.slow
def test_cost_is_about_linear() -> None:
    for slope in _bench.slopes(print):
        assert 0.5 < float(slope["exponent"]) < 1.5
