from __future__ import annotations

from typing import Any

from entrostat.controllers import Constant, Controller
from entrostat.losses import SequenceEstimator
from entrostat.measures import Measure, Shannon
from entrostat.recipes._base import Recipe, recipe
from entrostat.terms import EntropyBonus


@recipe(acts_on="loss term", paper="williams1991function", embedded={"parameters": {"coef": 0.03}})
def entropy_bonus(
    *,
    coef: float | None = None,
    controller: Controller[Any] | None = None,
    measure: Measure | None = None,
    estimator: SequenceEstimator = "smoothed",
) -> Recipe:
    """The ordinary entropy bonus, over the whole vocabulary.

        L = L_host - coef (1/N) sum_{b,t} H_{b,t}

    How sure: high; it is what every library means by the name, up to the normalisation. Ours is the mean over all
    response tokens of the step, on all ranks, whatever the host's `loss_type`.

    Args:
        coef: a constant coefficient. No default: what helps one model makes another babble.
        controller: a control law in place of the constant.
        measure: the entropy that is paid for; Shannon, of the full distribution, if None.
        estimator: of the sequence's entropy: `"smoothed"` pays each token's own entropy; `"smoothed_unbiased"` also
            pays a token for the entropy that comes after it; `"crude"` uses log-probs alone and takes no measure.

    Raises:
        ValueError: neither or both of `coef` and `controller`; a measure beside `"crude"`; an unknown estimator.

    Reference:
        Williams and Peng 1991; Mnih et al. 2016 (A3C). What it does to a language model: Shen, arXiv 2509.03493.

    Example:
        >>> entropy_bonus(coef=0.001).controller
        Constant(coef=0.001)
    """
    law: Controller[Any] | None = controller if coef is None else Constant(coef=coef)
    if law is None or (coef is not None and controller is not None):
        given = f"coef={coef!r}, controller={controller!r}"
        raise ValueError(f"`entropy_bonus` needs exactly one of `coef` and `controller`, got {given}.")
    if estimator == "crude" and measure is not None:
        raise ValueError(f"`estimator='crude'` estimates the Shannon entropy and takes no `measure`, got {measure!r}.")
    return Recipe(measure=measure or Shannon(), controller=law, terms=(EntropyBonus(estimator=estimator),))
