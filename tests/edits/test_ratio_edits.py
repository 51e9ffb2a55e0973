"""Edits that choose tokens by covariance, and advantages of the judged responses: counts, bounds, ranks, the draw."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from entrostat import TokenBatch, edits
from entrostat.edits._covariance import covariance, how_many
from entrostat.edits._ratio import clipped

from ..batches import on_ranks, part, rollouts
from ..hosts import drifted


def many(seed: int = 0, drift: float = 0.3) -> TokenBatch:
    """Return some thousand tokens, of which many have a covariance in [1, 5] and some of those are clipped."""
    return drifted(rows=120, length=30, seed=seed, drift=drift)


def dropped(before: TokenBatch, after: TokenBatch) -> Tensor:
    return (after.advantages == 0) & (before.advantages != 0)


# --- Clip-Cov ----------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [1e-5, 0.002, 0.01])
def test_clip_cov_drops_its_share_of_the_tokens_within_the_bounds(share: float) -> None:
    before = many()
    tokens = int(before.mask.sum())
    chosen = dropped(before, edits.CovarianceMask(share=share)(before))
    assert int(chosen.sum()) == max(math.floor(share * tokens), 1)
    c = covariance(before)
    assert ((c[chosen] > 1) & (c[chosen] < 5)).all()
    below, above = clipped(before)
    assert not (chosen & (below | above)).any()
    assert before.mask.bool()[chosen].all()


def test_clip_cov_never_touches_a_token_that_the_host_clips() -> None:
    before = many()
    after = edits.CovarianceMask(share=1.0)(before)
    below, above = clipped(before)
    c = covariance(before)
    candidates = before.mask.bool() & (c > 1) & (c < 5)
    assert (candidates & (below | above)).any(), "the example has such tokens"
    assert torch.equal(dropped(before, after), candidates & ~below & ~above)


def test_the_covariance_is_the_centred_product_over_response_tokens() -> None:
    before = many()
    counted = before.mask.bool()
    logprobs, advantages = before.logprobs.detach()[counted], before.advantages[counted]
    by_hand = (logprobs - logprobs.mean()) * (advantages - advantages.mean())
    torch.testing.assert_close(covariance(before)[counted], by_hand.float())
    assert not covariance(before)[~counted].any()


def test_the_draw_is_torch_s_and_uniform() -> None:
    before, edit = many(), edits.CovarianceMask(share=0.002)
    torch.manual_seed(5)
    first = edit(before).advantages
    torch.manual_seed(5)
    assert torch.equal(edit(before).advantages, first)
    assert not torch.equal(edit(before).advantages, first)
    candidates = dropped(before, edits.CovarianceMask(share=1.0)(before))
    times = sum(dropped(before, edit(before)).float() for _ in range(400))
    assert torch.is_tensor(times)
    expected = 400 * how_many(before, 0.002) / candidates.sum()
    assert (times[candidates] - expected).abs().max() < 6 * expected.sqrt(), "every candidate has the same chance"


@pytest.mark.parametrize("cut", [60, 119])
def test_clip_cov_draws_once_for_all_ranks(cut: int) -> None:
    whole = many()
    pieces = [part(whole, slice(0, cut)), part(whole, slice(cut, 120))]
    edit = edits.CovarianceMask(share=0.01)
    chosen = torch.cat([dropped(*pair) for pair in zip(pieces, on_ranks(edit, pieces), strict=True)])
    assert int(chosen.sum()) == how_many(whole, 0.01)
    c = covariance(whole)
    assert ((c[chosen] > 1) & (c[chosen] < 5)).all(), "the statistics are those of all ranks"


def test_the_published_scope_is_each_rank_s_own() -> None:
    whole, edit = many(), edits.CovarianceMask(share=0.01, across_ranks=False)
    pieces = [part(whole, slice(0, 60)), part(whole, slice(60, 120))]
    alone = [dropped(*pair) for pair in zip(pieces, on_ranks(edit, pieces), strict=True)]
    assert [int(one.sum()) for one in alone] == [how_many(piece, 0.01) for piece in pieces]


def test_one_response_alone_has_no_covariance() -> None:
    """What the published scope comes to where a micro-batch is one response: nothing can be chosen."""
    alone = part(many(), slice(0, 1))
    torch.testing.assert_close(covariance(alone), torch.zeros(1, 30), rtol=0, atol=1e-6)


# --- KL-Cov ------------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [1e-5, 0.002, 0.05])
def test_kl_cov_chooses_the_largest(share: float) -> None:
    before = many()
    after = edits.CovarianceWeight(share=share)(before)
    assert after.weight is not None
    chosen = after.weight.bool()
    c = covariance(before)
    assert int(chosen.sum()) == max(math.floor(share * int(before.mask.sum())), 1)
    assert c[chosen].min() > c[before.mask.bool() & ~chosen].max()


@pytest.mark.parametrize("cut", [60, 119])
def test_kl_cov_s_choice_is_that_of_all_ranks(cut: int) -> None:
    whole, edit = many(), edits.CovarianceWeight(share=0.01)
    pieces = on_ranks(edit, [part(whole, slice(0, cut)), part(whole, slice(cut, 120))])
    alone = edit(whole).weight
    assert alone is not None
    assert torch.equal(torch.cat([piece.weight for piece in pieces]), alone)


def test_without_any_advantage_nothing_is_chosen() -> None:
    before = many()
    after = edits.CovarianceWeight(share=0.01)(before.replace(advantages=torch.zeros_like(before.advantages)))
    assert after.weight is not None
    assert not after.weight.any()


# --- ESPO's advantages -------------------------------------------------------------------------


def test_advantages_of_the_judged_responses() -> None:
    whole = rollouts()
    rewards = torch.tensor([1.0, 1.0, -1.0, 0.0, 0.0, 1.0, 0.5, -1.0])
    after = edits.VerifiedAdvantage(above=-0.5, offset=0.0)(whole.replace(rewards=rewards))
    # Groups are interleaved: {1, -1, 0, 0.5} and {1, 0, 1, -1}.
    first, second = torch.tensor([1.0, 0.0, 0.5]), torch.tensor([1.0, 0.0, 1.0])
    expected = torch.zeros(8)
    expected[[0, 4, 6]] = (first - first.mean()) / first.std()
    expected[[1, 3, 5]] = (second - second.mean()) / second.std()
    counted = whole.mask.bool()
    torch.testing.assert_close(after.advantages[counted], expected[:, None].expand(8, 9)[counted])


def test_judged_groups_may_span_ranks() -> None:
    whole, edit = rollouts(), edits.VerifiedAdvantage(above=-2.0)
    pieces = on_ranks(edit, [part(whole, slice(0, 3)), part(whole, slice(3, 8))])
    torch.testing.assert_close(torch.cat([piece.advantages for piece in pieces]), edit(whole).advantages)
    counted = whole.mask.bool()
    torch.testing.assert_close(edit(whole).advantages[counted], whole.advantages[counted], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("edit", "field"),
    [
        (edits.GroupedRatio(), "old_entropy"),
        (edits.GroupedRatio(), "vocab"),
        (edits.EntropyRatioMask(), "old_entropy"),
        (edits.VerifiedAdvantage(above=0.0), "rewards"),
        (edits.FlexibleBounds(), "total_steps"),
    ],
)
def test_a_missing_field_is_named(edit: Any, field: str) -> None:
    with pytest.raises(ValueError, match=f"`{field}`"):
        edit(drifted(**{field: None}))
