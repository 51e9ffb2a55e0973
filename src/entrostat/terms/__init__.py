"""Terms: what a recipe adds to the host's loss, per token. One idea per file."""

from entrostat.terms._base import Term as Term
from entrostat.terms._entropy_bonus import EntropyBonus as EntropyBonus

__all__ = ["EntropyBonus", "Term"]
