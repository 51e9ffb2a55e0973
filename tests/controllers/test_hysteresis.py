"""The switch with hysteresis: edges from the first entropy, an upper edge that falls, memory in between."""

import pytest

from entrostat.controllers import Hysteresis, with_total


def switched(law, entropies):
    """Return the coefficient after each measurement."""
    state, seen = law.init(), []
    for entropy in entropies:
        state = law.update(state, entropy=entropy)
        seen.append(law.coefficient(state))
    return seen


def test_it_is_off_until_the_entropy_has_fallen_to_the_low_edge():
    law = Hysteresis(fraction=0.2, total=1000)
    assert law.coefficient(law.init()) == 0.0
    assert switched(law, [1.0, 0.5, 0.21, 0.2]) == [0.0, 0.0, 0.0, 1.0]


def test_between_the_edges_it_remembers():
    law = Hysteresis(fraction=0.2, total=1000)
    assert switched(law, [1.0, 0.5, 0.1, 0.5, 0.9, 0.999, 0.5]) == [0.0, 0.0, 1.0, 1.0, 1.0, 0.0, 0.0]


def test_the_upper_edge_falls_from_the_first_entropy_to_the_low_edge():
    law = Hysteresis(fraction=0.25, total=4)
    state, edges = law.init(), []
    for _ in range(6):
        state = law.update(state, entropy=2.0)
        edges.append(law.edges(state))
    assert edges == [(0.5, 0.5 + 1.5 * share) for share in (0.75, 0.5, 0.25, 0.0, 0.0, 0.0)]


def test_at_the_end_the_two_edges_are_one():
    law = Hysteresis(fraction=0.5, total=2)
    assert switched(law, [1.0, 0.9, 0.51, 0.5, 0.49, 0.51])[2:] == [0.0, 1.0, 1.0, 0.0]


def test_a_plant_driven_by_it_oscillates_less_and_less():
    law = Hysteresis(fraction=0.2, total=400)
    state, entropy, course = law.init(), 1.0, []
    for _ in range(400):
        state = law.update(state, entropy=entropy)
        entropy += 0.02 if law.coefficient(state) else -0.02
        course.append(entropy)
    peaks = [b for a, b, c in zip(course, course[1:], course[2:], strict=False) if a < b > c]
    valleys = [b for a, b, c in zip(course, course[1:], course[2:], strict=False) if a > b < c]
    assert len(peaks) >= 4
    assert peaks == sorted(peaks, reverse=True)
    assert valleys == pytest.approx([0.2] * len(valleys), abs=0.03)


def test_it_asks_for_the_length_of_the_run():
    law = Hysteresis()
    with pytest.raises(ValueError, match="`total` must be known"):
        law.update(law.init(), entropy=1.0)
    assert with_total(law, 10).total == 10


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1])
def test_a_fraction_out_of_range(fraction):
    with pytest.raises(ValueError, match=r"`fraction` must lie in \(0, 1\)"):
        Hysteresis(fraction=fraction)
