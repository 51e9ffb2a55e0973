import math

import pytest
import torch

from entrostat.batch import TokenBatch
from entrostat.lab.classical.sequence_entropy import (
    ESTIMATORS,
    counter_example,
    every_sequence,
    exact_gradient,
    measure,
    random_tree,
    variances,
)
from entrostat.losses import sequence_entropy, sequence_entropy_surrogate
from entrostat.terms import EntropyBonus


def batch(logprobs, entropy, mask):
    ones = torch.ones_like(logprobs)
    return TokenBatch(
        logprobs=logprobs,
        old_logprobs=logprobs.detach(),
        advantages=ones,
        mask=mask,
        entropy=entropy,
        clamped_entropy=entropy,
        kept_mass=ones,
        clip_low=ones,
        clip_high=ones,
    )


def sampled(rows=3, length=4):
    logits = torch.randn(rows, length, 5, dtype=torch.float64, requires_grad=True)
    logp = logits.log_softmax(-1)
    chosen = logp[..., 0]
    return logits, chosen, torch.special.entr(logp.exp()).sum(-1)


def test_the_exact_gradient_matches_finite_differences():
    tables = random_tree(3, 3, scale=1.0, generator=torch.Generator().manual_seed(0))

    def total(flat):
        parts = flat.split([t.numel() for t in tables])
        return every_sequence([p.view_as(t) for p, t in zip(parts, tables, strict=True)])

    flat = torch.cat([t.detach().flatten() for t in tables])

    def entropy(x):
        logp = total(x).logprobs.sum(-1)
        return float(-(logp.exp() * logp).sum())

    exact = exact_gradient(tables)
    for index in (0, 4, 20, 38):
        step = torch.zeros_like(flat)
        step[index] = 1e-5
        assert (entropy(flat + step) - entropy(flat - step)) / 2e-5 == pytest.approx(float(exact[index]), abs=1e-8)


def test_gradients_of_the_notes():
    errors = [measure(seed) for seed in range(30)]
    assert max(e.crude for e in errors) < 1e-9
    assert max(e.unbiased for e in errors) < 1e-9
    assert max(e.naive for e in errors) < 1e-9
    # Medians over 60 random policies in the notes: 28 % bias, variance ratio .10. Other draws give 22 to 28 %.
    assert torch.tensor([e.shortcut for e in errors]).median() == pytest.approx(0.25, abs=0.05)
    assert torch.tensor([e.variance_ratio for e in errors]).median() == pytest.approx(0.10, abs=0.03)


def test_the_counter_example_by_hand():
    crude, smoothed = counter_example()
    values = [math.log(3) - 2 / 3 * math.log(2), math.log(3) + 1 / 3 * math.log(2)]  # .637 and 1.330
    mean = values[0] / 3 + 2 * values[1] / 3
    assert values == pytest.approx([0.637, 1.330], abs=1e-3)
    assert mean == pytest.approx(math.log(3))
    assert crude == pytest.approx(0, abs=1e-12)
    assert smoothed == pytest.approx((values[0] - mean) ** 2 / 3 + 2 * (values[1] - mean) ** 2 / 3)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_masked_positions_count_for_nothing(estimator):
    logits, logprobs, entropy = sampled()
    mask = torch.tensor([[1, 1, 0, 0], [1, 1, 1, 1], [0, 0, 0, 0]])
    holes = mask.bool()
    bad = torch.where(holes, logprobs, math.nan), torch.where(holes, entropy, math.nan)
    good = sequence_entropy_surrogate(logprobs * mask, entropy * mask, mask, estimator=estimator)
    torch.testing.assert_close(sequence_entropy_surrogate(*bad, mask, estimator=estimator), good)
    torch.testing.assert_close(
        sequence_entropy(*bad, mask, estimator=estimator),
        sequence_entropy(logprobs * mask, entropy * mask, mask, estimator=estimator),
    )
    sequence_entropy_surrogate(logprobs, entropy, mask, estimator=estimator).sum().backward()
    assert logits.grad[~holes].abs().max() == 0
    assert logits.grad[holes].abs().max() > 0


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_the_term_pays_the_surrogate(estimator):
    _, logprobs, entropy = sampled()
    mask = torch.ones_like(logprobs)
    paid = EntropyBonus(estimator=estimator)(batch(logprobs, entropy, mask), 0.1)
    torch.testing.assert_close(paid, -0.1 * sequence_entropy_surrogate(logprobs, entropy, mask, estimator=estimator))


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_splitting_a_batch_changes_nothing(estimator):
    logits, logprobs, entropy = sampled(rows=4)
    term = EntropyBonus(estimator=estimator)
    mask = torch.ones_like(logprobs)
    (whole,) = torch.autograd.grad(term(batch(logprobs, entropy, mask), 0.3).sum(), logits, retain_graph=True)
    parts = [
        torch.autograd.grad(
            term(batch(logprobs[rows], entropy[rows], mask[rows]), 0.3).sum(), logits, retain_graph=True
        )[0]
        for rows in (slice(0, 1), slice(1, 4))
    ]
    torch.testing.assert_close(sum(parts), whole)


def test_a_fully_masked_batch_gives_a_zero_that_can_be_differentiated():
    logits, logprobs, entropy = sampled()
    loss = EntropyBonus(estimator="smoothed_unbiased")(batch(logprobs, entropy, logprobs.detach() * 0), 0.3)
    loss.sum().backward()
    assert loss.sum() == 0
    assert logits.grad.abs().max() == 0


def test_bad_input():
    ones = torch.ones(2, 3)
    with pytest.raises(ValueError, match="unknown estimator 'mode'"):
        EntropyBonus(estimator="mode")
    with pytest.raises(ValueError, match="`entropy` must have the shape of `logprobs`"):
        sequence_entropy(ones, torch.ones(2, 2), ones, estimator="crude")
    with pytest.raises(ValueError, match="`tokens` must be at least 2"):
        random_tree(1, 2, scale=1.0, generator=torch.Generator())


def test_variances_of_the_notes():
    # Over 60 random policies there: median ratio .042, largest .23, never above 1. Other draws: largest .2 to .65.
    ratios = torch.tensor([smoothed / crude for crude, smoothed, _ in map(variances, range(60))])
    assert float(ratios.median()) == pytest.approx(0.042, abs=0.02)
    assert 0.15 < float(ratios.max()) < 1
