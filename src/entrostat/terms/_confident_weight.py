"""A weight on confident tokens, opposite for good and bad ones (EntroPIC)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from entrostat.batch import TokenBatch
from entrostat.errors import require, require_finite, unknown_name

Denominator = Literal["all", "selected"]


@dataclass(frozen=True, kw_only=True)
class ConfidentWeight:
    """Weigh tokens the policy is sure of by `1 + coef` where their advantage is positive, by `1 - coef` where negative.

        loss = -coef r |A| 1[p > tau]          r = pi / pi_old,  p = pi, without gradient

    The host's own loss has `-r A`; with this added, a selected token has `-(1 + coef) r A` if A > 0 and
    `-(1 - coef) r A` if A < 0. A positive coefficient sharpens the policy where it is sure already, and so lowers its
    entropy; a negative one raises it. The host's clipping does not apply to the term, as in the authors' code.

    Args:
        tau: probability above which a token is selected, in [0, 1).
        denominator: `"all"` reduces the term as the host reduces its loss, over all N tokens, so that the weights above
            are exact. `"selected"` is the authors' code: the mean over the M selected tokens of each micro-batch, hence
            weights `1 +- coef N / M`, which may turn sign and depend on how the batch is split.

    Raises:
        ValueError: `tau` outside [0, 1), an unknown denominator.

    Reference:
        EntroPIC, arXiv 2511.15248, and its code.

    Example:
        >>> import torch
        >>> ones = torch.ones(1, 2)
        >>> logprobs = torch.tensor([[0.99, 0.5]]).log()
        >>> batch = TokenBatch(logprobs=logprobs, old_logprobs=logprobs, advantages=-ones, mask=ones, entropy=ones,
        ...                    clamped_entropy=ones, kept_mass=ones, clip_low=ones, clip_high=ones)
        >>> ConfidentWeight()(batch, 0.25)
        tensor([[-0.2500, -0.0000]])
        >>> ConfidentWeight(denominator="selected")(batch, 0.25)
        tensor([[-0.5000, -0.0000]])
    """

    tau: float = 0.95
    denominator: Denominator = "all"

    def __post_init__(self) -> None:
        require(0 <= require_finite("tau", self.tau) < 1, "tau", "lie in [0, 1)", self.tau)
        if self.denominator not in get_args(Denominator):
            raise unknown_name("denominator", self.denominator, get_args(Denominator))

    def __call__(self, batch: TokenBatch, coef: float) -> Tensor:
        """Return `-coef r |A| 1[p > tau]` of each token, `[B, T]`."""
        counted = batch.mask.bool()
        confident = batch.logprobs.detach() > (math.log(self.tau) if self.tau else -math.inf)
        selected = counted & confident
        # Filled before exp: whatever stands at a masked position, NaN too, must not reach the gradient.
        ratio = torch.where(selected, batch.logprobs - batch.old_logprobs, 0).exp()
        loss = -coef * ratio * torch.where(selected, batch.advantages.detach().abs(), 0)
        if self.denominator == "all":
            return batch.weighed(loss, as_host=True)
        return batch.weighed(loss * self._all_over_selected(batch, counted, selected))

    def _all_over_selected(self, batch: TokenBatch, counted: Tensor, selected: Tensor) -> Tensor:
        sums = torch.stack([counted.sum(), selected.sum()]).double()
        tokens, chosen = batch.gather(sums).view(-1, 2).sum(0)
        return (tokens / chosen.clamp(min=1)).float()
