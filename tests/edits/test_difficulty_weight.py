"""The weight of hard prompts: by the accuracy of whole groups, wherever their responses lie."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from entrostat import TokenBatch
from entrostat.edits import DifficultyWeight

from ..batches import batch, on_ranks, part

REWARDS = torch.tensor([0.0, 0.0, 1.0, 0.0, 1.0, 1.0, 1.0, 0.9])
GROUPS = torch.tensor([0, 0, 1, 1, 2, 2, 3, 3])  # accuracies 0, 1/2, 1, 1/2


def rollouts(rows: slice = slice(None)) -> TokenBatch:
    return batch(rows=len(REWARDS[rows]), length=9).replace(rewards=REWARDS[rows], group_ids=GROUPS[rows])


def weights(edit: DifficultyWeight, before: TokenBatch) -> torch.Tensor:
    """Return one weight per response; those of its tokens agree."""
    after = edit(before)
    assert after.weight is not None
    counted = before.mask.bool()
    assert (after.weight[~counted] == 1).all(), "masked positions keep what they had"
    for row, mask in zip(after.weight, counted, strict=True):
        assert len(set(row[mask].tolist())) <= 1
    return torch.stack([row[mask][0] if mask.any() else torch.tensor(torch.nan) for row, mask in
                        zip(after.weight, counted, strict=True)])  # fmt: skip


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"rho": 1.0}, [1, 1, 0.5, 0.5, 0, 0, 0.5]),
        ({"rho": 0.8}, [1, 1, 0.375, 0.375, 0, 0, 0.375]),
        ({"rho": 0.5}, [1, 1, 0, 0, 0, 0, 0]),
        ({"rho": 0.8, "shape": "gate"}, [1, 1, 1, 1, 0, 0, 1]),
        ({"rho": 0.8, "shape": "gate", "skip_unsolved": True}, [0, 0, 1, 1, 0, 0, 1]),
        ({"rho": math.inf, "skip_unsolved": True}, [0, 0, 1, 1, 1, 1, 1]),
        ({"rho": 1.0, "correct_at": 0.5}, [1, 1, 0.5, 0.5, 0, 0, 0]),
    ],
)
def test_the_weight_of_each_prompt(settings: dict[str, Any], expected: list[float]) -> None:
    found = weights(DifficultyWeight(**settings), rollouts())
    torch.testing.assert_close(found[:7], torch.tensor(expected, dtype=found.dtype))


def test_groups_that_span_ranks_count_as_groups() -> None:
    edit = DifficultyWeight(rho=1.0)
    whole = rollouts().replace(mask=torch.ones(8, 9))
    found = on_ranks(lambda share: edit(share).weight, [part(whole, slice(0, 3)), part(whole, slice(3, 8))])
    expected = edit(whole).weight
    assert expected is not None
    assert expected[2, 0] == 0.5, "one response of a group whose other one lies elsewhere"
    assert torch.equal(torch.cat(found), expected)


def test_it_multiplies_a_weight_that_is_there() -> None:
    before = rollouts().replace(weight=torch.full((8, 9), 3.0))
    after = DifficultyWeight(rho=1.0)(before).weight
    assert after is not None
    assert after[2, 0] == 1.5
    assert not after.requires_grad


def test_infinity_is_neutral() -> None:
    before = rollouts()
    assert DifficultyWeight(rho=math.inf)(before) is before


def test_missing_needs_are_named() -> None:
    with pytest.raises(ValueError, match="this batch has no `rewards`"):
        DifficultyWeight(rho=1.0)(rollouts().replace(rewards=None))


@pytest.mark.parametrize(
    ("settings", "says"),
    [({"rho": 0.0}, "`rho` must be positive"), ({"rho": 1.0, "shape": "rmap"}, "Did you mean 'ramp'")],
)
def test_wrong_settings_are_rejected(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        DifficultyWeight(**settings)
