from __future__ import annotations

from typing import Any, Literal

from entrostat.controllers import Controller, Relay, Step
from entrostat.edits import SurprisalWeights
from entrostat.errors import require, require_choice, require_finite
from entrostat.recipes._base import Recipe, recipe

Variant = Literal["O1", "C2"]


@recipe(acts_on="advantages, by a gate", paper="luo2026stare", embedded={"parameters": {"target": 0.4}})
def stare(
    *,
    target: float = 0.3,
    share: float = 0.1,
    rise: float = 1.1,
    fall: float = 0.9,
    variant: Variant = "O1",
    adaptive: bool = False,
    rate: float = 0.01,
    most: float = 1.5,
) -> Recipe:
    """STARE: while entropy is below its target, the most surprising tokens count a little more.

        gate = 1[H < target]                        H = mean entropy of the fresh rollouts, all ranks
        w = rise on the ceil(share n+) most surprising of the n+ tokens with A > 0        while the gate is open
        w = fall on the ceil(share n-) most surprising of those with A < 0                variant C2 alone
        A' = w A

    With the gate shut the batch is the host's own, bit for bit. One-sided: it only ever raises entropy.

    How sure: high, from the official code's digest. That code selects per rank; here all ranks of a micro-batch share
    one selection. In the adaptive mode `fall` moves in proportion to `rise`; with the published settings, which are
    symmetric, that is the published law but for its lower limit, which here mirrors `most`.

    Args:
        target: nats per token (published: 0.3, for its models; choose yours).
        share: share of the tokens of either sign that is selected.
        rise: weight of surprising tokens with A > 0, above 1 (published: 1.1; 1.05 for 14B and 32B).
        fall: weight of surprising tokens with A < 0, variant C2, at most 1 (published: 0.9; 0.95).
        variant: `"O1"` raises positive tokens only, `"C2"` also spares negative ones.
        adaptive: move the weights by a step per rollout batch, towards 1 above the target and away from it below.
        rate: that step (published: 0.01).
        most: largest `rise` in the adaptive mode (published: 1.5).

    Raises:
        ValueError: weights on the wrong side of 1, an unknown variant, or a setting that the parts reject.

    Reference:
        Luo et al., "STARE", arXiv 2606.19236.

    Example:
        >>> stare().controller
        Relay(threshold=0.3, below=0.1, above=0.0, inclusive=False)
    """
    require(require_finite("rise", rise) > 1, "rise", "be above 1", rise)
    require(0 <= require_finite("fall", fall) <= 1, "fall", "lie in [0, 1]", fall)
    require_choice("variant", variant, Variant)
    # Rounded: 1.1 - 1 is no 0.1 in floating point, and the coefficient is printed.
    excess = round(rise - 1, 12)
    law: Controller[Any] = Relay(threshold=target, below=excess, above=0.0)
    if adaptive:
        require(most >= rise, "most", f"be at least `rise`={rise!r}", most)
        law = Step(target=target, delta=rate, floor=0.0, ceiling=round(most - 1, 12), initial=excess)
    falls = (1 - fall) / excess if variant == "C2" else 0.0
    return Recipe(controller=law, edits=(SurprisalWeights(share=share, falls=falls),), window="fresh")
