"""Sparse Tsallis regularisation: the optimal policy is a sparsemax, and its regret does not grow with the actions."""

from __future__ import annotations

from torch import Tensor

from entrostat.errors import require, require_count, require_finite
from entrostat.lab._policy import sparsemax

# maximise  p.q + alpha (1 - |p|^2)/2  over the simplex, z = q/alpha:   p = max(z - theta, 0)  on the support 1..K,
#     value = alpha ( 1/2 sum_{j<=K} (z_j^2 - theta^2) + 1/2 )


def sparse_value(q: Tensor, *, temperature: float) -> Tensor:
    """Best value of `p.q + temperature * S_2(p)` over distributions p, in closed form.

        V = alpha ( 1/2 sum_{j in support} (z_j^2 - theta^2) + 1/2 ),   z = q / alpha

    Args:
        q: `[..., A]` action values.
        temperature: alpha, positive.

    Returns:
        `[...]`, float64; between `max q` and `max q + sparse_regret_bound`.

    Raises:
        ValueError: `temperature` not positive, or fewer than two actions.

    Reference:
        Lee, Choi, Oh, "Sparse Markov decision processes with causal sparse Tsallis entropy regularization", 2018.

    Example:
        >>> import torch
        >>> float(sparse_value(torch.zeros(2), temperature=0.5))  # S_2 of a fair coin is 1/4
        0.125
    """
    z = q.double() / _positive(temperature)
    policy = sparsemax(z)
    support = policy > 0
    theta = (z - policy).where(support, 0).sum(-1, keepdim=True) / support.sum(-1, keepdim=True)
    return temperature * ((z.square() - theta.square()).where(support, 0).sum(-1) + 1) / 2


def sparse_regret_bound(actions: int, *, temperature: float) -> float:
    """Most reward per step that sparse regularisation gives away: `alpha (|A| - 1) / (2 |A|)`, below `alpha / 2`.

    Example:
        >>> sparse_regret_bound(2, temperature=0.5)
        0.125
    """
    require_count("actions", actions, least=2)
    return _positive(temperature) * (actions - 1) / (2 * actions)


def q_logarithm(x: Tensor, *, index: float) -> Tensor:
    """The q-logarithm of Tsallis' entropies in the entropic index: `ln_2(x) = x - 1`, `ln_1 = log`.

        ln_q(x) = (x^(q-1) - 1) / (q - 1)          S_q(p) = -E ln_q(p) / q

    Sources differ by the factor `1/q`: with the half of S_2 it stands for `measures.tsallis(q=2)`.

    Args:
        x: probabilities or densities, positive.
        index: the entropic index, positive.

    Example:
        >>> import torch
        >>> float(q_logarithm(torch.tensor(0.25), index=2.0))
        -0.75
    """
    require(require_finite("index", index) > 0, "index", "be positive", index)
    return x.log() if index == 1 else (x ** (index - 1) - 1) / (index - 1)


def _positive(temperature: float) -> float:
    require(require_finite("temperature", temperature) > 0, "temperature", "be positive", temperature)
    return temperature
