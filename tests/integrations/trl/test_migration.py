"""docs/migration.md, through TRL's own trainer: each option of TRL's against the recipe that stands beside it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from entrostat import recipes

from .conftest import logged, needs_trl_s_kernel, tiny_model
from .test_trainer import prepared, step_gradient

pytestmark = [needs_trl_s_kernel, pytest.mark.train]

Make = Callable[..., Any]
LOSSES = ["grpo", "dapo", "dr_grpo"]


def first_step(trainer: Any) -> tuple[float, list[torch.Tensor]]:
    """Return the loss of the first micro-batch, and its gradient."""
    torch.manual_seed(0)
    batches = prepared(trainer)
    loss = float(trainer.compute_loss(trainer.model, batches[0]).detach())
    return loss, step_gradient(trainer, batches[:1])


def trained(trainer: Any) -> Any:
    torch.manual_seed(0)
    trainer.train()
    return trainer


def assert_equal_steps(theirs: Any, ours: Any, plain: Any) -> None:
    """Same loss, same gradient, and neither what plain GRPO has."""
    (their_loss, their_gradient), (our_loss, our_gradient) = first_step(theirs), first_step(ours)
    _, plain_gradient = first_step(plain)
    assert our_loss == pytest.approx(their_loss, rel=1e-5, abs=1e-7)
    torch.testing.assert_close(our_gradient, their_gradient, rtol=1e-4, atol=1e-7)
    apart = max(float((a - b).abs().max()) for a, b in zip(our_gradient, plain_gradient, strict=True))
    assert apart > 1e-4, "the option is meant to act in this test"


@pytest.mark.parametrize("loss_type", LOSSES)
def test_entropy_coef_is_entropy_bonus(make_trainer: Make, loss_type: str) -> None:
    assert_equal_steps(
        make_trainer(None, entropy_coef=0.5, loss_type=loss_type),
        make_trainer(recipes.entropy_bonus(coef=0.5), loss_type=loss_type),
        make_trainer(None, loss_type=loss_type),
    )


@pytest.mark.parametrize("loss_type", LOSSES)
def test_top_entropy_quantile_is_high_entropy_tokens(make_trainer: Make, loss_type: str) -> None:
    assert_equal_steps(
        make_trainer(None, top_entropy_quantile=0.3, loss_type=loss_type),
        make_trainer(recipes.high_entropy_tokens(keep=0.3, kept_mean=False), loss_type=loss_type),
        make_trainer(None, loss_type=loss_type),
    )


def test_use_adaptive_entropy_is_skywork_step_by_step(make_trainer: Make) -> None:
    target, delta = 3.35, 0.3
    theirs = trained(
        make_trainer(None, max_steps=6, use_adaptive_entropy=True, entropy_target=target, entropy_coef_delta=delta)
    )
    ours = trained(make_trainer(recipes.skywork(variant="trl", target=target, delta=delta), max_steps=6))
    after = logged(theirs, "entropy_coef")  # TRL logs the coefficient after its move, we log the one applied
    assert len(set(after)) > 2, "the coefficient is meant to move in this test"
    entropy = logged(theirs, "entropy")
    assert logged(ours, "entropy_control/entropy") == pytest.approx(entropy, rel=1e-4)
    gated = [coef if seen <= target else 0.0 for coef, seen in zip(after, entropy, strict=True)]
    assert logged(ours, "entropy_control/coef") == pytest.approx([0.0, *gated[:-1]])


def test_epsilon_is_clip_higher(make_trainer: Make) -> None:
    twice: dict[str, Any] = {"num_iterations": 2, "max_steps": 4, "loss_type": "dapo", "learning_rate": 0.05}
    theirs = trained(make_trainer(None, epsilon=0.05, epsilon_high=0.1, **twice))
    ours = trained(make_trainer(recipes.clip_higher(low=0.05, high=0.1), **twice))
    plain = trained(make_trainer(None, epsilon=0.2, model=tiny_model(), **twice))
    assert logged(ours, "loss") == pytest.approx(logged(theirs, "loss"), rel=1e-4, abs=1e-6)
    assert logged(plain, "loss") != pytest.approx(logged(theirs, "loss"), rel=1e-3, abs=1e-5), "a bound is reached"
