"""EntroPIC's law: proportional-integral control."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

from entrostat.controllers._base import clip, measured, require_nonnegative


class ProportionalIntegralState(NamedTuple):
    coef: float  # the coefficient in force; 0 before the first measurement
    integral: float  # sum of the errors so far


@dataclasses.dataclass(frozen=True, kw_only=True)
class ProportionalIntegral:
    """Hold the entropy H at a target by the error and its sum.

        e        = H - target
        coef    <- clip(kp * e + ki * integral, -limit, limit)      the integral of the errors before this one
        integral <- integral + e

    Mind the sign. This is EntroPIC's alpha, the extra weight of confident tokens: positive where H is too HIGH, and
    then it lowers H. It belongs to that loss term; as the coefficient of an entropy bonus it would drive H away from
    the target. A constant drift d of H with effect b per coefficient leaves the proportional part alone an offset of
    d / (b kp); the integral removes it.

    The authors' code updates per micro-batch and rank and starts from 0 after a resume; one update per window with
    the global mean, and a saved integral, is the same law without these two faults.

    Args:
        target: entropy to hold, nats per token. It depends on the model: no default.
        kp: proportional gain, per nat.
        ki: integral gain, per nat and update.
        limit: bound of the absolute coefficient; 1 keeps the paper's weights 1 + coef and 1 - coef from turning sign.
        anti_windup: hold the integral while the coefficient is at a limit and the error pushes it further. The
            authors' code does not, so the default is False; a target that is out of reach for long wants True.

    Raises:
        ValueError: a negative or non-finite setting.

    Reference:
        EntroPIC, arXiv 2511.15248 (law and signs as in the authors' code).

    Example:
        >>> pi = ProportionalIntegral(target=0.5, ki=0.1)
        >>> state = pi.update(pi.init(), entropy=0.75)
        >>> pi.coefficient(state), state.integral
        (0.25, 0.25)
        >>> round(pi.coefficient(pi.update(state, entropy=0.75)), 6)
        0.275
    """

    target: float
    kp: float = 1.0
    ki: float = 0.01
    limit: float = 1.0
    anti_windup: bool = False

    def __post_init__(self) -> None:
        for name in ("target", "kp", "ki", "limit"):
            require_nonnegative(name, getattr(self, name))

    def init(self) -> ProportionalIntegralState:
        """Return the state with coefficient and integral at zero."""
        return ProportionalIntegralState(coef=0.0, integral=0.0)

    def coefficient(self, state: ProportionalIntegralState) -> float:
        """Return the coefficient in force."""
        return state.coef

    def update(self, state: ProportionalIntegralState, *, entropy: float) -> ProportionalIntegralState:
        """Return the state after one window; `entropy` is its global mean in nats per token."""
        if (value := measured(entropy)) is None:
            return state
        error = value - self.target
        wanted = self.kp * error + self.ki * state.integral
        # An error that pushes a saturated coefficient on would have to be integrated away again later.
        winding = self.anti_windup and abs(wanted) >= self.limit and wanted * error > 0
        return ProportionalIntegralState(
            coef=clip(wanted, -self.limit, self.limit),
            integral=state.integral if winding else state.integral + error,
        )
