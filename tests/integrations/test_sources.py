"""A hub that this machine cannot resolve is not asked again and again, and functions are found by dotted path."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from entrostat.integrations import sources


@pytest.fixture(autouse=True)
def online(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name in ("HF_HUB_OFFLINE", "HF_ENDPOINT"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")  # so that what a test sets is put back
    monkeypatch.setattr(sources, "_READERS", ())


def answer(monkeypatch: pytest.MonkeyPatch, known: bool) -> list[str]:
    asked: list[str] = []

    def getaddrinfo(name: str, *_: Any) -> list[Any]:
        asked.append(name)
        if not known:
            raise socket.gaierror(-2, "Name or service not known")
        return []

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return asked


def test_an_unknown_hub_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = answer(monkeypatch, known=False)
    sources.avoid_unknown_hub(["openai/gsm8k"])
    assert asked == ["huggingface.co"]
    assert os.environ["HF_HUB_OFFLINE"] == "1"


def test_a_known_hub_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, known=True)
    sources.avoid_unknown_hub(["openai/gsm8k"])
    assert os.environ["HF_HUB_OFFLINE"] == "0"


def test_a_mirror_and_a_proxy_count(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = answer(monkeypatch, known=False)
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    sources.avoid_unknown_hub(["openai/gsm8k"])
    assert (asked, os.environ["HF_HUB_OFFLINE"]) == ([], "0")
    monkeypatch.delenv("HTTPS_PROXY")
    monkeypatch.setenv("HF_ENDPOINT", "https://mirror.example:8080/hub")
    sources.avoid_unknown_hub(["openai/gsm8k"])
    assert asked == ["mirror.example"]


def test_nobody_is_asked_about_what_is_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked = answer(monkeypatch, known=False)
    sources.avoid_unknown_hub([str(tmp_path), ""])
    assert (asked, os.environ["HF_HUB_OFFLINE"]) == ([], "0")


def test_libraries_that_are_loaded_already_hear_of_it() -> None:
    pytest.importorskip("datasets")
    code = """
import socket, huggingface_hub, datasets
from entrostat.integrations import sources
def unknown(*_): raise OSError
socket.getaddrinfo = unknown
sources.avoid_unknown_hub(["openai/gsm8k"])
print(huggingface_hub.is_offline_mode(), datasets.config.HF_HUB_OFFLINE)
"""
    kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    done = subprocess.run(
        [sys.executable, "-c", code], env={**kept, "HF_HUB_OFFLINE": "0"}, capture_output=True, text=True
    )
    assert done.stdout.split() == ["True", "True"], done.stderr


def test_the_current_directory_is_searched_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "my_scores.py").write_text("limit = 3\ndef one(**_): return [1.0]\n")
    assert sources.import_function("my_scores.one", "reward")() == [1.0]
    assert sys.path[0] == str(tmp_path)
    with pytest.raises(ValueError, match="`reward` must name a function, got"):
        sources.import_function("my_scores.limit", "reward")
    with pytest.raises(ValueError, match=r"name a function that can be imported.*It fails with AttributeError"):
        sources.import_function("my_scores.two", "reward")
