"""Reduces runs to the numbers the report speaks about: per run, and per recipe over its seeds."""

from __future__ import annotations

import dataclasses

from entrostat.observe.analysis.findings import Alarm, alarms, end_mean, start_mean
from entrostat.observe.analysis.statistics import Estimate, estimate, mean, running_mean
from entrostat.observe.report._load import Run


@dataclasses.dataclass(frozen=True, kw_only=True)
class Facts:
    """The numbers of one run. None where nothing was measured."""

    run: Run
    alarms: list[Alarm]
    entropy_start: float | None
    entropy: float | None
    """Mean over the last steps, as every value without a qualifier here."""
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

    label: str
    recipe: str
    description: str
    runs: list[Run]
    """All of them."""
    facts: list[Facts]
    """The numbers of every run that has steps."""
    final: list[Facts]
    """Those that count for the recipe's last values."""

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

    def with_alarm(self, *kinds: str) -> list[tuple[Facts, Alarm]]:
        """Return the runs in which one of these findings was made, with the first of them."""
        pairs = ((facts, [alarm for alarm in facts.alarms if alarm.kind in kinds]) for facts in self.facts)
        return [(facts, found[0]) for facts, found in pairs if found]


def groups(runs: list[Run]) -> list[Group]:
    """Gather runs by label, in their order.

    Unfinished runs are left out of a recipe's final values as long as it has a finished one: their last step is not
    the last step of the job.
    """
    by_label: dict[str, list[Run]] = {}
    for run in runs:
        by_label.setdefault(run.label, []).append(run)
    return [_group(label, members) for label, members in by_label.items()]


def _group(label: str, runs: list[Run]) -> Group:
    known = [facts(run) for run in runs if run.steps]
    return Group(
        label=label,
        recipe=runs[0].recipe,
        description=runs[0].description,
        runs=runs,
        facts=known,
        final=[item for item in known if item.run.finished] or known,
    )


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
    entropy, useless = _values(run, "entropy"), _values(run, "useless_mass")
    removed = [record.entropy - record.clamped_entropy for record in run.steps]
    return Facts(
        run=run,
        alarms=alarms(run.curves),
        entropy_start=start_mean(entropy),
        entropy=end_mean(entropy),
        clamped_entropy=end_mean(_values(run, "clamped_entropy")),
        kept_mass=end_mean(_values(run, "kept_mass")),
        useless_peak=max(running_mean(useless, min(10, len(useless))), default=None) if useless else None,
        useless_mass=end_mean(useless),
        reward=end_mean(_values(run, "reward")),
        silent_groups=end_mean(_values(run, "silent_groups")),
        in_band=_in_band(run),
        removed_mass=mean(1 - record.kept_mass for record in run.steps),
        removed_entropy=mean(removed),
        entropy_mean=mean(entropy),
        pass_start=_pass_at(run, last=False),
        pass_end=_pass_at(run, last=True),
    )


def _values(run: Run, name: str) -> list[float]:
    return [value for _, value in run.series(name)]


def _in_band(run: Run) -> float | None:
    warmup = run.curves.setting("warmup") or 0
    inside = [
        record.band_low <= record.clamped_entropy <= record.band_high
        for record in run.steps
        if record.step > warmup and record.band_low is not None and record.band_high is not None
    ]
    return sum(inside) / len(inside) if inside else None


def _pass_at(run: Run, *, last: bool) -> dict[str, float]:
    # Always the last evaluation, never the best: a checkpoint picked on the test set flatters whoever wobbles most.
    taken = [item for item in run.evaluations if item.split == "test" and (item.step > 0) == last]
    return taken[-1].pass_at if taken else {}
