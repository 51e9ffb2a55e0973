"""The cut of `_support` where each rank holds some of a row's tokens: a radix selection whose histograms are summed.

Floats compare as their bits do, once the sign is folded in. So each token has an unsigned code of 32 bits (64 for
float64), and the cut's code is found eight bits at a time, from the top: count the tokens of each of 256 digits among
those that share the digits found so far, add the counts up over ranks, and take the digit in which the wanted token
lies. Every rank does the same arithmetic on the same sums, so all of them find the same cut, to the last bit.

A rule by count weighs every token 1 and looks for the token at which `kept` is reached. A nucleus weighs a token by its
probability (unnormalised, float64) and looks for the one at which `top_p` of the total is reached. After the last digit
the histogram's bin is the tie: with `A` the weight strictly above it, `u` one tied token's weight and `m` tied tokens,

    r = ceil((wanted - A) / u)        tie_weight = r / m        m = (weight of the bin) / u.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from entrostat.ops._support import Support

DIGIT = 8
"""Bits found per collective: few collectives, and 256 bins are small beside a shard of a vocabulary."""

_BINS = 1 << DIGIT

Sum = Callable[[Tensor], Tensor]
"""Adds a tensor up over ranks, in place, and returns it."""

Rows = Callable[[Callable[[Tensor, slice], Tensor]], Tensor]
"""Applies a function to the working copy of a few rows at a time, and joins what it returns."""


def ordered_code(x: Tensor) -> Tensor:
    """Return integers whose bits, read without a sign, are ordered as the floats `x` are; both zeros are one.

    Example:
        >>> code = ordered_code(torch.tensor([-1.0, -0.0, 0.0, 2.0]))
        >>> (code ^ torch.iinfo(code.dtype).min).diff().sign().tolist()
        [1, 0, 1]
    """
    kind = torch.int64 if x.dtype == torch.float64 else torch.int32
    info = torch.iinfo(kind)
    bits = (x + 0.0).view(kind)
    # A positive number's sign bit is set, a negative one's bits are all flipped.
    return bits ^ ((bits >> (info.bits - 1)) | info.min)


def from_code(code: Tensor) -> Tensor:
    """Return the floats of `ordered_code`'s integers."""
    info = torch.iinfo(code.dtype)
    bits = torch.where(code < 0, code ^ info.min, ~code)
    return bits.view(torch.float64 if code.dtype == torch.int64 else torch.float32)


def parallel_cut(rows: Rows, peak: Tensor, support: Support, vocab: int, sum_over_ranks: Sum) -> tuple[Tensor, Tensor]:
    """Return the threshold `[N]` of each row over all ranks' tokens, and the weight `[N]` of those that tie with it.

    Args:
        rows: gives the local logits, a few rows at a time.
        peak: each row's largest logit over all ranks, `[N]`.
        support: the rule.
        vocab: tokens on all ranks.
        sum_over_ranks: the collective.
    """
    by_mass = support.top_p is not None
    kind = torch.int64 if peak.dtype == torch.float64 else torch.int32
    weight = torch.float64 if by_mass else torch.int32
    wanted = torch.full_like(peak, support.kept(vocab), dtype=weight)
    above, found = torch.zeros_like(wanted), torch.zeros_like(peak, dtype=kind)
    tied = torch.zeros_like(wanted)
    bits = torch.iinfo(kind).bits
    for shift in range(bits - DIGIT, -1, -DIGIT):

        def count(x: Tensor, part: slice, shift: int = shift, found: Tensor = found) -> Tensor:
            return _histogram(x, peak[part] if by_mass else None, found[part], shift)

        histogram = sum_over_ranks(rows(count))
        if support.top_p is not None and shift == bits - DIGIT:
            wanted = support.top_p * histogram.sum(-1)
        digit, above, tied = _choose(histogram, above, wanted)
        found = found | (digit.to(kind) << shift)
    tau = from_code(found)
    one = (tau.double() - peak.double()).exp() if by_mass else torch.ones_like(tau, dtype=torch.float64)
    ties = (tied / one).round()
    places = ((wanted - above) / one).ceil().clamp(min=1).minimum(ties)
    return tau, (places / ties.clamp(min=1)).to(peak.dtype)


def _histogram(x: Tensor, peak: Tensor | None, found: Tensor, shift: int) -> Tensor:
    """Return the weight `[n, 256]` of the tokens of `x [n, V]` by digit, of those that match `found` above it."""
    code = ordered_code(x)
    digit = ((code >> shift) & (_BINS - 1)).long()
    if shift + DIGIT < torch.iinfo(code.dtype).bits:
        matching = (code >> (shift + DIGIT)) == (found >> (shift + DIGIT)).unsqueeze(-1)
        digit = torch.where(matching, digit, _BINS)  # one bin more, for those that do not
    if peak is None:
        weight = torch.ones((), dtype=torch.int32, device=x.device).expand_as(digit)
    else:
        weight = (x.double() - peak.double().unsqueeze(-1)).exp()
    counted = torch.zeros(len(x), _BINS + 1, dtype=weight.dtype, device=x.device).scatter_add_(-1, digit, weight)
    return counted[:, :_BINS].contiguous()


def _choose(histogram: Tensor, above: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the digit `[N]` in which the wanted weight is reached from above, the weight above it, and its own."""
    falling = histogram.flip(-1)
    through = above.unsqueeze(-1) + falling.cumsum(-1, dtype=falling.dtype)
    # Rounding may leave the sum of a digit's parts just short of the digit's own: then it is the last that has any.
    last = torch.where(falling > 0, torch.arange(_BINS, device=falling.device), 0).amax(-1)
    first = (through < wanted.unsqueeze(-1)).sum(-1)
    place = first.minimum(last).unsqueeze(-1)
    before = torch.cat([above.unsqueeze(-1), through], dim=-1)
    higher, own = before.gather(-1, place).squeeze(-1), falling.gather(-1, place).squeeze(-1)
    return _BINS - 1 - place.squeeze(-1), higher, own
