"""What every edit promises: pure, no gradient into what it changes, deaf to masked positions, neutral is identity."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from entrostat import TokenBatch, edits

from ..batches import batch
from .examples import LACKING, MICRO_BATCH

FIELDS = (*edits.EDITABLE, "weight")


def moved() -> TokenBatch:
    """Return a batch with all that a host may add; masked positions hold NaN, half of the advantages are negative."""
    before = batch(garbage=True)
    return before.replace(
        advantages=before.advantages - 0.5,
        old_entropy=before.entropy.detach() * (1 + before.kept_mass),
        vocab=37,
        total_steps=9,
        weight=torch.ones_like(before.advantages),
    )


def test_every_edit_has_an_example() -> None:
    assert not LACKING, "\n".join(LACKING)


@pytest.mark.parametrize(("neutral", "active"), MICRO_BATCH, ids=lambda edit: type(edit).__name__)
def test_the_contract(neutral: Any, active: Any) -> None:
    before = moved()
    assert neutral is None or neutral(before) is before
    kept = {name: getattr(before, name).detach().clone() for name in FIELDS}
    after = active(before)
    changed = [name for name in FIELDS if getattr(after, name) is not getattr(before, name)]
    assert changed, f"{active} changes nothing here: list one that does in tests/edits/examples.py"
    assert active.sets <= set(changed)
    masked = ~before.mask.bool()
    for name in FIELDS:
        torch.testing.assert_close(
            getattr(before, name).detach(), kept[name], equal_nan=True, msg=f"{name} changed in place"
        )
    for name in changed:
        value = getattr(after, name)
        assert not value.requires_grad
        assert value[~masked].isfinite().all() or name == "clip_high", "an unbounded clip is the one infinity"
        if name != "weight":  # no term reads it there
            torch.testing.assert_close(value[masked], kept[name][masked], equal_nan=True, msg=f"{name} under the mask")


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


def test_without_rescaling_a_kept_token_has_its_old_weight() -> None:
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
