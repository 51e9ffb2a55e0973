"""The example for verl, without verl: the script parses, and names parameters that build the recipe it names."""

from __future__ import annotations

import ast
import subprocess
from pathlib import Path

import pytest

from entrostat.integrations.verl import EntropyConfig

from .integrations.verl.example import SCRIPT, arguments

PREFIX = "+entrostat.parameters."


def test_the_script_parses() -> None:
    subprocess.run(["bash", "-n", str(SCRIPT)], check=True)
    assert SCRIPT.stat().st_mode & 0o111


@pytest.mark.parametrize(("environment", "low"), [({}, 0.15), ({"BAND_LOW": "0.2", "COEF_RATE": "0"}, 0.2)])
def test_its_parameters_build_the_recipe(environment: dict[str, str], low: float, tmp_path: Path) -> None:
    settings = dict(each.split("=", 1) for each in arguments(tmp_path, **environment))
    given = {key.removeprefix(PREFIX): ast.literal_eval(v) for key, v in settings.items() if key.startswith(PREFIX)}
    recipe = EntropyConfig(
        recipe=settings["entrostat.recipe"], parameters=given, window=settings["entrostat.window"]
    ).build()
    assert (recipe.name, recipe.window, recipe.parameters["low"]) == ("aent", "rollout", low)


def test_what_is_given_behind_it_comes_last(tmp_path: Path) -> None:
    assert arguments(tmp_path, "trainer.total_epochs=1")[-1] == "trainer.total_epochs=1"
