"""Complaints read the same everywhere: what, the rule, the value, the remedy."""

from __future__ import annotations

import math
from typing import Any, Literal

import pytest

from entrostat.errors import require, require_choice, require_count, require_finite, sentence, unknown_name


def test_the_sentence() -> None:
    assert sentence("clamp", "lie in [0, 1)", 1.5, "Try 0.3.") == "`clamp` must lie in [0, 1), got clamp=1.5. Try 0.3."


def test_require_raises_only_when_broken() -> None:
    require(True, "x", "be so", 1)
    with pytest.raises(ValueError, match="`x` must be so, got x=1"):
        require(False, "x", "be so", 1)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_finite_numbers_only(value: float) -> None:
    with pytest.raises(ValueError, match="be finite"):
        require_finite("rate", value)


@pytest.mark.parametrize("value", ["1", None, True])
def test_numbers_only(value: Any) -> None:
    with pytest.raises(TypeError, match="be a number"):
        require_finite("rate", value)


@pytest.mark.parametrize(("value", "error"), [(1.0, TypeError), (True, TypeError), (-1, ValueError)])
def test_counts_only(value: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="`steps` must be"):
        require_count("steps", value)
    assert require_count("steps", 0) == 0


def test_an_unknown_name_without_a_near_one() -> None:
    assert str(unknown_name("recipe", "zzz", ["aent"])) == "unknown recipe 'zzz'. Known: aent."


def test_a_choice_shows_the_nearest() -> None:
    shapes = Literal["linear", "cosine"]
    require_choice("shape", "cosine", shapes)
    with pytest.raises(ValueError, match="Did you mean 'cosine'"):
        require_choice("shape", "cosin", shapes)
