"""ADRPO's coefficient against the formula and its bounds; the weights of entropy peaks against torch's own quantile."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from entrostat.losses import advantage_coefficient, peak_weights


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


@pytest.mark.parametrize("quantile", [0.0, 0.3, 0.5, 0.8, 0.95])
def test_they_are_strictly_above_the_quantile_of_the_response_alone(quantile: float) -> None:
    generator = torch.Generator().manual_seed(0)
    entropy = torch.rand(20, 17, generator=generator)
    lengths = torch.randint(0, 18, (20,), generator=generator)
    mask = torch.arange(17) < lengths[:, None]
    weights = peak_weights(torch.where(mask, entropy, torch.nan), mask, quantile=quantile)
    for row, own, length in zip(weights, entropy, lengths.tolist(), strict=True):
        kept = own[:length] > torch.quantile(own[:length], quantile) if length else torch.zeros(0, dtype=torch.bool)
        assert torch.equal(row[:length] > 0, kept)
        assert not row[length:].any()
        assert float(row.sum()) == pytest.approx(float(kept.any()), abs=1e-6)
        assert len(set(row[row > 0].tolist())) <= 1


def test_about_a_fifth_of_a_long_response_is_kept() -> None:
    weights = peak_weights(torch.rand(1, 1000, generator=torch.Generator().manual_seed(1)), torch.ones(1, 1000),
                           quantile=0.8)  # fmt: skip
    assert int((weights > 0).sum()) == 200


def test_a_single_token_and_equal_tokens_have_no_peak() -> None:
    mask = torch.tensor([[1, 0, 0], [1, 1, 1]])
    assert not peak_weights(torch.tensor([[2.0, 9.0, 9.0], [1.0, 1.0, 1.0]]), mask, quantile=0.8).any()
