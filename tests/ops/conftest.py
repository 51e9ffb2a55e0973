"""Every test of the ops runs once per implementation, chosen the way a user would choose it."""

from __future__ import annotations

import pytest
import torch

from entrostat.ops import _backend


@pytest.fixture(autouse=True, params=_backend.BACKENDS)
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The implementation under test, set by the environment variable."""
    name: str = request.param
    if reason := _backend.missing(name, torch.device("cpu")):
        pytest.skip(reason)
    monkeypatch.setenv(_backend.VARIABLE, name)
    return name
