"""The verl plug-in against verl itself: `make verl-test` makes an environment that has it; elsewhere all skip."""

import importlib.util
import os
import sys
from pathlib import Path
from typing import Any

import pytest

# Started by tests, or imported by verl; none is a test.
collect_ignore = ["cpu_platform.py", "cpu_process_group.py", "engine_script.py", "scripted_rollout.py"]
HERE = Path(__file__).parent
MISSING = importlib.util.find_spec("verl") is None
os.environ["VERL_ENGINE_VENDOR"] = "entrostat"


def pytest_collection_modifyitems(items: list[Any]) -> None:
    for item in items:
        if HERE in Path(item.path).parents:
            # verl and what it imports warn of their own matters.
            item.add_marker(pytest.mark.filterwarnings("ignore"))
            if MISSING:
                item.add_marker(pytest.mark.skip(reason="verl is not installed here; `make verl-test` runs these"))


@pytest.fixture
def environment() -> dict[str, str]:
    """What a fresh process is given: one thread, and this interpreter's own packages."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "PATH": os.environ["PATH"]}


@pytest.fixture
def python() -> str:
    return sys.executable
