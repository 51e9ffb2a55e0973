from __future__ import annotations

from typing import Any

from entrostat.controllers import Constant, Controller
from entrostat.errors import require
from entrostat.measures import Nucleus, TopK
from entrostat.recipes._base import Recipe, recipe
from entrostat.terms import EntropyBonus


@recipe(acts_on="loss term", paper="huang2026tre", embedded={"parameters": {"top_p": 0.99, "coef": 0.02}})
def tre(
    *,
    keep: int | None = None,
    top_p: float | None = None,
    coef: float = 0.001,
    controller: Controller[Any] | None = None,
    rescale: bool = True,
) -> Recipe:
    """TRE: an entropy bonus on the plausible tokens only, the top k or the nucleus.

        L  = L_host - coef c (1/N) sum_{b,t} Hk_{b,t}
        Hk = entropy on the `keep` likeliest tokens (TRE-K) or on the nucleus of mass `top_p` (TRE-P), renormalised
        c  = log V / log keep for TRE-K if `rescale`, else 1

    The policy is paid for spreading over the plausible tokens, not for waking up the tail.

    How sure: high on the renormalised entropy (abstract and code agree), medium on the rest: the defaults are those of
    the authors' MATH scripts, which train with PPO, `keep=2` or `top_p=0.99`; we did not read the paper's own text.

    Args:
        keep: number of likeliest tokens, at least 2; authors' scripts: 2.
        top_p: probability of the nucleus instead; 0.99 if neither is given, as in the authors' scripts.
        coef: a constant coefficient, where no controller is given.
        controller: a control law in its place; it is fed `Hk`, without the factor.
        rescale: with `keep`, multiply by `log V / log keep`, the largest entropy of all tokens over that of `keep`, as
            the authors' code does. It is 17 for 2 of 151,936 tokens.

    Raises:
        ValueError: both `keep` and `top_p`, `keep` below 2, or a setting that the parts reject.

    Reference:
        Huang et al., "TRE: Encouraging Exploration in the Trust Region", arXiv 2602.03635, and its code.

    Example:
        >>> tre(keep=2).terms, tre().measure
        ((EntropyBonus(keep=2, estimator='smoothed'),), Nucleus(top_p=0.99, crossing=True))
    """
    if keep is not None and top_p is not None:
        raise ValueError(f"`keep` and `top_p` exclude each other, got keep={keep}, top_p={top_p}. Give one of them.")
    if keep is not None:
        require(keep >= 2, "keep", "be at least 2", keep, "One token has no entropy.")
    return Recipe(
        measure=Nucleus(top_p=0.99 if top_p is None else top_p) if keep is None else TopK(k=keep),
        controller=Constant(coef=coef) if controller is None else controller,
        terms=(EntropyBonus(keep=keep if rescale else None),),
    )
