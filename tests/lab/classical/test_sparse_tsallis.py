import math

import pytest
import torch

from entrostat.lab import sparsemax
from entrostat.lab.classical.sparse_tsallis import (
    objective,
    q_logarithm,
    regrets,
    sparse_regret_bound,
    sparse_value,
    support_sizes,
)
from entrostat.measures import tsallis


@pytest.mark.parametrize("actions", [2, 4, 64, 1024, 32768])
def test_the_closed_form_is_the_value_of_the_sparsemax(actions):
    q = torch.randn(actions, dtype=torch.float64)
    torch.testing.assert_close(sparse_value(q, temperature=0.5), objective(sparsemax(q / 0.5), q, 0.5))


def test_the_gradient_of_the_value_is_the_policy():
    # The envelope theorem: an independent way to the same policy.
    q = torch.randn(6, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(sparse_value(q, temperature=0.7), q)
    torch.testing.assert_close(gradient, sparsemax(q.detach() / 0.7))


def test_tied_values_pay_the_bound_exactly():
    # The notes: .125 at 2 actions, .2498 at 1000, temperature .5; Shannon's 3.45.
    assert float(sparse_value(torch.zeros(2), temperature=0.5)) == pytest.approx(0.125)
    assert float(sparse_value(torch.zeros(1000), temperature=0.5)) == pytest.approx(0.2498, abs=1e-4)
    assert sparse_regret_bound(1000, temperature=0.5) == pytest.approx(0.2498, abs=1e-4)
    assert 0.5 * math.log(1000) == pytest.approx(3.45, abs=0.01)


def test_regrets_of_the_notes_lie_among_ours():
    # One draw of 32,768 values gave .017 and 2.33.
    sparse, soft = torch.tensor([regrets(32768, seed) for seed in range(20)]).unbind(-1)
    assert sparse.min() < 0.017 < sparse.max() < sparse_regret_bound(32768, temperature=0.5)
    assert soft.min() < 2.33 < soft.max()


def test_the_q_logarithm_gives_the_librarys_entropies():
    p = torch.randn(9, dtype=torch.float64).softmax(-1)
    for index in (1.0, 1.5, 2.0, 3.0):
        expected = -(p * q_logarithm(p, index=index)).sum() / index
        torch.testing.assert_close(tsallis(p.log(), q=index), expected)


def test_bad_input():
    with pytest.raises(ValueError, match="`temperature` must be positive"):
        sparse_value(torch.zeros(3), temperature=0.0)
    with pytest.raises(ValueError, match="at least two actions"):
        sparse_value(torch.zeros(1), temperature=1.0)
    with pytest.raises(ValueError, match="`actions` must be at least 2"):
        sparse_regret_bound(1, temperature=1.0)
    with pytest.raises(ValueError, match="`index` must be positive"):
        q_logarithm(torch.ones(2), index=0.0)


def test_the_support_grows_with_the_temperature_and_is_everything_on_ties():
    assert sparsemax(torch.zeros(7)).tolist() == pytest.approx([1 / 7] * 7)
    sizes = support_sizes([0.01, 0.1, 1.0, 10.0], actions=500, rng=torch.Generator().manual_seed(0))
    assert sizes == sorted(sizes)
    assert sizes[-1] > 5 * sizes[0]
