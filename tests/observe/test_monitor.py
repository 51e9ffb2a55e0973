from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

import entrostat as es
from entrostat.observe import monitoring
from entrostat.observe.analysis.curves import Curves
from entrostat.observe.analysis.findings import Alarm
from entrostat.observe.diagnose import diagnose_run
from entrostat.observe.monitoring import Monitor
from entrostat.observe.records import StepRecord, read
from entrostat.observe.report import load_runs
from entrostat.ops import Support
from entrostat.ops._reference import reference_token_stats

B, T, V = 6, 5, 16


def batch(seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(seed)
    return torch.randn(B, T, V).double() * 3, torch.randint(V, (B, T)), (torch.rand(B, T) > 0.4).long()


def test_the_means_are_those_of_the_reference(tmp_path: Path) -> None:
    logits, targets, mask = batch()
    monitor = es.monitor(tmp_path, clamp=0.3, temperature=0.7)
    monitor.observe(logits, targets, mask)
    seen = monitor.step(reward=0.5)
    stats = reference_token_stats(logits, targets, support=Support(clamp=0.3), temperature=0.7)
    for name, value in (("entropy", stats[1]), ("clamped_entropy", stats[2]), ("kept_mass", stats[3])):
        assert getattr(seen, name) == pytest.approx(float(value[mask.bool()].mean()), rel=1e-12)
    assert seen.surprisal == pytest.approx(float(-stats[0][mask.bool()].mean()), rel=1e-12)


@pytest.mark.parametrize("cuts", [[1, 5], [2, 2, 2], [1, 1, 1, 1, 1, 1]])
def test_any_split_gives_the_same_record(tmp_path: Path, cuts: list[int]) -> None:
    logits, targets, mask = batch()
    mask[0] = 0  # a micro-batch without a token
    whole, split = es.monitor(tmp_path / "whole", top_k=4), es.monitor(tmp_path / "split", top_k=4)
    whole.observe(logits, targets, mask)
    for part in zip(logits.split(cuts), targets.split(cuts), mask.split(cuts), strict=True):
        split.observe(*part)
    one, other = whole.step(), split.step()
    for name in ("entropy", "clamped_entropy", "kept_mass", "surprisal"):
        assert getattr(other, name) == pytest.approx(getattr(one, name), rel=1e-13)


def test_masked_places_may_hold_anything(tmp_path: Path) -> None:
    logits, targets, mask = batch()
    monitor = es.monitor(tmp_path)
    monitor.observe(logits, targets, mask)
    clean = monitor.step()
    logits[mask == 0], targets[mask == 0] = float("nan"), -7
    monitor.observe(logits, targets, mask)
    assert monitor.step().entropy == clean.entropy
    targets[mask == 0] = -100
    monitor.observe(logits.reshape(-1, V), targets.reshape(-1))
    assert monitor.step().entropy == pytest.approx(clean.entropy, rel=1e-13)


def test_watching_takes_no_gradient(tmp_path: Path) -> None:
    logits, targets, mask = batch()
    monitor = es.monitor(tmp_path)
    monitor.observe(logits.requires_grad_(), targets, mask)
    monitor.step()
    assert logits.grad is None


def watch(directory: Path, steps: range, sharpness: float = 1.0) -> Monitor:
    logits, targets, mask = batch()
    monitor = es.monitor(directory, clamp=0.3, label="mine")
    for step in steps:
        monitor.observe(logits * (sharpness if step > 20 else 1.0), targets, mask)
        monitor.step(reward=0.1, coef=0.01)
    return monitor


def test_alarms_diagnosis_and_report_read_the_files_written(tmp_path: Path) -> None:
    with watch(tmp_path, range(1, 41), sharpness=10.0) as monitor:
        logits, targets, mask = batch()
        monitor.observe(logits * 10, targets, mask)
        seen = monitor.step()
    assert [alarm.kind for alarm in seen.alarms] == ["collapsed", "inert"]
    (found,) = diagnose_run(tmp_path)
    assert found.findings == seen.alarms
    (run,) = load_runs([tmp_path])
    assert (run.label, run.reached, run.planned, run.finished) == ("mine", 41, 41, True)
    assert {type(record) for record in read(tmp_path / "records.jsonl")} == {StepRecord}


def test_a_directory_is_continued_and_rewound(tmp_path: Path) -> None:
    watch(tmp_path, range(1, 6))
    monitor = es.monitor(tmp_path, label="mine")
    logits, targets, mask = batch()
    monitor.observe(logits, targets, mask)
    assert monitor.step().step == 6
    monitor.observe(logits, targets, mask)
    assert monitor.step(step=3).step == 3
    assert [record.step for record in read(tmp_path / "records.jsonl")] == [1, 2, 3]


def test_a_run_of_another_program_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"schema": 1, "label": "none"}')
    with pytest.raises(ValueError, match="`directory` must hold nothing, or a run that a monitor wrote"):
        es.monitor(tmp_path)
    assert (tmp_path / "run.json").read_text() == '{"schema": 1, "label": "none"}'


def test_mistakes_get_a_sentence(tmp_path: Path) -> None:
    monitor = es.monitor(tmp_path / "a")
    with pytest.raises(ValueError, match="no token was observed"):
        monitor.step()
    with pytest.raises(ValueError, match="Did you mean 'reward'"):
        monitor.step(rewards=0.1)
    with pytest.raises(ValueError, match="`reward` must be finite"):
        monitor.step(reward=float("nan"))
    with pytest.raises(ValueError, match="clamp"):
        es.monitor(tmp_path / "b", clamp=1.5)
    assert not (tmp_path / "b").exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="be a place that can be written"):
        es.monitor(tmp_path / "file" / "c")
    logits, targets, _ = batch()
    with pytest.raises(ValueError, match="mask"):
        monitor.observe(logits, targets, torch.ones(1, T))


RANKS = """
import json, sys, torch, torch.distributed as dist
import entrostat as es
rank, store, out = int(sys.argv[1]), sys.argv[2], sys.argv[3]
dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
torch.manual_seed(0)
logits, targets = torch.randn(6, 5, 16).double(), torch.randint(16, (6, 5))
part = slice(0, 2) if rank == 0 else slice(2, 6)
monitor = es.monitor(out)
monitor.observe(logits[part], targets[part])
print(json.dumps(monitor.step().entropy))
dist.destroy_process_group()
"""


def test_ranks_add_up_and_one_of_them_writes(tmp_path: Path) -> None:
    arguments = [str(tmp_path / "store"), str(tmp_path / "out")]
    running = [
        subprocess.Popen([sys.executable, "-c", RANKS, str(rank), *arguments], stdout=subprocess.PIPE, text=True)
        for rank in (0, 1)
    ]
    said = [json.loads(process.communicate(timeout=120)[0].splitlines()[-1]) for process in running]
    torch.manual_seed(0)
    logits = torch.randn(6, 5, 16).double()
    whole = float(es.measures.shannon(logits).mean())
    assert said == [pytest.approx(whole, rel=1e-13)] * 2
    assert len(read(tmp_path / "out" / "records.jsonl")) == 1


def test_a_long_run_is_looked_at_now_and_then_and_still_raises_its_alarm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[int] = []
    real = monitoring.alarms

    def counted(curves: Curves) -> list[Alarm]:
        looks.append(len(curves.series("entropy")))
        return real(curves)

    monkeypatch.setattr(monitoring, "alarms", counted)
    monitor = es.monitor(tmp_path)
    logits, targets = torch.zeros(1, 1, 4), torch.zeros(1, 1, dtype=torch.long)
    for step in range(900):
        monitor.observe(logits + (torch.arange(4.0) * 9 if step > 600 else 0), targets)
        seen = monitor.step()
    assert [alarm.kind for alarm in seen.alarms] == ["collapsed"]
    assert len(looks) < 700
