"""Each of TRL's options trains with `aent` as it should, or is refused when the trainer is made, with the reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from .options import OPTIONS, Option, attempt


@pytest.mark.train
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)
def test_an_option_of_trl_s(option: Option, tmp_path: Path) -> None:
    if option.name.startswith("PEFT"):
        pytest.importorskip("peft")
    outcome = attempt(option, tmp_path)
    assert outcome.result == option.result, outcome.says
    assert option.says in outcome.says
