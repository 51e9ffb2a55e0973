"""Job-shop dispatching small enough to list every schedule: which job goes next, until all are done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from entrostat.errors import require
from entrostat.lab._claim import Outcome, Plot, Series, claim
from entrostat.lab._mdp import END, MDP, evaluate, make_mdp, value_iteration
from entrostat.lab._policy import entropy, softmax
from entrostat.lab.classical.offline_ld import actor_loss, conservative_penalty, masked_target, temperature_loss


@dataclass(frozen=True, kw_only=True)
class JobShop:
    """Jobs whose operations run in order, each on its machine, one at a time.

    Args:
        machines: of each job, the machine of each operation.
        durations: of each job, the duration of each operation, positive.

    Raises:
        ValueError: fewer than two jobs, lists that do not fit, or a duration that is not positive.
    """

    machines: tuple[tuple[int, ...], ...]
    durations: tuple[tuple[int, ...], ...]

    def __post_init__(self) -> None:
        require(len(self.machines) >= 2, "machines", "hold at least two jobs", len(self.machines))
        lengths = [[len(job) for job in table] for table in (self.machines, self.durations)]
        require(lengths[0] == lengths[1], "durations", "have one entry for each operation", lengths[1])
        least = min(min(job) for job in self.durations)
        require(least > 0, "durations", "be positive", least)


class _State(NamedTuple):
    done: tuple[int, ...]
    jobs_free: tuple[int, ...]
    machines_free: tuple[int, ...]

    @property
    def makespan(self) -> int:
        return max(self.jobs_free)


def random_job_shop(jobs: int, machines: int, *, seed: int) -> JobShop:
    """Return an instance in which every job visits every machine once, with durations from 1 to 9.

    Example:
        >>> [len(job) for job in random_job_shop(3, 2, seed=0).machines]
        [2, 2, 2]
    """
    rng = torch.Generator().manual_seed(seed)
    routes = [torch.randperm(machines, generator=rng).tolist() for _ in range(jobs)]
    durations = torch.randint(1, 10, (jobs, machines), generator=rng).tolist()
    return JobShop(machines=tuple(map(tuple, routes)), durations=tuple(map(tuple, durations)))


def dispatching_mdp(shop: JobShop) -> MDP:
    """Turn an instance into an MDP: an action starts the next operation of a job as early as it can.

    The reward of a step is minus the growth of the makespan, so the return is minus the makespan; finished jobs are
    masked. A state holds the finished operations of each job and the times from which jobs and machines are free.

    Example:
        >>> shop = JobShop(machines=((0,), (0,)), durations=((2,), (3,)))
        >>> mdp = dispatching_mdp(shop)
        >>> mdp.states, mdp.mask.sum(-1).tolist(), mdp.rewards[0].tolist()
        (3, [2, 1, 1], [-2.0, -3.0])
    """
    jobs = len(shop.machines)
    number_of_machines = 1 + max(max(job) for job in shop.machines)
    states = [_State((0,) * jobs, (0,) * jobs, (0,) * number_of_machines)]
    number = {states[0]: 0}
    rows: list[list[tuple[int, float, bool]]] = []
    for state in states:  # grows while it is read
        row: list[tuple[int, float, bool]] = []
        for job in range(jobs):
            after = _dispatch(shop, state, job)
            if after is None:
                row.append((END, 0.0, False))
                continue
            over = all(done == len(route) for done, route in zip(after.done, shop.machines, strict=True))
            if not over and after not in number:
                number[after] = len(states)
                states.append(after)
            row.append((END if over else number[after], float(state.makespan - after.makespan), True))
        rows.append(row)
    successors, rewards, mask = (torch.tensor([[entry[part] for entry in row] for row in rows]) for part in range(3))
    return make_mdp(rewards=rewards, successors=successors, mask=mask, start=0)


def _dispatch(shop: JobShop, state: _State, job: int) -> _State | None:
    step = state.done[job]
    if step == len(shop.machines[job]):
        return None
    machine = shop.machines[job][step]
    end = max(state.jobs_free[job], state.machines_free[machine]) + shop.durations[job][step]
    changes = ((state.done, job, step + 1), (state.jobs_free, job, end), (state.machines_free, machine, end))
    return _State(*((*values[:index], value, *values[index + 1 :]) for values, index, value in changes))


# [55] Offline dispatching with masks: a reachable target keeps the temperature finite and improves on the data.


class Data(NamedTuple):
    """Transitions, one row each."""

    states: Tensor
    actions: Tensor
    rewards: Tensor
    after: Tensor


class Trained(NamedTuple):
    """The result of offline training."""

    log_coefs: list[float]
    greedy: float
    """Makespan of the most likely dispatch over the best makespan."""
    sampled: float
    """Expected makespan of the policy itself over the best makespan."""
    missed: float
    """Target minus entropy, averaged over the states with a choice."""


def random_data(mdp: MDP, *, schedules: int, best: float, seed: int) -> Data:
    """Return the transitions of uniformly random schedules; rewards over the best makespan, as in the paper."""
    rng = torch.Generator().manual_seed(seed)
    rows: list[tuple[int, int, float, int]] = []
    for _ in range(schedules):
        state = 0
        while state >= 0:
            action = int(torch.multinomial(mdp.mask[state].double(), 1, generator=rng))
            after = int(mdp.successors[state, action, 0])
            rows.append((state, action, float(mdp.rewards[state, action]) / best, after))
            state = after
    states, actions, rewards, after = zip(*rows, strict=True)
    return Data(torch.tensor(states), torch.tensor(actions), torch.tensor(rewards).double(), torch.tensor(after))


def train(mdp: MDP, data: Data, targets: Tensor, *, best: float, steps: int) -> Trained:
    """Train tabular masked soft actor-critic with the conservative penalty on the whole of the data."""
    allowed = mdp.mask.sum(-1)
    q = [torch.zeros(mdp.rewards.shape, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    logits = torch.zeros(mdp.rewards.shape, dtype=torch.float64, requires_grad=True)
    log_coef = torch.zeros((), dtype=torch.float64, requires_grad=True)
    groups = [{"params": [*q, logits], "lr": 0.02}, {"params": [log_coef], "lr": 0.06}]
    optimizer = torch.optim.Adam(groups, eps=1e-4)
    old = torch.zeros_like(logits).detach()
    path: list[float] = []
    here = data.states.unique()
    for step in range(steps):
        if step % 25 == 0:  # hard copies of the target network
            old = torch.min(*q).detach()
        policy = softmax(logits, mdp.mask)
        worth = torch.cat([(policy.detach() * old).sum(-1), old.new_zeros(1)])  # index -1: the schedule is complete
        wanted = data.rewards + worth[data.after]
        critic = sum((_critic_loss(table, data, wanted, mdp.mask) for table in q), start=old.new_zeros(()))
        actor = actor_loss(logits[here], torch.min(*q)[here], mdp.mask[here], coef=float(log_coef.detach().exp()))
        control = temperature_loss(log_coef, entropy(policy)[here], targets[here], allowed[here])
        optimizer.zero_grad()
        (critic + actor.mean() + control).backward()
        optimizer.step()
        log_coef.data.clamp_(-20, 20)
        path.append(float(log_coef.detach()))
    policy = softmax(logits.detach(), mdp.mask)
    greedy = torch.nn.functional.one_hot(policy.argmax(-1), mdp.actions).double()
    spans = [-float(mdp.start @ evaluate(mdp, p).values) / best for p in (greedy, policy)]
    missed = (targets - entropy(policy))[here[allowed[here] > 1]].mean()
    return Trained(path, spans[0], spans[1], float(missed))


def _critic_loss(q: Tensor, data: Data, wanted: Tensor, mask: Tensor) -> Tensor:
    error = (q[data.states, data.actions] - wanted).square()
    return (error + 0.5 * conservative_penalty(q[data.states], data.actions, mask[data.states])).mean()


@claim(
    "classical", source="[55] van Remmerden, Bukhsh, Zhang 2025, arXiv 2409.10589 (authors' code read; instances ours)"
)
def classical_dispatching(quick: bool) -> Outcome:
    """On a small job shop, offline masked soft actor-critic keeps its temperature with per-state targets and dispatches
    better than its data; with one target for all states the temperature runs to its clip.
    """
    # Train on random schedules of job shops with 3 jobs and 3 machines (quick: 2).
    seeds = tuple(range(1 if quick else 3))
    machines, steps = (2, 400) if quick else (3, 1000)
    runs: dict[str, list[Trained]] = {"all actions": [], "allowed actions": []}
    random_span: list[float] = []
    for seed in seeds:
        mdp = dispatching_mdp(random_job_shop(3, machines, seed=seed))
        best = -float(mdp.start @ value_iteration(mdp).values)
        data = random_data(mdp, schedules=150, best=best, seed=seed)
        uniform = mdp.mask.double() / mdp.mask.sum(-1, keepdim=True)
        random_span.append(-float(mdp.start @ evaluate(mdp, uniform).values) / best)
        allowed = mdp.mask.sum(-1)
        targets = {"all actions": masked_target(torch.full_like(allowed, 3)), "allowed actions": masked_target(allowed)}
        for name, target in targets.items():
            runs[name].append(train(mdp, data, target, best=best, steps=steps))
    fixed, masked = runs["all actions"], runs["allowed actions"]
    mean_random = sum(random_span) / len(seeds)
    figures: dict[str, float | str] = {"makespan over the best one: random schedules": mean_random}
    for name, found in runs.items():
        columns = zip(*((t.log_coefs[-1], t.missed, t.greedy, t.sampled) for t in found), strict=True)
        for label, column in zip(
            ("log temperature", "entropy misses it by", "greedy makespan", "sampled makespan"), columns, strict=True
        ):
            figures[f"target from {name}: {label}"] = sum(column) / len(seeds)
    explodes = all(t.log_coefs[-1] > 19 for t in fixed)
    settles = all(t.log_coefs[-1] < 5 and abs(t.missed) < 0.02 for t in masked)
    improves = float(figures["target from allowed actions: greedy makespan"]) < mean_random
    shown = range(0, steps, 25)
    lines = tuple(
        Series(name=f"target from {n}", x=shown, y=[r[0].log_coefs[k] for k in shown]) for n, r in runs.items()
    )
    return Outcome(
        verdict="holds" if explodes and settles and improves else "does not hold",
        figures=figures,
        seeds=seeds,
        plots=(
            Plot(
                title="Temperature while dispatching is learned from random schedules",
                x_label="gradient step",
                y_label="log temperature (clipped at 20)",
                series=lines,
            ),
        ),
        remarks=(
            "Tabular critics and actor on every reachable state, exact optimum by value iteration. Ratio 0.98 and "
            "conservatism 0.5 are the paper's; rates of 0.02 (0.06 for the temperature) and target "
            "copies every 25 steps suit tables."
        ),
    )
