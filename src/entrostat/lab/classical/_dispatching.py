"""Job-shop dispatching small enough to list every schedule: which job goes next, until all are done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from entrostat.errors import require
from entrostat.lab._mdp import END, MDP, make_mdp


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
    masked. States are what has been done and when each job and machine is free.

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
    return _tabulate(rows)


def _dispatch(shop: JobShop, state: _State, job: int) -> _State | None:
    step = state.done[job]
    if step == len(shop.machines[job]):
        return None
    machine = shop.machines[job][step]
    end = max(state.jobs_free[job], state.machines_free[machine]) + shop.durations[job][step]
    return _State(
        _replaced(state.done, job, step + 1),
        _replaced(state.jobs_free, job, end),
        _replaced(state.machines_free, machine, end),
    )


def _replaced(values: tuple[int, ...], index: int, value: int) -> tuple[int, ...]:
    return (*values[:index], value, *values[index + 1 :])


def _tabulate(rows: list[list[tuple[int, float, bool]]]) -> MDP:
    start: Tensor = torch.zeros(len(rows))
    start[0] = 1
    return make_mdp(
        rewards=torch.tensor([[reward for _, reward, _ in row] for row in rows]),
        successors=torch.tensor([[after for after, _, _ in row] for row in rows]),
        mask=torch.tensor([[allowed for _, _, allowed in row] for row in rows]),
        start=start,
    )
