import copy
import json
import math
import re
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from entrostat.controllers import Annealed, Band, Constant, NonFiniteEntropyWarning, ProportionalIntegral, Step
from entrostat.regulator import Regulator

LAW = Band(low=2.0, high=3.0, rate=0.01, floor=0.0, ceiling=1.0, initial=0.1)
ONE = torch.ones(1, 1)


class Ranks:
    """An all-reduce over threads: every rank waits for all, then gets the sum."""

    def __init__(self, size):
        self.barrier = threading.Barrier(size, timeout=10)
        self.given = [torch.empty(0)] * size

    def reduce(self, rank):
        def all_reduce(tensor):
            self.given[rank] = tensor.clone()
            self.barrier.wait()
            total = torch.stack(self.given).sum(0)
            self.barrier.wait()
            return tensor.copy_(total)  # in place, as most all-reduces do

        return all_reduce


def in_parallel(size, work):
    with ThreadPoolExecutor(size) as pool:
        return list(pool.map(work, range(size)))


def batch(seed, rows):
    generator = torch.Generator().manual_seed(seed)
    entropy = torch.rand(rows, 6, generator=generator) * 5
    mask = torch.rand(rows, 6, generator=generator) < torch.rand(rows, 1, generator=generator)
    return entropy.masked_fill(~mask, math.nan), mask


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10_000), st.integers(1, 3), st.lists(st.integers(0, 2), min_size=6, max_size=6), st.data())
def test_any_split_over_ranks_and_micro_batches_is_the_single_process(seed, ranks, owner, data):
    size = 6
    windows = [batch(seed + k, size) for k in range(3)]
    single = Regulator(LAW)
    expected = []
    for entropy, mask in windows:
        single.observe(entropy, mask)
        expected.append((single.close_step(), single.coefficient))
    # A rank may own no row at all; then it observes nothing, or only empty micro-batches.
    rows = [[row for row in range(size) if owner[row] % ranks == rank] for rank in range(ranks)]
    parts = [data.draw(st.integers(1, 3)) for _ in range(ranks)]
    group = Ranks(ranks)

    def work(rank):
        regulator, seen = Regulator(LAW), []
        for entropy, mask in windows:
            for k in range(parts[rank]):
                chosen = rows[rank][k :: parts[rank]]
                regulator.observe(entropy[chosen], mask[chosen])
            seen.append((regulator.close_step(group.reduce(rank)), regulator.coefficient))
        return seen

    results = in_parallel(ranks, work)
    assert all(result == results[0] for result in results)
    for (mean, coef), (expected_mean, expected_coef) in zip(results[0], expected, strict=True):
        assert (mean is None) == (expected_mean is None)
        assert mean is None or mean == pytest.approx(expected_mean, rel=1e-13)
        assert coef == pytest.approx(expected_coef, rel=1e-12)


def test_the_mean_of_means_would_be_wrong():
    regulator = Regulator(LAW)
    regulator.observe(torch.tensor([[1.0, 1.0, 1.0]]), torch.tensor([[1, 1, 1]]))
    regulator.observe(torch.tensor([[5.0, 9.0, 9.0]]), torch.tensor([[1, 0, 0]]))
    assert regulator.close_step() == 2.0


def test_the_coefficient_is_one_number_within_a_window():
    regulator = Regulator(LAW)
    for _ in range(4):
        regulator.observe(0 * ONE, ONE)
        assert regulator.coefficient == 0.1
    assert regulator.close_step() == 0.0
    assert regulator.coefficient == pytest.approx(0.12)


@pytest.mark.parametrize("window", ["step", "rollout"])
def test_one_update_per_chosen_window_and_none_for_the_other(window):
    law = ProportionalIntegral(target=0.0, kp=0.0, ki=0.0, limit=1.0)
    regulator = Regulator(law, window=window)
    measured = {"step": [], "rollout": []}
    for rollout in range(2):
        for step in range(3):
            regulator.observe((10 * rollout + step) * ONE, ONE)
            measured["step"].append(regulator.close_step())
        measured["rollout"].append(regulator.close_rollout())
    if window == "step":
        assert measured == {"step": [0.0, 1.0, 2.0, 10.0, 11.0, 12.0], "rollout": [None, None]}
    else:
        assert measured == {"step": [None] * 6, "rollout": [1.0, 11.0]}
    # The integral of the errors is the sum of what was measured: one update per window.
    integral = regulator.state_dict()["controller"]["state"]["integral"]
    assert integral == sum(entropy for entropy in measured[window] if entropy is not None)


def test_the_other_closing_call_does_not_reduce():
    def refuse(tensor):
        raise AssertionError(tensor)

    assert Regulator(LAW, window="rollout").close_step(refuse) is None
    assert Regulator(LAW, window="step").close_rollout(refuse) is None


def test_a_window_without_tokens_leaves_the_state():
    regulator = Regulator(LAW)
    before = regulator.state_dict()
    regulator.observe(torch.full((2, 2), math.nan), torch.zeros(2, 2))
    assert regulator.close_step() is None
    assert regulator.close_step() is None
    assert regulator.state_dict() == before


def test_a_token_that_is_not_finite_skips_the_update_and_says_so():
    regulator = Regulator(LAW)
    regulator.observe(math.nan * ONE, ONE)
    with pytest.warns(NonFiniteEntropyWarning):
        assert math.isnan(regulator.close_step())
    assert regulator.coefficient == 0.1
    regulator.observe(ONE, ONE)
    assert regulator.close_step() == 1.0


def test_evaluation_never_moves_it():
    regulator = Regulator(LAW)
    regulator.observe(2.5 * ONE, ONE)
    before = regulator.state_dict()
    with regulator.evaluating():
        with regulator.evaluating():
            regulator.observe(9 * ONE, ONE)
        regulator.observe(9 * ONE, ONE)
        assert regulator.close_step() is None
        assert regulator.close_rollout() is None
        assert regulator.coefficient == 0.1
    assert regulator.state_dict() == before
    assert regulator.close_step() == 2.5


def test_evaluation_ends_also_by_an_error():
    regulator = Regulator(LAW)
    with pytest.raises(KeyError), regulator.evaluating():
        raise KeyError
    regulator.observe(ONE, ONE)
    assert regulator.close_step() == 1.0


def test_no_gradient_and_no_device_sync():
    regulator = Regulator(LAW)
    entropy = torch.ones(2, 3, requires_grad=True)
    regulator.observe(entropy, torch.ones(2, 3))
    assert entropy.grad_fn is None
    assert regulator.close_step() == 1.0
    # The meta device has no data, so any read of a value would raise here.
    regulator.observe(torch.ones(2, 3, device="meta"), torch.ones(2, 3, device="meta"))
    regulator.observe(torch.ones(2, 3, device="meta"), torch.ones(2, 3, device="meta"))


def test_an_all_reduce_may_write_into_what_it_gets():
    regulator = Regulator(LAW)
    regulator.observe(ONE, ONE)
    doubled = regulator.state_dict(reduce=lambda tensor: tensor.mul_(2))
    assert doubled["open"] == {"sum": 2.0, "tokens": 2.0}
    assert regulator.state_dict()["open"] == {"sum": 1.0, "tokens": 1.0}


def feed(regulator, entropies):
    used = []
    for k, entropy in enumerate(entropies):
        used.append(regulator.coefficient)
        regulator.observe(torch.tensor([[entropy, 0.0]], dtype=torch.float64), torch.tensor([[1, 0]]))
        if k % 3 == 2:
            regulator.close_step()
    return used


@given(st.lists(st.floats(0, 10), max_size=20), st.data())
def test_a_saved_regulator_continues_bit_for_bit_also_amid_a_window(entropies, data):
    cut = data.draw(st.integers(0, len(entropies)))
    whole = feed(Regulator(LAW), entropies)
    first, second = Regulator(LAW), Regulator(LAW)
    head = feed(first, entropies[:cut])
    second.load_state_dict(json.loads(json.dumps(first.state_dict(), allow_nan=False)))
    tail = []
    for k, entropy in enumerate(entropies[cut:], start=cut):
        tail.append(second.coefficient)
        second.observe(torch.tensor([[entropy]], dtype=torch.float64), torch.ones(1, 1))
        if k % 3 == 2:
            second.close_step()
    assert head + tail == whole


@pytest.mark.parametrize("resumed_ranks", [1, 2, 3])
def test_an_open_window_of_two_ranks_can_be_resumed_on_any_number(resumed_ranks):
    group = Ranks(2)

    def save(rank):
        regulator = Regulator(LAW, window="rollout")
        if rank == 0:
            regulator.observe(torch.tensor([[1.0, 2.0, 6.0]]), torch.ones(1, 3))
        return regulator.state_dict(reduce=group.reduce(rank))

    saved, same = in_parallel(2, save)
    assert saved == same
    resumed = Ranks(resumed_ranks)

    def resume(rank):
        regulator = Regulator(LAW, window="rollout")
        regulator.load_state_dict(saved, ranks=resumed_ranks)
        if rank == 0:
            regulator.observe(11 * ONE, ONE)
        return regulator.close_rollout(resumed.reduce(rank))

    assert in_parallel(resumed_ranks, resume) == pytest.approx([5.0] * resumed_ranks, rel=1e-14)


def test_an_open_window_that_holds_a_nan_is_saved_as_json():
    regulator, resumed = Regulator(LAW), Regulator(LAW)
    regulator.observe(math.inf * ONE, ONE)
    resumed.load_state_dict(json.loads(json.dumps(regulator.state_dict(), allow_nan=False)))
    with pytest.warns(NonFiniteEntropyWarning):
        resumed.close_step()
    assert resumed.coefficient == 0.1


DAMAGES = [
    (lambda saved: None, "found None"),
    (lambda saved: {}, "must have the fields ['controller', 'open', 'schema', 'window'], found []."),
    (lambda saved: {**saved, "extra": 1}, "found ['controller', 'extra', 'open', 'schema', 'window']."),
    (lambda saved: {**saved, "schema": 2}, "the saved regulator has schema 2, this one has 1."),
    (lambda saved: {**saved, "window": "rollout"}, "the saved regulator has window 'rollout', this one has 'step'."),
    (lambda saved: {**saved, "controller": None}, "must have the fields"),
    (lambda saved: {**saved, "open": None}, "open window must have the fields ['sum', 'tokens'], found None."),
    (lambda saved: {**saved, "open": {"sum": 1.0}}, "must have the fields ['sum', 'tokens'], found ['sum']."),
    (lambda saved: {**saved, "open": {"sum": "1", "tokens": 1.0}}, "must hold two floats"),
    (lambda saved: {**saved, "open": {"sum": 1.0, "tokens": True}}, "must hold two floats"),
    (lambda saved: {**saved, "open": {"sum": 1.0, "tokens": -1.0}}, "no negative count"),
    (lambda saved: {**saved, "open": {"sum": 1.0, "tokens": math.nan}}, "no negative count"),
]


@pytest.mark.parametrize(("damage", "message"), DAMAGES)
def test_a_damaged_checkpoint_is_refused_and_changes_nothing(damage, message):
    good, regulator = Regulator(LAW), Regulator(LAW)
    good.observe(9 * ONE, ONE)
    good.close_step()
    regulator.observe(ONE, ONE)
    before = regulator.state_dict()
    with pytest.raises(ValueError, match=re.escape(message)):
        regulator.load_state_dict(damage(copy.deepcopy(good.state_dict())))
    assert regulator.state_dict() == before


@pytest.mark.parametrize(
    "other", [Constant(coef=0.1), Band(low=1.0, high=3.0, rate=0.01, floor=0, ceiling=1, initial=0.1)]
)
def test_another_controllers_checkpoint_is_refused(other):
    with pytest.raises(ValueError, match=r"this is the state of `Constant`|saved under other settings"):
        Regulator(LAW).load_state_dict(Regulator(other).state_dict())


def test_the_length_of_the_run_is_bound_when_the_host_knows_it():
    regulator = Regulator(Annealed(Constant(coef=0.1), last=0.5))
    with pytest.raises(ValueError, match="`total` must be known"):
        _ = regulator.coefficient
    regulator.bind_total(4)
    used = []
    for _ in range(4):
        used.append(regulator.coefficient)
        regulator.observe(ONE, ONE)
        regulator.close_step()
    assert used == pytest.approx([0.1, 0.1, 0.05, 0.0])
    regulator.bind_total(10)
    assert regulator.coefficient == 0.1


def test_what_it_shows_for_the_log():
    regulator = Regulator(LAW, window="rollout")
    assert regulator.band == (2.0, 3.0)
    assert regulator.controller is LAW
    assert regulator.window == "rollout"
    assert Regulator(Step(target=0.2, delta=1e-4, ceiling=5e-3)).band is None


def test_an_unknown_window_is_refused():
    with pytest.raises(ValueError, match=r"unknown window 'roll'\. Did you mean 'rollout'"):
        Regulator(LAW, window="roll")


def test_ranks_is_a_positive_count():
    regulator = Regulator(LAW)
    with pytest.raises(ValueError, match="`ranks` must be at least 1, got ranks=0"):
        regulator.load_state_dict(regulator.state_dict(), ranks=0)
