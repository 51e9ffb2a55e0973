from __future__ import annotations

from typing import Any, Literal

from entrostat.controllers import Annealed, Band, Controller
from entrostat.measures import Clamped, Measure, Nucleus, TopK
from entrostat.recipes._base import Recipe, recipe
from entrostat.terms import EntropyBonus


@recipe(
    acts_on="loss term",
    paper="shen2025entropy",
    embedded={"parameters": {"low": 0.2, "high": 0.4, "initial": 0.02, "rate": 0.03, "floor": 0.0, "ceiling": 0.2}},
)
def aent(
    *,
    low: float | str,
    high: float | str,
    clamp: float | None = None,
    keep: int | None = None,
    top_p: float | None = None,
    initial: float = 0.002,
    rate: float = 0.002,
    floor: float = 6e-4,
    ceiling: float = 9e-3,
    warmup: int = 30,
    window: Literal["step", "rollout"] = "step",
    anneal: float = 0.0,
) -> Recipe:
    """AEnt: a bonus on the entropy of the clamped policy, its coefficient steered to keep that entropy in a band.

        L = L_host - coef (1/N) sum_{b,t} Hk_{b,t}
        coef <- clip(coef - rate (min(0, h - low) + max(0, h - high)), floor, ceiling)

    `Hk` is the entropy of the policy without its `int(clamp V)` least likely tokens, renormalised; `h` its mean over
    the window just closed. Inside the band the coefficient rests. The defaults are those of the paper's MATH run
    (Qwen2.5-Math-1.5B).

    How sure: bonus, clamp and control law agree between the paper's digests and both published implementations. The
    published code averages `h` over micro-batches of unequal length and, on verl, over rank 0 only; ours is the mean
    over all tokens of all ranks.

    Args:
        low: lower edge of the band, nats per token, or a share of the entropy during warm-up ("40%"). No default: bands
            of two models need not overlap (the paper used 0.15 to 0.24 for one and 0.35 to 0.62 for another).
        high: upper edge, in the unit of `low`.
        clamp: share of the vocabulary to drop (paper: 0.25, 0.33); 0.33 if no `clamp`, `keep` or `top_p` is given.
        keep: number of likeliest tokens to keep, instead. The published shares are almost inert on a peaked policy;
            a count that holds only the plausible tokens is not.
        top_p: probability to keep, instead.
        initial: coefficient until the band acts.
        rate: how far one nat outside the band moves the coefficient per update.
        floor: smallest coefficient.
        ceiling: largest coefficient.
        warmup: updates during which the coefficient stays at `initial`, the bonus being paid.
        window: move the coefficient once per optimizer step, or once per rollout batch as the published runs did.
        anneal: share of the run, at its end, over which the coefficient falls to zero; 0 for none (the paper's).

    Raises:
        ValueError: two of `clamp`, `keep`, `top_p`, or a setting that the parts reject.

    Reference:
        Shen, "On Entropy Control in LLM-RL Algorithms", arXiv 2509.03493.

    Example:
        >>> recipe = aent(clamp=0.33, low=0.15, high=0.24)
        >>> recipe.measure
        Clamped(clamp=0.33)
    """
    band = Band(low=low, high=high, rate=rate, floor=floor, ceiling=ceiling, initial=initial, warmup=warmup)
    controller: Controller[Any] = Annealed(band, last=anneal) if anneal else band
    return Recipe(
        measure=_measure(clamp, keep, top_p),
        controller=controller,
        terms=(EntropyBonus(),),
        needs=frozenset({"total_steps"}) if anneal else frozenset(),
        window=window,
    )


def _measure(clamp: float | None, keep: int | None, top_p: float | None) -> Measure:
    given = {name: value for name, value in (("clamp", clamp), ("keep", keep), ("top_p", top_p)) if value is not None}
    if len(given) > 1:
        raise ValueError(f"`clamp`, `keep` and `top_p` exclude each other, got {given}. Give one of them.")
    if keep is not None:
        return TopK(k=keep)
    if top_p is not None:
        return Nucleus(top_p=top_p)
    return Clamped(clamp=0.33 if clamp is None else clamp)
