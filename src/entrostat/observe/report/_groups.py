"""Reduces runs to the numbers a report is about: per run, per recipe over its seeds, and between recipes."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence

from entrostat.observe.analysis.findings import Alarm, alarms, end_mean, start_mean
from entrostat.observe.analysis.statistics import Estimate, estimate, mean, running_mean
from entrostat.observe.report._load import Run

_COLORS = 8
_DASHES = ("solid", "dash", "dot")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Facts:
    """The numbers of one run; None where nothing was measured. Without a qualifier, a mean over the last steps."""

    run: Run
    alarms: list[Alarm]
    entropy_start: float | None
    entropy: float | None
    clamped_entropy: float | None
    kept_mass: float | None
    useless_peak: float | None
    """Highest mean over 10 steps."""
    useless_mass: float | None
    reward: float | None
    silent_groups: float | None
    in_band: float | None
    """Share of the steps after warm-up with the clamped entropy inside its band."""
    removed_mass: float | None
    """Probability outside the clamp, over the whole run."""
    removed_entropy: float | None
    """Entropy minus clamped entropy, over the whole run."""
    entropy_mean: float | None
    """Entropy over the whole run."""
    pass_start: dict[str, float]
    """pass@k of the start model on the test split, by k."""
    pass_end: dict[str, float]
    """pass@k of the last model on the test split, by k."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Group:
    """The runs of one recipe."""

    index: int
    """Its place among the recipes of the page."""
    color: int
    """Number of its colour and line; without a baseline, the neutral first one stays unused."""
    label: str
    recipe: str
    description: str
    runs: list[Run]
    """All of them."""
    facts: list[Facts]
    """The numbers of every run that has steps."""
    final: list[Facts]
    """Those that count for the recipe's last values."""

    @property
    def slot(self) -> int:
        """Number of its colour: past the last one, the same colours come dashed."""
        return self.color % _COLORS

    @property
    def style(self) -> str:
        """Class of the page that sets its colour."""
        return f"r{self.slot}"

    @property
    def dash(self) -> str:
        """Its line."""
        return _DASHES[self.color // _COLORS % len(_DASHES)]

    @property
    def name(self) -> str:
        """Placeholder of its name in a sentence; the page fills in the names of all recipes."""
        return f"{{{self.index}}}"

    def over_seeds(self, name: str) -> Estimate | None:
        """Return the mean and interval of one number of the facts."""
        return estimate(getattr(facts, name) for facts in self.final)

    def passed(self, k: str) -> Estimate | None:
        """Return pass@k of the last models."""
        return estimate(facts.pass_end.get(k) for facts in self.final)

    def pass_change(self, k: str) -> Estimate | None:
        """Return the change of pass@k from each run's start model to its last."""
        return estimate(
            facts.pass_end[k] - facts.pass_start[k]
            for facts in self.final
            if k in facts.pass_end and k in facts.pass_start
        )

    def with_alarm(self, kind: str) -> list[tuple[Facts, Alarm]]:
        """Return the runs in which this finding was made, and the finding."""
        return [(facts, alarm) for facts in self.facts for alarm in facts.alarms if alarm.kind == kind]


def groups(runs: list[Run]) -> list[Group]:
    """Gather runs by label, in their order.

    Unfinished runs are left out of a recipe's final values as long as it has a finished one: their last step is not
    the last step of the job.
    """
    by_label: dict[str, list[Run]] = {}
    for run in runs:
        by_label.setdefault(run.label, []).append(run)
    found: list[Group] = []
    for index, (label, members) in enumerate(by_label.items()):
        known = [facts(run) for run in members if run.steps]
        found.append(
            Group(
                index=index,
                color=index + (runs[0].recipe != "none"),
                label=label,
                recipe=members[0].recipe,
                description=members[0].description,
                runs=members,
                facts=known,
                final=[item for item in known if item.run.finished] or known,
            )
        )
    return found


def baseline(groups: Sequence[Group]) -> Group:
    """Return the recipe all others are compared with: the first without entropy control, if there is one."""
    return next((group for group in groups if group.recipe == "none"), groups[0])


def compared(groups: Sequence[Group]) -> list[Group]:
    """Return the recipes that share a finished seed with a baseline without entropy control."""
    base = baseline(groups)
    seeds = {facts.run.seed for facts in base.final} if base.recipe == "none" else set[int]()
    return [group for group in groups if group is not base and seeds & {facts.run.seed for facts in group.final}]


def paired(group: Group, base: Group, value: Callable[[Facts], float | None]) -> Estimate | None:
    """Return the mean difference over the seeds that both have, with its interval; None without such a seed.

    Pairing removes the effect that a seed has on every recipe.

    Formula:
        d_s = value(group, seed s) - value(base, seed s)        mean d ± t(0.975; n - 1) s_d / sqrt(n)
    """
    there = {facts.run.seed: value(facts) for facts in base.final}
    both = [(value(facts), there.get(facts.run.seed)) for facts in group.final]
    return estimate(here - other for here, other in both if here is not None and other is not None)


def clear(found: Estimate) -> bool:
    """Return whether the interval leaves out zero; one seed is never clear."""
    return found.half is not None and not found.low <= 0 <= found.high


def start_model(runs: list[Run], k: str) -> Estimate | None:
    """Return pass@k of the model all runs began with; None if it was not measured.

    One evaluation copied into every run is one measurement, not a seed each: equal values get no interval.
    """
    by_seed: dict[int, list[float]] = {}
    for run in runs:
        if k in (taken := _pass_at(run, last=False)):
            by_seed.setdefault(run.seed, []).append(taken[k])
    values = [sum(taken) / len(taken) for taken in by_seed.values()]
    return estimate(values[:1] if len(set(values)) == 1 else values)


def ks(runs: list[Run]) -> list[str]:
    """Return the k of pass@k a report shows: 1, 8 and 16 where measured, else the least, a middle and the largest."""
    found = {k for run in runs for item in run.evaluations for k in item.pass_at}
    known = sorted((k for k in found if k.isascii() and k.isdecimal()), key=int)
    if len(known) <= 3:
        return known
    usual = [k for k in known if k in ("1", "8", "16")]
    return usual if len(usual) == 3 else [known[0], known[len(known) // 2], known[-1]]


def facts(run: Run) -> Facts:
    """Compute the numbers of one run."""

    last = ("entropy", "clamped_entropy", "kept_mass", "useless_mass", "reward", "silent_groups")
    entropy, clamped, kept = (run.columns[name] for name in last[:3])
    useless = run.curves.numbers("useless_mass")
    return Facts(
        run=run,
        alarms=alarms(run.curves),
        entropy_start=start_mean(run.curves.numbers("entropy")),
        useless_peak=max(running_mean(useless, min(10, len(useless))), default=None) if useless else None,
        in_band=_in_band(run),
        removed_mass=mean(1 - mass for mass in kept),
        removed_entropy=mean(whole - part for whole, part in zip(entropy, clamped, strict=True)),
        entropy_mean=mean(entropy),
        pass_start=_pass_at(run, last=False),
        pass_end=_pass_at(run, last=True),
        **{name: end_mean(run.curves.numbers(name)) for name in last},
    )


def _in_band(run: Run) -> float | None:
    warmup = run.curves.setting("warmup") or 0
    columns = (run.columns[name] for name in ("band_low", "clamped_entropy", "band_high"))
    inside = [
        low <= entropy <= high
        for step, low, entropy, high in zip(run.steps, *columns, strict=True)
        if step > warmup and not (math.isnan(low) or math.isnan(high))
    ]
    return sum(inside) / len(inside) if inside else None


def _pass_at(run: Run, *, last: bool) -> dict[str, float]:
    # Always the last evaluation, never the best: a checkpoint picked on the test set flatters whoever wobbles most.
    taken = [item for item in run.evaluations if item.split == "test" and (item.step > 0) == last]
    return taken[-1].pass_at if taken else {}
