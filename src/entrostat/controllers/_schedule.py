"""A coefficient that depends on time alone."""

from __future__ import annotations

import dataclasses
import math
from typing import Literal, NamedTuple

from entrostat.controllers._base import measured
from entrostat.errors import require_choice, require_count, require_finite

ScheduleShape = Literal["linear", "cosine"]


class ScheduleState(NamedTuple):
    updates: int  # windows measured so far


@dataclasses.dataclass(frozen=True, kw_only=True)
class Schedule:
    """Move the coefficient from `start` to `end` within `steps` updates, independently of the entropy.

        x    = updates / steps
        coef = start + (end - start) * x                         linear
        coef = start + (end - start) * (1 - cos(pi x)) / 2       cosine

    The first window uses `start`; every window after `steps` updates uses `end`.

    Args:
        start: first coefficient.
        end: last coefficient.
        steps: updates from the one to the other.
        shape: `"linear"` or `"cosine"`.

    Raises:
        ValueError: a number that is not finite, fewer than one step, an unknown shape.

    Reference:
        Linear and cosine are the two shapes of Entrocraft, arXiv 2604.26326, which schedules a band by them.

    Example:
        >>> decay = Schedule(start=0.01, end=0.0, steps=4)
        >>> state = decay.update(decay.init(), entropy=0.3)
        >>> decay.coefficient(state)
        0.0075
    """

    start: float
    end: float
    steps: int
    shape: ScheduleShape = "linear"

    def __post_init__(self) -> None:
        require_finite("start", self.start)
        require_finite("end", self.end)
        require_count("steps", self.steps, least=1)
        require_choice("shape", self.shape, ScheduleShape)

    def init(self) -> ScheduleState:
        """Return the state before the first update."""
        return ScheduleState(updates=0)

    def coefficient(self, state: ScheduleState) -> float:
        """Return the coefficient at this time."""
        if state.updates >= self.steps:
            return float(self.end)  # Exactly the end, not start + (end - start), which rounding may move.
        x = state.updates / self.steps
        done = x if self.shape == "linear" else (1 - math.cos(math.pi * x)) / 2
        return self.start + (self.end - self.start) * done

    def update(self, state: ScheduleState, *, entropy: float) -> ScheduleState:
        """Return the state one window later."""
        return state if measured(entropy) is None else ScheduleState(updates=state.updates + 1)
