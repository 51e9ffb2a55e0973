"""Values and gradients of `token_stats` against the float64 reference, whatever the implementation."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from entrostat.ops import Support, TokenStats, token_stats
from entrostat.ops._reference import kept_mask, reference_token_stats

SUPPORTS = [{}, {"clamp": 0.3}, {"clamp": 0.97}, {"top_k": 3}, {"top_p": 0.8}]
TOLERANCE = {  # of values, of gradients: what the dtype itself cannot resolve
    torch.float64: (1e-11, 1e-11),
    torch.float32: (2e-5, 6e-6),
    torch.bfloat16: (2e-5, 4e-3),
    torch.float16: (2e-5, 1e-3),
}
MIX = (0.7, -1.3, 0.9, 0.4)
"""What the four outputs are multiplied with before they are summed: every gradient takes part, none cancels."""


def make(rows: int, vocab: int, dtype: torch.dtype = torch.float32, spread: float = 2.5) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(vocab)
    logits = (torch.randn(rows, vocab, generator=generator, dtype=torch.float64) * spread).to(dtype)
    return logits, torch.randint(0, vocab, (rows,), generator=generator)


def gradient(stats: TokenStats, leaf: Tensor) -> Tensor:
    loss = sum((weight * value.double()).sum() for weight, value in zip(MIX, stats, strict=True))
    assert isinstance(loss, Tensor)
    return torch.autograd.grad(loss, leaf)[0]


def reference(logits: Tensor, targets: Tensor, temperature: float = 1.0, **keep: float) -> tuple[list[Tensor], Tensor]:
    leaf = logits.detach().double().requires_grad_()
    support = Support(**keep) if keep else None  # pyright: ignore[reportArgumentType]
    stats = reference_token_stats(leaf, targets, support=support, temperature=temperature)
    return [value.detach() for value in stats], gradient(TokenStats(*stats), leaf)


def agree(logits: Tensor, targets: Tensor, *, gradients: bool = True, **options: float) -> None:
    leaf = logits.detach().requires_grad_()
    stats = token_stats(leaf, targets, **options)  # pyright: ignore[reportArgumentType]
    options.pop("chunk_rows", None)
    values, expected = reference(logits, targets, **options)
    value_tolerance, gradient_tolerance = TOLERANCE[logits.dtype]
    for name, ours, theirs in zip(stats._fields, stats, values, strict=True):
        assert ours.dtype == (torch.float64 if logits.dtype == torch.float64 else torch.float32)
        torch.testing.assert_close(
            ours.double(), theirs, rtol=value_tolerance, atol=value_tolerance, msg=lambda m, n=name: f"{n}: {m}"
        )
    ours = gradient(stats, leaf)
    assert ours.dtype == logits.dtype
    assert ours.shape == logits.shape
    if gradients:
        scale = max(float(expected.abs().max()), 1e-3)
        torch.testing.assert_close(ours.double(), expected, rtol=gradient_tolerance, atol=gradient_tolerance * scale)


@pytest.mark.parametrize("keep", SUPPORTS, ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize(("rows", "vocab"), [(3, 2), (1, 7), (33, 41), (5, 1271)])
def test_agrees_with_the_reference(rows: int, vocab: int, dtype: torch.dtype, keep: dict[str, float]) -> None:
    agree(*make(rows, vocab, dtype), **keep)


@pytest.mark.parametrize("keep", [{"clamp": 0.3}, {"clamp": 0.999}, {"top_k": 31}, {"top_p": 0.9}], ids=str)
def test_agrees_at_the_vocabulary_of_a_language_model(keep: dict[str, float]) -> None:
    agree(*make(2, 151_936), **keep)


@pytest.mark.parametrize("keep", SUPPORTS, ids=str)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("vocab", [7, 1271, 20_000])
def test_half_precision_in_full_precision_out(vocab: int, dtype: torch.dtype, keep: dict[str, float]) -> None:
    # Half-precision logits tie at the cut; there the gradient is a mean over orders, which the reference has not.
    logits, targets = make(3, vocab, dtype)
    agree(logits, targets, gradients=not keep or vocab == 7, **keep)
    if keep:
        ours = gradient(token_stats(leaf := logits.requires_grad_(), targets, **keep), leaf)  # pyright: ignore[reportArgumentType]
        _, expected = reference(logits, targets, **keep)
        x = logits.detach()
        dropped = x.masked_fill(kept_mask(x.double(), Support(**keep)), -torch.inf).amax(-1, keepdim=True)  # pyright: ignore[reportArgumentType]
        torch.testing.assert_close(
            ours.double().masked_fill(x == dropped, 0), expected.masked_fill(x == dropped, 0), rtol=8e-3, atol=8e-3
        )


@pytest.mark.parametrize("temperature", [0.7, 1.6])
@pytest.mark.parametrize("keep", SUPPORTS, ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_temperature_divides_the_logits(temperature: float, keep: dict[str, float], dtype: torch.dtype) -> None:
    agree(*make(4, 41, dtype), temperature=temperature, **keep)


@pytest.mark.parametrize("keep", SUPPORTS, ids=str)
@pytest.mark.parametrize("vocab", [41, 9001])
def test_banned_tokens_have_no_probability_and_no_gradient(vocab: int, keep: dict[str, float]) -> None:
    logits, targets = make(6, vocab)
    logits[1, ::2] = -torch.inf
    logits[2, 1:] = -torch.inf
    logits[3, : vocab * 9 // 10] = -torch.inf
    targets = torch.tensor([0, 1, 0, vocab - 1, 2, 3])
    for temperature in (1.0, 0.5):
        agree(logits, targets, temperature=temperature, **keep)
    leaf = logits.clone().requires_grad_()
    grad = gradient(token_stats(leaf, targets, **keep), leaf)  # pyright: ignore[reportArgumentType]
    assert (grad[logits == -torch.inf] == 0).all()


@pytest.mark.parametrize("keep", SUPPORTS, ids=str)
def test_a_row_without_any_token_is_silent(keep: dict[str, float]) -> None:
    logits, targets = make(3, 41)
    logits[1] = -torch.inf
    leaf = logits.clone().requires_grad_()
    stats = token_stats(leaf, targets, **keep)  # pyright: ignore[reportArgumentType]
    assert [float(value[1]) for value in map(torch.detach, stats)] == [-math.inf, 0.0, 0.0, 0.0]
    grad = gradient(TokenStats(*(value[[0, 2]] for value in stats)), leaf)
    assert (grad[1] == 0).all()
    assert grad[[0, 2]].isfinite().all()
    assert gradient(token_stats(leaf, targets, **keep), leaf).isfinite().all()  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("keep", SUPPORTS, ids=str)
@pytest.mark.parametrize("shift", [-1000.0, 1000.0])
def test_logits_far_from_zero(shift: float, keep: dict[str, float]) -> None:
    logits, targets = make(3, 1271)
    agree((logits * 64).round() / 64 + shift, targets, gradients=False, **keep)


def test_a_banned_target_has_log_prob_minus_infinity_and_no_gradient_through_it() -> None:
    leaf = torch.tensor([[1.0, -torch.inf, 0.0]]).requires_grad_()
    stats = token_stats(leaf, torch.tensor([1]))
    assert stats.logprobs.tolist() == [-math.inf]
    assert (torch.autograd.grad(stats.logprobs.sum(), leaf)[0] == 0).all()


@pytest.mark.parametrize("keep", SUPPORTS, ids=str)
def test_a_one_hot_row_has_entropy_zero(keep: dict[str, float]) -> None:
    leaf = torch.full((2, 100), -200.0)
    leaf[:, 7] = 300.0
    leaf.requires_grad_()
    stats = token_stats(leaf, torch.tensor([7, 8]), **keep)  # pyright: ignore[reportArgumentType]
    assert stats.entropy.tolist() == [0, 0]
    assert stats.clamped_entropy.tolist() == [0, 0]
    assert stats.kept_mass.tolist() == [1, 1]
    assert stats.logprobs.tolist() == [0, -500]
    assert gradient(stats, leaf).isfinite().all()


@pytest.mark.parametrize("keep", SUPPORTS[1:], ids=str)
@pytest.mark.parametrize("values", [(0.0,), (0.0, 1.0), (0.0, -0.0), (-3.0, 2.0, 2.5)], ids=str)
@pytest.mark.parametrize("vocab", [100, 9001])
def test_ties_change_no_value(vocab: int, values: tuple[float, ...], keep: dict[str, float]) -> None:
    logits = torch.tensor(values).repeat(vocab)[:vocab].repeat(2, 1)
    agree(logits, torch.tensor([0, 5]), gradients=False, **keep)


@pytest.mark.parametrize("keep", [{"clamp": 0.5}, {"top_k": 2}, {"top_p": 0.6}], ids=str)
@pytest.mark.parametrize("row", [(0.0,) * 5, (1.0, 0.0, 0.0, 0.0, -1.0), (2.0, 2.0, 1.0, 1.0, 1.0)], ids=str)
def test_the_gradient_at_a_tie_is_the_mean_over_all_orders(row: tuple[float, ...], keep: dict[str, float]) -> None:
    logits, target = torch.tensor([row], dtype=torch.float64), torch.tensor([1])
    orders = [torch.tensor(order) for order in itertools.permutations(range(5))]
    mean = torch.zeros_like(logits)
    for order in orders:
        moved_target = (order == 1).nonzero()[0]
        mean[:, order] += reference(logits[:, order], moved_target, **keep)[1] / len(orders)
    leaf = logits.float().requires_grad_()
    ours = gradient(token_stats(leaf, target, **keep), leaf)  # pyright: ignore[reportArgumentType]
    torch.testing.assert_close(ours.double(), mean, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("keep", SUPPORTS[1:], ids=str)
def test_numbering_the_vocabulary_otherwise_changes_nothing(keep: dict[str, float]) -> None:
    logits, targets = make(4, 1271, torch.bfloat16)
    order = torch.randperm(1271, generator=torch.Generator().manual_seed(0))
    leaf, moved = logits.clone().requires_grad_(), logits[:, order].requires_grad_()
    here = token_stats(leaf, targets, **keep)  # pyright: ignore[reportArgumentType]
    there = token_stats(moved, order.argsort()[targets], **keep)  # pyright: ignore[reportArgumentType]
    for ours, theirs in zip(here, there, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(gradient(here, leaf)[:, order], gradient(there, moved), rtol=1e-2, atol=1e-5)


@pytest.mark.parametrize("clamp", [0.0, 0.004, 0.3, 0.33, 0.7, 0.999])
@pytest.mark.parametrize("vocab", [2, 41, 1271, 20_000])
def test_exactly_int_clamp_v_tokens_are_removed(clamp: float, vocab: int) -> None:
    # Evenly spaced, so that no two tie, and far enough from equal for every gradient to show.
    logits = torch.linspace(-1, 1, vocab)[torch.randperm(vocab, generator=torch.Generator().manual_seed(3))].unsqueeze(
        0
    )
    targets = torch.tensor([0])
    leaf = logits.requires_grad_()
    stats = token_stats(leaf, targets, clamp=clamp)
    kept = logits.detach().double()[0].sort(descending=True).values[: vocab - int(clamp * vocab)]
    whole = logits.detach().double()[0].softmax(-1)
    torch.testing.assert_close(
        stats.kept_mass.double()[0], whole.sort(descending=True).values[: len(kept)].sum(), rtol=1e-6, atol=1e-7
    )
    torch.testing.assert_close(
        stats.clamped_entropy.double()[0], torch.distributions.Categorical(logits=kept).entropy(), rtol=1e-6, atol=1e-6
    )
    if len(kept) > 1:
        touched = torch.autograd.grad(stats.clamped_entropy.sum(), leaf)[0] != 0
        assert int(touched.sum()) == len(kept)


@pytest.mark.parametrize(
    "keep", [{"clamp": 0.0}, {"clamp": 0.02}, {"top_k": 41}, {"top_k": 99}, {"top_p": 1.0}], ids=str
)
def test_keeping_everything_is_shannon_bit_for_bit(keep: dict[str, float]) -> None:
    logits, targets = make(5, 41)
    leaf = logits.requires_grad_()
    stats = token_stats(leaf, targets, **keep)  # pyright: ignore[reportArgumentType]
    assert torch.equal(stats.clamped_entropy, stats.entropy)
    assert torch.equal(stats.entropy, token_stats(logits, targets).entropy)
    assert (stats.kept_mass == 1).all()
    clamped = torch.autograd.grad(stats.clamped_entropy.sum(), leaf, retain_graph=True)[0]
    assert torch.equal(clamped, torch.autograd.grad(stats.entropy.sum(), leaf)[0])


@pytest.mark.parametrize("keep", SUPPORTS, ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64], ids=str)
def test_the_number_of_rows_at_a_time_changes_nothing(dtype: torch.dtype, keep: dict[str, float]) -> None:
    logits, targets = make(13, 301, dtype)
    leaf = logits.requires_grad_()
    whole = token_stats(leaf, targets, **keep)  # pyright: ignore[reportArgumentType]
    expected = gradient(whole, leaf)
    for chunk_rows in (1, 4, 13, 50):
        parts = token_stats(leaf, targets, chunk_rows=chunk_rows, **keep)  # pyright: ignore[reportArgumentType]
        for ours, theirs in zip(parts, whole, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(gradient(parts, leaf), expected, rtol=1e-5, atol=1e-6)


def strided() -> list[Tensor]:
    base = make(24, 60)[0]
    return [
        base.view(4, 6, 60)[:, :-1],
        base.view(4, 6, 60).transpose(0, 1),
        base[:, ::2],
        base[::2],
        base.t()[:12],
        base[:1].expand(5, 60),
        base.view(2, 2, 6, 60)[:, :, 1:].transpose(1, 2),
    ]


@pytest.mark.parametrize("case", range(7))
@pytest.mark.parametrize("keep", [{}, {"clamp": 0.3}], ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_any_strides(case: int, keep: dict[str, float], dtype: torch.dtype) -> None:
    logits = strided()[case].to(dtype).detach()
    logits = strided()[case] if dtype == torch.float32 else logits
    targets = torch.arange(math.prod(logits.shape[:-1])).view(logits.shape[:-1]) % logits.shape[-1]
    leaf = logits.requires_grad_()
    plain = logits.detach().clone(memory_format=torch.contiguous_format).requires_grad_()
    ours, theirs = token_stats(leaf, targets, **keep), token_stats(plain, targets, **keep)  # pyright: ignore[reportArgumentType]
    for value, expected in zip(ours, theirs, strict=True):
        torch.testing.assert_close(value, expected, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(gradient(ours, leaf), gradient(theirs, plain), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shape", [(0,), (2, 0), (0, 3)])
@pytest.mark.parametrize("keep", SUPPORTS, ids=str)
def test_an_empty_batch_gives_empty_outputs(shape: tuple[int, ...], keep: dict[str, float]) -> None:
    leaf = torch.zeros(*shape, 9, requires_grad=True)
    stats = token_stats(leaf, torch.zeros(shape, dtype=torch.long), **keep)  # pyright: ignore[reportArgumentType]
    assert all(value.shape == shape for value in stats)
    assert gradient(stats, leaf).shape == leaf.shape


def test_one_token_without_a_batch() -> None:
    stats = token_stats(torch.zeros(4), torch.tensor(2), clamp=0.5)
    assert [value.shape for value in stats] == [torch.Size([])] * 4
    assert float(stats.clamped_entropy) == pytest.approx(math.log(2))


@pytest.mark.parametrize("keep", SUPPORTS, ids=str)
def test_a_skipped_row_takes_no_gradient(keep: dict[str, float]) -> None:
    logits, targets = make(5, 41)
    targets[[1, 4]] = -100
    leaf = logits.requires_grad_()
    stats = token_stats(leaf, targets, **keep)  # pyright: ignore[reportArgumentType]
    grad = gradient(stats, leaf)
    assert stats.logprobs[[1, 4]].tolist() == [0, 0]
    assert (grad[[1, 4]] == 0).all()
    rest = logits.detach()[[0, 2, 3]].requires_grad_()
    alone = token_stats(rest, targets[[0, 2, 3]], **keep)  # pyright: ignore[reportArgumentType]
    torch.testing.assert_close(grad[[0, 2, 3]], gradient(alone, rest))
    skipped = token_stats(leaf, torch.full((5,), -100), **keep)  # pyright: ignore[reportArgumentType]
    assert (gradient(skipped, leaf) == 0).all()


@pytest.mark.parametrize("keep", [*SUPPORTS, {"clamp": 0.6}], ids=str)
def test_gradcheck(keep: dict[str, float]) -> None:
    # Logits a step apart: a finite difference must not cross the cut, where the set changes.
    generator = torch.Generator().manual_seed(1)
    logits = torch.stack([torch.randperm(9, generator=generator) for _ in range(4)]).double().div(2).requires_grad_()
    targets = torch.tensor([3, 0, -100, 8])
    torch.autograd.gradcheck(lambda x: tuple(token_stats(x[targets != -100], targets[targets != -100], **keep)), logits)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("index", range(4))
def test_each_output_alone_carries_its_gradient(index: int) -> None:
    logits, targets = make(4, 41, torch.float64)
    leaf, other = logits.clone().requires_grad_(), logits.clone().requires_grad_()
    support = Support(clamp=0.3)
    ours = torch.autograd.grad(token_stats(leaf.float(), targets, clamp=0.3)[index].sum(), leaf)[0]
    theirs = torch.autograd.grad(reference_token_stats(other, targets, support=support)[index].sum(), other)[0]
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def test_the_same_graph_can_be_walked_twice() -> None:
    logits, targets = make(4, 41)
    leaf = logits.requires_grad_()
    stats = token_stats(leaf, targets, clamp=0.3)
    first = torch.autograd.grad(stats.entropy.sum(), leaf, retain_graph=True)[0]
    assert torch.equal(first, torch.autograd.grad(stats.entropy.sum(), leaf)[0])


def test_autocast_changes_nothing() -> None:
    logits, targets = make(4, 1271)
    leaf = logits.requires_grad_()
    plain = token_stats(leaf, targets, clamp=0.3)
    with torch.autocast("cpu", torch.bfloat16):
        stats = token_stats(leaf, targets, clamp=0.3)
        grad = gradient(stats, leaf)
    for ours, theirs in zip(stats, plain, strict=True):
        assert torch.equal(ours, theirs)
    assert torch.equal(grad, gradient(plain, leaf))


ROWS = st.lists(st.floats(-30, 30, width=32), min_size=2, max_size=60)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(row=ROWS, clamp=st.floats(0, 1, exclude_max=True), shift=st.floats(-50, 50))
def test_shifting_all_logits_changes_nothing(row: list[float], clamp: float, shift: float) -> None:
    x, targets = torch.tensor([row], dtype=torch.float64), torch.tensor([0])
    # Compared where the shift is exact, so that it cannot create or split ties.
    exact = float(torch.tensor(shift).mul(4).round().div(4))
    x = x.mul(1024).round().div(1024)
    here, there = (token_stats(logits.float(), targets, clamp=clamp) for logits in (x, x + exact))
    for ours, theirs in zip(here, there, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=2e-5, atol=4e-5)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(row=ROWS, clamp=st.floats(0, 1, exclude_max=True))
def test_bounds(row: list[float], clamp: float) -> None:
    stats = token_stats(torch.tensor([row]), torch.tensor([0]), clamp=clamp)
    kept = len(row) - int(clamp * len(row))
    assert 0 <= float(stats.entropy) <= math.log(len(row)) + 1e-5
    assert 0 <= float(stats.clamped_entropy) <= math.log(kept) + 1e-5
    assert kept / len(row) - 1e-6 <= float(stats.kept_mass) <= 1 + 1e-6
    assert float(stats.logprobs) <= 1e-6


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    row=st.lists(st.sampled_from([-torch.inf, -2.0, 0.0, 0.5, 3.0]), min_size=2, max_size=40), top_k=st.integers(1, 50)
)
def test_any_mix_of_ties_and_bans_agrees(row: list[float], top_k: int) -> None:
    logits = torch.tensor([row])
    if (logits > -torch.inf).any():
        agree(logits, logits.argmax(-1), gradients=False, top_k=top_k)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (([[1.0, 2.0]], torch.tensor([0])), TypeError, "`logits` must be a torch.Tensor"),
        ((torch.ones(2, 3, dtype=torch.long), torch.tensor([0, 0])), TypeError, "`logits` must have a floating dtype"),
        ((torch.ones(2, 3), torch.tensor([0.0, 0.0])), TypeError, "`targets` must be an integer tensor"),
        ((torch.ones(2, 3), torch.tensor([True, False])), TypeError, "`targets` must be an integer tensor"),
        ((torch.ones(2, 3), [0, 0]), TypeError, "`targets` must be an integer tensor"),
        ((torch.ones(2, 1), torch.tensor([0, 0])), ValueError, "V >= 2"),
        ((torch.tensor(1.0), torch.tensor(0)), ValueError, "`logits` must have a vocabulary dimension"),
        ((torch.ones(2, 3), torch.tensor([0])), ValueError, "`targets` must have the rows' shape"),
        ((torch.ones(2, 3), torch.tensor([0, 3])), ValueError, "`targets` must be tokens in"),
        ((torch.ones(2, 3), torch.tensor([0, -1])), ValueError, "`targets` must be tokens in"),
    ],
)
def test_bad_tensors_are_refused(arguments: tuple[Tensor, Tensor], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        token_stats(*arguments)


@pytest.mark.parametrize(
    ("setting", "error", "words"),
    [
        ({"clamp": 1.0}, ValueError, "`clamp` must lie in"),
        ({"clamp": -0.1}, ValueError, "`clamp` must lie in"),
        ({"clamp": math.nan}, ValueError, "`clamp` must be finite"),
        ({"clamp": "0.3"}, TypeError, "`clamp` must be a number"),
        ({"top_k": 0}, ValueError, "`top_k` must be at least 1"),
        ({"top_k": 2.0}, TypeError, "`top_k` must be an integer"),
        ({"top_p": 0.0}, ValueError, "`top_p` must lie in"),
        ({"top_p": 1.5}, ValueError, "`top_p` must lie in"),
        ({"clamp": 0.1, "top_k": 3}, ValueError, "exclude each other"),
        ({"temperature": 0.0}, ValueError, "`temperature` must be positive"),
        ({"temperature": math.inf}, ValueError, "`temperature` must be finite"),
        ({"chunk_rows": 0}, ValueError, "`chunk_rows` must be at least 1"),
        ({"chunk_rows": 1.5}, TypeError, "`chunk_rows` must be an integer"),
    ],
)
def test_settings_out_of_range_are_refused(setting: dict[str, float], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        token_stats(torch.ones(2, 3), torch.tensor([0, 0]), **setting)  # pyright: ignore[reportArgumentType]


def test_nan_logits_give_nan_in_their_row_alone() -> None:
    logits, targets = make(3, 1000)
    logits[1, 500] = torch.nan
    for keep in SUPPORTS:
        stats = token_stats(logits, targets, **keep)  # pyright: ignore[reportArgumentType]
        assert stats.entropy.isnan().tolist() == [False, True, False]
        assert stats.logprobs.isnan().tolist() == [False, True, False]
