"""The effect of one optimisation step on the probabilities and on the entropy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from entrostat.lab._claim import Outcome, Plot, Series, claim
from entrostat.lab._policy import entropy, kept_mask
from entrostat.lab.theory.toy import METHODS, Method

# One step of optimisation without a bonus, with the full bonus, with the clamped bonus.
#
# One exact ascent step from a Zipf policy whose right tokens stand from rank 20 on:
#
#     g_a = p_a (r_a - V)                                   the policy gradient
#         - coef p_a (log p_a + H)                          the full bonus, all tokens
#         - coef q_a (log q_a + H~) on A(s), 0 elsewhere    the clamped bonus, q = p renormalised on A(s)
#
# The step is the gradient scaled to move the fastest logit by STEP, and, since no language model is trained by plain
# gradients, Adam's first step as well: STEP times the gradient's sign.

Rule = Literal["gradient", "Adam"]

VOCABS = (100, 1000, 10_000, 100_000)
RIGHT = (15, 10, 5, 1)

FIRST, STEP, COEF, CLAMP = 20, 0.5, 0.1, 0.33


@dataclass(frozen=True)
class Moved:
    """The factor by which one step multiplied the probability of each kind of token."""

    right: float
    wrong_kept: float
    removed: float


def one_step(vocab: int, right: int, method: Method, rule: Rule, clamp: float = CLAMP) -> Moved:
    """Return how the probabilities of right, kept wrong and removed tokens changed."""
    logits = -torch.arange(1, vocab + 1, dtype=torch.float64).log()
    paying = torch.zeros(vocab, dtype=torch.bool)
    paying[FIRST - 1 : FIRST - 1 + right] = True
    kept = kept_mask(logits, clamp)
    p = logits.softmax(-1)
    gradient = p * (paying.double() - p[paying].sum())
    if method != "none":
        q = logits.masked_fill(~kept, -torch.inf).softmax(-1) if method == "clamped" else p
        gradient = gradient - COEF * q * (q.where(q > 0, 1).log() + entropy(q))
    move = gradient.sign() if rule == "Adam" else gradient / gradient.abs().max()
    after = (logits + STEP * move).softmax(-1)
    groups = (paying, kept & ~paying, ~kept & ~paying)
    return Moved(*(float(after[group].sum() / p[group].sum()) for group in groups))


def _plots(moved: dict[tuple[Rule, Method, int, int], Moved], vocabs: tuple[int, ...]) -> tuple[Plot, ...]:
    def lines(rule: Rule, kind: str, cases: list[tuple[int, int]], x: tuple[int, ...]) -> tuple[Series, ...]:
        names = {"none": "no bonus", "entropy": "full bonus", "clamped": "clamped bonus"}
        return tuple(
            Series(name=names[method], x=x, y=[getattr(moved[rule, method, *case], kind) for case in cases])
            for method in METHODS
        )

    def plot(title: str, x_label: str, series: tuple[Series, ...]) -> Plot:
        return Plot(title=title, x_label=x_label, y_label="probability after / before", series=series, log_x=True)

    over_vocabs = [(vocab, 1) for vocab in vocabs]
    over_right = [(vocabs[-1], right) for right in RIGHT]
    return (
        plot("Adam: the right token", "vocabulary", lines("Adam", "right", over_vocabs, vocabs)),
        plot("Adam: the tokens a clamp removes", "vocabulary", lines("Adam", "removed", over_vocabs, vocabs)),
        plot(f"Adam: right tokens, {vocabs[-1]} in all", "right tokens", lines("Adam", "right", over_right, RIGHT)),
        plot("Plain gradient: the right token", "vocabulary", lines("gradient", "right", over_vocabs, vocabs)),
        plot("Plain gradient: removed tokens", "vocabulary", lines("gradient", "removed", over_vocabs, vocabs)),
    )


@claim("theory", source="After the one-step figure of Shen, arXiv 2509.03493 (its numbers are not known).")
def one_step_policy(quick: bool) -> Outcome:
    """In one step the full bonus lifts the tokens a clamp would remove; the clamped bonus lifts them less."""
    # Take the step for every vocabulary, number of right tokens, bonus and rule.
    vocabs = VOCABS[:3] if quick else VOCABS
    rules: tuple[Rule, ...] = ("gradient", "Adam")
    moved: dict[tuple[Rule, Method, int, int], Moved] = {
        (rule, method, vocab, right): one_step(vocab, right, method, rule)
        for rule in rules
        for method in METHODS
        for vocab in vocabs
        for right in RIGHT
    }
    large = vocabs[-1]
    figures: dict[str, float | str] = {}
    for rule in rules:
        for method in METHODS:
            it = moved[rule, method, large, 1]
            figures[f"{rule}, {method}: right x"] = it.right
            figures[f"{rule}, {method}: removed tokens x"] = it.removed
    full = [m for (_, method, *_), m in moved.items() if method == "entropy"]
    clamped = [m for (_, method, *_), m in moved.items() if method == "clamped"]
    others = [*clamped, *(m for (_, method, *_), m in moved.items() if method == "none")]
    pairs = list(zip(clamped, full, strict=True))
    figures["least growth of removed tokens under the full bonus"] = min(m.removed for m in full)
    figures["largest growth of removed tokens without or with the clamped bonus"] = max(m.removed for m in others)
    figures["least growth of right tokens, clamped / full"] = min(c.right / f.right for c, f in pairs)
    fits = min(m.removed for m in full) > 1 and all(c.removed < f.removed for c, f in pairs)
    return Outcome(
        verdict="holds" if fits else "does not hold",
        figures=figures,
        plots=_plots(moved, vocabs),
        remarks=(
            f"Computed, no sampling: Zipf policy (p ~ 1/rank), right tokens from rank {FIRST} on, coef {COEF}, clamp "
            f"{CLAMP}, largest logit move {STEP}; figures at {large} tokens with 1 right. The numbers of the paper's "
            "figure are not known. Under the gradient rule the two bonuses differ in the fourth digit only: a removed "
            "token has so little probability that its own pull hardly counts. It takes Adam, which moves every logit "
            "alike, to make the clamp visible in one step."
        ),
    )


# The effect of a policy-gradient step on the entropy, and the single tokens that raise it.
#
# With dH/dz_a = -p_a (log p_a + H), a small change dz of the logits changes the entropy by
#
#     dH = -sum_a p_a (log p_a + H) dz_a = -Cov_p(log p, dz)
#     policy gradient   dz = eta p A:        dH = -eta Cov_p(log p, p A)
#     natural gradient  dz = eta A:          dH = -eta Cov_p(log p, A)
#     one token a       dz = eta A (e_a-p):  dH = -eta A [p_a (log p_a + H) - sum_j p_j^2 (log p_j + H)]
#
# The last sum is Cov_p(p, log p) >= 0, so a token with p_a <= e^{-H} makes the bracket negative, always: rewarding an
# unlikely token raises the entropy, punishing it lowers it. For likely tokens the two terms fight.

_TOKENS = 9


def _error(logits: Tensor, advantages: Tensor, step: float) -> float:
    p, logp = logits.softmax(-1), logits.log_softmax(-1)
    centred = advantages - (p * advantages).sum(-1, keepdim=True)
    worst = 0.0
    for change in (p * centred, centred):
        real = entropy((logits + step * change).softmax(-1)) - entropy(p)
        covariance = (p * logp * change).sum(-1) - (p * logp).sum(-1) * (p * change).sum(-1)
        worst = max(worst, float((real + step * covariance).abs().max()))
    return worst


def _bracket(logits: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    p, logp = logits.softmax(-1), logits.log_softmax(-1)
    each = p * (logp + entropy(p).unsqueeze(-1))
    return p, logp, each - (p * each).sum(-1, keepdim=True)


def _single_token_error(logits: Tensor, advantage: Tensor) -> float:
    # Central differences with the first token as the one drawn.
    p, _, bracket = _bracket(logits)
    direction = -p * advantage.unsqueeze(-1)
    direction[:, 0] += advantage
    h = 1e-5
    ahead, behind = (entropy((logits + s * h * direction).softmax(-1)) for s in (1, -1))
    return float(((ahead - behind) / (2 * h) + advantage * bracket[:, 0]).abs().max())


def _signs(logits: Tensor) -> tuple[dict[str, float], Plot]:
    p, logp, bracket = _bracket(logits)
    drawn = torch.randint(_TOKENS, (len(p), 1), generator=torch.Generator().manual_seed(2))
    surprise = (-logp.gather(-1, drawn)).squeeze(-1) - entropy(p)
    raises = bracket.gather(-1, drawn).squeeze(-1) < 0  # of a rewarded token; a punished one does the opposite
    unlikely = surprise >= 0
    low, high = float(raises[unlikely].double().mean()), float(raises[~unlikely].double().mean())
    table = {
        "rewarded, p <= e^-H: share that raises H": low,
        "punished, p <= e^-H: share that lowers H": low,
        "rewarded, p > e^-H: share that lowers H": 1 - high,
        "punished, p > e^-H: share that raises H": 1 - high,
    }
    edges = torch.linspace(-2, 3, 41, dtype=torch.float64)
    centres = (edges[1:] + edges[:-1]) / 2
    bins = torch.bucketize(surprise, edges) - 1
    share = [float(raises[bins == i].double().mean()) for i in range(len(centres))]
    plot = Plot(
        title="Which rewarded tokens raise the entropy",
        x_label="surprise of the token minus the entropy, -log p - H (nats)",
        y_label="share of random policies",
        series=(Series(name="rewarded token raises the entropy", x=centres.tolist(), y=share),),
    )
    return table, plot


@claim("theory", source="Cui et al., arXiv 2505.22617 (covariance); single-token form derived above.")
def entropy_change_covariance(quick: bool) -> Outcome:
    """A policy-gradient step changes the entropy by minus a covariance with log p; rewarding a token rarer than e^-H
    always raises it, punishing one always lowers it.
    """
    # Compare the identities with real steps, and count the signs of single-token updates.
    count = 20_000 if quick else 200_000
    rng = torch.Generator().manual_seed(0)
    spread = 0.3 + 2.7 * torch.rand(count, 1, generator=rng, dtype=torch.float64)
    logits = spread * torch.randn(count, _TOKENS, generator=rng, dtype=torch.float64)
    advantages = torch.randn(count, _TOKENS, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    errors = {step: _error(logits, advantages, step) for step in (1e-2, 5e-3)}
    single = _single_token_error(logits, advantages[:, 0])
    table, plot = _signs(logits)
    fits = (
        single < 1e-6 and errors[5e-3] < 0.3 * errors[1e-2] and table["rewarded, p <= e^-H: share that raises H"] == 1
    )
    return Outcome(
        verdict="holds" if fits else "does not hold",
        figures={
            "categoricals": count,
            "largest error of the two identities, step 0.01": errors[1e-2],
            "the same, step 0.005 (a quarter: second order)": errors[5e-3],
            "largest error of the single-token formula": single,
            **table,
        },
        seeds=(0, 1, 2),
        plots=(plot,),
        remarks=(
            "Exact on the unlikely side, a tendency on the likely side: how often it holds there depends on the "
            f"distributions drawn (here softmax of normal logits over {_TOKENS} tokens, standard deviation uniform in "
            "0.3 to 3, the token drawn uniformly)."
        ),
    )
