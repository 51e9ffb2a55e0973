"""The contract of every measure: a new public one without settings here fails, so it cannot skip it."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from entrostat import measures
from entrostat.measures import Measure
from entrostat.ops import Support
from entrostat.ops._reference import reference_token_stats

SETTINGS: dict[str, list[Measure]] = {
    "clamped": [measures.Clamped(clamp=0.0), measures.Clamped(clamp=0.33), measures.Clamped(clamp=0.9)],
    "normalized": [measures.Normalized(), measures.Normalized(tokens=7)],
    "nucleus": [
        measures.Nucleus(top_p=1.0),
        measures.Nucleus(top_p=0.7),
        measures.Nucleus(top_p=0.7, crossing=False),
    ],
    "shannon": [measures.Shannon()],
    "top_k": [measures.TopK(k=1), measures.TopK(k=5), measures.TopK(k=10_000)],
    "tsallis": [measures.Tsallis(q=q) for q in (0.5, 1.0, 1.7, 2.0)],
}
ALL = [pytest.param(measure, id=repr(measure)) for known in SETTINGS.values() for measure in known]


def test_every_public_measure_has_settings_here() -> None:
    listed = {type(measure) for known in SETTINGS.values() for measure in known}
    for kind in (getattr(measures, name) for name in measures.__all__):
        if dataclasses.is_dataclass(kind) and kind not in listed:
            settings = ", ".join(f"{field.name}=..." for field in dataclasses.fields(kind))
            name = kind.__name__  # pyright: ignore[reportAttributeAccessIssue]
            pytest.fail(f'add to SETTINGS in {__file__}:    "{name.lower()}": [measures.{name}({settings})],')


@pytest.mark.parametrize("name", SETTINGS)
def test_a_measure_is_frozen_and_there_is_a_function_of_its_name(name: str) -> None:
    assert callable(getattr(measures, name))
    for measure in SETTINGS[name]:
        assert isinstance(measure, Measure)
        for field in dataclasses.fields(measure):  # pyright: ignore[reportArgumentType]
            with pytest.raises(dataclasses.FrozenInstanceError):
                setattr(measure, field.name, 1)


def by_definition(measure: Measure, logits: Tensor, temperature: float = 1.0) -> Tensor:
    """The eager formula of each measure, in the logits' own dtype."""
    if isinstance(measure, measures.Tsallis) and measure.q != 1:
        p = (logits / temperature).softmax(-1)
        alive = p > 0
        powers = torch.where(alive, torch.where(alive, p, 1) ** measure.q, 0)
        return (1 - powers.sum(-1)) / (measure.q * (measure.q - 1))
    flat = logits.reshape(-1, logits.shape[-1])
    targets = flat.argmax(-1)
    stats = reference_token_stats(flat, targets, support=measure.support, temperature=temperature)
    value = stats.clamped_entropy.view(logits.shape[:-1])
    if isinstance(measure, measures.Normalized):
        tokens = measure.tokens or (logits > -torch.inf).sum(-1).double()
        return value / torch.as_tensor(tokens).double().log().clamp(min=1)
    return value


def separated(rows: int, vocab: int, seed: int = 0) -> Tensor:
    """Logits of which no two of a row are close: the kept set is the same in every dtype."""
    generator = torch.Generator().manual_seed(seed)
    return torch.stack([torch.randperm(vocab, generator=generator) for _ in range(rows)]).double() * 4 / vocab


@pytest.mark.parametrize("measure", ALL)
@pytest.mark.parametrize("temperature", [1.0, 0.6])
@pytest.mark.parametrize("vocab", [2, 7, 60])
def test_agrees_with_its_definition_in_value_and_gradient(measure: Measure, temperature: float, vocab: int) -> None:
    exact = separated(4, vocab).requires_grad_()
    expected = by_definition(measure, exact, temperature)
    slope = torch.autograd.grad(expected.sum(), exact)[0]
    for dtype, tolerance in ((torch.float64, 1e-10), (torch.float32, 1e-5)):
        logits = exact.detach().to(dtype).requires_grad_()
        value = measure(logits, temperature=temperature)
        assert value.dtype == dtype
        torch.testing.assert_close(value.double(), expected, rtol=tolerance, atol=tolerance)
        ours = torch.autograd.grad(value.sum(), logits)[0]
        torch.testing.assert_close(ours.double(), slope, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("measure", ALL)
def test_gradcheck(measure: Measure) -> None:
    torch.autograd.gradcheck(lambda x: measure(x, temperature=0.8), separated(3, 9).requires_grad_())


@pytest.mark.parametrize("measure", ALL)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_half_precision_in_full_precision_out(measure: Measure, dtype: torch.dtype) -> None:
    logits = (separated(3, 60) * 16).round().to(dtype).requires_grad_()
    value = measure(logits)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, measure(logits.detach().float()), rtol=1e-5, atol=1e-6)
    assert torch.autograd.grad(value.sum(), logits)[0].dtype == dtype


@pytest.mark.parametrize("measure", ALL)
def test_banned_tokens_take_no_part(measure: Measure) -> None:
    logits = separated(4, 60)
    logits[1, ::2] = -torch.inf
    logits[2, 1:] = -torch.inf
    logits[3] = -torch.inf
    leaf = logits.float().requires_grad_()
    value = measure(leaf)
    expected = by_definition(measure, logits[:3])
    torch.testing.assert_close(value[:3].double(), expected, rtol=1e-5, atol=1e-5)
    assert value[3].item() == 0
    slope = torch.autograd.grad(value.sum(), leaf)[0]
    assert slope.isfinite().all()
    assert (slope[logits == -torch.inf] == 0).all()


@pytest.mark.parametrize("measure", ALL)
def test_shapes_strides_and_nothing(measure: Measure) -> None:
    logits = separated(6, 20).float()
    value = measure(logits)
    torch.testing.assert_close(measure(logits.view(2, 3, 20)), value.view(2, 3))
    torch.testing.assert_close(measure(logits.t().contiguous().t()), value)
    torch.testing.assert_close(measure(logits[0]), value[0])
    empty = torch.zeros(2, 0, 20, requires_grad=True)
    assert measure(empty).shape == (2, 0)
    assert torch.autograd.grad(measure(empty).sum(), empty)[0].shape == empty.shape


@pytest.mark.parametrize("measure", ALL)
def test_a_certain_token_has_measure_zero_and_equal_tokens_the_largest(measure: Measure) -> None:
    certain = torch.full((1, 50), -300.0)
    certain[0, 3] = 300.0
    assert measure(certain).item() == 0
    equal, random = measure(torch.zeros(1, 50)), measure(separated(20, 50).float())
    assert (random <= equal + 1e-6).all()
    assert (random >= 0).all()


@pytest.mark.parametrize("measure", ALL)
def test_numbering_the_vocabulary_otherwise_changes_nothing(measure: Measure) -> None:
    logits = (separated(3, 60) * 2).round().float()  # with ties
    order = torch.randperm(60, generator=torch.Generator().manual_seed(1))
    here, there = logits.clone().requires_grad_(), logits[:, order].requires_grad_()
    torch.testing.assert_close(measure(here), measure(there))
    moved = torch.autograd.grad(measure(here).sum(), here)[0][:, order]
    torch.testing.assert_close(moved, torch.autograd.grad(measure(there).sum(), there)[0])


@pytest.mark.parametrize("measure", ALL)
def test_what_a_host_fuses_is_the_measure(measure: Measure) -> None:
    logits = separated(5, 60).float()
    scale = measure.fused_scale(60)
    if scale is None:
        assert isinstance(measure, measures.Tsallis)
        return
    fused = reference_token_stats(logits.double(), logits.argmax(-1), support=measure.support).clamped_entropy * scale
    torch.testing.assert_close(measure(logits).double(), fused, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("measure", ALL)
@pytest.mark.parametrize(
    ("logits", "error", "words"),
    [
        (torch.zeros(3, 4, dtype=torch.long), TypeError, "`logits` must have a floating dtype"),
        (torch.zeros(3, 1), ValueError, "V >= 2"),
        (torch.tensor(1.0), ValueError, "vocabulary dimension"),
    ],
)
def test_bad_logits_are_refused(measure: Measure, logits: Tensor, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        measure(logits)


@pytest.mark.parametrize("measure", ALL)
@pytest.mark.parametrize("temperature", [0.0, -1.0, math.nan])
def test_a_temperature_out_of_range_is_refused(measure: Measure, temperature: float) -> None:
    with pytest.raises(ValueError, match="`temperature` must be"):
        measure(torch.zeros(3, 4), temperature=temperature)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: measures.Clamped(clamp=1.0), "`clamp`"),
        (lambda: measures.Clamped(clamp=-0.1), "`clamp`"),
        (lambda: measures.Nucleus(top_p=0.0), "`top_p`"),
        (lambda: measures.Nucleus(top_p=1.1), "`top_p`"),
        (lambda: measures.TopK(k=0), "`k`|`top_k`"),
        (lambda: measures.Tsallis(q=0.0), "`q`"),
        (lambda: measures.Normalized(tokens=0), "`tokens`"),
        (lambda: measures.tsallis(torch.zeros(3), q=-1.0), "`q`"),
        (lambda: measures.clamped(torch.zeros(3), clamp=2.0), "`clamp`"),
    ],
)
def test_settings_out_of_range_are_refused(make: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()  # pyright: ignore[reportCallIssue]


def test_clamp_zero_is_shannon_bit_for_bit() -> None:
    logits = torch.randn(5, 999, generator=torch.Generator().manual_seed(0))
    assert torch.equal(measures.clamped(logits, clamp=0.0), measures.shannon(logits))


def test_allowed_tokens_are_those_not_masked() -> None:
    logits = separated(3, 20).float()
    allowed = torch.arange(20) < 6
    expected = measures.shannon(logits[:, :6]) / math.log(6)
    torch.testing.assert_close(measures.normalized(logits, allowed=allowed), expected)
    with pytest.raises(TypeError, match="`allowed` must be boolean"):
        measures.normalized(logits, allowed=allowed.long())


@settings(deadline=None, max_examples=50)
@given(row=st.lists(st.floats(-20, 20, width=32), min_size=2, max_size=40), clamp=st.floats(0, 1, exclude_max=True))
def test_the_clamped_entropy_is_bounded_by_the_tokens_left(row: list[float], clamp: float) -> None:
    value = measures.clamped(torch.tensor(row), clamp=clamp).item()
    assert 0 <= value <= math.log(len(row) - int(clamp * len(row))) + 1e-5


def test_support_counts_exactly() -> None:
    assert Support(clamp=0.33).kept(1000) == 670
    assert Support(top_k=7).kept(5) == 5
