"""Watching follows another process's records, ends when the runs do, and shows a page to this machine alone."""

from __future__ import annotations

import json
import socket
import struct
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from rich.console import Console

from entrostat import cli
from entrostat.observe.records import EvaluationRecord, RecordWriter, StepRecord, encode
from entrostat.observe.watch import Follower, Page, frame


def step(number: int, entropy: float = 0.3) -> StepRecord:
    return StepRecord(
        step=number, entropy=entropy, clamped_entropy=entropy, kept_mass=0.9, coef=0.02, bonus=-0.01, reward=0.5,
        band_low=0.2, band_high=0.4,
    )  # fmt: skip


def write_run(out: Path, label: str, *, status: str = "running", steps: int = 30) -> Path:
    run = out / "runs" / f"{label}-seed0"
    run.mkdir(parents=True)
    described = {"schema": 1, "label": label, "recipe": label, "seed": 0, "steps": 40, "status": status}
    (run / "run.json").write_text(json.dumps(described))
    writer = RecordWriter(run / "records.jsonl")
    for number in range(1, steps + 1):
        writer.write(step(number))
    passes = {"1": 0.25, "8": 0.75}
    writer.write(
        EvaluationRecord(step=steps, split="validation", pass_at=passes, problems=4, samples=8, temperature=1.0)
    )
    return run


def end(run: Path) -> None:
    described = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**described, "status": "done"}))


def drawn(path: Path, *, width: int, height: int = 30, plain: bool = False) -> list[str]:
    console = Console(width=width, height=height)
    with console.capture() as text:
        console.print(frame(Follower(path).look(), width=width, height=height, plain=plain))
    return text.get().splitlines()


@pytest.mark.parametrize("width", [80, 140])
def test_the_picture_fits_and_says_how_the_runs_stand(tmp_path: Path, width: int) -> None:
    for label in ("aent", "entropy_bonus"):
        write_run(tmp_path, label)
    lines = drawn(tmp_path, width=width)
    assert len(lines) <= 30
    assert max(map(len, lines)) <= width
    row = next(line for line in lines if line.startswith("aent"))
    assert [*row.split()[-5:]] == ["0.300", "╌╌[╌●╌]╌╌", "0.0200", "0.50", "0.75"]
    text = "\n".join(lines)
    assert all(title in text for title in ("entropy in nats", "reward", "coefficient", "pass@8, validation"))
    assert any("\u2800" < letter < "\u28ff" for letter in text)


def test_a_terminal_without_unicode_gets_a_table(tmp_path: Path) -> None:
    write_run(tmp_path, "aent")
    assert "\n".join(drawn(tmp_path, width=120, plain=True)).isascii()


def test_more_runs_than_lines_are_counted(tmp_path: Path) -> None:
    for number in range(40):
        write_run(tmp_path, f"aent{number}", steps=2)
    lines = drawn(tmp_path, width=100)
    assert len(lines) <= 30
    assert (
        sum(line.startswith("aent") for line in lines)
        + int(next(line.split()[1] for line in lines if line.startswith("and ")))
        == 40
    )


def test_half_a_line_waits_and_a_resumed_run_is_read_anew(tmp_path: Path) -> None:
    run = write_run(tmp_path, "aent", steps=3)
    follower = Follower(tmp_path)
    follower.look()
    line = encode(step(4)) + "\n"
    with (run / "records.jsonl").open("a") as file:
        file.write(line[:20])
        file.flush()
        assert [record.step for record in follower.look()[0].steps] == [1, 2, 3]
        file.write(line[20:])
    assert [record.step for record in follower.look()[0].steps] == [1, 2, 3, 4]
    writer = RecordWriter(run / "records.jsonl")
    writer.rewind(2)
    writer.write(step(3, entropy=0.1))
    (seen,) = follower.look()
    assert [record.entropy for record in seen.steps] == [0.3, 0.3, 0.1]
    assert seen.evaluations == []


def test_records_alone_can_be_watched(tmp_path: Path) -> None:
    RecordWriter(tmp_path / "records.jsonl").write(step(1))
    (seen,) = Follower(tmp_path).look()
    assert (seen.name, seen.described, seen.ended) == (tmp_path.name, None, False)


def test_a_run_of_nothing_yet(tmp_path: Path) -> None:
    run = write_run(tmp_path, "aent", status="waiting")
    (run / "records.jsonl").unlink()
    assert any("waiting" in line for line in drawn(tmp_path, width=80))


def watch(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    monkeypatch.setattr(sys, "argv", ["entrostat", "watch", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert not ended.value.code


def test_the_command_ends_with_the_runs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    run = write_run(tmp_path, "aent")
    threading.Timer(0.5, end, [run]).start()
    started = time.monotonic()
    watch(monkeypatch, tmp_path, "--every", 0.1)
    assert time.monotonic() - started > 0.4
    said = capsys.readouterr().out
    assert "aent seed 0" in said
    assert "All runs have ended: 1 done." in said


def test_ctrl_c_ends_it_in_order(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    write_run(tmp_path, "aent")
    looks = iter([None, None])

    def interrupted(seconds: float) -> None:
        if next(looks, KeyboardInterrupt) is KeyboardInterrupt:
            raise KeyboardInterrupt

    monkeypatch.setattr("entrostat.cli._watch.time.sleep", interrupted)
    watch(monkeypatch, tmp_path)
    assert "Stopped watching; the runs go on." in capsys.readouterr().out


def test_once_shows_and_stops(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    write_run(tmp_path, "aent")
    watch(monkeypatch, tmp_path, "--once")
    assert "30/40" in capsys.readouterr().out


def test_the_page_is_this_machine_s_alone_and_follows_the_records(tmp_path: Path) -> None:
    pytest.importorskip("plotly")
    run = write_run(tmp_path, "aent")
    before = {path.name for path in tmp_path.rglob("*")}
    page = Page(tmp_path, port=0, every=7)
    page.start()
    try:
        first = urllib.request.urlopen(page.address, timeout=60)
        text = first.read().decode()
        assert first.headers["Refresh"] == "7"
        assert "script-src 'sha256-" in text
        assert 'http-equiv="refresh"' not in text
        assert page.address.startswith("http://127.0.0.1:")
        _refuses(page.address)
        assert not page.refresh(), "nothing has changed"
        RecordWriter(run / "records.jsonl").write(step(31, entropy=0.123))
        assert page.refresh()
        assert urllib.request.urlopen(page.address, timeout=60).read().decode() != text
        page.final = True
        assert urllib.request.urlopen(page.address, timeout=60).headers["Refresh"] is None
    finally:
        page.close()
    assert {path.name for path in tmp_path.rglob("*")} == before, "the runs' directory is only read"


def test_a_browser_that_goes_away_leaves_no_trace(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("plotly")
    write_run(tmp_path, "aent")
    page = Page(tmp_path, port=0, every=7)
    page.start()
    try:
        with socket.create_connection(("127.0.0.1", int(page.address.split(":")[2].strip("/")))) as browser:
            browser.sendall(b"GET / HTTP/1.0\r\nHost: 127.0.0.1:1\r\n\r\n")
            assert browser.recv(20).startswith(b"HTTP/1.0 200")
            browser.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # closed with a reset
        while any("process_request" in thread.name for thread in threading.enumerate()):
            time.sleep(0.05)
    finally:
        page.close()
    assert capfd.readouterr().err == ""


def _refuses(address: str) -> None:
    for path, headers in (("run.json", {}), ("../etc/passwd", {}), ("", {"Host": "evil.example"})):
        request = urllib.request.Request(address + path, headers=headers)
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request, timeout=60)
        assert refused.value.code == 404
        refused.value.close()


def test_a_port_that_is_taken_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    pytest.importorskip("plotly")
    write_run(tmp_path, "aent")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        monkeypatch.setattr(sys, "argv", ["entrostat", "watch", str(tmp_path), "--page", "--port", str(port)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
    assert ended.value.code == 2
    assert f"port {port}" in capsys.readouterr().err
