"""What every measure is: a frozen setting that turns logits into nats per token."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from torch import Tensor

from entrostat.ops import Support


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
        ...

    def fused_scale(self, vocab: int) -> float | None:
        """Factor from the entropy on `support` to this measure; None if it is no multiple of it, so cannot be fused."""
        ...

    def __call__(self, logits: Tensor, *, temperature: float = 1.0) -> Tensor:
        """Return the measure of each token."""
        ...
