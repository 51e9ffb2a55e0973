"""Entropy on the nucleus: the smallest set of likeliest tokens that holds a given probability."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from entrostat.ops import Support, token_entropies


def nucleus(logits: Tensor, *, top_p: float, crossing: bool = True, temperature: float = 1.0) -> Tensor:
    """Entropy of the next-token distribution on its nucleus, renormalised, in nats.

    The nucleus is the smallest set of likeliest tokens whose probability reaches `top_p`; the token that crosses the
    line belongs to it. The set is chosen without gradient; tokens that tie at its edge share the places left there.

    Args:
        logits: `[..., V]`, `V >= 2`; `-inf` bans a token.
        top_p: probability to keep, in (0, 1]; 1 keeps every token.
        crossing: keep the token that crosses the line. Without it, where the likeliest token alone holds `top_p`, it is
            the only one left: entropy 0, no gradient. SIREN's code truncates so; hardly anybody else does.
        temperature: what the logits are divided by.

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
    return token_entropies(
        logits, support=Support(top_p=top_p, crossing=crossing), temperature=temperature
    ).clamped_entropy


@dataclass(frozen=True, kw_only=True)
class Nucleus:
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
        Support(top_p=self.top_p, crossing=self.crossing)  # refuses a mass outside (0, 1]

    @property
    def support(self) -> Support | None:
        """The nucleus; None for `top_p=1`."""
        support = Support(top_p=self.top_p, crossing=self.crossing)
        return support if self.top_p < 1 or not self.crossing else None

    def fused_scale(self, vocab: int) -> float | None:
        """The entropy on the support itself."""
        return 1.0

    def __call__(self, logits: Tensor, *, temperature: float = 1.0) -> Tensor:
        """Return `nucleus(logits)`."""
        return nucleus(logits, top_p=self.top_p, crossing=self.crossing, temperature=temperature)
