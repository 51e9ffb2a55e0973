"""A batch of tokens with everything in it, for the contracts of edits and terms."""

from __future__ import annotations

import torch

from entrostat import TokenBatch


def batch(rows: int = 4, length: int = 6, seed: int = 0, garbage: bool = False) -> TokenBatch:
    """Return a batch with uneven rows, the last one empty; masked positions hold NaN if `garbage`."""
    generator = torch.Generator().manual_seed(seed)

    def noise() -> torch.Tensor:
        return torch.rand(rows, length, generator=generator)

    mask = (torch.arange(length) < torch.arange(length, length - rows, -1)[:, None]).int()
    mask[-1] = 0
    fields = {name: noise() for name in ("entropy", "clamped_entropy", "kept_mass", "advantages")}
    fields["logprobs"] = -noise()
    fields["old_logprobs"] = -noise()
    if garbage:
        fields = {name: torch.where(mask.bool(), value, torch.nan) for name, value in fields.items()}
    for name in ("logprobs", "entropy", "clamped_entropy"):
        fields[name].requires_grad_()
    clip = torch.full((rows, length), 0.2)
    return TokenBatch(**fields, mask=mask, clip_low=clip, clip_high=clip)
