"""`token_stats` where the vocabulary is cut over ranks, as in Megatron's head: same numbers, no logits exchanged."""

# The formulas are those of `_rows`. A row's sums (of exp, of exp times logit, over all tokens and over the kept ones)
# are sums over ranks; its largest logit is the maximum over ranks; the cut is found by a radix selection (`_cut`). With
# these eight numbers a row known everywhere, each rank's gradient needs nothing from the others:
#
#     dloss/dx_j = 1[j = t] g1 + p_j (A + B l_j) + w_j p_j (C + D l_j)        for the rank's own tokens j.
#
# Rows are worked on a few at a time, but each collective carries all of them: their number does not depend on N.

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor

from entrostat.errors import require
from entrostat.ops._backend import copied_slices, rule, stack_chunks
from entrostat.ops._rows import (
    BANNED,
    RowCoefficients,
    RowGrads,
    RowStats,
    backward_rows,
    coefficients,
    entropy_of,
    target_logprobs,
    working_copy,
)
from entrostat.ops._support import (
    Support,
    check_logits,
    check_target_range,
    check_targets,
    check_temperature,
    support_of,
    weights,
)
from entrostat.ops._token_stats import TokenStats

DIGIT = 8
"""Bits found per collective: few collectives, and 256 bins are small beside a shard of a vocabulary."""

_BINS = 1 << DIGIT

Sum = Callable[[Tensor], Tensor]
"""Adds a tensor up over ranks, in place, and returns it."""

Rows = Callable[[Callable[[Tensor, slice], Tensor]], Tensor]
"""Applies a function to the working copy of a few rows at a time, and joins the results."""


class _Call(NamedTuple):
    """The settings of a call, the same on all ranks but for `first`."""

    group: dist.ProcessGroup
    support: Support | None
    """None if it drops nothing of the whole vocabulary."""
    scale: float
    vocab: int
    """Tokens on all ranks."""
    first: int
    """The first token of this rank."""


def vocab_parallel_token_stats(
    local_logits: Tensor,
    targets: Tensor,
    *,
    group: dist.ProcessGroup | None,
    clamp: float | None = None,
    top_k: int | None = None,
    top_p: float | None = None,
    temperature: float = 1.0,
) -> TokenStats:
    """Return `token_stats` of logits whose vocabulary is cut over the ranks of a group.

    The shards are contiguous and follow the ranks' order; they may differ in size. With p the softmax over *all*
    tokens, A the kept ones of *all* and q = p / M on them:

        logprobs = log p[target]        entropy = -sum p log p
        kept_mass = M = sum_A p         clamped_entropy = -sum_A q log q

    The threshold of A is exact: it is selected on the bits of the logits, and tokens that tie at it, on whichever rank,
    share the remaining places as in `token_stats`. (`top_p` sums probabilities in float64; another order of summing
    can move its edge by one token where the sum meets `top_p` to the last digits.)

    Communication per call, for `N` rows over `R` ranks: forward 3 collectives without a rule (a gather of 64 bytes per
    rank, a maximum and a sum, together `24 N` bytes per rank) and 7 with one, which add `4 x 1024 N` bytes for `clamp`
    and `top_k`, `4 x 2048 N` for `top_p`; for float64 logits 11 collectives, 8 in place of 4 of these and twice
    the 24 bytes. An empty batch takes the gather alone. Backward: none. Ranks must call together, with equal arguments
    but for the logits; that is checked in the gather, so a mistake on one rank is an error on all, not a hang.

    Args:
        local_logits: `[..., V_r]`, the rank's own tokens, at least one; dtypes and -inf as in `token_stats`.
        targets: `[...]` integers, the same on all ranks, counted over all tokens; -100 skips a row.
        group: the ranks that share the vocabulary; None is torch's default group.
        clamp: share of the whole vocabulary to drop, `[0, 1)`.
        top_k: keep this many of the likeliest tokens instead.
        top_p: keep the smallest likeliest set with this probability instead, the crossing token included.
        temperature: divides the logits first.

    Returns:
        `TokenStats` of tensors `[...]`, fp32 (float64 for float64 logits), the same on every rank. Each rank must send
        back the gradient of the same loss by them, as it is, not divided by the ranks; it then receives that loss's
        gradient by its own logits.

    Raises:
        TypeError: `local_logits` not floating, `targets` not integer.
        ValueError: shapes or settings out of range, a target outside the vocabulary (checked on CPU), ranks whose
            arguments differ, another rank's error.
        RuntimeError: torch.distributed is not initialised.

    Reference:
        Shoeybi et al., "Megatron-LM", arXiv 1909.08053, section 3 (the vocabulary-parallel head); Shen, "On Entropy
        Control in LLM-RL Algorithms", arXiv 2509.03493, section 4.1 (the clamp).

    Example:
        >>> import tempfile, torch
        >>> import torch.distributed as dist
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=0, world_size=1)
        ...     logits, targets = torch.tensor([[2.0, 1.0, 0.0, -9.0]]), torch.tensor([0])
        ...     stats = vocab_parallel_token_stats(logits, targets, group=None, clamp=0.5)
        ...     dist.destroy_process_group()
        >>> [round(float(value), 4) for value in stats]
        [-0.4076, 0.8325, 0.5822, 0.91]
    """
    if not dist.is_available() or not dist.is_initialized():
        raise RuntimeError("a vocabulary cut over ranks needs torch.distributed: call `init_process_group` first.")
    problem: Exception | None = None
    support, scale = None, 1.0
    try:
        check_logits(local_logits, "local_logits", least=1)
        check_targets(targets, local_logits.shape[:-1])
        support, scale = support_of(clamp, top_k, top_p), 1 / check_temperature(temperature)
    except (TypeError, ValueError) as error:
        problem = error  # Reported to the other ranks first: they would wait for this one forever.
    ranks = group or dist.group.WORLD
    assert ranks is not None
    sizes = _agree(local_logits, targets, ranks, (clamp, top_k, top_p, temperature), problem)
    vocab, first = sum(sizes), sum(sizes[: dist.get_rank(ranks)])
    require(vocab >= 2, "local_logits", "have at least two tokens on all ranks together", vocab)
    check_target_range(targets, vocab)
    return TokenStats(
        *_VocabParallel.apply(local_logits, targets, _Call(ranks, rule(support, vocab), scale, vocab, first))
    )


def _agree(
    logits: Any, targets: Any, group: dist.ProcessGroup, settings: tuple[Any, ...], problem: Exception | None
) -> list[int]:
    """Return the shard sizes of all ranks; raise on every rank if one rejects its input or has other arguments."""
    facts = torch.zeros(8, dtype=torch.int64)
    facts[0] = problem is not None
    if problem is None:
        text = zlib.crc32(repr(settings).encode())
        facts[1:5] = torch.tensor([logits.shape[-1], targets.numel(), zlib.crc32(str(logits.dtype).encode()), text])
        order = torch.arange(1, targets.numel() + 1, device=targets.device)
        facts[5] = (targets.reshape(-1).long() * order).sum()
    device = logits.device if isinstance(logits, Tensor) else torch.device("cpu")
    gathered = [torch.zeros_like(facts, device=device) for _ in range(dist.get_world_size(group))]
    dist.all_gather(gathered, facts.to(device), group=group)
    if problem is not None:
        raise problem
    table = torch.stack(gathered).cpu()
    if bool(table[:, 0].any()):
        raise ValueError(f"rank {int(table[:, 0].argmax())} of the group rejected its input; see the error there.")
    names = ("the number of rows", "the logits' dtype", "the settings", "the targets")
    for column, name in enumerate(names, start=2):
        values = table[:, column]
        require(bool((values == values[0]).all()), "group", f"agree on {name}", values.unique().tolist())
    return [int(size) for size in table[:, 1]]


class _VocabParallel(torch.autograd.Function):
    @staticmethod
    def forward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, logits: Tensor, targets: Tensor, call: _Call
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        ctx.set_materialize_grads(False)
        flat = targets.reshape(-1)
        with torch.autocast(logits.device.type, enabled=False):
            stats = _forward(logits.reshape(-1, logits.shape[-1]), flat, call)
        ctx.save_for_backward(logits, flat, *stats)
        ctx.call = call
        logprobs, entropy, clamped, mass = (value.view(targets.shape) for value in stats[:4])
        return logprobs, entropy, clamped, mass

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor, None, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        logits, targets, *saved = ctx.saved_tensors
        z, call = logits.detach().reshape(-1, logits.shape[-1]), ctx.call
        out = torch.empty_like(z, memory_format=torch.contiguous_format)
        stats = RowStats(*saved)
        flat = RowGrads(*(None if grad is None else grad.reshape(-1) for grad in grads))
        letters = coefficients(targets, stats, flat, call.support)
        place, owned = _own(targets, call.first, z.shape[-1])
        if letters.g1 is not None:
            letters = letters._replace(g1=torch.where(owned, letters.g1, 0))
        for part in copied_slices(z):
            some = RowStats(*(value[part] for value in stats))
            backward_rows(z[part], out[part], place[part], some, _slice(letters, part), call.scale)
        return out.view(logits.shape), None, None


def _forward(z: Tensor, targets: Tensor, call: _Call) -> RowStats:
    """Return the statistics of the rows over all ranks; `z [N, V_r]` are this rank's logits."""
    if not len(z):
        return stack_chunks([], z)

    def rows(of: Callable[[Tensor, slice], Tensor]) -> Tensor:
        return torch.cat([of(working_copy(z[part], call.scale), part) for part in copied_slices(z)])

    def reduced(tensor: Tensor, how: Any = dist.ReduceOp.SUM) -> Tensor:
        dist.all_reduce(tensor, op=how, group=call.group)
        return tensor

    peak = reduced(rows(lambda x, part: x.amax(-1)), dist.ReduceOp.MAX)
    tau, tie_weight = peak, torch.ones_like(peak)
    if call.support is not None:
        tau, tie_weight = _cut(rows, peak, call.support, call.vocab, reduced)
    place, owned = _own(targets, call.first, z.shape[-1])

    def sums(x: Tensor, part: slice) -> Tensor:
        """Return the terms of the sums over ranks, `[n, 5]`; the target's logit comes from the one rank that has it."""
        d = x - peak[part].unsqueeze(-1)
        e = d.exp()
        target = torch.where(owned[part], x.gather(-1, place[part].unsqueeze(-1)).squeeze(-1), 0)
        all_tokens = [e.sum(-1), torch.linalg.vecdot(e, d)]
        kept = e if call.support is None else e.mul_(weights(x, tau[part], tie_weight[part]))
        return torch.stack([*all_tokens, kept.sum(-1), torch.linalg.vecdot(kept, d), target], dim=-1)

    total, moment, total_kept, moment_kept, target_x = reduced(rows(sums)).unbind(-1)
    # A maximum over ranks may lose a NaN; the sum keeps it.
    alive = ~(peak <= BANNED / 2) | total.isnan()
    log_z, nothing = peak + total.log(), torch.zeros_like(peak)
    return RowStats(
        target_logprobs(target_x, log_z, targets), entropy_of(total, moment, alive),
        entropy_of(total_kept, moment_kept, alive), torch.where(alive, total_kept / total, 0), log_z,
        peak + total_kept.log(), tau, tie_weight, nothing,
    )  # fmt: skip


def _slice(letters: RowCoefficients, part: slice) -> RowCoefficients:
    g1, a, b, c, d = letters
    g1, c, d = (None if value is None else value[part] for value in (g1, c, d))
    return RowCoefficients(g1, a[part], b[part], c, d)


def _own(targets: Tensor, first: int, size: int) -> tuple[Tensor, Tensor]:
    """Return where in this rank's shard each target lies, and whether it does."""
    place = targets - first
    return place.clamp(0, size - 1), (place >= 0) & (place < size)


# The cut of `_support` where each rank holds some of a row's tokens: a radix selection whose histograms are summed.
#
# Floats compare as their bits do, once the sign is folded in. So each token has an unsigned code of 32 bits (64 for
# float64), and the cut's code is found eight bits at a time, from the top: count the tokens of each of 256 digits among
# those that share the digits found so far, add the counts up over ranks, and take the digit in which the wanted token
# lies. Every rank does the same arithmetic on the same sums, so all of them find the same cut, to the last bit.
#
# A rule by count weighs every token 1 and looks for the token at which `kept` is reached. A nucleus weighs a token by
# its probability (unnormalised, float64) and looks for the one at which `top_p` of the total is reached. After the last
# digit the histogram's bin is the tie: with `A` the weight strictly above it, `u` one tied token's weight, `m` of them,
#
#     r = ceil((wanted - A) / u)        tie_weight = r / m        m = (weight of the bin) / u.


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


def _cut(rows: Rows, peak: Tensor, support: Support, vocab: int, sum_over_ranks: Sum) -> tuple[Tensor, Tensor]:
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
