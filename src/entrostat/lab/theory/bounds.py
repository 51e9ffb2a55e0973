"""Random prefix trees with policies on them, and the theorems that are tried on them.

Letters: P trees, A actions, H horizon.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from entrostat.lab._claim import Outcome, Plot, Series, claim
from entrostat.lab._tree import Levels, PrefixTree, evaluate_tree, soft_tree_optimum, tree_logprobs

SHAPES = ((2, 1), (5, 1), (30, 1), (2, 2), (6, 2), (2, 3), (4, 3))
"""Actions and horizon."""


def samples(count: int, *, scale: float, seed: int) -> Iterator[tuple[PrefixTree, Levels]]:
    """Yield `count` random trees for each of `SHAPES`, with the logits of a policy on each.

    Rewards lie in [0, 1]: 0 or 1 in one half of the trees, uniform in the other. The logits of a tree are normal with
    a standard deviation drawn uniformly up to `scale`, so that policies from uniform to almost certain occur.
    """
    generator = torch.Generator().manual_seed(seed)
    for actions, horizon in SHAPES:
        rewards = torch.rand(count, actions**horizon, generator=generator, dtype=torch.float64)
        rewards[::2] = (rewards[::2] < 0.5).double()
        tree = PrefixTree(rewards=rewards, horizon=horizon)
        spread = scale * torch.rand(count, 1, 1, generator=generator, dtype=torch.float64)
        logits = tuple(
            spread * torch.randn(tree.shape(h), generator=generator, dtype=torch.float64) for h in range(horizon)
        )
        yield tree, logits


def tree_gradient(tree: PrefixTree, logits: Levels, *, coef: float | Tensor = 0.0) -> Tensor:
    """Return the exact gradient of each tree's regularised value in its own logits, flat: `[P, number of logits]`."""
    leaves = tuple(level.detach().requires_grad_() for level in logits)
    value = evaluate_tree(tree, tree_logprobs(tree, leaves), coef=coef).values[0].sum()
    gradients = torch.autograd.grad(value, leaves)
    return torch.cat([gradient.flatten(1) for gradient in gradients], -1)


def bias_bound(tree: PrefixTree) -> Tensor:
    """Return `H log A - log N*`, `[P]`: the price of the bonus per unit of coefficient; N* counts the best answers."""
    answers = torch.tensor(float(tree.rewards.shape[1]), dtype=torch.float64)
    return answers.log() - tree.optimal.sum(-1).double().log()


def lost(tree: PrefixTree, logprobs: Levels) -> Tensor:
    """Return `V* - V`, `[P]`: the reward that a policy gives away against the best answer."""
    return tree.rewards.amax(-1) - evaluate_tree(tree, logprobs).values[0].squeeze(-1)


def log_uniform(count: int, low: float, high: float, *, seed: int) -> Tensor:
    """Return `count` numbers whose logarithms are uniform between those of `low` and `high`."""
    u = torch.rand(count, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return low * (high / low) ** u


def _scatter(x: Tensor, y: Tensor, *, shown: Tensor, line: Series, title: str, x_label: str, y_label: str) -> Plot:
    """Draw at most about 1,500 trees as points, and a line to compare them with."""
    few = slice(None, None, max(1, len(x) // 1500))
    xs, ys = (values[few][shown[few]].tolist() for values in (x, y))
    points = Series(name="random tree", x=xs, y=ys, points=True)
    return Plot(title=title, x_label=x_label, y_label=y_label, series=(points, line), log_x=True, log_y=True)


# Proposition 1, first part: a policy without entropy has no gradient.
#
#     dV/dtheta_{s,a} = P(s) pi(a|s) A(s,a),   |A(s,a)| <= R (1 - pi(a|s)),   1 - x <= -log x
#     => |grad V|_2 <= |grad V|_1 <= R sum_s P(s) sum_a pi (1 - pi) <= R H(pi)
#
# R is the width of the interval that holds all rewards: 1 for 0/1, 2 for -1/+1 (the factor 2 of the paper).


@claim("theory", source="Shen, arXiv 2509.03493, Proposition 1 (i); proof with explicit constants rederived above.")
def gradient_norm_bound(quick: bool) -> Outcome:
    """The norm of the policy gradient is at most the reward's range times the policy's entropy."""
    # Try the bound on random trees.
    found: list[tuple[Tensor, Tensor, Tensor]] = []
    for tree, logits in samples(1000 if quick else 20_000, scale=6, seed=0):
        gradient = tree_gradient(tree, logits)
        entropies = evaluate_tree(tree, tree_logprobs(tree, logits)).entropy
        found.append((gradient.norm(dim=-1), gradient.abs().sum(-1), entropies))
    norm, absolute, entropy = map(torch.cat, zip(*found, strict=True))
    two, one = float((norm / entropy).max()), float((absolute / entropy).max())
    edge = torch.logspace(-4, float(entropy.max().log10()), 40).tolist()
    plot = _scatter(
        *(entropy, norm),
        shown=(entropy > 1e-4) & (norm > 1e-6),  # trees without anything to learn have norm 0
        line=Series(name="bound: R times entropy", x=edge, y=edge, reference=True),
        title="The gradient vanishes with the entropy",
        x_label="entropy of the policy over the answer (nats)",
        y_label="norm of the exact policy gradient",
    )
    return Outcome(
        verdict="holds" if one <= 1 + 1e-12 else "does not hold",
        figures={
            "trees": len(norm),
            "largest |grad|_2 / (R H)": two,
            "largest |grad|_1 / (R H)": one,
            "largest |grad|_2 where H < 0.05": float(norm[entropy < 0.05].max()),
        },
        seeds=(0,),
        plots=(plot,),
        remarks=(
            "Rewards lie in [0, 1], so R = 1. The largest ratios are those of a fair coin with one right side, "
            "1/(2 sqrt(2) log 2) = 0.510 and 1/(2 log 2) = 0.721. The logits are free per state; a network multiplies "
            "the bound by the norm of its Jacobian, so for a language model it is a tendency, not a theorem."
        ),
    )


# Proposition 1, second part: where the gradient is small the policy is good, by a constant that is hopelessly small.
#
# By the performance difference along one best answer a*_0 .. a*_{H-1} with prefixes s_0 .. s_{H-1}:
#
#     V* - V = sum_h A(s_h, a*_h) = sum_h (dV/dtheta_{s_h,a*_h}) / (P(s_h) pi(a*_h|s_h))
#            <= |grad V|_2 / C,        C = H^{-1/2} min_h P(s_h) pi(a*_h|s_h) = H^{-1/2} pi(best answer)


def _best_answer_probability(tree: PrefixTree, logprobs: Levels) -> Tensor:
    # Of several best answers the likeliest gives the largest C. The reach of an answer falls with every token, so
    # the least P(s_h) pi(a*_h|s_h) along the way is the last one, the probability of the whole answer.
    total = torch.zeros(tree.prompts, 1, dtype=torch.float64)
    for level in logprobs:
        total = (total.unsqueeze(-1) + level).flatten(1)
    return total.masked_fill(~tree.optimal, -torch.inf).amax(-1).exp()


@claim(
    "theory",
    source="Shen, arXiv 2509.03493, Proposition 1 (ii); the paper's C was not seen, the one here is derived above.",
)
def suboptimality_bound(quick: bool) -> Outcome:
    """A policy whose gradient has norm eps loses at most eps / C against the optimum."""
    # Try the bound on random trees, and see how much of it the constant leaves.
    found: list[tuple[Tensor, Tensor]] = []
    for tree, logits in samples(1000 if quick else 20_000, scale=2, seed=0):
        logprobs = tree_logprobs(tree, logits)
        constant = _best_answer_probability(tree, logprobs) / math.sqrt(tree.horizon)
        found.append((lost(tree, logprobs), tree_gradient(tree, logits).norm(dim=-1) / constant))
    gap, bound = map(torch.cat, zip(*found, strict=True))
    ratio = (gap / bound)[gap > 1e-9]
    plot = _scatter(
        *(bound, gap),
        shown=(gap > 1e-3) & (bound < 1e6),
        line=Series(name="equal", x=[1e-3, 1.0], y=[1e-3, 1.0], reference=True),
        title="The bound on what is lost, and what is lost",
        x_label="bound: gradient norm / C",
        y_label="V* - V",
    )
    return Outcome(
        verdict="holds" if float(ratio.max()) <= 1 + 1e-9 else "does not hold",
        figures={
            "trees": len(gap),
            "largest gap / bound": float(ratio.max()),
            "median gap / bound": float(ratio.median()),
            "share of trees where the bound says anything (< 1)": float((bound < 1).double().mean()),
            "log10 of C for an answer of 1000 tokens at 0.9 each": 1000 * math.log10(0.9) - 0.5 * math.log10(1000),
        },
        seeds=(0,),
        plots=(plot,),
        remarks=(
            "C is the probability the policy gives to one best answer. It is exponentially small in the length of the "
            "answer, so the bound describes a direction (a small gradient is bad news only for answers that are "
            "already unlikely), not a size."
        ),
    )


# The entropy-bias lemma: the cost of the bonus, however well it is optimised.
#
# Let pi* be uniform over the N* best answers. Then H(pi*) = log N*, and H(pi) <= H log A for every policy, so
#
#     V_l(pi*_l) - V_l(pi) >= V* + l log N* - V(pi) - l H log A
#     => V* - V(pi) <= [V_l(pi*_l) - V_l(pi)] + l (H log A - log N*)
#
# and the regularised optimum itself loses at most l (H log A - log N*) = l H log(A / N*^{1/H}).

_COEF = 0.05


def _bandit_bias(actions: int, optimal: int, coef: float) -> float:
    # One state, reward 1 or 0: the regularised optimum leaves the wrong actions (A - N) / (A - N + N e^{1/coef}).
    return 1 / (1 + optimal / (actions - optimal) * math.exp(1 / coef))


@claim(
    "theory",
    source='Shen, arXiv 2509.03493, as quoted by EPO (arXiv 2509.22576, "Entropy Bias"); proof rederived above.',
)
def entropy_bias_lemma(quick: bool) -> Outcome:
    """The optimum under the entropy bonus loses at most coef * H * log(A / N*^(1/H)) of the true optimum."""
    # Try both inequalities on random trees with random coefficients.
    count = 1000 if quick else 20_000
    lemma: list[Tensor] = []
    bias: list[Tensor] = []
    for tree, logits in samples(count, scale=3, seed=0):
        coef = log_uniform(count, 1e-3, 3.0, seed=1)
        best, best_policy = soft_tree_optimum(tree, coef=coef)
        logprobs = tree_logprobs(tree, logits)
        price = coef * bias_bound(tree)
        unoptimised = (best.values[0] - evaluate_tree(tree, logprobs, coef=coef).values[0]).squeeze(-1)
        lemma.append((lost(tree, logprobs) - unoptimised - price) / (1 + price))
        bias.append((lost(tree, best_policy) / price)[price > 1e-9])
    worst, tightest = float(torch.cat(lemma).max()), float(torch.cat(bias).max())
    coefs = torch.logspace(-2, 0, 60).tolist()
    lines = [
        Series(name=f"{optimal} right of {actions}", x=coefs, y=[_bandit_bias(actions, optimal, c) for c in coefs])
        for actions, optimal in ((100, 1), (100_000, 15), (100_000, 1))
    ]
    bound = Series(name="bound, 1 of 100000", x=coefs, y=[min(1.0, c * math.log(1e5)) for c in coefs], reference=True)
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
        plots=(
            Plot(
                title="What the regularised optimum loses",
                x_label="coefficient of the bonus",
                y_label="V* - V of the regularised optimum",
                series=(*lines, bound),
                log_x=True,
            ),
        ),
        remarks=(
            "The bias is not a slow leak: a state's wrong tokens take over once their number outweighs exp(1/coef). "
            "Below coef = 1/log(A/N*) it is negligible, above it nearly everything is lost."
        ),
    )


# Proposition 2: with the bonus, a small gradient means more, and the price is a bias.
#
#     V* - V <= eps^2 |D|^2 / (2 l C) + l (H log A - log N*),        eps = |grad V_l(D)|
#     C = min_s (P(s) min_a pi(a|s))^2 / P*_l(s)
#
# First term: with A_l = Q_l - l log pi - V_l, and l logsumexp(./l) being (1/l)-smooth in the largest entry,
# V_l* - V_l <= sum_s P*_l(s) max_a A_l(s,a)^2 / (2 l), while |grad V_l|^2 >= sum_s (P(s) min_a pi(a|s))^2 max_a A_l^2.
# P* is the reach of the regularised optimum. |D| prompts with logits of their own share the gradient's square, and V(D)
# is their mean: hence |D|^2 for each of them. Second term: the entropy-bias lemma.

_PROMPTS = 4
"""Trees that make a data set."""


def _ratios(tree: PrefixTree, logits: Levels, coef: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    logprobs = tree_logprobs(tree, logits)
    best, best_policy = soft_tree_optimum(tree, coef=coef)
    here = evaluate_tree(tree, logprobs, coef=coef)
    each = [
        ((p * logp.amin(-1).exp()).square() / q).amin(-1)
        for p, logp, q in zip(here.reach, logprobs, best.reach, strict=True)
    ]
    constant = torch.stack(each).amin(0)
    squared = tree_gradient(tree, logits, coef=coef).square().sum(-1)
    term, price = squared / (2 * coef * constant), coef * bias_bound(tree)
    missing, unoptimised = lost(tree, logprobs), (best.values[0] - here.values[0]).squeeze(-1)
    at_optimum = lost(tree, best_policy) / price.clamp(min=1e-300)
    # A data set of n prompts has V(D) = mean, so its squared gradient is sum / n^2, and n^2 of it is the sum.
    shared = squared.view(-1, _PROMPTS).sum(-1, keepdim=True).expand(-1, _PROMPTS).flatten() / (2 * coef * constant)
    return unoptimised / term, missing / (term + price), missing / (shared + price), at_optimum[price > 1e-9]


@claim("theory", source="Shen, arXiv 2509.03493, Proposition 2 (|D|^2 as in EPO, Corollary A.20); C derived above.")
def proposition_2(quick: bool) -> Outcome:
    """With the bonus, V* - V is at most eps^2 |D|^2 / (2 coef C) + coef H log(A / N*^(1/H))."""
    # Try the bound, and its optimisation term alone, on random trees alone and in data sets.
    count = 1000 if quick else 20_000
    results = [_ratios(*sample, log_uniform(count, 0.01, 1.0, seed=1)) for sample in samples(count, scale=2, seed=0)]
    optimisation, whole, dataset, exact = (torch.cat([r[i] for r in results]) for i in range(4))
    worst = max(float(part.max()) for part in (optimisation, whole, dataset))
    share = torch.linspace(0, 1, 200, dtype=torch.float64)
    lines: list[Series] = []
    for name, ratio in (("optimisation term alone", optimisation), ("whole bound", whole)):
        ordered = ratio.sort().values[(share * (len(ratio) - 1)).long()]
        shown = ordered > 1e-8
        lines.append(Series(name=name, x=ordered[shown].tolist(), y=share[shown].tolist()))
    return Outcome(
        verdict="holds" if worst <= 1 + 1e-9 else "does not hold",
        figures={
            "trees": len(whole),
            "tightest optimisation term (V_l* - V_l) / bound": float(optimisation.max()),
            "tightest whole bound, single prompts": float(whole.max()),
            f"tightest whole bound, data sets of {_PROMPTS}": float(dataset.max()),
            "median whole bound, single prompts": float(whole.median()),
            "tightest at the regularised optimum (bias only)": float(exact.max()),
        },
        seeds=(0, 1),
        plots=(
            Plot(
                title="How tight Proposition 2 is on random trees",
                x_label="what is lost / what the bound allows (never above 1)",
                y_label="share of trees below",
                series=tuple(lines),
                log_x=True,
            ),
        ),
        remarks=(
            "The paper's constant was not seen; C is the one derived above. The bound holds everywhere and is loose "
            "nearly everywhere (C contains the square of the least likely action). Its message survives: the first "
            "term can be trained away, the second cannot."
        ),
    )
