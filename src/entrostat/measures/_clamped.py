"""AEnt's clamped entropy: the entropy of the policy restricted to its likeliest tokens and renormalised."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from entrostat.ops import Support, token_entropies


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
        temperature: what the logits are divided by.

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
    return token_entropies(logits, support=Support(clamp=clamp), temperature=temperature).clamped_entropy


@dataclass(frozen=True, kw_only=True)
class Clamped:
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
        Support(clamp=self.clamp)  # refuses a clamp outside [0, 1)

    @property
    def support(self) -> Support | None:
        """The kept tokens; None for `clamp=0`."""
        return Support(clamp=self.clamp) if self.clamp else None

    def fused_scale(self, vocab: int) -> float | None:
        """The entropy on the support itself."""
        return 1.0

    def __call__(self, logits: Tensor, *, temperature: float = 1.0) -> Tensor:
        """Return `clamped(logits)`."""
        return clamped(logits, clamp=self.clamp, temperature=temperature)
