"""Shannon entropy of the next-token distribution: of all of it, or of its likeliest tokens, renormalised.

Every measure comes twice: as a function of logits, and as a frozen setting that a recipe can hold.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from torch import Tensor

from entrostat.ops import Support, token_entropies


@runtime_checkable
class Measure(Protocol):
    """Logits `[..., V]` -> one value per token `[...]`, in nats, differentiable.

    Contract, tested for every member: agrees with an eager float64 reference in value and gradient; a banned token
    (`-inf`) leaves the value finite and takes no gradient; half precision in, fp32 out; bad input, a clear error.
    """

    @property
    def support(self) -> Support | None:
        """The tokens whose renormalised Shannon entropy this is; None where every token counts.

        A host that fuses the head computes the entropy on this support in one pass. See `fused_scale`.
        """
        return None

    def fused_scale(self, vocab: int) -> float | None:
        """Factor from the entropy on `support` to this measure; None if it is no multiple of it, so cannot be fused."""
        return None

    def __call__(self, logits: Tensor, *, temperature: float = 1.0) -> Tensor:
        """Return the measure of each token."""
        ...


class EntropyOnSupport(Measure):
    """A measure that is the entropy on its support, so that a fused head can compute it; the base of the four below."""

    def fused_scale(self, vocab: int) -> float | None:
        """The entropy on the support itself."""
        return 1.0

    def __call__(self, logits: Tensor, *, temperature: float = 1.0) -> Tensor:
        """Return the entropy on `support` of each token."""
        return token_entropies(logits, support=self.support, temperature=temperature).clamped_entropy


def shannon(logits: Tensor, *, temperature: float = 1.0) -> Tensor:
    """Shannon entropy of the next-token distribution, in nats.

        x = logits / temperature,  p = softmax(x)        H = -sum_j p_j log p_j        dH/dx_j = -p_j (log p_j + H)

    Args:
        logits: `[..., V]`, `V >= 2`, any floating dtype and strides; `-inf` bans a token.
        temperature: divides the logits.

    Returns:
        `[...]`, fp32 (float64 for float64 logits), differentiable. 0 where every token is banned.

    Raises:
        TypeError: `logits` is not a floating tensor.
        ValueError: fewer than two tokens, or `temperature` not positive.

    Reference:
        Shannon, "A Mathematical Theory of Communication", 1948.

    Example:
        >>> import torch
        >>> round(float(shannon(torch.zeros(4))), 4)  # log 4
        1.3863
    """
    return Shannon()(logits, temperature=temperature)


@dataclass(frozen=True)
class Shannon(EntropyOnSupport):
    """`shannon` as a measure a recipe can hold.

    Example:
        >>> import torch
        >>> round(float(Shannon()(torch.zeros(2))), 4)
        0.6931
    """


def clamped(logits: Tensor, *, clamp: float, temperature: float = 1.0) -> Tensor:
    """Entropy of the next-token distribution without its `int(clamp * V)` least likely tokens, renormalised, in nats.

        A = all but the int(clamp V) smallest logits        q_j = exp(x_j) / sum_A exp(x_i),  x = logits / temperature
        Hk = -sum_A q_j log q_j                             dHk/dx_j = -q_j (log q_j + Hk) on A, 0 elsewhere

    The set is chosen without gradient. Banned tokens (`-inf`) are the smallest, so they count among the removed. Tokens
    that tie at the cut share the places left there: the value is that of any choice among them, the gradient the mean
    over all choices. `clamp=0` is `shannon`, bit for bit. `clamp` is a share of the vocabulary, not of probability:
    on a peaked distribution even 0.4 removes next to nothing (log `kept_mass` to see it).

    Args:
        logits: `[..., V]`, `V >= 2`, any floating dtype and strides.
        clamp: share of the vocabulary to remove, in [0, 1).
        temperature: divides the logits.

    Returns:
        `[...]`, fp32 (float64 for float64 logits), differentiable, at most `log(V - int(clamp * V))`.

    Raises:
        TypeError: `logits` is not a floating tensor.
        ValueError: `clamp` outside [0, 1), fewer than two tokens, or `temperature` not positive.

    Reference:
        Shen, "On Entropy Control in LLM-RL Algorithms", arXiv 2509.03493, section 4.1.

    Example:
        >>> import torch
        >>> logits = torch.tensor([3.0, 3.0, 0.0, 0.0])
        >>> round(float(clamped(logits, clamp=0.5)), 4)  # two equal tokens are left: log 2
        0.6931
    """
    return Clamped(clamp=clamp)(logits, temperature=temperature)


@dataclass(frozen=True, kw_only=True)
class Clamped(EntropyOnSupport):
    """`clamped` as a measure a recipe can hold.

    Args:
        clamp: share of the vocabulary to remove, in [0, 1).

    Example:
        >>> import torch
        >>> round(float(Clamped(clamp=0.5)(torch.zeros(8))), 4)  # log 4
        1.3863
    """

    clamp: float

    def __post_init__(self) -> None:
        Support(clamp=self.clamp)  # rejects a clamp outside [0, 1)

    @property
    def support(self) -> Support | None:
        """The kept tokens; None for `clamp=0`."""
        return Support(clamp=self.clamp) if self.clamp else None


def top_k(logits: Tensor, *, k: int, temperature: float = 1.0) -> Tensor:
    """Entropy of the next-token distribution on its `k` likeliest tokens, renormalised, in nats.

    The same family as `clamped`, with the kept tokens counted instead of the removed share: a tight set stays tight
    when the vocabulary grows. The set is chosen without gradient; tokens that tie at its edge share the places left.

    Args:
        logits: `[..., V]`, `V >= 2`; `-inf` bans a token.
        k: how many tokens to keep, at least 1; all, if there are fewer.
        temperature: divides the logits.

    Returns:
        `[...]`, fp32 (float64 for float64 logits), differentiable, at most `log k`.

    Raises:
        TypeError: `logits` is not a floating tensor, or `k` not an integer.
        ValueError: `k < 1`, fewer than two tokens, or `temperature` not positive.

    Reference:
        TRE, arXiv 2602.03635 (top-k entropy bonus).

    Example:
        >>> import torch
        >>> round(float(top_k(torch.tensor([2.0, 2.0, 2.0, 1.0]), k=3)), 4)  # log 3
        1.0986
    """
    return TopK(k=k)(logits, temperature=temperature)


@dataclass(frozen=True, kw_only=True)
class TopK(EntropyOnSupport):
    """`top_k` as a measure a recipe can hold.

    Args:
        k: how many tokens to keep, at least 1.

    Example:
        >>> import torch
        >>> round(float(TopK(k=2)(torch.zeros(5))), 4)  # log 2
        0.6931
    """

    k: int

    def __post_init__(self) -> None:
        Support(top_k=self.k)  # rejects a count below 1

    @property
    def support(self) -> Support | None:
        """The kept tokens."""
        return Support(top_k=self.k)


def nucleus(logits: Tensor, *, top_p: float, crossing: bool = True, temperature: float = 1.0) -> Tensor:
    """Entropy of the next-token distribution on its nucleus, renormalised, in nats.

    The nucleus is the smallest set of likeliest tokens whose probability reaches `top_p`; the token that crosses the
    line belongs to it. The set is chosen without gradient; tokens that tie at its edge share the places left there.

    Args:
        logits: `[..., V]`, `V >= 2`; `-inf` bans a token.
        top_p: probability to keep, in (0, 1]; 1 keeps every token.
        crossing: keep the token that crosses the line. Without it, where the likeliest token alone holds `top_p`, it is
            the only one left: entropy 0, no gradient. SIREN's code truncates so; hardly any other code does.
        temperature: divides the logits.

    Returns:
        `[...]`, fp32 (float64 for float64 logits), differentiable.

    Raises:
        TypeError: `logits` is not a floating tensor.
        ValueError: `top_p` outside (0, 1], fewer than two tokens, or `temperature` not positive.

    Reference:
        Holtzman et al., "The Curious Case of Neural Text Degeneration", 2020 (the set); used for an entropy bonus by
        TRE, arXiv 2602.03635, and SIREN, arXiv 2509.25133.

    Example:
        >>> import torch
        >>> logits = torch.tensor([0.6, 0.3, 0.1]).log()
        >>> round(float(nucleus(logits, top_p=0.7)), 4)  # keeps 0.6 and the crossing 0.3: H(2/3, 1/3)
        0.6365
    """
    return Nucleus(top_p=top_p, crossing=crossing)(logits, temperature=temperature)


@dataclass(frozen=True, kw_only=True)
class Nucleus(EntropyOnSupport):
    """`nucleus` as a measure a recipe can hold.

    Args:
        top_p: probability to keep, in (0, 1].
        crossing: keep the token that crosses the line.

    Example:
        >>> import torch
        >>> round(float(Nucleus(top_p=0.5)(torch.zeros(4))), 4)  # two of four equal tokens: log 2
        0.6931
    """

    top_p: float
    crossing: bool = True

    def __post_init__(self) -> None:
        Support(top_p=self.top_p, crossing=self.crossing)  # rejects a probability outside (0, 1]

    @property
    def support(self) -> Support | None:
        """The nucleus; None for `top_p=1`."""
        support = Support(top_p=self.top_p, crossing=self.crossing)
        return support if self.top_p < 1 or not self.crossing else None
