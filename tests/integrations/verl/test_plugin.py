"""verl finds the plug-in by itself: in a fresh process, in a Ray worker, and `entrostat doctor` says so."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

import pytest

LONE = "+entrostat.recipe=NAME without +entrostat=control"
FRESH = """
from verl.workers.engine import EngineRegistry
from verl.trainer.ppo.v1 import get_trainer_cls
print(EngineRegistry.get_engine_cls("language_model", "fsdp2").__name__, get_trainer_cls("entrostat_sync").__name__)
"""
DOCTOR = """
from entrostat.jobs.doctor import examine
print([finding.state for finding in examine() if finding.part == "verl plug-in"][0])
"""
BROKEN = """
import sys

class Broken:
    def find_spec(self, name, path=None, target=None):
        if name == "entrostat.integrations.verl.plugin":
            raise ImportError("half an installation")

sys.meta_path.insert(0, Broken())
"""
RAY = """
import ray

@ray.remote
def look():
    from verl.workers.engine import EngineRegistry
    return EngineRegistry.get_engine_cls("language_model", "fsdp2").__name__

ray.init(num_cpus=1, include_dashboard=False, logging_level="ERROR", object_store_memory=100_000_000)
print(ray.get(look.remote(), timeout=200))
ray.shutdown()
"""


def told(python: str, environment: dict[str, str], code: str) -> str:
    done = subprocess.run(
        [python, "-W", "ignore", "-c", code], env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.strip().splitlines()[-1]


@pytest.mark.feature("the plug-in, found by verl in a fresh process", "works")
def test_a_fresh_process_knows_engine_and_trainer(python: str, environment: dict[str, str]) -> None:
    assert told(python, environment, FRESH) == "EntropyFSDPEngine EntropyPPOTrainerSync"


@pytest.mark.parametrize("first", ["_trainer", "_engine"])
def test_our_modules_may_be_imported_before_verl(first: str, python: str, environment: dict[str, str]) -> None:
    code = f"import entrostat.integrations.verl.{first}\n" + FRESH
    code += "from entrostat.integrations.verl.plugin import FAILURES\nassert not FAILURES, FAILURES"
    assert told(python, environment, code) == "EntropyFSDPEngine EntropyPPOTrainerSync"


@pytest.mark.feature("the plug-in, in a Ray worker", "works")
def test_a_ray_worker_knows_the_engine(python: str, environment: dict[str, str]) -> None:
    assert told(python, environment, RAY) == "EntropyFSDPEngine"


@pytest.mark.parametrize(
    ("setting", "state"),
    [
        ({}, "live: verl picks our engine and knows our trainer"),
        ({"VERL_USE_EXTERNAL_PLUGINS": "none"}, "not live: verl did not load it"),
        ({"VERL_ENGINE_VENDOR": ""}, "not live: VERL_ENGINE_VENDOR is not set, so verl picks its own engine"),
        ({"VERL_ENGINE_VENDOR": "nvidia"}, "not live: VERL_ENGINE_VENDOR is 'nvidia', so verl picks its own engine"),
        ({"VERL_ENGINE_DEVICE": "tpu"}, "not live: ValueError: No engine registered for device='tpu'"),
    ],
)
def test_the_doctor_tells(python: str, environment: dict[str, str], setting: dict[str, str], state: str) -> None:
    assert told(python, environment | setting, DOCTOR).startswith(state)


def test_the_doctor_tells_what_verl_hides(python: str, environment: dict[str, str]) -> None:
    assert told(python, environment, BROKEN + DOCTOR) == "not live: ImportError: half an installation"


@pytest.mark.feature(LONE, "rejected")
def test_settings_without_their_group_end_verls_command(
    python: str, environment: dict[str, str], record_property: Callable[[str, str], None]
) -> None:
    command = [python, "-W", "ignore", "-m", "verl.trainer.main_ppo", "+entrostat.recipe=aent"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 2
    assert "+entrostat.recipe=aent stands without the group" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    record_property(LONE, done.stderr.splitlines()[-1])


@pytest.mark.parametrize(
    "arguments",
    [
        ["+entrostat=control", "+entrostat.recipe=aent"],  # Hydra's to refuse; see test_driver.py
        ["+entrostat=control", "entrostat.recipe=aent", "+entrostat.parameters.low=0.1"],
        ["+entrostat.parameters.low=0.1"],  # with the group in a file of the user's
        ["trainer.total_epochs=1"],
    ],
)
def test_settings_that_may_have_their_group_are_left_alone(arguments: list[str]) -> None:
    from entrostat.integrations.verl._refusals import refuse_arguments

    refuse_arguments(arguments)
