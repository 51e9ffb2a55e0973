import pytest

from entrostat.controllers import Annealed, Band, Constant, needs_total, with_total

BAND = Band(low=0.15, high=0.24, rate=0.002, floor=6e-4, ceiling=9e-3, initial=0.002)


def test_a_law_that_does_not_ask_is_returned_as_it_is():
    assert not needs_total(BAND)
    assert with_total(BAND, 10) is BAND


def test_every_waiting_part_is_bound_also_inside():
    law = Annealed(Annealed(BAND, last=0.5, shape="step"), last=0.2)
    assert needs_total(law)
    bound = with_total(law, 10)
    assert bound == Annealed(Annealed(BAND, last=0.5, shape="step", total=10), last=0.2, total=10)
    assert not needs_total(bound)
    assert needs_total(law)


def test_an_inner_part_alone_can_wait():
    law = Annealed(Annealed(Constant(coef=0.1)), total=4)
    assert needs_total(law)
    assert with_total(law, 10) == Annealed(Annealed(Constant(coef=0.1), total=10), total=4)


def test_a_total_the_user_gave_is_kept():
    law = Annealed(Constant(coef=0.1), total=4)
    assert not needs_total(law)
    assert with_total(law, 10) is law


@pytest.mark.parametrize(("total", "error"), [(0, ValueError), (2.5, TypeError), (None, TypeError)])
def test_a_total_is_a_positive_integer(total, error):
    with pytest.raises(error, match="`total` must be"):
        with_total(BAND, total)
