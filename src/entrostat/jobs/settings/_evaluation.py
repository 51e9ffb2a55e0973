"""How a run is judged."""

from __future__ import annotations

from dataclasses import dataclass

from entrostat.errors import require_count


@dataclass(frozen=True, kw_only=True)
class EvaluationJob:
    """How a run is judged, by sampling at temperature 1 on problems it never trains on.

    Args:
        every: optimizer steps between evaluations on validation problems; 0 for none in between.
        validation: validation problems used; 0 for none.
        test: test problems used, before the first step and after the last; 0 for none.
        samples: responses per problem; the largest k of pass@k.
        batch: responses drawn at a time; a large model has memory for few.
        tokens: problems per split of which one more response is kept token by token, for the report; 0 for none.
    """

    every: int = 90
    validation: int = 128
    test: int = 192
    samples: int = 16
    batch: int = 1024
    tokens: int = 6

    def __post_init__(self) -> None:
        for name in ("every", "validation", "test", "tokens"):
            require_count(name, getattr(self, name))
        for name in ("samples", "batch"):
            require_count(name, getattr(self, name), least=1)

    @property
    def ks(self) -> tuple[int, ...]:
        """The k of pass@k that these samples allow."""
        return tuple(k for k in (1, 4, 8, 16, 32, 64) if k <= self.samples)
