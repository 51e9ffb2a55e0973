"""What every signal promises: deaf to masked positions, no gradient, one mean for any split."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from entrostat import Tally, TokenBatch
from entrostat.terms import signals

from ...batches import batch

SIGNALS: list[Any] = [getattr(signals, name)() for name in signals.__all__ if name not in ("Signal", "Weighted")]
SIGNALS += [signals.PeakEntropies(quantile=0.3), signals.Surprisal(old=True)]
every = pytest.mark.parametrize("signal", SIGNALS, ids=repr)


def rows(whole: TokenBatch, start: int, stop: int) -> TokenBatch:
    cut = {name: value[start:stop] for name, value in vars(whole).items() if isinstance(value, torch.Tensor)}
    return whole.replace(**cut)


@every
def test_masked_positions_have_no_influence(signal: Any) -> None:
    clean, dirty = (Tally.of(*signal(batch(garbage=garbage))).mean for garbage in (False, True))
    assert clean is not None
    assert clean == pytest.approx(dirty)


@every
def test_it_carries_no_gradient_and_the_two_shapes_agree(signal: Any) -> None:
    values, counted = signal(batch())
    assert not values.requires_grad
    assert values.shape == counted.shape


@every
def test_one_batch_or_its_parts_have_one_mean(signal: Any) -> None:
    whole = batch()
    parts = [rows(whole, i, i + 1) for i in range(len(whole.mask))]
    together = sum((Tally.of(*signal(part)) for part in parts), Tally.zero())
    assert together.mean == pytest.approx(Tally.of(*signal(whole)).mean)


def test_the_surprisal_is_of_the_policy_or_of_the_one_that_wrote_the_responses() -> None:
    whole = batch()
    assert torch.equal(signals.Surprisal()(whole).values, -whole.logprobs.detach())
    assert torch.equal(signals.Surprisal(old=True)(whole).values, -whole.old_logprobs)


def test_the_peaks_of_each_response_count_once_whatever_its_length() -> None:
    whole = batch(rows=2, length=4).replace(
        clamped_entropy=torch.tensor([[1.0, 2.0, 3.0, 6.0], [5.0, 1.0, 1.0, 9.0]]),
        mask=torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]]),
    )
    # Above the median: 3 and 6 of the first, 5 of the second.
    assert Tally.of(*signals.PeakEntropies(quantile=0.5)(whole)).mean == pytest.approx((4.5 + 5.0) / 2)


def test_a_response_without_a_peak_counts_as_zero() -> None:
    alike = batch(rows=2, length=4).replace(
        clamped_entropy=torch.tensor([[1.0, 1.0, 1.0, 1.0], [0.0, 4.0, 0.0, 0.0]]), mask=torch.ones(2, 4)
    )
    assert Tally.of(*signals.PeakEntropies(quantile=0.8)(alike)).mean == pytest.approx(2.0)


@pytest.mark.parametrize("quantile", [-0.1, 1.0, 1.5])
def test_a_quantile_out_of_range(quantile: float) -> None:
    with pytest.raises(ValueError, match=r"`quantile` must lie in \[0, 1\)"):
        signals.PeakEntropies(quantile=quantile)
