"""Uncertainty-aware advantage: unsure responses count more, tokens with a high logit a little less (UCAS)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor

from entrostat.batch import TokenBatch
from entrostat.edits._responses import response_mean, response_sum, with_tokens, z_scores
from entrostat.errors import require, require_finite, unknown_name

Aggregation = Literal["mean", "sum"]


@dataclass(frozen=True, kw_only=True)
class UncertaintyAdvantage:
    """A rollout edit in two stages: the response's advantage by its confidence, then each token's by its logit.

        c_t  = logsumexp(z) - mean_v z_v = KL(uniform || p) + log V
        C_b  = mean (or sum) of c_t over the response,   Z_b = its z-score within the prompt group, all ranks
        A1   = A exp(-up Z) where A > 0,   A exp(+down Z) elsewhere
        l_t  = the sampled token's logit before temperature, scaled to [0, 1] over all tokens of all ranks; 1/2 if equal
        A'   = A1 - penalty l_t,   but at least 0 where A1 > 0

    Stage 1 keeps every sign. Stage 2 pushes tokens with a high logit down even where A = 0, that is, without a reward
    signal.

    Args:
        up: how strongly confidence shrinks a positive advantage.
        down: how strongly it enlarges a negative one.
        penalty: advantage taken from the token with the largest logit of the batch.
        confidence: `"mean"` or `"sum"` of c_t over a response. The sum, which the published code takes, is mostly the
            response's length.

    Raises:
        ValueError: a negative number, an unknown aggregation.

    Reference:
        Xie et al., "Unlocking Exploration in RLVR: Uncertainty-aware Advantage Shaping for Deeper Reasoning",
        arXiv 2510.10649.

    Example:
        >>> import torch
        >>> ones = torch.ones(1, 2)
        >>> batch = TokenBatch(logprobs=-ones, old_logprobs=ones, advantages=ones, mask=ones, entropy=ones,
        ...                    clamped_entropy=ones, kept_mass=ones, clip_low=ones, clip_high=ones, mean_logit=0 * ones,
        ...                    target_logit=torch.tensor([[1.0, 5.0]]), group_ids=torch.tensor([0]))
        >>> UncertaintyAdvantage(up=0.25, down=0.35, penalty=0.05)(batch).advantages
        tensor([[1.0000, 0.9500]])
    """

    up: float
    down: float
    penalty: float
    confidence: Aggregation = "mean"
    sets: ClassVar[frozenset[str]] = frozenset()

    def __post_init__(self) -> None:
        for name in ("up", "down", "penalty"):
            require(require_finite(name, getattr(self, name)) >= 0, name, "be at least 0", getattr(self, name))
        if self.confidence not in get_args(Aggregation):
            raise unknown_name("confidence", self.confidence, get_args(Aggregation))

    def __call__(self, batch: TokenBatch) -> TokenBatch:
        """Return the batch with shaped advantages."""
        if self.up == self.down == self.penalty == 0:
            return batch
        advantages = batch.advantages.detach()
        z = z_scores(batch, self._confidence(batch), with_tokens(batch)).unsqueeze(1)
        first = advantages * torch.where(advantages > 0, (-self.up * z).exp(), (self.down * z).exp())
        second = first - self.penalty * _unit(batch, batch.given("target_logit").detach())
        second = torch.where(first > 0, second.clamp(min=0), second)
        return batch.replace(advantages=torch.where(batch.mask.bool(), second.to(advantages.dtype), advantages))

    def _confidence(self, batch: TokenBatch) -> Tensor:
        # log p(a) = z_a - logsumexp(z) with z over the temperature, so logsumexp(z) - mean z = z_a - mean z - log p(a).
        apart = batch.given("target_logit") - batch.given("mean_logit")
        per_token = apart / batch.temperature - batch.logprobs
        return (response_mean if self.confidence == "mean" else response_sum)(batch, per_token)


def _unit(batch: TokenBatch, values: Tensor) -> Tensor:
    """Return the values scaled to [0, 1] over all response tokens of all ranks."""
    counted = batch.mask.bool()
    ends = torch.stack(
        [
            torch.where(counted, values, torch.inf).amin(),
            torch.where(counted, values, -torch.inf).amax(),
        ]
    )
    ends = batch.gather(ends).view(-1, 2)
    low, high = ends[:, 0].amin(), ends[:, 1].amax()
    return (values - low) / (high - low) if high > low else torch.full_like(values, 0.5)
