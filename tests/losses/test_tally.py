import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from entrostat.losses import Tally


def batch(seed, rows=5, length=7):
    generator = torch.Generator().manual_seed(seed)
    values = torch.rand(rows, length, generator=generator) * 12
    mask = torch.rand(rows, length, generator=generator) < torch.rand(rows, 1, generator=generator)
    return values, mask


def test_by_hand():
    tally = Tally.of(torch.tensor([[1.0, 2.0, 4.0]]), torch.tensor([[1, 0, 1]]))
    assert tally.sums.tolist() == [5.0, 2.0]
    assert tally.mean == 2.5


@given(st.integers(0, 10_000), st.lists(st.integers(0, 5), max_size=4))
def test_any_split_of_the_rows_gives_the_mean_of_the_whole(seed, cuts):
    values, mask = batch(seed)
    whole = Tally.of(values, mask)
    tally = Tally.zero()
    edges = [0, *sorted(cuts), 5]
    for start, end in pairwise(edges):
        tally = tally + Tally.of(values[start:end], mask[start:end])
    assert tally.sums[1] == whole.sums[1] == mask.sum()
    if whole.mean is None:
        assert tally.mean is None
    else:
        assert tally.mean == pytest.approx(values[mask].double().mean().item(), rel=1e-14)
        assert tally.mean == pytest.approx(whole.mean, rel=1e-14)


@pytest.mark.parametrize("junk", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("dtype", [torch.bool, torch.int64, torch.float32, torch.bfloat16])
def test_masked_positions_never_enter(junk, dtype):
    values, mask = batch(3)
    assert Tally.of(values.masked_fill(~mask, junk), mask.to(dtype)).mean == Tally.of(values, mask).mean


def test_a_selected_nan_shows():
    assert math.isnan(Tally.of(torch.tensor([math.nan, 1.0]), torch.ones(2)).mean)


def test_no_token_has_no_mean():
    assert Tally.zero().mean is None
    assert Tally.of(torch.full((2, 3), math.nan), torch.zeros(2, 3)).mean is None
    assert Tally.of(torch.zeros(0, 3), torch.zeros(0, 3)).mean is None


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_sums_are_float64_whatever_comes_in(dtype):
    values = torch.full((1, 100_000), 0.1, dtype=dtype)
    tally = Tally.of(values, torch.ones_like(values))
    assert tally.sums.dtype == torch.float64
    assert tally.mean == pytest.approx(values[0, 0].item(), rel=1e-13)


def test_a_mean_over_many_tokens_keeps_its_digits():
    # In float32 the running sum would stop growing at 2^24.
    ones = torch.ones(1, 2**20)
    tally = Tally.zero()
    for _ in range(20):
        tally = tally + Tally.of(ones, ones)
    assert tally.sums.tolist() == [20 * 2**20, 20 * 2**20]


def test_no_gradient_is_kept():
    values = torch.ones(2, 2, requires_grad=True)
    assert not Tally.of(values, torch.ones(2, 2)).sums.requires_grad


def test_nothing_is_read_back_before_the_mean():
    # Tensors on the meta device have no data: whatever needs a value on the host raises.
    values = torch.ones(2, 3, device="meta")
    tally = Tally.zero() + Tally.of(values, values)
    assert tally.sums.device.type == "meta"
    with pytest.raises(RuntimeError):
        _ = tally.mean


def test_it_is_frozen():
    with pytest.raises(AttributeError):
        Tally.zero().sums = torch.zeros(2)


def test_shapes_must_agree():
    with pytest.raises(ValueError, match=r"`mask` must have the shape \(2, 3\) of `values`, got mask=\(2, 1\)"):
        Tally.of(torch.ones(2, 3), torch.ones(2, 1))


@pytest.mark.parametrize("sums", [torch.zeros(2), torch.zeros(3, dtype=torch.float64)])
def test_what_a_reduction_returns_is_checked(sums):
    with pytest.raises(ValueError, match=r"`sums` must be a float64 tensor of shape \[2\]"):
        Tally(sums)
