"""General tabular MDPs with action masks, stored by successors: memory grows with S*A*K, never with S*A*S.

Letters: S states, A actions, K possible successors of a state and action (1 where moves are certain).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from entrostat.errors import require, require_count, require_finite
from entrostat.lab._policy import FORBIDDEN, check_mask, entropy, softmax, sparsemax, tsallis_entropy

END = -1
"""The successor that ends the episode; its value is 0."""


@dataclass(frozen=True, kw_only=True, eq=False)
class MDP:
    """An MDP whose every part has been checked; build it with `make_mdp` or `dense_mdp`.

    Args:
        rewards: `[S, A]`, expected reward of an action.
        successors: `[S, A, K]`, states that may follow; `END` ends the episode.
        chances: `[S, A, K]`, their probabilities.
        start: `[S]`, distribution of the first state.
        mask: `[S, A]`, True where an action is allowed.
        discount: in (0, 1]; 1 asks for an MDP that ends under the policies it is evaluated with.
    """

    rewards: Tensor
    successors: Tensor
    chances: Tensor
    start: Tensor
    mask: Tensor
    discount: float

    def __post_init__(self) -> None:
        _check(self)
        _check_reachable(self)

    @property
    def states(self) -> int:
        """S."""
        return self.rewards.shape[0]

    @property
    def actions(self) -> int:
        """A."""
        return self.rewards.shape[1]

    def ahead(self, values: Tensor) -> Tensor:
        """Return the expected value of the next state, `[S, A]`, given `values [S]`."""
        padded = torch.cat([values, values.new_zeros(1)])  # index -1 is END
        return (self.chances * padded[self.successors]).sum(-1)


def make_mdp(
    *,
    rewards: Tensor,
    successors: Tensor,
    chances: Tensor | None = None,
    start: Tensor | int | None = None,
    mask: Tensor | None = None,
    discount: float = 1.0,
) -> MDP:
    """Build an MDP from successor lists.

    Args:
        rewards: `[S, A]`.
        successors: `[S, A]` for certain moves or `[S, A, K]`; `END` ends the episode.
        chances: `[S, A, K]`; left out for certain moves.
        start: `[S]` probabilities, or the one state to start from; uniform if left out.
        mask: `[S, A]`; everything is allowed if left out.
        discount: in (0, 1].

    Raises:
        ValueError: one action only, probabilities that do not sum to 1, a mask that forbids everything, states that
            cannot be reached, or a discount outside (0, 1].

    Example:
        >>> rewards = torch.tensor([[0.0, -1.0], [1.0, -1.0]])
        >>> corridor = make_mdp(rewards=rewards, successors=torch.tensor([[1, 0], [END, 0]]))
        >>> corridor.states, corridor.actions
        (2, 2)
    """
    require(rewards.dim() == 2, "rewards", "have shape [S, A]", tuple(rewards.shape))
    successors = successors.unsqueeze(-1) if successors.dim() == 2 else successors
    states = rewards.shape[0]
    if isinstance(start, int):
        start = torch.nn.functional.one_hot(torch.tensor(start), states)
    return MDP(
        rewards=rewards.double(),
        successors=successors.long(),
        chances=torch.ones(successors.shape, dtype=torch.float64) if chances is None else chances.double(),
        start=torch.full((states,), 1 / states, dtype=torch.float64) if start is None else start.double(),
        mask=torch.ones(rewards.shape, dtype=torch.bool) if mask is None else mask,
        discount=require_finite("discount", discount),
    )


def dense_mdp(
    *,
    rewards: Tensor,
    transitions: Tensor,
    start: Tensor | int | None = None,
    mask: Tensor | None = None,
    discount: float = 1.0,
) -> MDP:
    """Build an MDP from `transitions [S, A, S]`; the rest of a row up to 1 is the chance that the episode ends.

    Only for small problems. It keeps as many successors per action as the busiest action needs.
    """
    require(transitions.dim() == 3, "transitions", "have shape [S, A, S]", tuple(transitions.shape))
    transitions = transitions.double()
    lacking = (1 - transitions.sum(-1, keepdim=True)).clamp(min=0)
    rows = torch.cat([transitions, lacking], -1)
    busiest = max(1, int((rows > 1e-12).sum(-1).max()))
    chances, successors = rows.topk(busiest, dim=-1)
    successors = successors.where(successors < transitions.shape[-1], END)
    return make_mdp(rewards=rewards, successors=successors, chances=chances, start=start, mask=mask, discount=discount)


def _check(mdp: MDP) -> None:
    shape = mdp.rewards.shape
    require(len(shape) == 2 and shape[0] >= 1, "rewards", "have shape [S, A]", tuple(shape))
    require(shape[1] >= 2, "rewards", "have at least two actions", tuple(shape), "With one there is nothing to learn.")
    fits = mdp.successors.shape == mdp.chances.shape and mdp.successors.shape[:2] == shape
    shapes = (tuple(mdp.successors.shape), tuple(mdp.chances.shape))
    require(fits, "successors, chances", f"have shape [{shape[0]}, {shape[1]}, K]", shapes)
    require(mdp.start.shape == shape[:1], "start", f"have shape [{shape[0]}]", tuple(mdp.start.shape))
    check_mask(mdp.mask, shape)
    require(0 < mdp.discount <= 1, "discount", "lie in (0, 1]", mdp.discount)
    require(bool(mdp.rewards.isfinite().all()), "rewards", "be finite", "NaN or infinity", "Forbid actions by `mask`.")
    known = bool(((mdp.successors >= END) & (mdp.successors < mdp.states)).all())
    require(known, "successors", f"be END or a state below {mdp.states}", int(mdp.successors.max()))
    for name, chances in (("start", mdp.start), ("chances", mdp.chances[mdp.mask])):
        sums = bool((chances.sum(-1) - 1).abs().max() < 1e-6) and bool((chances >= 0).all())
        require(sums, name, "be probabilities that sum to 1", float(chances.sum(-1).min()))


def _check_reachable(mdp: MDP) -> None:
    # Each state's row is read once, when it is first reached.
    reached = mdp.start > 0
    fresh = reached.nonzero().squeeze(-1)
    while len(fresh):
        possible = (mdp.chances[fresh] > 0) & mdp.mask[fresh].unsqueeze(-1)
        nexts = mdp.successors[fresh][possible].unique()
        nexts = nexts[nexts != END]
        fresh = nexts[~reached[nexts]]
        reached[fresh] = True
    lost = (~reached).nonzero().squeeze(-1).tolist()
    remedy = "Leave them out, or give them a chance in `start`."
    require(not lost, "successors", "reach every state from `start`", f"unreachable states {lost[:8]}", remedy)


# Exact answers on tabular MDPs: evaluation, occupancy, three kinds of value iteration, gradients.
#
# Letters: S states, A actions, `coef` is lambda, the coefficient of the entropy in
#
#     J = E sum_t discount^t ( r_t + lambda * H(pi(.|s_t)) )

Regulariser = Literal["shannon", "tsallis"]

Coef = float | Tensor

_ENTROPIES: dict[Regulariser, Callable[[Tensor], Tensor]] = {"shannon": entropy, "tsallis": tsallis_entropy}


class Evaluation(NamedTuple):
    """The values of a policy."""

    values: Tensor
    """`[S]`, entropies included if there is a coefficient."""
    q: Tensor
    """`[S, A]`, without the entropy of the state itself; finite for forbidden actions too."""


class Solution(NamedTuple):
    """The result of value iteration."""

    values: Tensor
    """`[S]`."""
    q: Tensor
    """`[S, A]`, -inf for forbidden actions."""
    policy: Tensor
    """`[S, A]`."""
    sweeps: int


def transition_matrix(mdp: MDP, policy: Tensor) -> Tensor:
    """Return `[S, S]`: the chance to go from one state to another under `policy [S, A]`; the rest is the end."""
    weights = (policy.unsqueeze(-1) * mdp.chances).flatten(1)
    targets = mdp.successors.flatten(1)
    targets = targets.where(targets != END, mdp.states)  # END goes to a column that is dropped
    return weights.new_zeros(mdp.states, mdp.states + 1).scatter_add(1, targets, weights)[:, :-1]


def evaluate(mdp: MDP, policy: Tensor, *, coef: Coef = 0.0, regulariser: Regulariser = "shannon") -> Evaluation:
    """Return the exact values of `policy [S, A]`, differentiable in it.

        v = (I - discount P)^{-1} (r_pi + coef H(pi))        q = r + discount E v

    Args:
        mdp: the problem.
        policy: probabilities `[S, A]`, 0 where the mask forbids.
        coef: of the entropy, at least 0; one number or `[S]`.
        regulariser: which entropy.

    Raises:
        ValueError: `coef` negative, `policy` not a policy of this MDP, or an undiscounted policy that never ends.

    Example:
        >>> mdp = make_mdp(rewards=torch.tensor([[1.0, 0.0]]), successors=torch.tensor([[END, 0]]), discount=0.5)
        >>> evaluate(mdp, torch.tensor([[0.5, 0.5]])).values.tolist()  # v = 1/2 + v/4
        [0.6666666666666666]
    """
    policy = _check_policy(mdp, policy)
    bonus = _coef(coef, positive=False) * _ENTROPIES[regulariser](policy)
    reward = (policy * mdp.rewards).sum(-1) + bonus
    values = _solve(mdp, transition_matrix(mdp, policy), reward)
    return Evaluation(values, mdp.rewards + mdp.discount * mdp.ahead(values))


def occupancy(mdp: MDP, policy: Tensor) -> Tensor:
    """Return `[S]`: the expected discounted number of visits, `d = start + discount P' d`; sums to the length."""
    policy = _check_policy(mdp, policy)
    return _solve(mdp, transition_matrix(mdp, policy).T, mdp.start)


def objective(mdp: MDP, logits: Tensor, *, coef: Coef = 0.0, regulariser: Regulariser = "shannon") -> Tensor:
    """Return J of the softmax policy of `logits [S, A]` as a scalar with gradient."""
    values = evaluate(mdp, softmax(logits, mdp.mask), coef=coef, regulariser=regulariser).values
    return mdp.start @ values


def exact_gradient(mdp: MDP, logits: Tensor, *, coef: Coef = 0.0, regulariser: Regulariser = "shannon") -> Tensor:
    """Return dJ/dlogits `[S, A]` by autograd: no sampling, 0 for forbidden actions."""
    leaf = logits.detach().double().requires_grad_()
    return torch.autograd.grad(objective(mdp, leaf, coef=coef, regulariser=regulariser), leaf)[0]


def value_iteration(mdp: MDP, *, tolerance: float = 1e-12, max_sweeps: int = 100_000) -> Solution:
    """Return the optimum without entropy; ties share their state's probability."""

    def best(q: Tensor) -> tuple[Tensor, Tensor]:
        top = q.amax(-1, keepdim=True)
        ties = (q >= top - 1e-12 * (1 + top.abs())).double()
        return top.squeeze(-1), ties / ties.sum(-1, keepdim=True)

    return _iterate(mdp, best, tolerance, max_sweeps)


def soft_value_iteration(mdp: MDP, *, coef: Coef, tolerance: float = 1e-12, max_sweeps: int = 100_000) -> Solution:
    """Return the optimum of reward plus `coef` times Shannon entropy.

        v = coef * logsumexp(q / coef)        pi = softmax(q / coef)        q = r + discount E v

    Args:
        mdp: the problem.
        coef: lambda, positive; one number or `[S]`.
        tolerance: it stops when a sweep moves no value by more than this.
        max_sweeps: it fails after this many.

    Raises:
        ValueError: `coef` not positive, or values that do not converge (undiscounted, where the bonus of a step
            outweighs its cost, the best policy never ends).
    """
    temperature = _coef(coef, positive=True)

    def best(q: Tensor) -> tuple[Tensor, Tensor]:
        scaled = q / _column(temperature)
        return temperature * scaled.logsumexp(-1), scaled.softmax(-1)

    return _iterate(mdp, best, tolerance, max_sweeps)


def tsallis_value_iteration(mdp: MDP, *, coef: Coef, tolerance: float = 1e-12, max_sweeps: int = 100_000) -> Solution:
    """Return the optimum of reward plus `coef` times Tsallis entropy `(1 - sum p^2)/2`: `pi = sparsemax(q / coef)`.

    Args and Raises as in `soft_value_iteration`.

    Reference:
        Lee, Choi, Oh, "Sparse Markov decision processes with causal sparse Tsallis entropy regularization", 2018.
    """
    temperature = _coef(coef, positive=True)

    def best(q: Tensor) -> tuple[Tensor, Tensor]:
        policy = sparsemax(q / _column(temperature))
        expected = (policy * q.masked_fill(policy == 0, 0)).sum(-1)
        return expected + temperature * tsallis_entropy(policy), policy

    return _iterate(mdp, best, tolerance, max_sweeps)


def _iterate(mdp: MDP, best: Callable[[Tensor], tuple[Tensor, Tensor]], tolerance: float, max_sweeps: int) -> Solution:
    require_count("max_sweeps", max_sweeps, least=1)
    values = torch.zeros(mdp.states, dtype=torch.float64)
    change = float("inf")
    for sweep in range(1, max_sweeps + 1):
        q = (mdp.rewards + mdp.discount * mdp.ahead(values)).masked_fill(~mdp.mask, FORBIDDEN)
        new, policy = best(q)
        change = float((new - values).abs().max())
        values = new
        if change <= tolerance * (1 + float(values.abs().max())):
            return Solution(values, q, policy, sweep)
    raise ValueError(
        f"value iteration did not converge in {max_sweeps} sweeps (last change {change:.3g}). "
        "Discount the MDP, or lower `coef`: a bonus that outweighs the cost of a step rewards never ending."
    )


def _column(coef: Tensor) -> Tensor:
    return coef.unsqueeze(-1) if coef.dim() else coef


def _coef(coef: Coef, *, positive: bool) -> Tensor:
    tensor = torch.as_tensor(coef, dtype=torch.float64)
    fits = bool(((tensor > 0) if positive else (tensor >= 0)).all()) and bool(tensor.isfinite().all())
    rule = "be positive and finite" if positive else "be at least 0 and finite"
    remedy = "Without entropy, use value_iteration." if positive else ""
    require(fits, "coef", rule, coef, remedy)
    return tensor


def _check_policy(mdp: MDP, policy: Tensor) -> Tensor:
    policy = policy.double()
    require(policy.shape == mdp.rewards.shape, "policy", f"have shape {tuple(mdp.rewards.shape)}", tuple(policy.shape))
    sums = bool((policy.detach().sum(-1) - 1).abs().max() < 1e-6) and bool((policy.detach() >= 0).all())
    require(sums, "policy", "be probabilities that sum to 1", float(policy.detach().sum(-1).min()))
    stray = float(policy.detach()[~mdp.mask].sum())
    require(stray == 0, "policy", "give forbidden actions no probability", stray)
    return policy


def _solve(mdp: MDP, matrix: Tensor, right: Tensor) -> Tensor:
    system = torch.eye(mdp.states, dtype=torch.float64) - mdp.discount * matrix
    solution, info = torch.linalg.solve_ex(system, right)
    # An undiscounted loop that is never left makes the system singular (or, by rounding, nearly so).
    sane = int(info) == 0 and bool(solution.detach().isfinite().all())
    sane = sane and float(solution.detach().abs().max()) < 1e14
    require(sane, "policy", "end the episode", "a policy that never ends", "Set a discount below 1.")
    return solution
