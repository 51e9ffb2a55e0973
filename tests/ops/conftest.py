"""Every test of the ops runs once per implementation, chosen the way a user would choose it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from entrostat.ops import _backend


@pytest.fixture(autouse=True, params=_backend.BACKENDS)
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The implementation under test, set by the environment variable."""
    name: str = request.param
    if reason := _backend.missing(name, torch.device("cpu")):
        pytest.skip(reason)
    monkeypatch.setenv(_backend.VARIABLE, name)
    # Triton's interpreter is NumPy, which warns about lanes that a mask throws away; a GPU has no such warnings.
    with np.errstate(all="ignore"):
        yield name
