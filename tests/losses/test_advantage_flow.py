"""ADRPO's coefficient and its loss for flow matching, against the formula and its algebra."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from entrostat.losses import advantage_coefficient, advantage_flow_matching

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


def test_a_bad_sample_is_pushed_away_from_and_no_gradient_reaches_the_frozen_parts() -> None:
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
def test_what_is_wrong_is_said(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        advantage_coefficient(torch.zeros(2), **settings)


def test_shapes_that_differ() -> None:
    parts = samples(0.5)
    with pytest.raises(ValueError, match=r"`advantages` must have the shape \(1,\)"):
        advantage_flow_matching(**{**parts, "advantages": torch.zeros(2)}, beta=BETA)
