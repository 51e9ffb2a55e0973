"""Edits of the advantages in every micro-batch: scaled, shaped, or left to some tokens only."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from entrostat.batch import TokenBatch
from entrostat.edits._ratio import log_ratio
from entrostat.errors import require, require_choice, require_finite


@dataclass(frozen=True, kw_only=True)
class ScaleAdvantage:
    """Multiply the advantage of every response token.

        A'_{b,t} = factor A_{b,t}

    With 0 nothing is left of the host's loss but its divergence to the reference model, if it has one, and the
    recipe's terms: so a loss that needs no reward is trained alone.

    Args:
        factor: 1 is neutral.

    Raises:
        ValueError: a factor that is not finite.

    Example:
        >>> import torch
        >>> ones = torch.ones(1, 2)
        >>> batch = TokenBatch(logprobs=ones, old_logprobs=ones, advantages=ones, mask=ones, entropy=ones,
        ...                    clamped_entropy=ones, kept_mass=ones, clip_low=ones, clip_high=ones)
        >>> ScaleAdvantage(factor=0.0)(batch).advantages
        tensor([[0., 0.]])
    """

    factor: float
    sets: ClassVar[frozenset[str]] = frozenset()

    def __post_init__(self) -> None:
        require_finite("factor", self.factor)

    def __call__(self, batch: TokenBatch) -> TokenBatch:
        """Return the batch with scaled advantages."""
        if self.factor == 1:
            return batch
        advantages = batch.advantages.detach()
        return batch.replace(advantages=torch.where(batch.mask.bool(), advantages * self.factor, advantages))


@dataclass(frozen=True, kw_only=True)
class EntropyAdvantage:
    """Add a share of the token's entropy to its advantage, never enough to turn its sign.

        psi_{b,t} = min(alpha sg(H_{b,t}), |A_{b,t}| / kappa)
        A'_{b,t}  = A_{b,t} + psi_{b,t}

    `psi >= 0` and `psi <= |A| / kappa`: a good token's push grows by at most `1 / kappa`, a bad one's shrinks by at
    most as much. Tokens of groups without signal (A = 0) get nothing. No gradient flows through H.

    Args:
        alpha: advantage per nat; 0 is neutral.
        kappa: how many times smaller than the advantage the addition stays; above 1.

    Raises:
        ValueError: a negative `alpha`, or a `kappa` that is not above 1.

    Reference:
        Cheng et al., "Reasoning with Exploration: An Entropy Perspective", arXiv 2506.14758.

    Example:
        >>> import torch
        >>> ones = torch.ones(1, 3)
        >>> batch = TokenBatch(logprobs=ones, old_logprobs=ones, advantages=torch.tensor([[1.0, 1.0, -1.0]]), mask=ones,
        ...                    entropy=torch.tensor([[0.5, 9.0, 9.0]]), clamped_entropy=ones, kept_mass=ones,
        ...                    clip_low=ones, clip_high=ones)
        >>> EntropyAdvantage(alpha=0.4, kappa=2.0)(batch).advantages
        tensor([[ 1.2000,  1.5000, -0.5000]])
    """

    alpha: float
    kappa: float
    sets: ClassVar[frozenset[str]] = frozenset()

    def __post_init__(self) -> None:
        require(require_finite("alpha", self.alpha) >= 0, "alpha", "be at least 0", self.alpha)
        require(require_finite("kappa", self.kappa) > 1, "kappa", "be above 1", self.kappa)

    def __call__(self, batch: TokenBatch) -> TokenBatch:
        """Return the batch with shaped advantages."""
        if self.alpha == 0:
            return batch
        advantages = batch.advantages.detach()
        entropy = batch.entropy.detach().clamp(min=0).to(advantages.dtype)
        psi = torch.minimum(self.alpha * entropy, advantages.abs() / self.kappa)
        return batch.replace(advantages=torch.where(batch.mask.bool(), advantages + psi, advantages))


@dataclass(frozen=True, kw_only=True)
class EntropyMask:
    """Zero the advantages of all but the highest-entropy share of the response tokens.

        tau = the (1 - keep) quantile of H over all response tokens of the batch, on all ranks
        A'_{b,t} = A_{b,t} 1[H_{b,t} >= tau] N / N_kept

    A token without advantage gives no policy gradient, and the host's loss needs no mask of its own for it. The
    factor `N / N_kept` restores the mean over kept tokens that the paper writes, where a host divides by all `N`.

    Args:
        keep: share of tokens that keep their advantage, in (0, 1]; 1 is neutral.
        rescale: multiply by `N / N_kept` (the paper's mean over kept tokens). Without it each kept token has the weight
            it had before, as in the code the paper's authors built on.

    Raises:
        ValueError: `keep` outside (0, 1].

    Reference:
        Wang et al., "Beyond the 80/20 Rule: High-Entropy Minority Tokens Drive Effective RL", arXiv 2506.01939.

    Example:
        >>> import torch
        >>> ones = torch.ones(1, 4)
        >>> batch = TokenBatch(logprobs=ones, old_logprobs=ones, advantages=ones, mask=ones, kept_mass=ones,
        ...                    entropy=torch.tensor([[0.1, 0.9, 0.2, 0.8]]), clamped_entropy=ones, clip_low=ones,
        ...                    clip_high=ones)
        >>> EntropyMask(keep=0.5)(batch).advantages
        tensor([[0., 2., 0., 2.]])
    """

    keep: float
    rescale: bool = True
    sets: ClassVar[frozenset[str]] = frozenset()

    def __post_init__(self) -> None:
        require(0 < require_finite("keep", self.keep) <= 1, "keep", "lie in (0, 1]", self.keep)

    def __call__(self, batch: TokenBatch) -> TokenBatch:
        """Return the batch with the low-entropy tokens' advantages at zero."""
        if self.keep == 1:
            return batch
        counted = batch.mask.bool()
        entropy = batch.entropy.detach().float()
        # All ranks share one threshold, so that a rank with easy prompts does not promote its few doubtful tokens.
        tokens = batch.gather(entropy[counted])
        if tokens.numel() == 0:
            return batch
        # torch.quantile takes at most 16 million values; the k-th value is the same without interpolation.
        rank = min(tokens.numel(), int((1 - self.keep) * tokens.numel()) + 1)
        kept = counted & (entropy >= tokens.kthvalue(rank).values)
        scale = 1.0
        if self.rescale:
            scale = tokens.numel() / max(1.0, float(batch.gather(kept.sum().reshape(1).float()).sum()))
        advantages = batch.advantages.detach()
        return batch.replace(
            advantages=torch.where(counted, advantages * kept.to(advantages.dtype) * scale, advantages)
        )


@dataclass(frozen=True, kw_only=True)
class SurprisalWeights:
    """Weigh the most surprising tokens by the batch's coefficient; with a coefficient of 0, return the batch itself.

        s   = -log pi(sampled token), without gradient
        L+  = the ceil(share n+) largest s among the n+ tokens with A > 0;  L-: the same among those with A < 0
        A' = (1 + coef) A on L+,   (1 - falls coef) A on L-,   A elsewhere

    A positive factor on the advantage is the same factor on the clipped loss, so this is a weight on the token's loss.
    The ranks share one selection. Tokens as surprising as the last one selected are selected too.

    Args:
        share: share of the tokens of either sign that is selected, at least one token; in (0, 1].
        falls: how far the weight of L- falls per unit of the coefficient; 0 leaves the negative tokens alone.

    Raises:
        ValueError: `share` outside (0, 1], a negative `falls`.

    Reference:
        Luo et al., "STARE", arXiv 2606.19236.

    Example:
        >>> import torch
        >>> ones = torch.ones(1, 4)
        >>> batch = TokenBatch(logprobs=-torch.tensor([[0.1, 3.0, 0.2, 2.0]]), old_logprobs=ones,
        ...                    advantages=torch.tensor([[1.0, 1.0, -1.0, -1.0]]), mask=ones, entropy=ones, coef=0.5,
        ...                    clamped_entropy=ones, kept_mass=ones, clip_low=ones, clip_high=ones)
        >>> SurprisalWeights(share=0.1, falls=1.0)(batch).advantages
        tensor([[ 1.0000,  1.5000, -1.0000, -0.5000]])
    """

    share: float
    falls: float = 0.0
    sets: ClassVar[frozenset[str]] = frozenset()

    def __post_init__(self) -> None:
        require(0 < require_finite("share", self.share) <= 1, "share", "lie in (0, 1]", self.share)
        require(require_finite("falls", self.falls) >= 0, "falls", "be at least 0", self.falls)

    def __call__(self, batch: TokenBatch) -> TokenBatch:
        """Return the batch with the selected tokens' advantages weighted."""
        if batch.coef == 0:
            return batch
        advantages = batch.advantages.detach()
        counted = batch.mask.bool()
        weight = torch.where(self._selected(batch, counted & (advantages > 0)), 1 + batch.coef, 1.0)
        if self.falls:
            falling = self._selected(batch, counted & (advantages < 0))
            weight = torch.where(falling, max(0.0, 1 - self.falls * batch.coef), weight)
        return batch.replace(advantages=torch.where(counted, advantages * weight, advantages))

    def _selected(self, batch: TokenBatch, among: Tensor) -> Tensor:
        surprisal = -batch.logprobs.detach().float()
        everyone = batch.gather(surprisal[among])
        if everyone.numel() == 0:
            return among
        # Ties with the last one selected are selected too: ranks then need to agree on one number only.
        smallest = everyone.topk(math.ceil(self.share * everyone.numel())).values[-1]
        return among & (surprisal >= smallest)


Divergence = Literal["forward", "reverse", "unnormalized_forward", "unnormalized_reverse"]


@dataclass(frozen=True, kw_only=True)
class DivergenceAdvantage:
    """Shift each advantage so that the host's `-w A' grad log pi` is the gradient of `-(E[R] - coef D)`.

    With `w = pi / pi_old` at the sampled token, taken as a constant:

        D = KL(old || pi)            "forward"                 A' = A + coef / w
        D = KL(pi || old)            "reverse"                 A' = A - coef (log w + 1)
        D = UKL(old || pi)           "unnormalized_forward"    A' = A - coef (1 - 1/w)
        D = UKL(pi || old)           "unnormalized_reverse"    A' = A - coef log w

    where `UKL(p || q) = sum p log(p/q) - p + q`. The host's clip then acts on the whole advantage, penalty included.
    With `clamped`, `w` is first clamped to the clip bounds of the batch; then it is no exact gradient beyond them.

    Args:
        coef: weight of the divergence, nats of reward per nat; 0 is neutral.
        divergence: one of the four.
        clamped: clamp `w` to the clip bounds, as one branch of the published code does.

    Raises:
        ValueError: a negative `coef`, or an unknown divergence.

    Reference:
        Zhang et al., "On the Design of KL-Regularized Policy Gradient Algorithms for LLM Reasoning", arXiv 2505.17508.

    Example:
        >>> import torch
        >>> ones = torch.ones(1, 1)
        >>> batch = TokenBatch(logprobs=-ones, old_logprobs=-2 * ones, advantages=ones, mask=ones, entropy=ones,
        ...                    clamped_entropy=ones, kept_mass=ones, clip_low=ones, clip_high=ones)
        >>> DivergenceAdvantage(coef=0.1, divergence="reverse")(batch).advantages
        tensor([[0.8000]])
    """

    coef: float = 1e-4
    divergence: Divergence = "unnormalized_reverse"
    clamped: bool = False
    sets: ClassVar[frozenset[str]] = frozenset()

    def __post_init__(self) -> None:
        require(require_finite("coef", self.coef) >= 0, "coef", "be at least 0", self.coef)
        require_choice("divergence", self.divergence, Divergence)

    def __call__(self, batch: TokenBatch) -> TokenBatch:
        """Return the batch with the divergence's share in its advantages."""
        if self.coef == 0:
            return batch
        log_w = log_ratio(batch)
        if self.clamped:
            # As one branch of the published code: no exact gradient outside the bounds.
            log_w = log_w.exp().clamp(1 - batch.clip_low, 1 + batch.clip_high).log()
        changed = batch.advantages - self.coef * self._price(log_w)
        return batch.replace(advantages=torch.where(batch.mask.bool(), changed, batch.advantages))

    def _price(self, log_w: Tensor) -> Tensor:
        """Return the amount that the divergence takes from the advantage, per unit of `coef`."""
        if self.divergence == "forward":
            return -(-log_w).exp()
        if self.divergence == "reverse":
            return log_w + 1
        return 1 - (-log_w).exp() if self.divergence == "unnormalized_forward" else log_w
