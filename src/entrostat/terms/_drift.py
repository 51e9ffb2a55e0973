"""Terms on the distance to another policy, and on tokens the policy is sure of: those that read log-probs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from entrostat.batch import TokenBatch
from entrostat.errors import require, require_choice, require_finite
from entrostat.losses import advantage_coefficient

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
        require_choice("denominator", self.denominator, Denominator)

    def __call__(self, batch: TokenBatch, coef: float) -> Tensor:
        """Return `-coef r |A| 1[p > tau]` of each token, `[B, T]`."""
        counted = batch.mask.bool()
        # Compared as log-probs; a threshold of 0 selects every token, those of probability 0 included.
        confident = batch.logprobs.detach() > (math.log(self.tau) if self.tau else -math.inf)
        selected = counted & confident
        # Filled before exp: whatever stands at a masked position, NaN too, must not reach the gradient.
        ratio = torch.where(selected, batch.logprobs - batch.old_logprobs, 0).exp()
        loss = -coef * ratio * torch.where(selected, batch.advantages.detach().abs(), 0)
        if self.denominator == "all":
            return batch.weighted(loss, as_host=True)
        # The authors' denominator: the mean over the selected tokens of this micro-batch, all ranks.
        sums = torch.stack([counted.sum(), selected.sum()]).double()
        tokens, chosen = batch.gather(sums).view(-1, 2).sum(0)
        return batch.weighted(loss * (tokens / chosen.clamp(min=1)).float())


@dataclass(frozen=True, kw_only=True)
class DriftPenalty:
    """The coefficient times the absolute log-ratio, less a dead zone, at the tokens that have a weight.

        loss_{b,t} = coef w_{b,t} max(|logprobs_{b,t} - old_logprobs_{b,t}| - dead_zone, 0)

    The gradient is `coef w sign(logprobs - old_logprobs) grad log pi` outside the dead zone and 0 inside. Two forward
    passes over one policy differ by rounding; without a dead zone that noise gives every weighted token a penalty
    of full size and random sign.

    Args:
        dead_zone: log-ratios up to it cost nothing, nats; 0 for the plain absolute value.

    Raises:
        ValueError: a negative `dead_zone`.

    Reference:
        Cui et al., "The Entropy Mechanism of RL for Reasoning Language Models", arXiv 2505.22617 (KL-Cov); the dead
        zone is ours.

    Example:
        >>> ones = torch.ones(1, 2)
        >>> batch = TokenBatch(logprobs=torch.tensor([[-1.0, -1.3]]), old_logprobs=-ones, advantages=ones, mask=ones,
        ...                    entropy=ones, clamped_entropy=ones, kept_mass=ones, clip_low=ones, clip_high=ones)
        >>> DriftPenalty(dead_zone=0.1)(batch, 1.0)
        tensor([[0.0000, 0.2000]])
    """

    dead_zone: float = 1e-3

    def __post_init__(self) -> None:
        require(require_finite("dead_zone", self.dead_zone) >= 0, "dead_zone", "be at least 0", self.dead_zone)

    def __call__(self, batch: TokenBatch, coef: float) -> Tensor:
        """Return the penalty of each token, `[B, T]`."""
        # Masked positions first: the derivative of |NaN| is NaN even where nothing asks for it.
        drift = torch.where(batch.mask.bool(), batch.logprobs - batch.old_logprobs, 0)
        return batch.weighted(coef * (drift.abs() - self.dead_zone).clamp(min=0))


@dataclass(frozen=True, kw_only=True)
class AdvantageKL:
    """Turn the host's `kl_coef * k` into `beta * k` with a `beta` that depends on the token's advantage.

        beta = max(kl_coef - scale clip(A, low, high), floor)
        k    = exp(u) - u - 1,   u = log pi_ref - log pi          k3, the host's own estimator
        k    = r k               where the host multiplies it by the ratio (`kl_ratio`)
        loss = coef (beta - kl_coef) k

    The host adds `kl_coef k` itself; the term adds the difference. It is reduced as the host reduces its own loss, so
    with `coef` 1 the sum is exactly the divergence with `beta`, for every loss type; `coef` 0 leaves the host's.

    Args:
        scale: how much one unit of advantage takes off the coefficient.
        low: least advantage that counts; None for no bound.
        high: greatest; None for no bound.
        floor: least coefficient. Below 0 the loss pays for divergence, which has no upper bound.

    Raises:
        ValueError: a negative scale, `low` above `high`, or a floor above 0.

    Reference:
        Fan et al., ADRPO, arXiv 2510.18053.

    Example:
        >>> import torch
        >>> ones = torch.ones(1, 2)
        >>> batch = TokenBatch(logprobs=-ones, old_logprobs=-ones, ref_logprobs=-2 * ones, mask=ones, entropy=ones,
        ...                    advantages=torch.tensor([[0.1, -0.1]]), clamped_entropy=ones, kept_mass=ones,
        ...                    clip_low=ones, clip_high=ones, kl_coef=0.2)
        >>> AdvantageKL()(batch, 1.0)  # k = 1/e; the coefficient is 0.1 in place of 0.2, and 0.3
        tensor([[-0.0368,  0.0368]])
    """

    scale: float = 1.0
    low: float | None = None
    high: float | None = None
    floor: float = 0.0

    def __post_init__(self) -> None:
        self._beta(torch.zeros(0), 0.0)  # rejects a setting out of range

    def __call__(self, batch: TokenBatch, coef: float) -> Tensor:
        """Return `coef (beta - kl_coef) k` of each token, `[B, T]`.

        Raises:
            ValueError: the batch has no log-probs of a reference.
        """
        if batch.ref_logprobs is None:
            raise ValueError("`AdvantageKL` needs `ref_logprobs`: keep a reference model.")
        counted = batch.mask.bool()
        # Filled before exp: whatever stands at a masked position, NaN too, must not reach the gradient.
        u = torch.where(counted, batch.ref_logprobs - batch.logprobs, 0)
        k = u.exp() - u - 1
        if batch.kl_ratio:
            k = k * torch.where(counted, batch.logprobs - batch.old_logprobs, 0).exp()
        beta = self._beta(torch.where(counted, batch.advantages, 0), batch.kl_coef)
        return batch.weighted(coef * (beta - batch.kl_coef) * k, as_host=True)

    def _beta(self, advantages: Tensor, kl_coef: float) -> Tensor:
        return advantage_coefficient(
            advantages, beta=kl_coef, scale=self.scale, low=self.low, high=self.high, floor=self.floor
        )
