"""TRE: an entropy bonus on the plausible tokens only, the top k or the nucleus."""

from __future__ import annotations

from typing import Any

from entrostat.controllers import Constant, Controller
from entrostat.errors import require
from entrostat.measures import Nucleus, TopK
from entrostat.recipes._base import Paper, Recipe
from entrostat.terms import EntropyBonus

ACTS_ON = "loss term"
PAPER = Paper(
    title="TRE: Encouraging Exploration in the Trust Region",
    authors="Chao Huang and others",
    year=2026,
    url="https://arxiv.org/abs/2602.03635",
    bibtex="""@article{huang2026tre,
  title   = {{TRE}: Encouraging Exploration in the Trust Region},
  author  = {Huang, Chao and Lu, Yujing and Li, Quangang and Wang, Shenghe and Wang, Yan and Zhang, Yueyang and
             Xia, Long and Zhao, Jiashu and Sun, Zhiyuan and Shi, Daiting and Liu, Tingwen},
  journal = {arXiv preprint arXiv:2602.03635},
  year    = {2026}
}""",
)


def tre(
    *,
    keep: int | None = None,
    top_p: float | None = None,
    coef: float = 0.001,
    controller: Controller[Any] | None = None,
    rescale: bool = True,
) -> Recipe:
    """Trust-region entropy: pay for spreading over the plausible tokens, not for waking up the tail.

        L  = L_host - coef c (1/N) sum_{b,t} Hk_{b,t}
        Hk = entropy on the `keep` likeliest tokens (TRE-K) or on the nucleus of mass `top_p` (TRE-P), renormalised
        c  = log V / log keep for TRE-K if `rescale`, else 1

    How sure: high on the renormalised entropy (abstract and code agree), medium on the rest: the defaults are those of
    the authors' MATH scripts, which train with PPO, `keep=2` or `top_p=0.99`; we did not read the paper's own text.

    Args:
        keep: number of likeliest tokens, at least 2; authors' scripts: 2.
        top_p: probability of the nucleus instead; 0.99 if neither is given, as in the authors' scripts.
        coef: a constant coefficient, where no controller is given.
        controller: a control law in its place; it is fed `Hk`, without the factor.
        rescale: with `keep`, multiply by `log V / log keep`, the largest entropy of all tokens over that of `keep`, as
            the authors' code does. It is 17 for 2 of 151,936 tokens.

    Returns:
        The recipe.

    Raises:
        ValueError: both `keep` and `top_p`, `keep` below 2, or a setting the parts refuse.

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
        name="tre",
        summary="An entropy bonus on the plausible tokens only, top k or nucleus (TRE).",
        measure=Nucleus(top_p=0.99 if top_p is None else top_p) if keep is None else TopK(k=keep),
        controller=Constant(coef=coef) if controller is None else controller,
        terms=(EntropyBonus(keep=keep if rescale else None),),
        paper=PAPER,
        parameters={"keep": keep, "top_p": top_p, "coef": coef, "controller": controller, "rescale": rescale},
    )
