"""ADRPO's coefficient against the formula, and its bounds."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from entrostat.losses import advantage_coefficient


def test_bounds_of_the_coefficient() -> None:
    advantages = torch.tensor([-9.0, -0.5, 0.5, 9.0])
    plain = advantage_coefficient(advantages, beta=0.25)
    torch.testing.assert_close(plain, torch.tensor([9.25, 0.75, 0.0, 0.0]))
    scaled = advantage_coefficient(advantages, beta=0.25, scale=0.25, low=-1.0, high=1.0)
    torch.testing.assert_close(scaled, torch.tensor([0.5, 0.375, 0.125, 0.0]))
    free = advantage_coefficient(advantages, beta=0.25, floor=-float("inf"))
    torch.testing.assert_close(free, 0.25 - advantages)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"beta": -0.1}, "`beta` must be at least 0"),
        ({"beta": 0.1, "scale": -1.0}, "`scale` must be at least 0"),
        ({"beta": 0.1, "floor": 0.1}, "`floor` must be at most 0"),
        ({"beta": 0.1, "low": 1.0, "high": -1.0}, "`low` must be at most `high`"),
    ],
)
def test_a_setting_out_of_range_is_rejected(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        advantage_coefficient(torch.zeros(2), **settings)
