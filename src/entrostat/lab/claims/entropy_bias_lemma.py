"""The entropy-bias lemma: what the bonus costs however well it is optimised.

Let pi* be uniform over the N* best answers. Then H(pi*) = log N*, and H(pi) <= H log A for every policy, so

    V_l(pi*_l) - V_l(pi) >= V* + l log N* - V(pi) - l H log A
    => V* - V(pi) <= [V_l(pi*_l) - V_l(pi)] + l (H log A - log N*)

and the regularised optimum itself loses at most l (H log A - log N*) = l H log(A / N*^{1/H}).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from entrostat.lab import Claim, Outcome, Plot, Series, evaluate_tree, main, soft_tree_optimum, tree_logprobs
from entrostat.lab._random_trees import bias_bound, log_uniform, samples

_COEF = 0.05


def check(quick: bool) -> Outcome:
    """Try both inequalities on random trees with random coefficients."""
    count = 1000 if quick else 20_000
    lemma: list[Tensor] = []
    bias: list[Tensor] = []
    for tree, logits in samples(count, scale=3, seed=0):
        coef = log_uniform(count, 1e-3, 3.0, seed=1)
        best, best_policy = soft_tree_optimum(tree, coef=coef)
        logprobs = tree_logprobs(tree, logits)
        top = tree.rewards.amax(-1)
        price = coef * bias_bound(tree)
        lost = top - evaluate_tree(tree, logprobs).values[0].squeeze(-1)
        unoptimised = (best.values[0] - evaluate_tree(tree, logprobs, coef=coef).values[0]).squeeze(-1)
        lemma.append((lost - unoptimised - price) / (1 + price))
        real = price > 1e-9
        bias.append(((top - evaluate_tree(tree, best_policy).values[0].squeeze(-1)) / price)[real])
    worst, tightest = float(torch.cat(lemma).max()), float(torch.cat(bias).max())
    return Outcome(
        verdict="holds" if worst <= 1e-9 and tightest <= 1 + 1e-9 else "does not hold",
        figures={
            "trees": sum(len(part) for part in lemma),
            "largest excess over the lemma's bound": worst,
            "tightest bias / bound": tightest,
            f"bias at |A| = 100000, 15 right, coef {_COEF}": _bandit_bias(100_000, 15, _COEF),
            f"bias at |A| = 100000, 1 right, coef {_COEF}": _bandit_bias(100_000, 1, _COEF),
            f"bound at |A| = 100000, 1 right, coef {_COEF}": _COEF * math.log(100_000),
        },
        seeds=(0, 1),
        plots=(_plot(),),
        remarks=(
            "The bias is not a slow leak: a state's wrong tokens take over once their number outweighs exp(1/coef). "
            "Below coef = 1/log(A/N*) it is negligible, above it nearly everything is lost."
        ),
    )


def _bandit_bias(actions: int, optimal: int, coef: float) -> float:
    # One state, reward 1 or 0: the regularised optimum leaves the wrong actions (A - N) / (A - N + N e^{1/coef}).
    return 1 / (1 + optimal / (actions - optimal) * math.exp(1 / coef))


def _plot() -> Plot:
    coefs = torch.logspace(-2, 0, 60).tolist()
    cases = ((100, 1), (100_000, 15), (100_000, 1))
    exact = tuple(
        Series(name=f"{optimal} right of {actions}", x=coefs, y=[_bandit_bias(actions, optimal, c) for c in coefs])
        for actions, optimal in cases
    )
    bound = Series(name="bound, 1 of 100000", x=coefs, y=[min(1.0, c * math.log(1e5)) for c in coefs], reference=True)
    return Plot(
        title="What the regularised optimum loses",
        x_label="coefficient of the bonus",
        y_label="V* - V of the regularised optimum",
        series=(*exact, bound),
        log_x=True,
    )


CLAIM = Claim(
    name="entropy_bias_lemma",
    statement="The optimum under the entropy bonus loses at most coef * H * log(A / N*^(1/H)) of the true optimum.",
    source='Shen, arXiv 2509.03493, as quoted by EPO (arXiv 2509.22576, "Entropy Bias"); proof rederived above.',
    check=check,
    topic="theory",
)

if __name__ == "__main__":
    main(CLAIM)
