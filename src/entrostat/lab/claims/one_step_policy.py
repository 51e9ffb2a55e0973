"""Where one step of optimisation puts the probability: no bonus, full bonus, clamped bonus.

One exact ascent step from a Zipf policy whose right tokens stand from rank 20 on:

    g_a = p_a (r_a - V)                                   the policy gradient
        - coef p_a (log p_a + H)                          the full bonus, all tokens
        - coef q_a (log q_a + H~) on A(s), 0 elsewhere    the clamped bonus, q = p renormalised on A(s)

The step is the gradient scaled to move the fastest logit by `STEP`, and, since no language model is trained by plain
gradients, Adam's first step as well: `STEP` times the gradient's sign.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from entrostat.lab import Claim, Outcome, Plot, Series, main
from entrostat.lab._policy import kept_mask
from entrostat.lab._toy import METHODS, Method

Rule = Literal["gradient", "Adam"]
VOCABS = (100, 1000, 10_000, 100_000)
RIGHT = (15, 10, 5, 1)
FIRST, STEP, COEF, CLAMP = 20, 0.5, 0.1, 0.33


@dataclass(frozen=True)
class Moved:
    """By what factor one step multiplied the probability of each kind of token."""

    right: float
    wrong_kept: float
    removed: float


def check(quick: bool) -> Outcome:
    """Take the step for every vocabulary, number of right tokens, bonus and rule."""
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
    others = [m for (_, method, *_), m in moved.items() if method != "entropy"]
    right_gain = min(
        moved[rule, "clamped", vocab, right].right / moved[rule, "entropy", vocab, right].right
        for rule in rules
        for vocab in vocabs
        for right in RIGHT
    )
    figures["least growth of removed tokens under the full bonus"] = min(m.removed for m in full)
    figures["largest growth of removed tokens without or with the clamped bonus"] = max(m.removed for m in others)
    figures["least growth of right tokens, clamped / full"] = right_gain
    fits = min(m.removed for m in full) > 1 and all(
        moved[rule, "clamped", v, r].removed < moved[rule, "entropy", v, r].removed
        for rule in rules
        for v in vocabs
        for r in RIGHT
    )
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


def one_step(vocab: int, right: int, method: Method, rule: Rule, clamp: float = CLAMP) -> Moved:
    """Return how the probabilities of right, kept wrong and removed tokens changed."""
    logits = -torch.arange(1, vocab + 1, dtype=torch.float64).log()
    paying = torch.zeros(vocab, dtype=torch.bool)
    paying[FIRST - 1 : FIRST - 1 + right] = True
    kept = kept_mask(logits, clamp)
    p = logits.softmax(-1)
    gradient = p * (paying.double() - p[paying].sum())
    if method != "none":
        gradient = gradient + COEF * _entropy_gradient(logits, kept if method == "clamped" else torch.ones_like(kept))
    move = gradient.sign() if rule == "Adam" else gradient / gradient.abs().max()
    after = (logits + STEP * move).softmax(-1)
    groups = (paying, kept & ~paying, ~kept & ~paying)
    return Moved(*(float(after[group].sum() / p[group].sum()) for group in groups))


def _entropy_gradient(logits: Tensor, kept: Tensor) -> Tensor:
    logq = logits.masked_fill(~kept, -torch.inf).log_softmax(-1)
    q = logq.exp()
    finite = logq.masked_fill(~kept, 0)
    return -q * (finite - (q * finite).sum())


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


CLAIM = Claim(
    name="one_step_policy",
    statement="In one step the full bonus lifts the tokens a clamp would remove; the clamped bonus lifts them less.",
    source="After the one-step figure of Shen, arXiv 2509.03493 (its numbers are not known).",
    check=check,
    topic="theory",
)

if __name__ == "__main__":
    main(CLAIM)
