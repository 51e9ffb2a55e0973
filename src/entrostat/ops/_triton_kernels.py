# Triton's own language is untyped, and Triton is optional: this file is checked by running it, not by types.
# pyright: basic, reportMissingImports=false
# ruff: noqa: N803 - constants of a kernel are written in capitals, as in Triton's own examples
"""The arithmetic of `_rows` as Triton kernels: one program a row forward, one program a block of a row backward."""

# The forward reads a row once (half precision) or about twice (fp32). While the one pass keeps a running maximum and
# the sums of the softmax, it also looks for the cut. Floats are mapped to unsigned integers in the same order ("codes";
# 16 bits suffice for bf16, 20 for fp16, 32 for fp32). A sample of the row brackets the code of the wanted rank. The
# pass counts the codes below the bracket, adds up those above it, and makes a histogram of those inside.
#
#     bins of one code each      the rank's bin is the cut; a bin's sum is count * exp(value), so no second read
#     bins of several codes      the rank's bin is the next bracket: one more pass, now with bins of one code
#     rank outside the bracket   the side it is on is the next bracket: one more pass, never a wrong answer
#
# Sums run in one fp32 lane per column of the block and are added up as a tree.

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def _exact_logits(z, scale):
    # `tl.maximum` would drop a NaN.
    x = z * scale
    return tl.where(x < -1e30, -1e30, x)


@triton.jit
def _code(z, SHIFT: tl.constexpr):
    # -0 and +0 are the same logit.
    bits = tl.where(z == 0, 0.0, z).to(tl.uint32, bitcast=True)
    ordered = tl.where(bits >> 31 != 0, ~bits, bits | 0x80000000)
    return ordered >> SHIFT


@triton.jit
def _decode(code, SHIFT: tl.constexpr):
    # The bits that the shift dropped are zeros of the float; a negative float's are stored inverted.
    ordered = code << SHIFT
    negative = ordered >> 31 == 0
    bits = tl.where(negative, ~(ordered | ((1 << SHIFT) - 1)), ordered ^ 0x80000000)
    return bits.to(tl.float32, bitcast=True)


@triton.jit
def _quantile(codes, rank, BITS: tl.constexpr):
    # The largest code that at most `rank` of the sample are below, four bits at a time, from the top.
    found = tl.full((), 0, tl.uint32)
    digits = tl.arange(0, 16).to(tl.uint32)
    for step in tl.static_range(0, BITS // 4):
        edges = found + (digits << (BITS - 4 - 4 * step))
        below = tl.sum((codes[:, None] < edges[None, :]).to(tl.int32), 0)
        found += (tl.sum((below <= rank).to(tl.int32), 0) - 1).to(tl.uint32) << (BITS - 4 - 4 * step)
    return found


@triton.jit
def forward_kernel(
    z_ptr, stride, vocab, scale, targets_ptr, kept_ptr, watched_ptr,
    logprobs_ptr, entropy_ptr, clamped_ptr, mass_ptr, log_z_ptr, log_z_kept_ptr, tau_ptr, tie_weight_ptr, seen_ptr,
    HAS_TARGETS: tl.constexpr, HAS_CUT: tl.constexpr, HAS_WATCHED: tl.constexpr,
    SHIFT: tl.constexpr, SAMPLE: tl.constexpr, BINS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    z_row = z_ptr + row * stride
    columns = tl.arange(0, BLOCK)
    bins = tl.arange(0, BINS)
    BITS: tl.constexpr = 32 - SHIFT
    LAST: tl.constexpr = (1 << BITS) - 1

    # The bracket [low, high] of codes; 64-bit scalars, so that its ends can leave the range without wrapping.
    low = tl.full((), 0, tl.int64)
    high = tl.full((), LAST, tl.int64)
    rank = tl.full((), 0, tl.int64)
    if HAS_CUT:
        rank = vocab - tl.load(kept_ptr + row).to(tl.int64)
        step = vocab // SAMPLE
        if step > 0:
            # One place in each of SAMPLE equal stretches, at a scattered offset: neighbouring tokens may be alike.
            places = tl.arange(0, SAMPLE)
            places = places * step + ((places * 40503) >> 4) % step
            codes = _code(tl.load(z_row + places).to(tl.float32), SHIFT)
            share = rank.to(tl.float32) / vocab
            # Five standard deviations of the sample's count: the bracket almost never misses the wanted rank.
            slack = 5 * tl.sqrt(SAMPLE * share * (1 - share)) + 2
            first = tl.floor(SAMPLE * share - slack).to(tl.int32)
            last = tl.ceil(SAMPLE * share + slack).to(tl.int32)
            if first >= 0:
                low = _quantile(codes, first, BITS).to(tl.int64)
            if last < SAMPLE:
                high = _quantile(codes, last, BITS).to(tl.int64)

    peak = tl.full((), -1e30, tl.float32)
    total = tl.zeros((BLOCK,), tl.float32)
    moment = tl.zeros((BLOCK,), tl.float32)
    seen = tl.zeros((BLOCK,), tl.float32)
    total_kept = tl.full((), 0.0, tl.float32)
    moment_kept = tl.full((), 0.0, tl.float32)
    tau = tl.full((), 0.0, tl.float32)
    tie_weight = tl.full((), 1.0, tl.float32)
    # The first pass reads the row for the sums too; any further one only searches for the cut.
    searching = tl.full((), 1, tl.int32)
    reading = tl.full((), 1, tl.int32)
    while searching == 1:
        shift = tl.full((), 0, tl.int64)
        if HAS_CUT:
            while ((high - low) >> shift) >= BINS:
                shift += 1
        low_code = low.to(tl.uint32)
        high_code = high.to(tl.uint32)
        counts = tl.zeros((BINS,), tl.int32)
        below = tl.zeros((BLOCK,), tl.int32)
        total_above = tl.zeros((BLOCK,), tl.float32)
        moment_above = tl.zeros((BLOCK,), tl.float32)
        for start in range(0, vocab, BLOCK):
            inside = start + columns < vocab
            z = tl.load(z_row + start + columns, mask=inside, other=0.0).to(tl.float32)
            x = _exact_logits(z, scale)
            if reading == 1:
                # A new maximum rescales all sums so far, since they are relative to the old one.
                higher = tl.maximum(peak, tl.max(tl.where(inside, x, -1e30), 0))
                drop = peak - higher
                shrink = tl.exp(drop)
                moment = shrink * (moment + drop * total)
                total = shrink * total
                if HAS_CUT:
                    moment_above = shrink * (moment_above + drop * total_above)
                    total_above = shrink * total_above
                if HAS_WATCHED:
                    seen = shrink * seen
                peak = higher
            d = tl.where(inside, x - peak, 0.0)
            # e * d of a banned token is 0 * -1e30; the bound keeps it from being 0 * inf where the peak is large too.
            d = tl.where(d < -1e30, -1e30, d)
            e = tl.where(inside, tl.exp(d), 0.0)
            if reading == 1:
                total += e
                moment += e * d
                if HAS_WATCHED:
                    seen += e * tl.load(watched_ptr + start + columns, mask=inside, other=0.0)
            if HAS_CUT:
                code = _code(z, SHIFT)
                above = inside & (code > high_code)
                total_above += tl.where(above, e, 0.0)
                moment_above += tl.where(above, e * d, 0.0)
                below += (inside & (code < low_code)).to(tl.int32)
                held = inside & (code >= low_code) & (code <= high_code)
                index = tl.where(held, (code - low_code) >> shift.to(tl.uint32), 0).to(tl.int32)
                counts += tl.histogram(index, BINS, mask=held)
        reading = tl.full((), 0, tl.int32)
        if HAS_CUT:
            count_below = tl.sum(below, 0).to(tl.int64)
            up_to = tl.cumsum(counts, 0)
            count_held = tl.sum(counts, 0).to(tl.int64)
            if rank < count_below:
                high = low - 1
                low = tl.full((), 0, tl.int64)
            elif rank >= count_below + count_held:
                low = high + 1
                high = tl.full((), LAST, tl.int64)
            else:
                chosen = tl.sum((count_below + up_to <= rank).to(tl.int32), 0)
                if shift == 0:
                    tied = tl.sum(tl.where(bins == chosen, counts, 0), 0)
                    places = count_below + tl.sum(tl.where(bins == chosen, up_to, 0), 0) - rank
                    weight = tl.where(bins > chosen, counts, tl.where(bins == chosen, places.to(tl.int32), 0))
                    # Codes that no logit has may not be numbers at all.
                    values = tl.where(weight > 0, _decode(low_code + bins.to(tl.uint32), SHIFT), 0.0)
                    values = _exact_logits(values, scale) - peak
                    # exp of less than -104 is 0 in fp32; the bound keeps 0 * -1e30 out of the moment.
                    values = tl.where((weight > 0) & (values > -200), values, -200)
                    mass = weight.to(tl.float32) * tl.exp(values)
                    total_kept = tl.sum(total_above, 0) + tl.sum(mass, 0)
                    moment_kept = tl.sum(moment_above, 0) + tl.sum(mass * values, 0)
                    tau = _decode(low_code + chosen.to(tl.uint32), SHIFT)
                    tie_weight = places.to(tl.float32) / tied
                    searching = tl.full((), 0, tl.int32)
                else:
                    low = low + (chosen.to(tl.int64) << shift)
                    high = tl.minimum(high, low + (tl.full((), 1, tl.int64) << shift) - 1)
        else:
            searching = tl.full((), 0, tl.int32)

    z_all = tl.sum(total, 0)
    s_all = tl.sum(moment, 0)
    if not HAS_CUT:
        total_kept = z_all
        moment_kept = s_all
    # Every token banned: nothing to measure. (A NaN among them is in z_all, and has to show.)
    dead = (peak <= -5e29) & (z_all == z_all)
    log_z = peak + tl.log(z_all)
    entropy = tl.log(z_all) - s_all / z_all
    clamped = tl.log(total_kept) - moment_kept / total_kept
    share_kept = total_kept / z_all
    logprob = tl.full((), 0.0, tl.float32)
    if HAS_TARGETS:
        target = tl.load(targets_ptr + row)
        if target != -100:
            x = _exact_logits(tl.load(z_row + target).to(tl.float32), scale)
            logprob = tl.where((x <= -5e29) & (log_z == log_z), -float("inf"), x - log_z)
    tl.store(logprobs_ptr + row, logprob)
    tl.store(entropy_ptr + row, tl.where(dead | (entropy < 0), 0.0, entropy))
    tl.store(clamped_ptr + row, tl.where(dead | (clamped < 0), 0.0, clamped))
    tl.store(mass_ptr + row, tl.where(dead, 0.0, tl.where(share_kept > 1, 1.0, share_kept)))
    tl.store(log_z_ptr + row, log_z)
    tl.store(log_z_kept_ptr + row, peak + tl.log(total_kept))
    tl.store(tau_ptr + row, tau)
    tl.store(tie_weight_ptr + row, tie_weight)
    tl.store(seen_ptr + row, tl.where(dead, 0.0, tl.sum(seen, 0) / z_all))


@triton.jit
def backward_kernel(
    z_ptr, stride, out_ptr, out_stride, vocab, scale, targets_ptr, log_z_ptr, tau_ptr, tie_weight_ptr,
    g1_ptr, a_ptr, b_ptr, c_ptr, d_ptr,
    HAS_TARGETS: tl.constexpr, HAS_CUT: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    columns = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = columns < vocab
    z = tl.load(z_ptr + row * stride + columns, mask=inside, other=0.0).to(tl.float32)
    logp = _exact_logits(z, scale) - tl.load(log_z_ptr + row)
    logp = tl.where(logp < -1e30, -1e30, logp)
    bracket = tl.load(a_ptr + row) + tl.load(b_ptr + row) * logp
    if HAS_CUT:
        tau = tl.load(tau_ptr + row)
        weight = tl.where(z > tau, 1.0, tl.where(z == tau, tl.load(tie_weight_ptr + row), 0.0))
        bracket += weight * (tl.load(c_ptr + row) + tl.load(d_ptr + row) * logp)
    # Where exp is 0 the bracket may have overflowed, and 0 * inf is no gradient.
    gradient = tl.where(logp < -104.0, 0.0, tl.exp(logp) * bracket)
    if HAS_TARGETS:
        gradient += tl.where(columns == tl.load(targets_ptr + row), tl.load(g1_ptr + row), 0.0)
    tl.store(out_ptr + row * out_stride + columns, (gradient * scale).to(out_ptr.dtype.element_ty), mask=inside)
