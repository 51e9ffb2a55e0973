"""What every edit promises: pure, no gradient into what it changes, deaf to masked positions, neutral is identity."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from entrostat import edits

from ..batches import batch

NEUTRAL: list[tuple[Any, Any]] = [
    (edits.EntropyMask(keep=1.0), edits.EntropyMask(keep=0.4)),
    (edits.EntropyMask(keep=1.0, rescale=False), edits.EntropyMask(keep=0.4, rescale=False)),
]


@pytest.mark.parametrize(("neutral", "active"), NEUTRAL)
def test_the_contract(neutral: Any, active: Any) -> None:
    before = batch(garbage=True)
    assert neutral(before) is before
    kept = {name: getattr(before, name).detach().clone() for name in edits.EDITABLE}
    after = active(before)
    changed = [name for name in edits.EDITABLE if getattr(after, name) is not getattr(before, name)]
    assert changed, "an active edit changes something"
    masked = ~before.mask.bool()
    for name in edits.EDITABLE:
        torch.testing.assert_close(
            getattr(before, name).detach(), kept[name], equal_nan=True, msg=f"{name} changed in place"
        )
        torch.testing.assert_close(
            getattr(after, name)[masked].detach(),
            kept[name][masked],
            equal_nan=True,
            msg=f"{name} changed under the mask",
        )
    for name in changed:
        assert not getattr(after, name).requires_grad


def test_the_highest_entropies_keep_their_advantage() -> None:
    before = batch()
    tokens = int(before.mask.sum())
    after = edits.EntropyMask(keep=0.2)(before)
    survivors = (after.advantages != 0) & before.mask.bool()
    kept = int(survivors.sum())
    assert kept == round(0.2 * tokens)
    assert before.entropy[survivors].min() > before.entropy[before.mask.bool() & ~survivors].max()
    scale = tokens / kept
    torch.testing.assert_close(after.advantages[survivors], before.advantages[survivors] * scale)


def test_without_rescaling_a_kept_token_weighs_what_it_weighed() -> None:
    before = batch()
    after = edits.EntropyMask(keep=0.5, rescale=False)(before)
    survivors = (after.advantages != 0) & before.mask.bool()
    torch.testing.assert_close(after.advantages[survivors], before.advantages[survivors])


def test_the_threshold_is_that_of_all_ranks() -> None:
    before = batch()
    others = torch.full((100,), 9.0)  # another rank whose every token is more uncertain
    together = before.replace(gather=lambda values: torch.cat([values, others]) if values.numel() > 1 else values)
    after = edits.EntropyMask(keep=0.5)(together)
    assert not after.advantages[before.mask.bool()].any()


def test_a_batch_without_tokens() -> None:
    empty = batch()
    empty = empty.replace(mask=torch.zeros_like(empty.mask))
    assert edits.EntropyMask(keep=0.5)(empty) is empty


@pytest.mark.parametrize("keep", [0.0, 1.5, -0.1])
def test_a_share_out_of_range(keep: float) -> None:
    with pytest.raises(ValueError, match=r"`keep` must lie in \(0, 1\]"):
        edits.EntropyMask(keep=keep)
