"""What every signal promises: deaf to masked positions, no gradient, one mean for any split."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from entrostat import Tally, terms

from ..batches import batch, part
from ..parts import at_its_defaults, kinds

EXAMPLES: list[Any] = [terms.PeakEntropy(quantile=0.3), terms.Surprisal(old=True)]
SIGNALS = [*EXAMPLES, *(one for kind in kinds(terms, terms.Signal) if (one := at_its_defaults(kind)))]
every = pytest.mark.parametrize("signal", SIGNALS, ids=repr)


def test_every_signal_has_an_example() -> None:
    lacking = {kind.__name__ for kind in kinds(terms, terms.Signal)} - {type(signal).__name__ for signal in SIGNALS}
    assert not lacking, f"add terms.{lacking.pop()}(...) to EXAMPLES in tests/terms/test_signals.py"


@every
def test_masked_positions_have_no_influence(signal: Any) -> None:
    clean, dirty = (Tally.of(*signal.read(batch(garbage=garbage))).mean for garbage in (False, True))
    assert clean is not None
    assert clean == pytest.approx(dirty)


@every
def test_it_carries_no_gradient_and_the_two_shapes_agree(signal: Any) -> None:
    values, counted = signal.read(batch())
    assert not values.requires_grad
    assert values.shape == counted.shape


@every
def test_one_batch_or_its_parts_have_one_mean(signal: Any) -> None:
    whole = batch()
    parts = [part(whole, slice(i, i + 1)) for i in range(len(whole.mask))]
    together = sum((Tally.of(*signal.read(each)) for each in parts), Tally.zero())
    assert together.mean == pytest.approx(Tally.of(*signal.read(whole)).mean)


def test_the_surprisal_is_of_the_policy_or_of_the_one_that_wrote_the_responses() -> None:
    whole = batch()
    assert torch.equal(terms.Surprisal().read(whole).values, -whole.logprobs.detach())
    assert torch.equal(terms.Surprisal(old=True).read(whole).values, -whole.old_logprobs)


def test_the_peaks_of_each_response_count_once_whatever_its_length() -> None:
    whole = batch(rows=2, length=4).replace(
        clamped_entropy=torch.tensor([[1.0, 2.0, 3.0, 6.0], [5.0, 1.0, 1.0, 9.0]]),
        mask=torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]]),
    )
    # Above the median: 3 and 6 of the first, 5 of the second.
    assert Tally.of(*terms.PeakEntropy(quantile=0.5).read(whole)).mean == pytest.approx((4.5 + 5.0) / 2)


def test_a_response_without_a_peak_counts_as_zero() -> None:
    alike = batch(rows=2, length=4).replace(
        clamped_entropy=torch.tensor([[1.0, 1.0, 1.0, 1.0], [0.0, 4.0, 0.0, 0.0]]), mask=torch.ones(2, 4)
    )
    assert Tally.of(*terms.PeakEntropy(quantile=0.8).read(alike)).mean == pytest.approx(2.0)


@pytest.mark.parametrize("quantile", [-0.1, 1.0, 1.5])
def test_a_quantile_out_of_range(quantile: float) -> None:
    with pytest.raises(ValueError, match=r"`quantile` must lie in \[0, 1\)"):
        terms.PeakEntropy(quantile=quantile)
