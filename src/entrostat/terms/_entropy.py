"""Terms that pay for entropy or tax it, and signals that stand in for the measured entropy."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from entrostat.batch import TokenBatch
from entrostat.errors import require_choice, require_count, sentence
from entrostat.losses import SequenceEstimator, peak_weights, sequence_entropy_surrogate
from entrostat.terms._base import Weighted


@dataclass(frozen=True, kw_only=True)
class EntropyBonus:
    """Minus the coefficient times the recipe's measure, for every response token.

        loss_{b,t} = -coef w_{b,t} H_{b,t}

    `H` is the batch's `clamped_entropy`, that is, the recipe's measure; with a Shannon measure this is the
    ordinary entropy bonus, with a clamped one AEnt's. `w` is the batch's `weight`, 1 unless a rollout edit set it.

    Tokens also choose which states come after them, and the entropy there. The gradient of the sequence's entropy has a
    part for that, which this bonus, like everybody's, leaves out; `estimator` puts it in.

    Args:
        keep: where the measure keeps this many tokens, multiply by `log V / log keep`: the largest entropy of the whole
            vocabulary over the largest of `keep` tokens. None for no factor.
        estimator: `"smoothed"`, the above; `"smoothed_unbiased"` with the missing part; `"crude"` from log-probs alone,
            whatever the measure. The two are unbiased on the first update after a rollout, approximate on later ones.

    Raises:
        ValueError: `keep` below 2, an unknown estimator.

    Reference:
        Williams and Peng 1991 (the bonus); Shen, arXiv 2509.03493, section 4.1 (clamped);
        Zhang et al., arXiv 1806.00589 (estimators).

    Example:
        >>> import torch
        >>> ones = torch.ones(1, 2)
        >>> batch = TokenBatch(logprobs=ones, old_logprobs=ones, advantages=ones, mask=ones, entropy=2 * ones,
        ...                    clamped_entropy=1.5 * ones, kept_mass=ones, clip_low=ones, clip_high=ones)
        >>> EntropyBonus()(batch, 0.1)
        tensor([[-0.1500, -0.1500]])
    """

    keep: int | None = None
    estimator: SequenceEstimator = "smoothed"

    def __post_init__(self) -> None:
        require_choice("estimator", self.estimator, SequenceEstimator)
        if self.keep is not None:
            require_count("keep", self.keep, least=2)

    def __call__(self, batch: TokenBatch, coef: float) -> Tensor:
        """Return `-coef * w * H` of each token, `[B, T]`.

        Raises:
            ValueError: `keep` is given and the batch does not know its vocabulary.
        """
        if coef == 0:
            # No graph for a bonus that is switched off: nothing of it is computed in the backward pass.
            return torch.zeros_like(batch.clamped_entropy, requires_grad=False)
        if self.keep is not None:
            if batch.vocab is None:
                raise ValueError(sentence("vocab", "be known to a bonus with `keep`", None))
            coef *= math.log(batch.vocab) / math.log(self.keep)
        bonus = batch.clamped_entropy
        if self.estimator != "smoothed":
            bonus = sequence_entropy_surrogate(batch.logprobs, bonus, batch.mask, estimator=self.estimator)
        return batch.weighted(bonus * -coef)


@dataclass(frozen=True, kw_only=True)
class ResponseEntropy:
    """The coefficient times the recipe's measure, summed over a response's tokens and averaged over responses.

        loss_{b,t} = coef w_{b,t} H_{b,t} N / R        N tokens and R responses in the step

    The host divides by N, so that `coef (1/R) sum_b sum_t H` is minimised. The gradient flows through H alone: the
    responses are taken as given.

    Reference:
        Agarwal et al., arXiv 2505.15134 (EM-FT).

    Example:
        >>> import torch
        >>> ones = torch.ones(1, 2)
        >>> batch = TokenBatch(logprobs=ones, old_logprobs=ones, advantages=ones, mask=ones, entropy=ones,
        ...                    clamped_entropy=1.5 * ones, kept_mass=ones, clip_low=ones, clip_high=ones)
        >>> ResponseEntropy()(batch, 1.0)
        tensor([[3., 3.]])
    """

    def __call__(self, batch: TokenBatch, coef: float) -> Tensor:
        """Return `coef * w * H * N / R` of each token, `[B, T]`."""
        if coef == 0:
            return torch.zeros_like(batch.clamped_entropy, requires_grad=False)
        return batch.weighted(batch.clamped_entropy * (coef * batch.tokens_of_step() / batch.responses_of_step()))


@dataclass(frozen=True, kw_only=True)
class PeakEntropy:
    """The mean over responses of the mean entropy of each response's most uncertain positions: a term and a signal.

        h    = (1/R) sum_b sum_t w_{b,t} H_{b,t}       w: `peak_weights`, R: responses of the step
        loss_{b,t} = coef w_{b,t} H_{b,t} N / R        N: tokens of the step, which the host divides by

    so the step's mean of the loss is `coef h`. A positive coefficient lowers the entropy, a negative one raises it (the
    sign of a loss, not of a bonus): with `coef = 2 beta (h - anchor)` this is the gradient of `beta (h - anchor)^2`.
    `H` is the recipe's measure. As a signal it feeds the controller `h`, nats. Every response counts once, whatever its
    length; one without a peak (its tokens are all alike, or it has none) counts with 0.

    Args:
        quantile: share of each response's positions to leave out, in [0, 1).

    Raises:
        ValueError: `quantile` outside [0, 1).

    Reference:
        SIREN, arXiv 2509.25133, and its code.

    Example:
        >>> import torch
        >>> ones = torch.ones(1, 2)
        >>> batch = TokenBatch(logprobs=-ones, old_logprobs=-ones, advantages=ones, mask=ones, entropy=ones,
        ...                    clamped_entropy=torch.tensor([[0.5, 2.0]]), kept_mass=ones, clip_low=ones,
        ...                    clip_high=ones)
        >>> PeakEntropy()(batch, 0.1)  # 0.1 * 2 nats at one of two tokens
        tensor([[0.0000, 0.4000]])
        >>> PeakEntropy().read(batch).values
        tensor([2.])
    """

    quantile: float = 0.8

    def __post_init__(self) -> None:
        # The function that uses it knows the rule; called on nothing, it only checks.
        peak_weights(torch.zeros(0, 1), torch.zeros(0, 1), quantile=self.quantile)

    def __call__(self, batch: TokenBatch, coef: float) -> Tensor:
        """Return `coef w H N / R` of each token, `[B, T]`."""
        return batch.weighted(coef * self._peaks(batch) * (batch.tokens_of_step() / batch.responses_of_step()))

    def read(self, batch: TokenBatch) -> Weighted:
        """Return the mean entropy `[B]` of each response's peaks; every response counts."""
        means = self._peaks(batch).detach().sum(-1)
        return Weighted(means, torch.ones_like(means))

    def _peaks(self, batch: TokenBatch) -> Tensor:
        """Return `w H` of each token, `[B, T]`."""
        # Masked positions may hold NaN, and 0 times NaN is NaN.
        weights = peak_weights(batch.clamped_entropy, batch.mask, quantile=self.quantile)
        return weights * torch.where(batch.mask.bool(), batch.clamped_entropy, 0)


@dataclass(frozen=True, kw_only=True)
class Surprisal:
    """A signal: the mean of `-log pi(sampled token)`, nats, an estimate of the entropy that needs no vocabulary.

    Its expectation is the entropy where the tokens were drawn from this very policy at temperature 1 with nothing cut
    off; elsewhere it is not.

    Args:
        old: take the log-probs of the policy that wrote the responses, whatever updates were made on them since; where
            the host keeps none, these are the current ones.

    Reference:
        The authors' code of Skywork-OR1 (arXiv 2505.22312) and AEPO (arXiv 2510.08141) steers by it.

    Example:
        >>> import torch
        >>> ones = torch.ones(1, 2)
        >>> batch = TokenBatch(logprobs=-ones, old_logprobs=-ones, advantages=ones, mask=ones, entropy=ones,
        ...                    clamped_entropy=ones, kept_mass=ones, clip_low=ones, clip_high=ones)
        >>> Surprisal().read(batch).values
        tensor([[1., 1.]])
    """

    old: bool = False

    def read(self, batch: TokenBatch) -> Weighted:
        """Return the surprisal `[B, T]` of each token."""
        return Weighted(-(batch.old_logprobs if self.old else batch.logprobs).detach(), batch.mask)
