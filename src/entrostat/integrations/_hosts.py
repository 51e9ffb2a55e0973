"""What the hooks into every host ask: is the release one we know, what does the recipe measure and steer by?"""

from __future__ import annotations

from torch import Tensor

from entrostat.batch import TokenBatch
from entrostat.recipes import Recipe


def in_range(version: str, supported: tuple[str, str]) -> bool:
    """Whether a release lies in `[first, beyond)`, compared by major and minor number.

    Example:
        >>> [in_range(version, ("1.15", "1.17")) for version in ("1.16.0", "1.17.0", "0.24.0")]
        [True, False, False]
    """
    release = tuple(int(part) for part in version.split(".")[:2])
    first, beyond = (tuple(int(part) for part in bound.split(".")) for bound in supported)
    return first <= release < beyond


def measure_scale(recipe: Recipe, vocab: int, who: str) -> float:
    """Return the factor from the entropy that a host's kernel gives to the recipe's measure.

    Args:
        recipe: the recipe.
        vocab: tokens in the vocabulary.
        who: what gives the entropy and cannot give the measure, for the error.

    Raises:
        ValueError: the measure is no multiple of an entropy by support.
    """
    scale = recipe.measure.fused_scale(vocab)
    if scale is None:
        raise ValueError(
            f"recipe {recipe.name!r} measures {recipe.measure!r}, which {who}. "
            "Use a measure by support (Shannon, Clamped, TopK, Nucleus, Normalized)."
        )
    return scale


def signal(recipe: Recipe, batch: TokenBatch) -> tuple[Tensor, Tensor]:
    """Return what the controller is fed, and where it counts."""
    return (batch.clamped_entropy, batch.mask) if recipe.signal is None else recipe.signal.read(batch)
