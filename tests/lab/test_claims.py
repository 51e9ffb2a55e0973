"""Every claim of the theory in quick mode: a verdict, and figures that agree with independent derivations."""

from __future__ import annotations

import math

import pytest

from entrostat import lab
from entrostat.lab import Outcome
from entrostat.lab.theory.steps import one_step

THEORY = [name for name in lab.names() if not name.startswith("classical_") and name != "toy_figure"]


@pytest.fixture(scope="module")
def outcomes() -> dict[str, Outcome]:
    return {one.claim.name: one.outcome for one in lab.run_claims(THEORY, quick=True, say=lambda line: None)}


def figure(outcome: Outcome, beginning: str) -> float:
    (value,) = [value for name, value in outcome.figures.items() if name.startswith(beginning)]
    return float(value)


@pytest.mark.parametrize("name", THEORY)
def test_the_theory_holds(outcomes: dict[str, Outcome], name: str) -> None:
    outcome = outcomes[name]
    assert outcome.verdict == "holds"
    assert outcome.figures
    assert outcome.plots
    for plot in outcome.plots:
        assert all(len(series.x) == len(series.y) > 0 for series in plot.series)


def test_gradient_ratios_are_those_of_a_fair_coin(outcomes: dict[str, Outcome]) -> None:
    found = outcomes["gradient_norm_bound"]
    # p = 1/2: |grad|_2 = sqrt(2) p (1 - p), |grad|_1 = 2 p (1 - p), H = log 2
    assert figure(found, "largest |grad|_2 /") == pytest.approx(1 / (2 * math.sqrt(2) * math.log(2)), rel=0.01)
    assert figure(found, "largest |grad|_1 /") == pytest.approx(1 / (2 * math.log(2)), rel=0.01)


def test_bounds_are_approached_but_not_passed(outcomes: dict[str, Outcome]) -> None:
    assert 0.8 < figure(outcomes["suboptimality_bound"], "largest gap") <= 1
    assert 0.38 < figure(outcomes["entropy_bias_lemma"], "tightest") < 0.55
    assert 0.38 < figure(outcomes["proposition_2"], "tightest optimisation") <= 0.6
    assert 0.38 < figure(outcomes["clamped_bias"], "tightest") < 0.55


def test_the_bias_of_one_state_is_the_formula(outcomes: dict[str, Outcome]) -> None:
    # By value iteration on the real 100,000 actions, which the claim's closed form does not touch.
    tree = lab.optimal_tree(prompts=1, actions=100_000, optimal=1)
    _, best = lab.soft_tree_optimum(tree, coef=0.05)
    lost = 1 - float(best[0][0, 0, 0].exp())
    assert figure(outcomes["entropy_bias_lemma"], "bias at |A| = 100000, 1 right") == pytest.approx(lost, rel=1e-6)


def test_the_clamp_takes_little_off_the_bias(outcomes: dict[str, Outcome]) -> None:
    found = outcomes["clamped_bias"]
    for clamp, nats in ((0.25, 0.29), (0.33, 0.40), (0.4, 0.51)):
        assert figure(found, f"nats per token off the bound at p = {clamp}") == pytest.approx(nats, abs=0.005)
    assert figure(found, "total variation") < 0.01


def test_the_clamp_is_inert_on_peaked_logits(outcomes: dict[str, Outcome]) -> None:
    found = outcomes["clamp_activity"]
    for clamp, lost in ((0.25, 0.0007), (0.33, 0.0016), (0.4, 0.0028), (0.9, 0.09)):
        assert figure(found, f"peaked: entropy lost at p = {clamp}") == pytest.approx(lost, rel=0.1)
    assert figure(found, "no peaks: entropy lost at p = 0.25") == pytest.approx(0.15, rel=0.1)
    assert figure(found, "no peaks: entropy lost at p = 0.4") == pytest.approx(0.32, rel=0.1)
    assert figure(found, "peaked: mass removed") == pytest.approx(7.8e-5, rel=0.1)
    assert figure(found, "peaked: relative change of the bonus's gradient") == pytest.approx(0.002, rel=0.1)


def test_signs_of_single_tokens(outcomes: dict[str, Outcome]) -> None:
    found = outcomes["entropy_change_covariance"]
    assert figure(found, "rewarded, p <= e^-H") == 1
    assert figure(found, "rewarded, p > e^-H") == pytest.approx(0.76, abs=0.02)
    assert figure(found, "largest error of the single-token formula") < 1e-6


def test_one_step_without_a_bonus_is_the_textbook_gradient() -> None:
    moved = one_step(100, 1, "none", "gradient")
    assert moved.right > 1
    clamped, full = (one_step(100, 1, method, "Adam") for method in ("clamped", "entropy"))
    assert clamped.removed < 1 < full.removed
