from __future__ import annotations

from entrostat.recipes._base import Recipe, recipe


@recipe(acts_on="nothing")
def none() -> Recipe:
    """The host's own objective, untouched; entropy is only measured.

    It is the baseline that every comparison needs.

    Returns:
        A recipe without edits or terms; entropy is measured and logged.

    Example:
        >>> none().terms
        ()
    """
    return Recipe()
