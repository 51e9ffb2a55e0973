"""The laws on plants simple enough to solve by hand: does feedback do what it is there for?"""

import pytest

from entrostat.controllers import Anchored, Band, Dual, ProportionalIntegral, Step


def close_loop(law, plant, *, entropy, windows):
    """Return the entropies measured when the law steers `plant(entropy, coef) -> entropy`."""
    state, path = law.init(), []
    for _ in range(windows):
        entropy = plant(entropy, law.coefficient(state))
        state = law.update(state, entropy=entropy)
        path.append(entropy)
    return path, state


def collapsing(entropy, coef):
    """Policy gradient wears the entropy down to zero; a bonus lifts the level it settles at by 10 nats per unit."""
    return max(0.0, entropy + 0.05 * (10 * coef - entropy))


def drifting(entropy, coef):
    """EntroPIC's plant: constant drift -0.02; a positive weight lowers the entropy by 0.1 per unit."""
    return entropy - 0.02 - 0.1 * coef


def test_proportional_control_keeps_the_offset_and_the_integral_removes_it():
    p, pi = (ProportionalIntegral(target=0.3, kp=1.0, ki=ki) for ki in (0.0, 0.05))
    offset, _ = close_loop(p, drifting, entropy=1.0, windows=3000)
    removed, _ = close_loop(pi, drifting, entropy=1.0, windows=3000)
    assert offset[-1] == pytest.approx(0.3 - 0.02 / (0.1 * 1.0), abs=1e-9)
    assert removed[-1] == pytest.approx(0.3, abs=1e-9)


def test_without_control_the_plant_collapses():
    law = Band(low=0.2, high=0.3, rate=0.0, floor=0.0, ceiling=1.0, initial=0.0)
    path, _ = close_loop(law, collapsing, entropy=1.0, windows=400)
    assert path[-1] < 1e-8


def test_the_band_catches_the_entropy_and_then_freezes():
    law = Band(low=0.2, high=0.3, rate=0.002, floor=0.0, ceiling=1.0, initial=0.0)
    path, state = close_loop(law, collapsing, entropy=1.0, windows=2000)
    assert all(0.2 <= entropy <= 0.3 for entropy in path[-1000:])
    assert law.update(state, entropy=path[-1]).coef == state.coef > 0


def test_the_step_law_cycles_around_its_target():
    law = Step(target=0.2, delta=1e-3, ceiling=0.1)
    path, _ = close_loop(law, collapsing, entropy=1.0, windows=2000)
    tail = path[-500:]
    assert min(tail) < 0.2 < max(tail)
    assert all(0.1 < entropy < 0.3 for entropy in tail)


def test_the_anchored_law_settles_at_its_fraction_of_the_first_entropy():
    law = Anchored(fraction=0.4, rate=0.001)
    path, _ = close_loop(law, collapsing, entropy=1.0, windows=4000)
    assert path[-1] == pytest.approx(0.4 * path[0], rel=1e-6)


def test_dual_ascent_settles_at_its_target():
    law = Dual(target=0.25, rate=0.05, initial=0.2)
    path, state = close_loop(law, collapsing, entropy=1.0, windows=4000)
    assert path[-1] == pytest.approx(0.25, rel=1e-6)
    assert state.coef == pytest.approx(0.025, rel=1e-5)  # the level 10 * coef equals the target
