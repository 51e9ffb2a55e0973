"""Maximum-entropy exploration: a mixture of policies, grown by Frank-Wolfe, whose visits are as even as can be."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from entrostat.errors import require, require_count, require_finite
from entrostat.lab._claim import Outcome, Plot, Series, claim
from entrostat.lab._mdp import MDP, make_mdp, occupancy, transition_matrix
from entrostat.lab._policy import entropy, softmax


# d_pi(s) = (1 - discount) sum_t discount^t P(s_t = s). Over mixtures maximise R(d) = -sum d log(d + sigma), concave:
#     reward r_t = grad R(d_t),   pi_{t+1} = best policy for r_t,   weights <- ((1 - eta) weights, eta)
# A mixture draws ONE policy at the start of an episode: its visits are the weighted mean of the visits. Averaging
# action probabilities state by state is another policy with other visits.
def visits(mdp: MDP, policy: Tensor) -> Tensor:
    """Return the discounted state distribution `d_pi`, `[S]`; it sums to 1 where the MDP does not end.

    Example:
        >>> mdp = line_world(3)
        >>> round(float(visits(mdp, torch.full((3, 2), 0.5)).sum()), 6)
        1.0
    """
    return (1 - mdp.discount) * occupancy(mdp, policy)


def exploration_reward(density: Tensor, *, smoothing: float = 0.01) -> Tensor:
    """Gradient of the smoothed entropy: how much a visit to each state would add.

        r(s) = -( log(d(s) + sigma) + d(s) / (d(s) + sigma) )

    For a language model: `density` is the share of rollouts in each cluster of embeddings, over the whole mixture of
    checkpoints so far; the reward of a rollout is that of its cluster.

    Args:
        density: `[...]`, at least 0.
        smoothing: sigma, positive.

    Raises:
        ValueError: a negative density, or `smoothing` not positive.

    Reference:
        Hazan, Kakade, Singh, van Soest, "Provably efficient maximum entropy exploration", arXiv 1812.02690.

    Example:
        >>> rare, common = exploration_reward(torch.tensor([0.1, 0.9]))
        >>> bool(rare > common)
        True
    """
    require(require_finite("smoothing", smoothing) > 0, "smoothing", "be positive", smoothing)
    require(bool((density >= 0).all()), "density", "be at least 0", float(density.min()))
    smooth = density + smoothing
    return -(smooth.log() + density / smooth)


class Mixture(NamedTuple):
    """Policies with weights: one is drawn at the start of each episode."""

    policies: Tensor
    """`[K, S, A]`."""
    weights: Tensor
    """`[K]`."""
    visits: Tensor
    """`[K, S]`, of each policy."""
    history: Tensor
    """`[K, S]`, visits of the mixture of the first k policies."""

    @property
    def density(self) -> Tensor:
        """Visits `[S]` of the mixture."""
        return self.weights @ self.visits


def frank_wolfe(
    mdp: MDP,
    *,
    rounds: int,
    step: float | Callable[[int], float],
    smoothing: float = 0.01,
    reward: Callable[[Tensor], Tensor] | None = None,
) -> Mixture:
    """Grow a mixture of policies that covers the states evenly.

    Args:
        mdp: the dynamics; its rewards are ignored. Discounted, never ending.
        rounds: policies to add to the first one, which always takes the first action allowed.
        step: eta in (0, 1], or a function of the round, from 0 on, such as `lambda t: 2 / (t + 2)`.
        smoothing: sigma of the entropy.
        reward: of a density; the gradient of the smoothed entropy if None.

    Returns:
        The mixture with the visits of each policy.

    Raises:
        ValueError: no rounds, a step outside (0, 1], or `smoothing` not positive.

    Reference:
        Hazan et al., arXiv 1812.02690 (constants from memory).

    Example:
        >>> mixture = frank_wolfe(line_world(5), rounds=50, step=lambda t: 2 / (t + 2))
        >>> bool(mixture.density.min() > 0.15)
        True
    """
    require_count("rounds", rounds, least=1)

    gain = reward or functools.partial(exploration_reward, smoothing=smoothing)
    policies = [torch.nn.functional.one_hot(mdp.mask.long().argmax(-1), mdp.actions).double()]
    seen = [visits(mdp, policies[0])]
    weights = torch.ones(1, dtype=torch.float64)
    history = [seen[0]]
    for t in range(rounds):
        eta = step(t) if callable(step) else step
        require(0 < eta <= 1, "step", "lie in (0, 1]", eta)
        policies.append(best_policy(mdp, gain(history[-1]), start=policies[-1]))
        seen.append(visits(mdp, policies[-1]))
        history.append((1 - eta) * history[-1] + eta * seen[-1])
        weights = torch.cat([(1 - eta) * weights, weights.new_tensor([eta])])
    return Mixture(torch.stack(policies), weights, torch.stack(seen), torch.stack(history))


def best_policy(mdp: MDP, state_rewards: Tensor, *, start: Tensor) -> Tensor:
    """Return the deterministic policy `[S, A]` that is best for a reward `[S]`, by policy iteration from `start`."""
    policy = start
    identity = torch.eye(mdp.states, dtype=torch.float64)
    while True:
        values = torch.linalg.solve(identity - mdp.discount * transition_matrix(mdp, policy), state_rewards)
        # The reward depends on the state alone, so actions differ only in the states that follow.
        following = mdp.ahead(values)
        allowed = following.masked_fill(~mdp.mask, -torch.inf)
        better = torch.nn.functional.one_hot(allowed.argmax(-1), mdp.actions).double()
        # An action replaces the old one only if it is really better, else ties would take turns for ever.
        gains = allowed.amax(-1) > (policy * following).sum(-1) + 1e-12
        if not bool(gains.any()):
            return policy
        policy = better.where(gains.unsqueeze(-1), policy)


def statewise_average(mixture: Mixture) -> Tensor:
    """Average the action probabilities state by state, `[S, A]`: often done, but not the mixture."""
    return torch.einsum("k,ksa->sa", mixture.weights, mixture.policies)


def equivalent_policy(mixture: Mixture) -> Tensor:
    """Return the one stationary policy `[S, A]` with the visits of the mixture.

        pi(a|s) = sum_k w_k d_k(s) pi_k(a|s) / sum_k w_k d_k(s)

    A state that is never visited gets the plain average.
    """
    flow = torch.einsum("k,ks,ksa->sa", mixture.weights, mixture.visits, mixture.policies)
    reached = flow.sum(-1, keepdim=True)
    return torch.where(reached > 0, flow / reached.clamp(min=1e-300), statewise_average(mixture))


def line_world(states: int, *, discount: float = 0.9) -> MDP:
    """A line of states with moves to the left and to the right, from the middle on; ends hold, nothing ends.

    No single deterministic policy covers it: this is where a mixture is needed.

    Example:
        >>> line_world(3).successors.squeeze(-1).tolist()
        [[0, 1], [0, 2], [1, 2]]
    """
    require_count("states", states, least=2)
    here = torch.arange(states)
    successors = torch.stack([(here - 1).clamp(min=0), (here + 1).clamp(max=states - 1)], -1)
    return make_mdp(rewards=torch.zeros(states, 2), successors=successors, start=states // 2, discount=discount)


# [71] Frank-Wolfe over policies reaches the largest entropy of visits, with a gap in proportion to its step.

STATES = 11


def largest_entropy(mdp: MDP) -> tuple[float, float]:
    """Return the largest entropy of visits over all policies, and a bound on its error.

    Found by L-BFGS on a softmax policy, which can have any visits a mixture has; the bound is Frank-Wolfe's duality
    gap: concavity caps every other entropy by the linear one.
    """
    logits = torch.zeros(mdp.states, mdp.actions, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([logits], max_iter=500, tolerance_grad=1e-12, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = -entropy(visits(mdp, softmax(logits)))
        value.backward()
        return value

    optimizer.step(loss)
    policy = softmax(logits.detach())
    density = visits(mdp, policy)
    reward = exploration_reward(density, smoothing=1e-12)
    rival = best_policy(mdp, reward, start=torch.eye(mdp.actions, dtype=torch.float64)[policy.argmax(-1)])
    return float(entropy(density)), float(reward @ (visits(mdp, rival) - density))


def best_deterministic(mdp: MDP) -> float:
    """Return the largest entropy of visits of a deterministic policy, by trying all of them at once."""
    choices = torch.tensor(list(itertools.product(range(mdp.actions), repeat=mdp.states)))
    after = mdp.successors.squeeze(-1)[torch.arange(mdp.states), choices]
    moves = torch.nn.functional.one_hot(after, mdp.states).double()
    system = torch.eye(mdp.states, dtype=torch.float64) - mdp.discount * moves.mT
    return float(entropy((1 - mdp.discount) * torch.linalg.solve(system, mdp.start)).max())


def entropies(mixture: Mixture) -> list[float]:
    """Return the entropy of the visits of each round's mixture."""
    return entropy(mixture.history).tolist()


@claim(
    "classical",
    source="[71] Hazan, Kakade, Singh, van Soest 2019, arXiv 1812.02690 (introduction and authors' code read)",
)
def classical_frank_wolfe(quick: bool) -> Outcome:
    """A mixture of policies grown by Frank-Wolfe on the gradient of the entropy of visits reaches its maximum up to a
    gap that shrinks with the step, far above every deterministic policy.
    """
    # Run constant steps with 8 / eta rounds, and the decreasing step 2 / (t + 2).
    mdp = line_world(STATES)
    best, slack = largest_entropy(mdp)
    steps = (0.2, 0.1) if quick else (0.2, 0.1, 0.03, 0.01)
    runs = {eta: entropies(frank_wolfe(mdp, rounds=int(8 / eta), step=eta)) for eta in steps}
    gap = {eta: best - run[-1] for eta, run in runs.items()}
    rounds = 100 if quick else 400
    falling = entropies(frank_wolfe(mdp, rounds=rounds, step=lambda t: 2 / (t + 2), smoothing=0.001))
    authors = frank_wolfe(mdp, rounds=rounds, step=lambda t: 2 / (t + 2), reward=lambda d: 1 / (d + STATES**-0.5))
    single, uniform = best_deterministic(mdp), float(entropy(visits(mdp, torch.full((STATES, 2), 0.5))))
    ordered = all(gap[b] < gap[a] for a, b in itertools.pairwise(steps))
    holds = ordered and best - falling[-1] < 1e-3 and single < uniform < best - 0.1 and slack < 1e-4
    lines = tuple(
        Series(name=name, x=range(1, len(run) + 1), y=[max(best - h, 1e-6) for h in run])
        for name, run in (*((f"eta = {eta}", run) for eta, run in runs.items()), ("eta = 2/(t+2)", falling))
    )
    return Outcome(
        verdict="holds" if holds else "does not hold",
        figures={
            "largest entropy of visits": best,
            "certified to": slack,
            "best deterministic policy": single,
            "uniformly random policy": uniform,
            **{f"gap at eta = {eta}": g for eta, g in gap.items()},
            f"gap at eta = 2/(t+2), {rounds} rounds": best - falling[-1],
            "gap with the authors' reward 1/(d + 1/sqrt S)": best - float(entropy(authors.density)),
        },
        plots=(
            Plot(
                title="Frank-Wolfe on a line of 11 states",
                x_label="policies in the mixture",
                y_label="gap to the largest entropy (nats)",
                series=lines,
                log_x=True,
                log_y=True,
            ),
        ),
        remarks="Exact planning and exact visits, discount 0.9. A constant step is not monotone: single rounds lose.",
    )


# [71] A mixture of checkpoints is drawn once per episode; averaging action probabilities is something else.


@claim("classical", source="[71] Hazan et al. 2019, arXiv 1812.02690 (the authors' code averages state by state)")
def classical_mixtures(quick: bool) -> Outcome:
    """The entropy that exploration by a mixture promises is that of one policy drawn per episode; averaging action
    probabilities state by state loses some, and the last policy alone loses most.
    """
    # Compare three readings of one mixture.
    mdp = line_world(11)
    mixture = frank_wolfe(mdp, rounds=60 if quick else 400, step=lambda t: 2 / (t + 2), smoothing=0.001)
    drawn = float(entropy(mixture.density))
    averaged = float(entropy(visits(mdp, statewise_average(mixture))))
    equivalent = float(entropy(visits(mdp, equivalent_policy(mixture))))
    last = float(entropy(mixture.visits[-1]))
    holds = abs(equivalent - drawn) < 1e-9 and drawn > averaged + 0.01 and last < drawn - 0.5
    return Outcome(
        verdict="holds" if holds else "does not hold",
        figures={
            "one policy drawn per episode": drawn,
            "action probabilities averaged state by state": averaged,
            "averaged with the visits as weights": equivalent,
            "the last policy alone": last,
        },
        remarks="Entropies of visits in nats on a line of 11 states; log 11 is 2.3979.",
    )
