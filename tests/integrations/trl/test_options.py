"""Each of TRL's options trains with `aent` as it should, or is refused when the trainer is made, with the reason."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .options import OPTIONS, UNTESTED, Option, attempt


@pytest.mark.train
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)
def test_an_option_of_trl_s(option: Option, tmp_path: Path) -> None:
    if option.name.startswith("PEFT"):
        pytest.importorskip("peft")
    outcome = attempt(option, tmp_path)
    if outcome.result == "untested":
        pytest.skip(outcome.says)
    assert outcome.result == option.result, outcome.says
    assert option.says in outcome.says


def test_the_page_lists_every_option_with_what_the_tests_expect() -> None:
    results = json.loads((Path(__file__).parents[3] / "docs" / "compatibility.json").read_text())
    expected = {option.name: option.result for option in OPTIONS}
    assert results.pop("untested") == UNTESTED
    del results["verl"]  # its rows are held to their tests by tests/integrations/verl/test_features.py
    assert results
    for release, found in results.items():
        tried = {name: outcome["result"] for name, outcome in found.items() if outcome["result"] != "untested"}
        assert found.keys() == expected.keys(), f"TRL {release}"
        assert tried == {name: expected[name] for name in tried}, f"TRL {release}"
