"""One micro-batch as a value: the inputs of a host's objective, which edits change and terms read."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor

from entrostat.errors import sentence
from entrostat.ops import TokenStats

_SHAPES = {"num_tokens": torch.Size(()), "num_responses": torch.Size(())}


def _alone(values: Tensor) -> Tensor:
    return values


@dataclass(frozen=True, kw_only=True)
class TokenBatch:
    """One micro-batch of response tokens. Tensors are `[B, T]` unless said otherwise; frozen: edits return a new one.

    Positions outside `mask` may hold anything, NaN included; nothing may depend on them.

    Raises:
        ValueError: a tensor whose shape is not the one named below.
    """

    logprobs: Tensor
    """Log-probs of the sampled tokens under the policy being trained; carries gradient."""
    old_logprobs: Tensor
    """Log-probs the ratio is formed with; no gradient."""
    advantages: Tensor
    """Advantage of every token; a host's per-sequence advantage is spread over its tokens."""
    mask: Tensor
    """1 at the response's own tokens, 0 at padding and at tokens a tool wrote."""
    entropy: Tensor
    """Shannon entropy of the full next-token distribution, nats; carries gradient."""
    clamped_entropy: Tensor
    """The recipe's own measure, nats; carries gradient; equal to `entropy` where nothing is clamped."""
    kept_mass: Tensor
    """Probability of the tokens the measure keeps."""
    clip_low: Tensor
    """How far the ratio may fall below 1 before it is clipped."""
    clip_high: Tensor
    """How far the ratio may rise above 1 before it is clipped."""
    ref_logprobs: Tensor | None = None
    """Log-probs under the reference model, where the host keeps one; no gradient."""
    old_entropy: Tensor | None = None
    """Entropy at the time of the rollout, where the host measured it; no gradient."""
    rewards: Tensor | None = None
    """`[B]` total reward of each response, where the host gives it."""
    group_ids: Tensor | None = None
    """`[B]` number of the prompt group of each response, where the host gives it."""
    weight: Tensor | None = None
    """How much the recipe's terms count at each token; ones if None. A rollout edit may set it; no gradient."""
    host_weight: Tensor | None = None
    """How much the host's own loss counts each token, in units of one over the step's tokens; ones if None."""
    logit_scale: Tensor | None = None
    """Factor on the logits of each position; ones if None. A rollout edit may set it."""
    mean_logit: Tensor | None = None
    """Mean over the vocabulary of the logits before temperature, of fresh rollouts, where asked for; no gradient."""
    target_logit: Tensor | None = None
    """The sampled token's logit before temperature, of fresh rollouts, where asked for; no gradient."""
    coef: float = 0.0
    """The controller's coefficient in force."""
    kl_coef: float = 0.0
    """The host's own coefficient of its divergence to the reference."""
    kl_ratio: bool = False
    """Whether the host multiplies that divergence by the ratio to the old policy, with gradient, as well."""
    temperature: float = 1.0
    """Divisor of the logits."""
    vocab: int | None = None
    """Number of tokens the policy chooses among, where known."""
    num_tokens: Tensor | float | None = None
    """Response tokens of the whole step, all micro-batches and ranks (a number); None where it is this batch alone."""
    num_responses: Tensor | float | None = None
    """Responses of the whole step, all micro-batches and ranks (a number); None where it is this batch alone."""
    step: int | None = None
    """Optimizer steps done, where known."""
    total_steps: int | None = None
    """Optimizer steps of the whole run, where known."""
    gather: Callable[[Tensor], Tensor] = _alone
    """Joins a 1-d tensor of any length over all ranks, for statistics of the whole batch; the identity on one rank."""

    @classmethod
    def of(
        cls,
        stats: TokenStats,
        mask: Tensor,
        *,
        advantages: Tensor,
        old_logprobs: Tensor | None = None,
        clip_low: float = 0.2,
        clip_high: float = 0.2,
        **fields: Any,
    ) -> Self:
        """Return a batch from the statistics of its tokens, with the usual defaults.

        Args:
            stats: log-probs, entropy, the recipe's measure and kept mass, each `[B, T]`.
            mask: `[B, T]`, 1 at the response's own tokens.
            advantages: `[B]`, spread over the tokens of each response, or `[B, T]`.
            old_logprobs: `[B, T]`; those of `stats` if None, as when the rollouts are fresh.
            clip_low: how far the ratio may fall below 1.
            clip_high: how far it may rise above 1.
            **fields: further fields by name.

        Example:
            >>> from entrostat.ops import token_stats
            >>> stats = token_stats(torch.zeros(1, 2, 4), torch.tensor([[0, 3]]))
            >>> TokenBatch.of(stats, torch.ones(1, 2), advantages=torch.tensor([0.5])).advantages
            tensor([[0.5000, 0.5000]])
        """
        logprobs = stats.logprobs
        return cls(
            **stats._asdict(),
            mask=mask,
            old_logprobs=logprobs.detach() if old_logprobs is None else old_logprobs,
            advantages=advantages.unsqueeze(1).expand_as(logprobs) if advantages.dim() == 1 else advantages,
            clip_low=torch.full_like(logprobs, clip_low, requires_grad=False),
            clip_high=torch.full_like(logprobs, clip_high, requires_grad=False),
            **fields,
        )

    def __post_init__(self) -> None:
        shape = self.logprobs.shape
        for field in dataclasses.fields(self):
            value: Any = getattr(self, field.name)
            if not isinstance(value, Tensor):
                continue
            expected = _SHAPES.get(field.name, shape[:1] if field.name in ("rewards", "group_ids") else shape)
            if value.shape != expected:
                raise ValueError(sentence(field.name, f"have the shape {tuple(expected)}", tuple(value.shape)))

    def given(self, name: str) -> Tensor:
        """Return a field that not every host fills.

        Raises:
            ValueError: it is None here.
        """
        value: Tensor | None = getattr(self, name)
        if value is None:
            raise ValueError(f"this batch has no `{name}`. Fill it, or name it in the recipe's `needs`.")
        return value

    def mean(self, values: Tensor) -> Tensor:
        """Return the mean of `values [B, T]` over the response tokens of all ranks, without gradient; 0 without any."""
        counted = self.mask.bool()
        total = torch.where(counted, values.detach(), 0).sum(dtype=torch.float64)
        total, count = self.gather(torch.stack([total, counted.sum().double()])).view(-1, 2).sum(0)
        return total / count.clamp(min=1)

    def tokens_of_step(self) -> Tensor:
        """Return how many response tokens the step has, by which the host divides the terms."""
        # Not `mask.sum()`: a mask in half precision cannot count beyond 2,048.
        return torch.as_tensor(self.mask.bool().sum() if self.num_tokens is None else self.num_tokens)

    def responses_of_step(self) -> Tensor:
        """Return how many responses the step has, those without a token included."""
        return torch.as_tensor(len(self.mask) if self.num_responses is None else self.num_responses)

    def weighted(self, loss: Tensor, *, as_host: bool = False) -> Tensor:
        """Return a term's loss `[B, T]` times `weight`.

        Args:
            loss: the loss of each token.
            as_host: reduce it as the host reduces its own loss (per response, per token, by a constant), for a term
                that changes a part of that loss. Otherwise it is averaged over the step's tokens.
        """
        loss = loss if self.weight is None else loss * self.weight
        return loss * self.host_weight if as_host and self.host_weight is not None else loss

    def rows(self, index: Any) -> TokenBatch:
        """Return some responses of the batch: a micro-batch of it.

        Args:
            index: a slice, or a tensor of row numbers.

        Example:
            >>> ones = torch.ones(3, 2)
            >>> batch = TokenBatch(logprobs=-ones, old_logprobs=-ones, advantages=ones, mask=ones, entropy=ones,
            ...                    clamped_entropy=ones, kept_mass=ones, clip_low=ones, clip_high=ones,
            ...                    rewards=torch.tensor([1.0, 2.0, 3.0]))
            >>> batch.rows(slice(1, 3)).rewards
            tensor([2., 3.])
        """
        tensors = {name: value for name, value in vars(self).items() if isinstance(value, Tensor) and value.dim()}
        return self.replace(**{name: value[index] for name, value in tensors.items()})

    def updated(self, stats: TokenStats, **changes: Any) -> TokenBatch:
        """Return the batch under the policy as it is now; the fields that belong to the rollouts stay.

        Args:
            stats: statistics of the current policy, `[B, T]`, with gradient.
            **changes: further fields by name, such as `num_tokens`.
        """
        return self.replace(**stats._asdict(), **changes)

    def replace(self, **changes: Any) -> TokenBatch:
        """Return a copy with some fields changed."""
        return dataclasses.replace(self, **changes)
