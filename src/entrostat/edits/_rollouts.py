"""Edits of fresh rollouts that drop, weight or shape the advantages that the host computed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor

from entrostat.batch import TokenBatch
from entrostat.edits._base import group_share, response_mean, response_sum, with_tokens, z_scores
from entrostat.errors import require, require_choice, require_finite, unknown_name

BandShape = Literal["linear", "cosine"]
Normalisation = Literal["group", "batch", "none"]


@dataclass(frozen=True, kw_only=True)
class BandFilter:
    """A rollout edit: zero the advantages whose sign would move the entropy H away from the band.

        H = mean entropy of the fresh rollouts, all ranks          m = 1[H > high] - 1[H < low]
        keep the responses with m A >= 0                            below the band A <= 0, above it A >= 0
        bound(x) = start + (end - start) x,    x = step / total_steps,  or (1 - cos(pi x)) / 2

    Without a known run length the start of the band holds.

    Args:
        low: lower edge of the band at the start, nats per token.
        high: upper edge at the start.
        low_end: lower edge at the end of the run; None keeps `low`.
        high_end: upper edge at the end; None keeps `high`.
        shape: `"linear"` or `"cosine"`.
        normalise: the divisor of the kept responses, where a host divides by all: `"group"`, the kept ones of
            their prompt (factor G / |S_q|); `"batch"`, the kept tokens of the batch (N / N_kept); `"none"`, all.
        raw_rewards: outside the band replace the advantages by `max(R, 0)` above and `min(R, 0)` below, as the
            published code does; rewards are then taken as they are, so they should be -1 and 1.
        zero_one: turn rewards of 0 and 1 into -1 and 1 for that.

    Raises:
        ValueError: an empty band at either end, a number that is not finite, an unknown shape or normalisation.

    Reference:
        Li et al., arXiv 2604.26326, algorithm 1.

    Example:
        >>> import torch
        >>> ones = torch.ones(2, 1)
        >>> batch = TokenBatch(logprobs=ones, old_logprobs=ones, advantages=torch.tensor([[1.0], [-1.0]]), mask=ones,
        ...                    entropy=ones, clamped_entropy=ones, kept_mass=ones, clip_low=ones, clip_high=ones,
        ...                    old_entropy=0.1 * ones, group_ids=torch.tensor([0, 0]))
        >>> BandFilter(low=0.2, high=0.3)(batch).advantages.flatten()
        tensor([ 0., -2.])
    """

    low: float
    high: float
    low_end: float | None = None
    high_end: float | None = None
    shape: BandShape = "linear"
    normalise: Normalisation = "group"
    raw_rewards: bool = False
    zero_one: bool = False
    sets: ClassVar[frozenset[str]] = frozenset()

    def __post_init__(self) -> None:
        ends = (self.low, self.high), self._end()
        for (low, high), suffix in zip(ends, ("", "_end"), strict=True):
            require_finite(f"high{suffix}", high)
            require(require_finite(f"low{suffix}", low) <= high, f"low{suffix}", f"be at most {high!r}", low)
        for name, value, known in (
            ("shape", self.shape, get_args(BandShape)), ("normalise", self.normalise, get_args(Normalisation))
        ):  # fmt: skip
            if value not in known:
                raise unknown_name(name, value, known)

    def __call__(self, batch: TokenBatch) -> TokenBatch:
        """Return the batch without the responses on the wrong side."""
        low, high = self.band(batch.step or 0, batch.total_steps)
        entropy = float(batch.mean(batch.given("old_entropy")))
        side = (entropy > high) - (entropy < low)
        if side == 0:
            return batch
        counted, advantages = batch.mask.bool(), batch.advantages.detach()
        if self.raw_rewards:
            rewards = batch.given("rewards")
            rewards = (2 * rewards - 1 if self.zero_one else rewards).unsqueeze(1).expand_as(advantages)
            edited = rewards.clamp(min=0.0) if side > 0 else rewards.clamp(max=0.0)
        else:
            kept = side * advantages >= 0
            edited = advantages * kept * self._factor(batch, kept & counted)
        return batch.replace(advantages=torch.where(counted, edited.to(advantages.dtype), advantages))

    def band(self, step: int, total_steps: int | None) -> tuple[float, float]:
        """Return the band in force."""
        x = min(1.0, step / total_steps) if total_steps else 0.0
        x = x if self.shape == "linear" else (1 - math.cos(math.pi * x)) / 2
        low, high = (start + (end - start) * x for start, end in zip((self.low, self.high), self._end(), strict=True))
        return low, high

    def _end(self) -> tuple[float, float]:
        low, high = self.low_end, self.high_end
        return self.low if low is None else low, self.high if high is None else high

    def _factor(self, batch: TokenBatch, kept: Tensor) -> Tensor | float:
        if self.normalise == "group":
            share = group_share(batch, kept.any(1), with_tokens(batch)).clamp(min=1e-9)
            return kept / share.unsqueeze(1).to(batch.advantages.dtype)
        if self.normalise == "batch":
            return 1 / batch.mean(kept.double()).clamp(min=1e-9).to(batch.advantages.dtype)
        return 1.0


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
        require_choice("shape", self.shape, Shape)

    def __call__(self, batch: TokenBatch) -> TokenBatch:
        """Return the batch with `weight` set.

        Raises:
            ValueError: the batch has no rewards or group ids.
        """
        if math.isinf(self.rho) and not self.skip_unsolved:
            return batch
        accuracy = group_share(batch, batch.given("rewards") >= self.correct_at)
        weight = self._weight(accuracy).to(batch.logprobs.dtype).unsqueeze(-1)
        # Another edit may have set a weight before: the two multiply.
        before = torch.ones_like(batch.logprobs).detach() if batch.weight is None else batch.weight
        return batch.replace(weight=torch.where(batch.mask.bool(), before * weight, before))

    def _weight(self, accuracy: Tensor) -> Tensor:
        hard = accuracy < self.rho
        if self.skip_unsolved:
            hard &= accuracy > 0
        ramp = self.shape == "ramp" and math.isfinite(self.rho)
        return hard.double() * ((self.rho - accuracy) / self.rho if ramp else 1.0)


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
        require_choice("confidence", self.confidence, Aggregation)

    def __call__(self, batch: TokenBatch) -> TokenBatch:
        """Return the batch with shaped advantages."""
        if self.up == self.down == self.penalty == 0:
            return batch
        advantages = batch.advantages.detach()
        z = z_scores(batch, self._confidence(batch), with_tokens(batch)).unsqueeze(1)
        first = advantages * torch.where(advantages > 0, (-self.up * z).exp(), (self.down * z).exp())
        second = first - self.penalty * _unit(batch, batch.given("target_logit").detach())
        # The penalty may take a good token's advantage away, but not turn its sign.
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


@dataclass(frozen=True, kw_only=True)
class SharpenedLogits:
    """A rollout edit: scale the logits of good responses by how sure the policy was of them, in every later update.

        h_b     = mean of the top max(1, int(share T_b)) token entropies of the response, before any scaling
        scale_b = k if h_b < low,   1/k if h_b > high,   1 otherwise;  1 at every token with A <= 0
        A'      = A / scale

    The gradient of `(A / k) log softmax(k z)_a` with respect to z is `A (onehot_a - softmax(k z))`: the update sees a
    sharper model than the one that samples, so a token that is likely already is pushed less. Tokens with A <= 0 stay
    as they are, bit for bit.

    Args:
        k: factor on the logits; 1 is neutral.
        low: sharpen where the response's entropy is below this, nats.
        high: flatten where it is above this; infinity never flattens. `low=0, high=inf` is neutral.
        share: share of a response's tokens whose mean entropy counts, the most uncertain ones.
        scale_advantages: divide the advantage by the scale; without it the push of a sharpened token is k times larger.
        truncate: decide by the integer part of the advantage, as the published code does by accident: an advantage
            between 0 and 1 then leaves the logits alone.

    Raises:
        ValueError: `k` below 1, a negative threshold, `low` above `high`, `share` outside (0, 1].

    Reference:
        Kang et al., "Entropy Regularizing Activation", arXiv 2510.08549.

    Example:
        >>> import torch
        >>> ones = torch.ones(2, 1)
        >>> batch = TokenBatch(logprobs=ones, old_logprobs=ones, advantages=torch.tensor([[1.0], [-1.0]]), mask=ones,
        ...                    entropy=ones, clamped_entropy=ones, kept_mass=ones, clip_low=ones, clip_high=ones,
        ...                    old_entropy=0.1 * ones)
        >>> edited = SharpenedLogits(k=2.0, low=0.45, high=3.0)(batch)
        >>> edited.logit_scale.flatten(), edited.advantages.flatten()
        (tensor([2., 1.]), tensor([ 0.5000, -1.0000]))
    """

    k: float
    low: float
    high: float
    share: float = 0.2
    scale_advantages: bool = True
    truncate: bool = False
    sets: ClassVar[frozenset[str]] = frozenset({"logit_scale"})

    def __post_init__(self) -> None:
        require(require_finite("k", self.k) >= 1, "k", "be at least 1", self.k)
        require(require_finite("low", self.low) >= 0, "low", "be at least 0", self.low)
        require(self.high >= self.low, "high", f"be at least `low`={self.low!r}", self.high)
        require(0 < require_finite("share", self.share) <= 1, "share", "lie in (0, 1]", self.share)

    def __call__(self, batch: TokenBatch) -> TokenBatch:
        """Return the batch with a scale on the logits of good responses, and their advantages divided by it."""
        if self.k == 1 or (self.low == 0 and self.high == math.inf):
            return batch
        counted, advantages = batch.mask.bool(), batch.advantages.detach()
        # One decision per response, from the policy that wrote it: later updates keep it.
        peak = self._peak(batch.given("old_entropy").detach(), counted)
        scale = torch.where(peak < self.low, self.k, torch.where(peak > self.high, 1 / self.k, 1.0)).unsqueeze(1)
        good = counted & (advantages > 0)
        # The published code casts the advantage to an integer before it compares it with 0.
        sharpened = good & (advantages.trunc() > 0) if self.truncate else good
        changes = {"logit_scale": torch.where(sharpened, scale, 1.0).to(advantages.dtype)}
        if self.scale_advantages:
            changes["advantages"] = torch.where(good, (advantages / scale).to(advantages.dtype), advantages)
        return batch.replace(**changes)

    def _peak(self, entropy: Tensor, counted: Tensor) -> Tensor:
        """Return the mean of the highest token entropies of each response, `[B]`; 0 without tokens."""
        ordered = torch.where(counted, entropy.double(), -1.0).sort(1, descending=True).values
        lengths = counted.sum(1)
        taken = (self.share * lengths.double()).floor().clamp(min=1)
        rank = torch.arange(ordered.shape[1], device=ordered.device)
        chosen = (rank < taken.unsqueeze(1)) & (rank < lengths.unsqueeze(1))
        return torch.where(chosen, ordered, 0).sum(1) / taken
