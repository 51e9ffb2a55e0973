"""Which tokens a truncated entropy keeps, as one threshold per row; and the checks that every operation makes."""

# Every rule keeps the likeliest tokens of a row, so every rule comes down to a cut tau in that row: tokens above it
# stay, tokens below it go, and the tokens exactly at it (bf16 logits tie in their hundreds) share the remaining places.
# With n tokens tied at the cut of which the rule keeps r, each carries the weight r / n:
#
#     w_j = 1 if x_j > tau,  r / n if x_j = tau,  0 if x_j < tau.
#
# The sums see only r * exp(tau), so the value is that of any order of the ties, exactly; the gradient is the mean of
# the gradients over all orders, hence deterministic and independent of how the vocabulary is numbered.

from __future__ import annotations

import functools
import importlib
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from entrostat.errors import require, require_count, require_finite, sentence


@dataclass(frozen=True, kw_only=True)
class Support:
    """The rule by which tokens are kept. At most one of its settings may be given; none keeps every token.

    Args:
        clamp: drop the `int(clamp * V)` least likely of the `V` tokens; in [0, 1).
        top_k: keep the `top_k` likeliest tokens (all, if there are fewer).
        top_p: keep the smallest set of likeliest tokens whose probability reaches `top_p`; the token that crosses
            the line is kept; in (0, 1].
        crossing: with `top_p`, keep the token that crosses the line; without it the set ends before that token, and
            only the likeliest token is left where that one holds `top_p` by itself.

    Raises:
        TypeError: a setting that is no number.
        ValueError: a setting outside its range, or two of the three together.

    Example:
        >>> Support(clamp=0.25).kept(8), Support(top_k=5).kept(8)
        (6, 5)
    """

    clamp: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    crossing: bool = True

    def __post_init__(self) -> None:
        rules = ("clamp", "top_k", "top_p")
        given = {name: getattr(self, name) for name in rules if getattr(self, name) is not None}
        if len(given) > 1:
            raise ValueError(f"`clamp`, `top_k` and `top_p` exclude each other, got {given}. Give one of them.")
        if self.clamp is not None:
            share = require_finite("clamp", self.clamp)
            require(0 <= share < 1, "clamp", "lie in [0, 1)", self.clamp, "It is the share of tokens to drop.")
        if self.top_k is not None:
            require_count("top_k", self.top_k, least=1)
        if self.top_p is not None:
            share = require_finite("top_p", self.top_p)
            require(0 < share <= 1, "top_p", "lie in (0, 1]", self.top_p, "It is the probability to keep.")
        require(self.crossing or self.top_p is not None, "crossing", "be True without `top_p`", self.crossing)

    def keeps_all(self, vocab: int) -> bool:
        """Whether no token of a vocabulary of this size is dropped, for any logits."""
        return self.kept(vocab) == vocab and (self.top_p is None or (self.top_p == 1 and self.crossing))

    def kept(self, vocab: int) -> int:
        """How many tokens a rule by count keeps; all of them under `top_p`, whose count depends on the row."""
        if self.clamp is not None:
            return vocab - int(self.clamp * vocab)
        return vocab if self.top_k is None else min(self.top_k, vocab)


def cut(x: Tensor, support: Support) -> tuple[Tensor, Tensor]:
    """Return the threshold `tau [n]` of each row of `x [n, V]` and the weight `[n]` of the tokens that tie with it."""
    if support.top_p is not None:
        ordered = x.sort(dim=-1, descending=True).values
        kept = _count_by_mass(ordered, support.top_p, support.crossing)
        tau = ordered.gather(-1, (kept - 1).unsqueeze(-1)).squeeze(-1)
    else:
        kept = support.kept(x.shape[-1])
        tau = _smallest_kept(x, kept)
        if x.device.type == "cpu" and bool((_reaching(x, tau).sum(-1) == kept).all()):
            return tau, torch.ones_like(tau)  # no row has more ties at its cut than places for them
    edge = tau.unsqueeze(-1)
    above, tied = (x > edge).sum(-1), (x == edge).sum(-1)
    return tau, (kept - above).to(x.dtype) / tied.clamp(min=1).to(x.dtype)


def _smallest_kept(x: Tensor, kept: int) -> Tensor:
    # Selection, not sort. NumPy's is four to ten times faster than torch's on a CPU; torch itself does not require it.
    vocab = x.shape[-1]
    if x.device.type == "cpu" and (numpy := _numpy()) is not None:
        return torch.from_numpy(numpy.partition(x.detach().numpy(), vocab - kept, axis=-1)[..., vocab - kept].copy())
    if kept <= vocab // 8:
        return x.topk(kept, dim=-1, sorted=False).values.amin(-1)
    return x.kthvalue(vocab - kept + 1, dim=-1).values


@functools.cache
def _numpy() -> Any:
    try:
        return importlib.import_module("numpy")
    except ImportError:
        return None


def count_by_mass(x: Tensor, top_p: float, crossing: bool = True) -> Tensor:
    """Return the size `[n]` of the nucleus of each row of `x [n, V]`."""
    return _count_by_mass(x.sort(dim=-1, descending=True).values, top_p, crossing)


def _count_by_mass(ordered: Tensor, top_p: float, crossing: bool) -> Tensor:
    # The j-th likeliest token is kept while the mass before it is still short of top_p.
    # In float64: fp32 sums over a large vocabulary would move the line by a few tokens.
    mass_before = ordered.double().softmax(-1).cumsum(-1).roll(1, -1)
    mass_before[..., 0] = 0
    # Exactly one token crosses the line.
    return ((mass_before < top_p).sum(-1) - int(not crossing)).clamp(min=1)


def _reaching(x: Tensor, tau: Tensor) -> Tensor:
    # Compared straight into floats: half the time of booleans that are converted or counted afterwards.
    return torch.ge(x, tau.unsqueeze(-1), out=torch.empty_like(x))


def kept_weights(logits: Tensor, support: Support | None) -> Tensor:
    """Return the weight `[n, V]` with which a rule keeps each token of `logits [n, V]`, without gradient.

        1 above the cut, r / n for the n tokens that tie at it and share r places, 0 below

    Args:
        logits: `[n, V]`, fp32 or float64, already divided by the temperature (it matters to `top_p` alone).
        support: the rule; None keeps every token.

    Returns:
        `[n, V]` in the logits' dtype.

    Example:
        >>> kept_weights(torch.tensor([[3.0, 1.0, 1.0, 0.0]]), Support(top_k=2))
        tensor([[1.0000, 0.5000, 0.5000, 0.0000]])
    """
    x = logits.detach()
    return torch.ones_like(x) if support is None else weights(x, *cut(x, support))


def weights(x: Tensor, tau: Tensor, tie_weight: Tensor) -> Tensor:
    """Return the weight `[n, V]` with which each token of `x [n, V]` is kept: 1, the tie's weight, or 0."""
    if x.device.type == "cpu" and bool((tie_weight == 1).all()):
        return _reaching(x, tau)
    edge = tau.unsqueeze(-1)
    return (x > edge).to(x.dtype) + (x == edge).to(x.dtype) * tie_weight.unsqueeze(-1)


def support_of(
    clamp: float | None, top_k: int | None, top_p: float | None, support: Support | None = None
) -> Support | None:
    """Return the support of a call's keywords; None when none is given."""
    if clamp is None and top_k is None and top_p is None:
        return support
    if support is not None:
        raise ValueError("`clamp`, `top_k` and `top_p` must not be given together with `support`: it is the same rule.")
    return Support(clamp=clamp, top_k=top_k, top_p=top_p)


def check_temperature(temperature: float) -> float:
    """Return `temperature` if it is a positive finite number; raise otherwise."""
    value = require_finite("temperature", temperature)
    require(value > 0, "temperature", "be positive", temperature)
    return value


def check_logits(logits: Tensor, name: str = "logits", *, least: int = 2) -> None:
    """Raise unless `logits` is a floating tensor `[..., V]` with at least two tokens (or `least`)."""
    if not isinstance(logits, Tensor):
        raise TypeError(sentence(name, "be a torch.Tensor", type(logits).__name__))
    if not logits.is_floating_point():
        raise TypeError(sentence(name, "have a floating dtype", logits.dtype))
    # The words are put together only when they are needed: all checks of a call have to stay below 20 microseconds.
    if logits.dim() < 1:
        raise ValueError(sentence(name, "have a vocabulary dimension [..., V]", tuple(logits.shape)))
    if logits.shape[-1] < least:
        raise ValueError(sentence(name, f"have the shape [..., V] with V >= {least}", tuple(logits.shape)))


def check_targets(targets: Tensor, shape: torch.Size) -> None:
    """Raise unless `targets` holds one integer token per row."""
    if not isinstance(targets, Tensor) or targets.is_floating_point() or targets.dtype == torch.bool:
        raise TypeError(sentence("targets", "be an integer tensor", getattr(targets, "dtype", type(targets).__name__)))
    if targets.shape != shape:
        raise ValueError(sentence("targets", f"have the rows' shape {tuple(shape)}", tuple(targets.shape)))


def check_target_range(targets: Tensor | None, vocab: int) -> None:
    """Raise unless every target is a token of the vocabulary or the skip mark -100 (CPU only: it reads the values)."""
    # On a GPU the read would stall the queue; there a target out of range trips the gather's own device assertion.
    if targets is None or targets.device.type != "cpu" or targets.numel() == 0:
        return
    low, high = (int(bound) for bound in torch.aminmax(targets))
    if high >= vocab or (low < 0 and not bool(((targets >= 0) | (targets == IGNORED)).all())):
        raise ValueError(sentence("targets", f"be tokens in [0, {vocab}) or {IGNORED}", (low, high)))


IGNORED = -100
"""The target of a row to skip: its outputs are 0 and it takes no gradient."""
