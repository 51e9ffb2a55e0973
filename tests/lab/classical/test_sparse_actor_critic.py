import math
import subprocess
import sys

import pytest
import torch

from entrostat.lab import get
from entrostat.lab.classical.sparse_actor_critic import SparseActorCritic, squashed_sample, tsallis_bonus


def test_the_density_of_a_squashed_action_integrates_to_one():
    # a = tanh(u): sum over a fine grid of u of pi(a) da.
    mean, log_scale = torch.tensor(0.4).double(), torch.tensor(-0.3).double()
    noise = torch.linspace(-8, 8, 200_001, dtype=torch.float64).unsqueeze(-1)
    drawn = squashed_sample(mean.expand_as(noise), log_scale.expand_as(noise), noise)
    mass = torch.trapezoid(drawn.log_density.exp().squeeze(-1), drawn.action.squeeze(-1))
    assert float(mass) == pytest.approx(1.0, abs=1e-6)


def test_the_mean_bonus_is_the_tsallis_entropy_of_the_density():
    rng = torch.Generator().manual_seed(0)
    noise = torch.randn(400_000, 1, generator=rng, dtype=torch.float64)
    zero = torch.zeros_like(noise)
    bonus = tsallis_bonus(squashed_sample(zero, zero - 1, noise).log_density, index=2.0)
    grid = torch.linspace(-8, 8, 200_001, dtype=torch.float64).unsqueeze(-1)
    fine = squashed_sample(torch.zeros_like(grid), torch.zeros_like(grid) - 1, grid)
    square = torch.trapezoid(fine.log_density.mul(2).exp().squeeze(-1), fine.action.squeeze(-1))
    assert float(bonus.mean()) == pytest.approx(float((1 - square) / 2), abs=0.005)


def test_index_1_is_the_log_density_and_the_clamp_bounds_it():
    log_density = torch.tensor([[-1.0, 2.0]])
    assert float(tsallis_bonus(log_density, index=1.0)) == pytest.approx(-1.0)
    sharp = torch.tensor([[500.0]], dtype=torch.float64)
    assert float(tsallis_bonus(sharp, index=2.0, densest=1e8)) == pytest.approx((1 - 1e8) / 2)
    assert math.isfinite(float(tsallis_bonus(sharp, index=2.0)))


def test_one_seed_gives_one_run():
    pytest.importorskip("gymnasium")
    law = SparseActorCritic(warmup=380)
    first, second = (law.train("Pendulum-v1", steps=401, seed=3) for _ in range(2))
    assert first == second
    assert len(first.returns) == 2


def test_bad_input():
    with pytest.raises(ValueError, match="`index` must be positive"):
        SparseActorCritic(index=0.0)
    with pytest.raises(ValueError, match="`temperature` must be at least 0"):
        SparseActorCritic(temperature=-1.0)
    with pytest.raises(ValueError, match=r"`discount` must lie in \(0, 1\)"):
        SparseActorCritic(discount=1.0)
    pytest.importorskip("gymnasium")
    with pytest.raises(ValueError, match="`steps` must be at least 501"):
        SparseActorCritic().train("Pendulum-v1", steps=100, seed=0)


def test_without_gymnasium_one_sentence_names_the_extra_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "gymnasium", None)
    with pytest.raises(ModuleNotFoundError, match="install entrostat with its `lab` extra"):
        SparseActorCritic().train("Pendulum-v1", steps=600, seed=0)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    outcome = get("classical_sparse_actor_critic").check(True)
    assert outcome.verdict == "not tested"
    assert "`lab` extra" in str(outcome.figures["missing"])


def test_the_package_does_not_need_gymnasium():
    code = "import sys; sys.modules['gymnasium'] = None; from entrostat import lab; print(*map(lab.get, lab.names()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "classical_sparse_actor_critic" in done.stdout, done.stderr
