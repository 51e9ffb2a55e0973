"""A weight per prompt by how hard the prompt is for the policy (AER)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor

from entrostat.batch import TokenBatch
from entrostat.edits._responses import group_share
from entrostat.errors import require, require_finite, unknown_name

Shape = Literal["ramp", "gate"]


@dataclass(frozen=True, kw_only=True)
class DifficultyWeight:
    """Let the recipe's terms count more on prompts that the policy seldom solves. A rollout edit.

        g(q) = share of the responses to prompt q whose reward is at least `correct_at`
        w(q) = max(0, (rho - g) / rho)      "ramp"
               1[g < rho]                   "gate"

    and `weight` is multiplied by `w(q)` at every token of every response to `q`. The responses of one group may lie on
    several ranks; `g` is the group's, not the rank's.

    Args:
        rho: accuracy from which a prompt counts as easy and gets no weight; infinity is neutral.
        correct_at: least reward of a correct response.
        shape: `"ramp"` or `"gate"`.
        skip_unsolved: give prompts without any correct response no weight. Their advantages are all 0 under a
            group-relative baseline, so what a term does there it does alone.

    Raises:
        ValueError: `rho` not positive, an unknown shape.

    Reference:
        After AER, arXiv 2510.10959, whose own formula we do not know.

    Example:
        >>> import torch
        >>> ones = torch.ones(4, 1)
        >>> batch = TokenBatch(logprobs=-ones, old_logprobs=-ones, advantages=ones, mask=ones, entropy=ones,
        ...                    clamped_entropy=ones, kept_mass=ones, clip_low=ones, clip_high=ones,
        ...                    rewards=torch.tensor([0.0, 0.0, 0.0, 1.0]), group_ids=torch.tensor([0, 0, 1, 1]))
        >>> DifficultyWeight(rho=0.8)(batch).weight.flatten()  # g = 0 and 1/2
        tensor([1.0000, 1.0000, 0.3750, 0.3750])
    """

    rho: float
    correct_at: float = 1.0
    shape: Shape = "ramp"
    skip_unsolved: bool = False
    sets: ClassVar[frozenset[str]] = frozenset()

    def __post_init__(self) -> None:
        require(self.rho > 0, "rho", "be positive", self.rho)
        require_finite("correct_at", self.correct_at)
        if self.shape not in get_args(Shape):
            raise unknown_name("shape", self.shape, get_args(Shape))

    def __call__(self, batch: TokenBatch) -> TokenBatch:
        """Return the batch with `weight` set.

        Raises:
            ValueError: the batch has no rewards or group ids.
        """
        if math.isinf(self.rho) and not self.skip_unsolved:
            return batch
        accuracy = group_share(batch, batch.given("rewards") >= self.correct_at)
        weight = self._weight(accuracy).to(batch.logprobs.dtype).unsqueeze(-1)
        before = torch.ones_like(batch.logprobs).detach() if batch.weight is None else batch.weight
        return batch.replace(weight=torch.where(batch.mask.bool(), before * weight, before))

    def _weight(self, accuracy: Tensor) -> Tensor:
        hard = accuracy < self.rho
        if self.skip_unsolved:
            hard &= accuracy > 0
        ramp = self.shape == "ramp" and math.isfinite(self.rho)
        return hard.double() * ((self.rho - accuracy) / self.rho if ramp else 1.0)
