"""Any controller, led to zero at the end of the run."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal, NamedTuple

from entrostat.controllers._base import RUN_LENGTH, Controller, bound_total, measured, require_total
from entrostat.errors import require, require_choice, require_finite

AnnealedShape = Literal["linear", "step"]


class AnnealedState(NamedTuple):
    updates: int  # windows measured so far
    inner: Any  # the wrapped controller's state


@dataclasses.dataclass(frozen=True, kw_only=True)
class Annealed:
    """Multiply a controller's coefficient to exactly zero over the last part of the run.

        n      = round(last * total), at least 1           the last n of the windows 1 ... total are annealed
        factor = 1                     in the window w of w <= total - n
                 (total - w) / n       after it, `"linear"`: the last window has exactly 0
                 0                     after it, `"step"`

    The wrapped controller is held from the first annealed window on. Otherwise it would answer the falling entropy
    by a rising coefficient and undo the annealing.

    The paper trains with the bonus; the final policy need not carry it. How long the run is only the host knows: it
    binds `total` with `with_total`. Skipped windows (no tokens, entropy not finite) delay the end by themselves.

    Args:
        controller: the controller to anneal. May be given by position.
        last: part of the run that is annealed, in (0, 1].
        shape: `"linear"`, or `"step"` for zero at once.
        total: windows of the whole run; `None` until the host binds it.

    Raises:
        ValueError: `last` outside (0, 1], an unknown shape, or a read or update before `total` is bound.

    Reference:
        A linearly annealed entropy target did best in Entrocraft, arXiv 2604.26326; the wrapper itself is ours.

    Example:
        >>> from entrostat.controllers import Constant
        >>> run = Annealed(Constant(coef=0.1), last=0.4, total=10)
        >>> state, seen = run.init(), []
        >>> for _ in range(10):
        ...     seen.append(round(run.coefficient(state), 3))
        ...     state = run.update(state, entropy=0.3)
        >>> seen
        [0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.075, 0.05, 0.025, 0.0]
    """

    controller: Controller[Any] = dataclasses.field(kw_only=False)
    last: float = 0.3
    shape: AnnealedShape = "linear"
    total: int | None = dataclasses.field(default=None, metadata={RUN_LENGTH: True})

    def __post_init__(self) -> None:
        require(0 < require_finite("last", self.last) <= 1, "last", "lie in (0, 1]", self.last)
        require_choice("shape", self.shape, AnnealedShape)
        require_total(self.total)

    def init(self) -> AnnealedState:
        """Return the state before the first update."""
        return AnnealedState(updates=0, inner=self.controller.init())

    def coefficient(self, state: AnnealedState) -> float:
        """Return the wrapped coefficient times the factor of this window."""
        return self._factor(state.updates + 1) * self.controller.coefficient(state.inner)

    def update(self, state: AnnealedState, *, entropy: float) -> AnnealedState:
        """Return the state after one window; the wrapped state moves only before the annealed part."""
        if (value := measured(entropy)) is None:
            return state
        window = state.updates + 1
        held = self._factor(window) < 1
        inner = state.inner if held else self.controller.update(state.inner, entropy=value)
        return AnnealedState(updates=window, inner=inner)

    def _factor(self, window: int) -> float:
        """Return the factor of window number `window`, counted from 1."""
        total = bound_total(self.total)
        annealed = max(1, round(self.last * total))
        if window <= total - annealed:
            return 1.0
        return max(0, total - window) / annealed if self.shape == "linear" else 0.0
