"""Measuring: TRL's own forward pass, with the kernel inside its fused head replaced by ours for the length of one call.

TRL's patched forward finds the backbone and the head, shifts labels, gathers sharded weights, honours temperature,
softcap, logit scale and an fp32 head, and hands one kernel the hidden states. That kernel is the only thing replaced:
it returns five per-token fields, three of which TRL leaves unused here, so clamped entropy, kept mass and watched mass
travel in those (`SLOTS`), reshaped by TRL like the other two.

The replacement is a dispatcher in `trl.trainer.utils`. It acts while a `Recorder` calls a model, and answers that
recorder's request; every other call in the process reaches TRL's kernel. Nothing is bound to a model, so several
trainers may share one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor

from entrostat.control import measure_scale
from entrostat.errors import sentence
from entrostat.ops import Head, Support, head_stats
from entrostat.recipes import Recipe

SLOTS = {"clamped_entropy": "log_sum_sq_probs", "kept_mass": "mean_logits", "watched_mass": "is_top1"}
"""Our name -> the field of TRL's output that carries it."""


class Measured(NamedTuple):
    """Statistics of the response tokens, each `[B, T]`."""

    logprobs: Tensor
    entropy: Tensor
    clamped_entropy: Tensor
    kept_mass: Tensor
    watched_mass: Tensor
    mean_logit: Tensor | None = None
    target_logit: Tensor | None = None

    @classmethod
    def nothing(cls, like: Tensor) -> Measured:
        """Return NaN everywhere, so that reading an unmeasured quantity by mistake shows."""
        return cls(*[torch.full_like(like, torch.nan, dtype=torch.float32)] * 5)


@dataclass(frozen=True, kw_only=True)
class HeadRequest:
    """The statistics a pass wants of the head beside log-probs."""

    measure: bool = True
    """Whether entropies are wanted; the passes of old and reference policies want log-probs alone."""
    support: Support | None = None
    """The tokens whose renormalised entropy is the recipe's measure; None for all."""
    factor: float = 1.0
    """From the entropy on `support` to the measure."""
    watched: Tensor | None = None
    """`[V]`, 1 at the tokens whose total probability is wanted."""
    logit_stats: bool = False
    """Whether the mean logit and the sampled token's logit are wanted."""

    @classmethod
    def of(cls, recipe: Recipe, vocab: int, watched_token_ids: Sequence[int] | None) -> Self:
        """Return the request for a recipe's measure.

        Args:
            recipe: the recipe.
            vocab: tokens in the vocabulary.
            watched_token_ids: tokens whose total probability is wanted; None for none.

        Raises:
            ValueError: a measure that no head computes, or a token outside the vocabulary.
        """
        watched = None
        if watched_token_ids is not None:
            ids = torch.as_tensor(list(watched_token_ids), dtype=torch.long)
            if ids.numel() and not (int(ids.min()) >= 0 and int(ids.max()) < vocab):
                span = (int(ids.min()), int(ids.max()))
                raise ValueError(sentence("watched_token_ids", f"lie in [0, {vocab})", span))
            watched = torch.zeros(vocab).index_fill_(0, ids, 1.0)
        factor = measure_scale(recipe, vocab, "the fused head")
        return cls(support=recipe.measure.support, factor=factor, watched=watched)


@dataclass
class _Call:
    """One call of the model: the request to the kernel, and its answers beside the fields that TRL carries."""

    request: HeadRequest
    scored: Tensor
    """`[B, L]`, the positions whose next token is scored."""
    scale: Tensor | None
    """`[B, L]`, the factor on the logits of each position, or None."""
    logit_stats: list[Tensor] = field(default_factory=list[Tensor])


_CALL: ContextVar[_Call | None] = ContextVar("entrostat_head_call", default=None)


class Recorder:
    """Stands in for the model while TRL's hook calls it: makes the request, and keeps the fields TRL does not read.

    Args:
        model: the model, wrapped or not.
        request: the statistics wanted.
        keep: how many last positions are the response.
        scale: `[B, keep]` factor on the logits, or None.
    """

    def __init__(self, model: Any, request: HeadRequest, keep: int, scale: Tensor | None = None) -> None:
        _install()
        self._model, self._request, self._keep, self._scale = model, request, keep, scale
        self._parts: list[Measured] = []
        self._rows = 0

    def __call__(self, **kwargs: Any) -> Any:
        # The head scores each position's next token: one position fewer than labels, the response at the end.
        labels = kwargs["labels"][:, 1:]
        scale = None
        if self._scale is not None:
            scale = torch.ones(labels.shape, device=self._scale.device)
            scale[:, -self._keep :] = self._scale[self._rows : self._rows + len(labels)]
        self._rows += len(labels)
        call = _Call(self._request, labels != -100, scale)
        token = _CALL.set(call)
        try:
            output = self._model(**kwargs)
        finally:
            _CALL.reset(token)
        if self._request.measure:
            fields = [output.log_probs, output.entropy, *(getattr(output, slot) for slot in SLOTS.values())]
            fields += [_spread(value, call.scored) for value in call.logit_stats]
            self._parts.append(Measured(*(value[:, -self._keep :] for value in fields)))
        return output

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def measured(self) -> Measured:
        """Return the statistics of all rows seen."""
        joined = [None if parts[0] is None else torch.cat(parts) for parts in zip(*self._parts, strict=True)]
        measured = Measured(*joined)  # pyright: ignore[reportArgumentType]
        return measured._replace(clamped_entropy=measured.clamped_entropy * self._request.factor)


def _install() -> None:
    """Put the dispatcher where TRL's forward looks its kernel up."""
    utils = _trl_utils()
    if not isinstance(utils._ChunkedLogProbFunction, _Dispatch):
        utils._ChunkedLogProbFunction = _Dispatch(utils._ChunkedLogProbFunction)


class _Dispatch:
    """Stands where TRL's kernel stood; `original` is that kernel."""

    def __init__(self, original: Any) -> None:
        self.original = original

    def apply(
        self,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        targets: Tensor,
        temperature: float,
        chunk_size: int,
        softcap: float | None,
        logit_scale: float,
        outputs: tuple[str, ...],
    ) -> tuple[Any, ...]:
        call = _CALL.get()
        if call is None:
            return self.original.apply(
                hidden, weight, bias, targets, temperature, chunk_size, softcap, logit_scale, outputs
            )
        request = call.request
        head = Head(
            support=request.support if request.measure else None,
            temperature=temperature,
            softcap=softcap,
            logit_scale=logit_scale,
            gathered=_trl_utils().maybe_gather_lm_head_ctx,
        )
        watched = None if request.watched is None or not request.measure else request.watched.to(hidden.device)
        if request.logit_stats:
            call.logit_stats += _logit_stats(hidden, weight, bias, targets, logit_scale)
        if call.scale is not None:
            return _scaled(hidden, weight, bias, targets, head, watched, call)
        statistics = head_stats(hidden, weight, targets, head, bias=bias, watched=watched)
        return tuple(statistics) if request.measure else (*statistics[:2], None, None, None)


def _scaled(
    hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, head: Head, watched: Tensor | None,
    call: _Call,
) -> tuple[Any, ...]:  # fmt: skip
    """Return log-probs under scaled logits; beside them, without gradient, the statistics of the unscaled policy."""
    assert call.scale is not None
    # TRL hands over every position, or on devices with Triton the scored ones only.
    factors = call.scale.reshape(-1) if len(hidden) == call.scale.numel() else call.scale[call.scored]
    # Logits are linear in the hidden state: heads with a bias or a softcap were refused at construction.
    scaled = hidden * factors.to(hidden.device, hidden.dtype).unsqueeze(-1)
    logprobs = head_stats(scaled, weight, targets, dataclasses.replace(head, support=None), bias=bias).logprobs
    if not call.request.measure:
        return logprobs, None, None, None, None
    with torch.no_grad():
        return logprobs, *head_stats(hidden, weight, targets, head, bias=bias, watched=watched)[1:]


def _logit_stats(
    hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, logit_scale: float
) -> list[Tensor]:
    """Return the mean over the vocabulary and the target's own logit of each row, without gradient or temperature."""
    chosen = targets.clamp(min=0)
    with torch.no_grad():
        # The mean over the vocabulary is linear: one product with the mean row of the head, not V of them.
        mean = hidden.float() @ weight.mean(0, dtype=torch.float32)
        target = (hidden.float() * weight[chosen].float()).sum(-1)
        if bias is not None:
            mean, target = mean + bias.float().mean(), target + bias[chosen].float()
        return [mean * logit_scale, target * logit_scale]


def _spread(values: Tensor, scored: Tensor) -> Tensor:
    """Return values of every position, or of the scored ones alone, as `[B, L]`; zero where nothing is scored."""
    if len(values) == scored.numel():
        return values.view(scored.shape).masked_fill(~scored.to(values.device), 0)
    return values.new_zeros(scored.shape).masked_scatter(scored.to(values.device), values)


def _trl_utils() -> Any:
    from trl.trainer import utils

    return utils
