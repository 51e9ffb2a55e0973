"""ADRPO's loss for flow matching, against the formula and its algebra; the flows of its claim against closed forms."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from entrostat.lab.theory.flow_matching import ADVANTAGES, POINTS, SAMPLES, advantage_flow_matching, best_velocity, flow

BETA = 0.7


def samples(*advantages: float) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(0)
    shape = (len(advantages), 3, 2)
    noise = [torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(3)]
    fields = dict(zip(("velocity", "target", "reference"), noise, strict=True))
    fields["velocity"].requires_grad_()
    return {**fields, "advantages": torch.tensor(advantages, dtype=torch.float64)}


def test_it_is_the_formula() -> None:
    parts = samples(-1.5, 0.0, 0.4)
    v, u, ref, advantages = parts.values()
    squares = [((v - other) ** 2).sum((1, 2)) for other in (u, ref)]
    expected = advantages * squares[0] + (BETA - advantages) * squares[1]
    found = advantage_flow_matching(**parts, beta=BETA)
    torch.testing.assert_close(found, expected)
    ours, theirs = (torch.autograd.grad(loss.sum(), v, retain_graph=True)[0] for loss in (found, expected))
    torch.testing.assert_close(ours, theirs)


def test_a_bad_sample_pushes_away_and_no_gradient_reaches_the_frozen_parts() -> None:
    parts = samples(-1.0)
    parts["target"].requires_grad_()
    loss = advantage_flow_matching(**parts, beta=0.0, scale=0.0)
    slope = torch.autograd.grad(loss.sum(), parts["velocity"])[0]
    torch.testing.assert_close(slope, -2 * (parts["velocity"] - parts["target"]).detach())
    advantage_flow_matching(**parts, beta=BETA).sum().backward()
    assert parts["target"].grad is None


@pytest.mark.parametrize("advantage", [-2.0, -0.3, 0.0, 0.5])
def test_while_no_bound_binds_it_is_a_bowl_around_a_point_between_target_and_reference(advantage: float) -> None:
    parts = samples(advantage)
    centre = parts["reference"] + advantage / BETA * (parts["target"] - parts["reference"])
    parts["velocity"] = centre.clone().requires_grad_()
    loss = advantage_flow_matching(**parts, beta=BETA)
    slope = torch.autograd.grad(loss.sum(), parts["velocity"])[0]
    torch.testing.assert_close(slope, torch.zeros_like(slope), rtol=0, atol=1e-12)
    step = torch.randn_like(centre)
    raised = advantage_flow_matching(**{**parts, "velocity": centre + step}, beta=BETA)
    torch.testing.assert_close(raised - loss.detach(), BETA * (step**2).sum((1, 2)))


def test_shapes_that_differ() -> None:
    parts = samples(0.5)
    with pytest.raises(ValueError, match=r"`advantages` must have the shape \(1,\)"):
        advantage_flow_matching(**{**parts, "advantages": torch.zeros(2)}, beta=BETA)


def test_the_best_velocity_is_the_closed_form() -> None:
    generator = torch.Generator().manual_seed(0)
    chances = torch.randn(5, len(POINTS), generator=generator, dtype=torch.float64).softmax(-1)
    targets = torch.randn(5, len(POINTS), generator=generator, dtype=torch.float64)
    reference = torch.randn(5, generator=generator, dtype=torch.float64)
    pull = (chances * ADVANTAGES * (targets - reference.unsqueeze(-1))).sum(-1)
    found = best_velocity(chances, targets, reference, ADVANTAGES, beta=2.0)
    torch.testing.assert_close(found, reference + pull / 2)
    weights = ADVANTAGES.exp()
    mean = (chances * weights * targets).sum(-1) + 2 * reference
    found = best_velocity(chances, targets, reference, weights, beta=2.0, scale=0.0)
    torch.testing.assert_close(found, mean / ((chances * weights).sum(-1) + 2))


def test_a_flow_ends_with_the_distribution_it_was_made_for() -> None:
    base = flow(None, steps=60, size=500)
    assert float(base.mean()) == pytest.approx(0, abs=0.01)
    assert float(base.std()) == pytest.approx(1, abs=0.03)
    # Equal weights and next to no pull to the reference: the flow of the samples themselves.
    plain = flow(torch.ones_like(POINTS), beta=1e-9, scale=0.0, steps=60, size=500)
    assert float((plain < -1).double().mean()) == pytest.approx(float(SAMPLES[POINTS < -1].sum()), abs=0.01)
