"""`linear_token_stats` equals `token_stats` on logits that were formed first, in value and in every gradient."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from entrostat.ops import Head, Support, TokenStats, _native, head_stats, linear_token_stats
from entrostat.ops._reference import reference_token_stats

SUPPORTS = [{}, {"clamp": 0.3}, {"top_k": 5}, {"top_p": 0.8}]
MIX = (0.7, -1.3, 0.9, 0.4)


def operands(rows: int, vocab: int, dtype: torch.dtype = torch.float32, features: int = 8) -> list[Tensor]:
    generator = torch.Generator().manual_seed(rows + vocab)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)

    return [normal(rows, features), normal(vocab, features), normal(vocab)]


def targets_of(rows: int, vocab: int) -> Tensor:
    targets = torch.arange(rows) * 7 % vocab
    if rows > 2:
        targets[1] = -100
    return targets


def gradients(stats: TokenStats, leaves: list[Tensor], scored: Tensor) -> tuple[Tensor, ...]:
    terms = [(weight * value.double())[scored].sum() for weight, value in zip(MIX, stats, strict=True)]
    return torch.autograd.grad(sum(terms, torch.zeros((), dtype=torch.float64)), leaves)


def eager(
    leaves: list[Tensor],
    targets: Tensor,
    keep: dict[str, float],
    temperature: float,
    softcap: float | None,
    scale: float,
) -> TokenStats:
    z = scale * (leaves[0] @ leaves[1].t() + (leaves[2] if len(leaves) > 2 else 0))
    logits = z if softcap is None else softcap * torch.tanh(z / softcap)
    support = Support(**keep) if keep else None  # pyright: ignore[reportArgumentType]
    stats = reference_token_stats(logits, targets.clamp(min=0), support=support, temperature=temperature)
    return TokenStats(torch.where(targets == -100, 0, stats.logprobs), *stats[1:])


def agree(
    rows: int,
    vocab: int,
    keep: dict[str, float],
    *,
    dtype: torch.dtype = torch.float32,
    bias: bool = True,
    temperature: float = 1.0,
    softcap: float | None = None,
    scale: float = 1.0,
    chunk_rows: int | None = None,
) -> None:
    leaves = [leaf.requires_grad_() for leaf in operands(rows, vocab, dtype)[: 3 if bias else 2]]
    exact = [leaf.detach().double().requires_grad_() for leaf in leaves]
    targets = targets_of(rows, vocab)
    scored = targets != -100
    stats = linear_token_stats(
        leaves[0], leaves[1], targets, bias=leaves[2] if bias else None, temperature=temperature, softcap=softcap,
        logit_scale=scale, chunk_rows=chunk_rows, **keep,  # pyright: ignore[reportArgumentType]
    )  # fmt: skip
    expected = eager(exact, targets, keep, temperature, softcap, scale)
    tolerance = 1e-10 if dtype == torch.float64 else 3e-5
    for ours, theirs in zip(stats, expected, strict=True):
        torch.testing.assert_close(ours.double(), theirs, rtol=tolerance, atol=tolerance)
    ours, theirs = gradients(stats, leaves, scored), gradients(expected, exact, scored)
    for one, other in zip(ours, theirs, strict=True):
        assert one.dtype == dtype
        torch.testing.assert_close(one.double(), other, rtol=tolerance, atol=tolerance * float(other.abs().max()))


@pytest.mark.parametrize("keep", SUPPORTS, ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize(("rows", "vocab"), [(1, 2), (5, 7), (17, 41), (3, 1271)])
def test_agrees_with_the_eager_formula(rows: int, vocab: int, dtype: torch.dtype, keep: dict[str, float]) -> None:
    agree(rows, vocab, keep, dtype=dtype)


@pytest.mark.parametrize("keep", SUPPORTS, ids=str)
@pytest.mark.parametrize(
    "head",
    [
        {"temperature": 0.7},
        {"softcap": 3.0},
        {"scale": 0.25},
        {"softcap": 2.0, "scale": 1.5, "temperature": 1.3},
        {"bias": False},
        {"bias": False, "softcap": 5.0, "temperature": 0.5},
    ],
    ids=str,
)
def test_every_transform_of_the_head(head: dict[str, float], keep: dict[str, float]) -> None:
    for dtype in (torch.float32, torch.float64):
        agree(9, 41, keep, dtype=dtype, **head)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("chunk_rows", [1, 4, 17, 100])
@pytest.mark.parametrize("keep", SUPPORTS, ids=str)
def test_any_number_of_rows_at_a_time(chunk_rows: int, keep: dict[str, float]) -> None:
    agree(17, 41, keep, chunk_rows=chunk_rows)
    agree(17, 41, keep, chunk_rows=chunk_rows, softcap=3.0)


def test_products_too_large_to_keep_are_formed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("entrostat.ops._linear_token_stats.KEPT_PRODUCT_BYTES", 0)
    for chunk_rows in (None, 4):
        agree(17, 41, {"clamp": 0.3}, chunk_rows=chunk_rows)


def test_the_same_graph_can_be_walked_twice() -> None:
    hidden, weight, _ = operands(6, 41)
    hidden.requires_grad_()
    stats = linear_token_stats(hidden, weight, targets_of(6, 41), clamp=0.3)
    first = torch.autograd.grad(stats.entropy.sum(), hidden, retain_graph=True)[0]
    torch.testing.assert_close(torch.autograd.grad(stats.entropy.sum(), hidden)[0], first)


@pytest.mark.parametrize("keep", SUPPORTS, ids=str)
def test_bfloat16(keep: dict[str, float]) -> None:
    leaves = [leaf.requires_grad_() for leaf in operands(9, 1271, torch.bfloat16)]
    exact = [leaf.detach().double().requires_grad_() for leaf in leaves]
    targets = targets_of(9, 1271)
    stats = linear_token_stats(leaves[0], leaves[1], targets, bias=leaves[2], **keep)  # pyright: ignore[reportArgumentType]
    expected = eager(exact, targets, keep, 1.0, None, 1.0)
    for ours, theirs in zip(stats, expected, strict=True):
        assert ours.dtype == torch.float32
        torch.testing.assert_close(ours.double(), theirs, rtol=2e-2, atol=4e-2)
    pairs = zip(gradients(stats, leaves, targets != -100), gradients(expected, exact, targets != -100), strict=True)
    for ours, theirs in pairs:
        assert ours.dtype == torch.bfloat16
        torch.testing.assert_close(ours.double(), theirs, rtol=5e-2, atol=2e-2 * float(theirs.abs().max()))


def test_autocast_runs_the_product_in_its_dtype() -> None:
    hidden, weight, bias = (leaf.requires_grad_() for leaf in operands(9, 41))
    targets = targets_of(9, 41)
    with torch.autocast("cpu", torch.bfloat16):
        stats = linear_token_stats(hidden, weight, targets, bias=bias, clamp=0.3)
    rounded = [leaf.detach().bfloat16() for leaf in (hidden, weight, bias)]
    expected = linear_token_stats(rounded[0], rounded[1], targets, bias=rounded[2], clamp=0.3)
    for ours, theirs in zip(stats, expected, strict=True):
        assert ours.dtype == torch.float32
        torch.testing.assert_close(ours, theirs)
    grads = torch.autograd.grad(stats.clamped_entropy.sum(), (hidden, weight, bias))
    assert [grad.dtype for grad in grads] == [torch.float32] * 3
    assert all(grad.isfinite().all() and (grad != 0).any() for grad in grads)


@pytest.mark.parametrize("keep", SUPPORTS, ids=str)
def test_gradcheck(keep: dict[str, float]) -> None:
    # An identity weight on well-separated hidden states: no finite difference crosses the cut.
    hidden = torch.stack([torch.randperm(6).double(), torch.arange(6.0, dtype=torch.float64)]).requires_grad_()
    weight = torch.eye(6, dtype=torch.float64).requires_grad_()
    bias = torch.zeros(6, dtype=torch.float64, requires_grad=True)
    targets = torch.tensor([2, 5])
    torch.autograd.gradcheck(
        lambda h, w, b: tuple(linear_token_stats(h, w, targets, bias=b, softcap=20.0, temperature=0.8, **keep)),  # pyright: ignore[reportArgumentType]
        (hidden, weight, bias),
    )


def test_leading_dimensions_strides_and_no_rows() -> None:
    hidden, weight, _ = operands(12, 41)
    targets = targets_of(12, 41)
    flat = linear_token_stats(hidden, weight, targets, clamp=0.3)
    shaped = linear_token_stats(hidden.view(3, 4, 8), weight, targets.view(3, 4), clamp=0.3)
    moved = linear_token_stats(
        hidden.view(3, 4, 8).transpose(0, 1), weight.t().contiguous().t(), targets.view(3, 4).t(), clamp=0.3
    )
    for one, other, third in zip(flat, shaped, moved, strict=True):
        torch.testing.assert_close(one.view(3, 4), other)
        torch.testing.assert_close(other.t(), third)
    hidden = hidden[:0].requires_grad_()
    weight.requires_grad_()
    empty = linear_token_stats(hidden, weight, targets[:0], clamp=0.3)
    assert [value.shape for value in empty] == [torch.Size([0])] * 4
    grads = torch.autograd.grad(empty.entropy.sum(), (hidden, weight))
    assert grads[0].shape == (0, 8)
    assert (grads[1] == 0).all()


def test_skipped_rows_take_no_gradient() -> None:
    hidden, weight, _ = operands(5, 41)
    hidden.requires_grad_()
    weight.requires_grad_()
    targets = torch.tensor([1, -100, 3, -100, 5])
    stats = linear_token_stats(hidden, weight, targets, clamp=0.3)
    loss = sum((value.sum() for value in stats), torch.zeros(()))
    by_hidden, by_weight = torch.autograd.grad(loss, (hidden, weight))
    assert (by_hidden[[1, 3]] == 0).all()
    rest = linear_token_stats(hidden[targets != -100], weight, targets[targets != -100], clamp=0.3)
    alone = torch.autograd.grad(sum((value.sum() for value in rest), torch.zeros(())), weight)[0]
    torch.testing.assert_close(by_weight, alone)


def test_only_the_gradients_asked_for_are_formed() -> None:
    hidden, weight, bias = operands(5, 41)
    bias.requires_grad_()
    stats = linear_token_stats(hidden, weight, targets_of(5, 41), bias=bias)
    assert torch.autograd.grad(stats.entropy.sum(), bias)[0].shape == bias.shape


@pytest.mark.parametrize("softcap", [None, 4.0])
def test_the_mass_on_watched_tokens(softcap: float | None) -> None:
    hidden, weight, bias = operands(7, 41)
    watched = torch.zeros(41)
    watched[[0, 5, 40]] = 1
    head = Head(support=Support(clamp=0.3), temperature=0.7, softcap=softcap, chunk_rows=3)
    seen = head_stats(hidden, weight, torch.zeros(7, dtype=torch.long), head, bias=bias, watched=watched).watched_mass
    z = hidden @ weight.t() + bias
    logits = z if softcap is None else softcap * torch.tanh(z / softcap)
    torch.testing.assert_close(seen, (logits / 0.7).softmax(-1)[:, [0, 5, 40]].sum(-1))
    assert not seen.requires_grad
    assert (head_stats(hidden, weight, torch.zeros(7, dtype=torch.long), head, bias=bias).watched_mass == 0).all()


def test_the_unchecked_form_still_refuses_a_target_out_of_range() -> None:
    hidden, weight, _ = operands(3, 41)
    with pytest.raises((ValueError, IndexError, RuntimeError)):
        head_stats(hidden, weight, torch.tensor([0, 41, 2]), Head(chunk_rows=3))


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"hidden": torch.ones(4, 8, dtype=torch.long)}, TypeError, "`hidden` must have a floating dtype"),
        ({"weight": torch.ones(5, 8, dtype=torch.long)}, TypeError, "`weight` must have a floating dtype"),
        ({"bias": torch.ones(5, dtype=torch.long)}, TypeError, "`bias` must have a floating dtype"),
        ({"weight": torch.ones(8)}, ValueError, "`weight` must have the shape"),
        ({"weight": torch.ones(1, 8)}, ValueError, "`weight` must have the shape"),
        ({"hidden": torch.ones(4, 7)}, ValueError, "`hidden` must have the shape"),
        ({"bias": torch.ones(4)}, ValueError, "`bias` must have the shape"),
        ({"targets": torch.ones(4)}, TypeError, "`targets` must be an integer tensor"),
        ({"targets": torch.zeros(3, dtype=torch.long)}, ValueError, "`targets` must have the rows' shape"),
        ({"targets": torch.full((4,), 5)}, ValueError, "`targets` must be tokens in"),
        ({"softcap": 0.0}, ValueError, "`softcap` must be positive"),
        ({"logit_scale": float("nan")}, ValueError, "`logit_scale` must be finite"),
        ({"temperature": -1.0}, ValueError, "`temperature` must be positive"),
        ({"chunk_rows": 0}, ValueError, "`chunk_rows` must be at least 1"),
        ({"clamp": 0.3, "top_p": 0.5}, ValueError, "exclude each other"),
        ({"backend": "fortran"}, ValueError, "unknown backend"),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, dict) else None,
)
def test_bad_input_is_refused(change: dict[str, object], error: type[Exception], words: str) -> None:
    arguments: dict[str, object] = {
        "hidden": torch.ones(4, 8), "weight": torch.ones(5, 8), "targets": torch.zeros(4, dtype=torch.long), **change
    }  # fmt: skip
    with pytest.raises(error, match=words):
        linear_token_stats(**arguments)  # pyright: ignore[reportArgumentType]


def test_a_first_call_under_autocast_does_not_lose_the_compiled_code() -> None:
    if isinstance(_native.library(), str):
        pytest.skip("no C compiler")
    _native.missing.cache_clear()
    with torch.autocast("cpu", torch.bfloat16):
        assert _native.missing() is None
