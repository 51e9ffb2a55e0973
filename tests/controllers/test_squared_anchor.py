import pytest

from entrostat.controllers import SquaredAnchor


def after(law, *entropies):
    state = law.init()
    for entropy in entropies:
        state = law.update(state, entropy=entropy)
    return state


def test_the_coefficient_is_the_slope_of_the_square_around_the_first_entropy():
    law = SquaredAnchor(beta=0.25)
    assert law.coefficient(law.init()) == 0.0
    assert after(law, 0.75) == (0.0, 0.75, True)
    assert after(law, 0.75, 0.25, 1.25) == (0.25, 0.75, True)
    assert law.coefficient(after(law, 0.75, 0.25)) == -0.25


def test_an_anchor_of_zero_is_an_anchor():
    law = SquaredAnchor(beta=0.5)
    assert after(law, 0.0, 1.0, 2.0) == (2.0, 0.0, True)


def test_it_holds_against_a_drift_up_to_an_offset_that_falls_with_beta():
    # H falls by 0.01 a window; a coefficient c on the loss moves it by -0.1 c. At rest 2 beta (anchor - H) = 0.1.
    offsets = []
    for beta in (0.5, 1.0):
        law, entropy = SquaredAnchor(beta=beta), 1.0
        state = law.update(law.init(), entropy=entropy)
        for _ in range(500):
            entropy += -0.01 - 0.1 * law.coefficient(state)
            state = law.update(state, entropy=entropy)
        offsets.append(1.0 - entropy)
    assert offsets == pytest.approx([0.1, 0.05])


def test_the_default_is_the_authors_code_s():
    assert SquaredAnchor().beta == 0.005


@pytest.mark.parametrize("beta", [-0.1, float("nan")])
def test_a_beta_out_of_range(beta):
    with pytest.raises(ValueError, match="`beta` must be"):
        SquaredAnchor(beta=beta)
