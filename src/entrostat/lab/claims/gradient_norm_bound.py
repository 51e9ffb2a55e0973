"""Proposition 1, first part: a policy without entropy has no gradient.

    dV/dtheta_{s,a} = P(s) pi(a|s) A(s,a),   |A(s,a)| <= R (1 - pi(a|s)),   1 - x <= -log x
    => |grad V|_2 <= |grad V|_1 <= R sum_s P(s) sum_a pi (1 - pi) <= R H(pi)

R is the width of the interval that holds all rewards: 1 for 0/1, 2 for -1/+1 (the factor 2 of the paper).
"""

from __future__ import annotations

import torch
from torch import Tensor

from entrostat.lab import Claim, Outcome, Plot, Series, evaluate_tree, main, tree_logprobs
from entrostat.lab._random_trees import samples, tree_gradient


def check(quick: bool) -> Outcome:
    """Try the bound on random trees."""
    norms: list[Tensor] = []
    absolutes: list[Tensor] = []
    entropies: list[Tensor] = []
    for tree, logits in samples(1000 if quick else 20_000, scale=6, seed=0):
        gradient = tree_gradient(tree, logits)
        norms.append(gradient.norm(dim=-1))
        absolutes.append(gradient.abs().sum(-1))
        entropies.append(evaluate_tree(tree, tree_logprobs(tree, logits)).entropy)
    norm, absolute, entropy = (torch.cat(parts) for parts in (norms, absolutes, entropies))
    two, one = float((norm / entropy).max()), float((absolute / entropy).max())
    low = entropy < 0.05
    return Outcome(
        verdict="holds" if one <= 1 + 1e-12 else "does not hold",
        figures={
            "trees": len(norm),
            "largest |grad|_2 / (R H)": two,
            "largest |grad|_1 / (R H)": one,
            "largest |grad|_2 where H < 0.05": float(norm[low].max()),
        },
        seeds=(0,),
        plots=(_plot(entropy, norm),),
        remarks=(
            "Rewards lie in [0, 1], so R = 1. The largest ratios are those of a fair coin with one right side, "
            "1/(2 sqrt(2) log 2) = 0.510 and 1/(2 log 2) = 0.721. The logits are free per state; a network multiplies "
            "the bound by the norm of its Jacobian, so for a language model it is a tendency, not a theorem."
        ),
    )


def _plot(entropy: Tensor, norm: Tensor) -> Plot:
    few = slice(None, None, max(1, len(norm) // 1500))
    shown = (entropy[few] > 1e-4) & (norm[few] > 1e-6)  # trees without anything to learn have norm 0
    edge = torch.logspace(-4, float(entropy.max().log10()), 40)
    points = Series(name="random tree", x=entropy[few][shown].tolist(), y=norm[few][shown].tolist(), points=True)
    bound = Series(name="bound: R times entropy", x=edge.tolist(), y=edge.tolist(), reference=True)
    return Plot(
        title="The gradient vanishes with the entropy",
        x_label="entropy of the policy over the answer (nats)",
        y_label="norm of the exact policy gradient",
        series=(points, bound),
        log_x=True,
        log_y=True,
    )


CLAIM = Claim(
    name="gradient_norm_bound",
    statement="The norm of the policy gradient is at most the reward's range times the policy's entropy.",
    source="Shen, arXiv 2509.03493, Proposition 1 (i); proof with explicit constants rederived above.",
    check=check,
    topic="theory",
)

if __name__ == "__main__":
    main(CLAIM)
