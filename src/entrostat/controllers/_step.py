"""Skywork-OR1's law: one fixed step up or down, and a gate."""

from __future__ import annotations

import dataclasses
from typing import Literal, NamedTuple

from entrostat.controllers._base import clip, measured, require_box, require_nonnegative
from entrostat.errors import require_choice

StepVariant = Literal["skywork", "trl"]


class StepState(NamedTuple):
    coef: float  # the coefficient the steps move, also while the gate is shut
    active: bool  # whether the gate lets it through: the last entropy was below the target


@dataclasses.dataclass(frozen=True, kw_only=True)
class Step:
    """Step the coefficient up while the entropy H is below the target and down otherwise; apply it only below.

        below   = H < target
        c      <- clip(c + delta if below else c - delta, floor, ceiling)
        applied = c if below else 0

    The gate makes the law one-sided: nothing pushes H down, and it oscillates around the target rather than settles.
    `variant` chooses between the two public implementations, which differ in two details:

    - `"skywork"`, the authors' code and our default since the law is theirs: H < target, and the gate is open before
      the first measurement, so a positive `initial` is applied from the start.
    - `"trl"`, the `use_adaptive_entropy` of TRL: H <= target, and the gate is shut before the first measurement.

    The authors' code measures the sampled tokens' negative log-probability on one rank; here it is the mean
    entropy that the host measures, over all ranks, as in TRL.

    Args:
        target: entropy to stay above, nats per token. It depends on the model: no default (authors' scripts: 0.2).
        delta: step of the coefficient per update (authors' scripts: 1e-4; TRL: 5e-3).
        floor: least coefficient.
        ceiling: greatest coefficient (authors' scripts: 5e-3; TRL: 1).
        initial: first coefficient.
        variant: `"skywork"` or `"trl"`.

    Raises:
        ValueError: an empty box, a negative target or step, an unknown variant.

    Reference:
        Skywork Open Reasoner 1 Technical Report, arXiv 2505.22312.

    Example:
        >>> step = Step(target=0.2, delta=1e-4, ceiling=5e-3)
        >>> low = step.update(step.init(), entropy=0.1)
        >>> step.coefficient(low), step.coefficient(step.update(low, entropy=0.3))
        (0.0001, 0.0)
    """

    target: float
    delta: float
    floor: float = 0.0
    ceiling: float
    initial: float = 0.0
    variant: StepVariant = "skywork"

    def __post_init__(self) -> None:
        require_nonnegative("target", self.target)
        require_nonnegative("delta", self.delta)
        require_box(floor=self.floor, initial=self.initial, ceiling=self.ceiling)
        require_choice("variant", self.variant, StepVariant)

    def init(self) -> StepState:
        """Return the state with the initial coefficient."""
        return StepState(coef=float(self.initial), active=self.variant == "skywork")

    def coefficient(self, state: StepState) -> float:
        """Return the coefficient in force: zero while the gate is shut."""
        return state.coef if state.active else 0.0

    def update(self, state: StepState, *, entropy: float) -> StepState:
        """Return the state after one window; `entropy` is its global mean in nats per token."""
        if (value := measured(entropy)) is None:
            return state
        # The coefficient moves while the gate is shut too: it is ready when the entropy falls below the target again.
        below = value < self.target or (self.variant == "trl" and value == self.target)
        moved = state.coef + (self.delta if below else -self.delta)
        return StepState(coef=clip(moved, self.floor, self.ceiling), active=below)
