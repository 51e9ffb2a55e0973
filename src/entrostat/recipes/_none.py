"""No entropy control: the host's objective as it is, with our measurements beside it."""

from __future__ import annotations

from entrostat.controllers import Constant
from entrostat.measures import Shannon
from entrostat.recipes._base import Recipe

ACTS_ON = "nothing"


def none() -> Recipe:
    """The host's own objective, untouched. The baseline every comparison needs.

    Returns:
        A recipe without edits or terms; entropy is measured and logged.

    Example:
        >>> none().terms
        ()
    """
    return Recipe(
        name="none",
        summary="The host's objective untouched; entropy is only measured.",
        measure=Shannon(),
        controller=Constant(coef=0.0),
    )
