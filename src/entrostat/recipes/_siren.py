from __future__ import annotations

from entrostat.controllers import SquaredAnchor
from entrostat.measures import Nucleus
from entrostat.recipes._base import Recipe, recipe
from entrostat.terms import PeakEntropy


@recipe(acts_on="loss term", paper="jiang2025rethinking", embedded={"parameters": {"beta": 0.1}})
def siren(*, beta: float = 0.005, top_p: float = 0.8, quantile: float = 0.8, crossing: bool = True) -> Recipe:
    """SIREN: the nucleus entropy at each response's entropy peaks, tied to its first value.

        H~_{b,t} = entropy on the nucleus of mass top_p, renormalised
        h        = mean over responses of the mean of H~ over the positions strictly above the response's quantile
        L        = L_host + beta (h - h_first)^2,      by its gradient 2 beta (h - h_first) dh

    `h_first` is `h` of the first rollouts, kept from then on; a response without such a position counts as 0. It pulls
    both ways: up when `h` is below its first value, down when above.

    How sure: high, on the authors' code. Three differences. The `h` in front is the mean over all fresh rollouts of all
    ranks, without gradient, measured before the first update on them; the code squares the noisy mean of a micro-batch.
    The nucleus holds its crossing token (`crossing=False` is the code). The code looks at the 10,000 likeliest tokens
    only; here all are looked at. The host's loss is the host's: the authors used Dr. GRPO (TRL: `loss_type="dr_grpo"`,
    `scale_rewards=False`) without a reference.

    Args:
        beta: strength of the pull.
        top_p: probability of the nucleus.
        quantile: share of each response's positions to leave out.
        crossing: keep the token that crosses `top_p`. The code drops it; where one token holds `top_p` alone, the
            entropy and its gradient are then 0.

    Raises:
        ValueError: a setting that the parts reject.

    Reference:
        Jiang et al., "Rethinking Entropy Regularization in Large Reasoning Models", arXiv 2509.25133, and its code.

    Example:
        >>> siren().measure, siren().window
        (Nucleus(top_p=0.8, crossing=True), 'fresh')
    """
    # One object is the signal and the term, so that the anchor and the gradient are of the same positions.
    peaks = PeakEntropy(quantile=quantile)
    return Recipe(
        measure=Nucleus(top_p=top_p, crossing=crossing),
        controller=SquaredAnchor(beta=beta),
        signal=peaks,
        terms=(peaks,),
        window="fresh",
    )
