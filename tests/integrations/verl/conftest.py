"""The verl plug-in against verl itself: `make verl-test` makes an environment that has it; elsewhere all skip."""

import importlib.util
import os
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from . import features

# Started by tests, or imported by verl; none is a test.
collect_ignore = ["cpu_platform.py", "cpu_process_group.py", "engine_script.py", "scripted_rollout.py"]
HERE = Path(__file__).parent
MISSING = importlib.util.find_spec("verl") is None
os.environ["VERL_ENGINE_VENDOR"] = "entrostat"
ROWS: dict[str, features.Row] = {}


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "feature(name, result, why): the row of docs/compatibility.md that this test fills"
    )


def pytest_collection_modifyitems(items: list[Any]) -> None:
    for item in items:
        if HERE in Path(item.path).parents:
            # verl and what it imports warn of their own matters.
            item.add_marker(pytest.mark.filterwarnings("ignore"))
            if MISSING:
                item.add_marker(pytest.mark.skip(reason="verl is not installed here; `make verl-test` runs these"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    features.note(ROWS, item, report)
    return report


def pytest_sessionfinish() -> None:
    if ROWS:
        features.write(ROWS)


@pytest.fixture
def environment() -> dict[str, str]:
    """What a fresh process is given: one thread, and this interpreter's own packages."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "PATH": os.environ["PATH"]}


@pytest.fixture
def python() -> str:
    return sys.executable
