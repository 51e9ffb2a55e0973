"""The content of a report as plain values: made once from loaded runs, before anything is rendered."""

from __future__ import annotations

import dataclasses
import itertools
from collections import Counter
from collections.abc import Iterable, Sequence

from entrostat.observe.report import _sentences as sentences
from entrostat.observe.report._answers import Sample, TokenView, chosen, last_samples, token_view
from entrostat.observe.report._drawings import Drawing, Still, drawings, panels, smoothing, still
from entrostat.observe.report._groups import Group, baseline, groups, ks
from entrostat.observe.report._law import group_laws, law_drawing
from entrostat.observe.report._load import Run
from entrostat.observe.report._tables import (
    Table,
    difference_table,
    final_table,
    law_table,
    seed_table,
    settings_table,
)
from entrostat.observe.text import duration, listed, visible


@dataclasses.dataclass(frozen=True, kw_only=True)
class Account:
    """One recipe in words."""

    group: Group
    chip: str
    """A word or two about its entropy."""
    said: str
    warnings: list[str]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Story:
    """The content of a report, in reading order. In a sentence, `{2}` stands for the name of recipe 2."""

    groups: list[Group]
    runs: list[Run]
    headline: str
    standfirst: list[str]
    made: list[str]
    """How many recipes, seeds and steps, which tasks and models."""
    unfinished: list[str]
    drawings: list[Drawing]
    still: Still | None
    """The first of the drawings as a picture."""
    accounts: list[Account]
    absent: list[str]
    """Titles of the panels that no run has data for."""
    law: Drawing | None
    laws: Table
    final: Table
    seeds: Table
    base: Group
    """The recipe that the differences are taken from."""
    differences: Table
    differ: str
    """The differences in a sentence."""
    tokens: TokenView | None
    samples: list[tuple[Group, Run, list[Sample]]]
    """Of the recipes without tokens."""
    facts: dict[str, list[str]]
    """How the runs were made, by title."""
    settings: Table
    jobs: list[str]
    """Texts of the job files."""
    last: int
    """The last step of all runs."""
    smoothing: int
    """Steps over which the bold lines of the longest run are smoothed."""
    thin: float
    """How dark the line of one seed is."""

    @property
    def has_halves(self) -> bool:
        """Whether any plot shows the middle half of the seeds."""
        return any(line["kind"] == "half" for drawing in self.drawings for line in drawing.lines)


def story_of(runs: list[Run], jobs: Sequence[str] = ()) -> Story:
    """Return the content of a report of some runs; `jobs` are the texts of their job files."""
    everyone, shown_ks = groups(runs), ks(runs)
    chosen_panels = panels(shown_ks, _split(runs))
    drawn = drawings(everyone, chosen_panels)
    keys = {drawing.panel.key for drawing in drawn}
    reached = max(run.reached for run in runs)
    last = max(1, reached)
    laws, tokens = group_laws(everyone), token_view(everyone)
    with_tokens = {index for index, *_ in tokens.runs} if tokens else set[int]()
    samples: list[tuple[Group, Run, list[Sample]]] = []
    for group in everyone:
        if group.index not in with_tokens:
            found = ((group, run, picked) for run in group.runs if (picked := chosen(last_samples(run))))
            samples += itertools.islice(found, 1)  # of the first seed that has any
    return Story(
        groups=everyone,
        runs=runs,
        headline=sentences.headline(everyone),
        standfirst=sentences.standfirst(everyone, shown_ks),
        made=_made(everyone, runs),
        unfinished=sentences.unfinished(runs),
        drawings=drawn,
        still=still(drawn[0], everyone, last) if drawn and drawn[0].panel.key == "entropy" else None,
        accounts=[
            Account(
                group=group,
                chip=sentences.chip(group),
                said=sentences.account(group, shown_ks),
                warnings=sentences.warnings(group),
            )
            for group in everyone
        ],
        absent=[panel.title.lower() for panel in chosen_panels if panel.key not in keys],
        law=law_drawing(laws),
        laws=law_table(laws),
        final=final_table(everyone, shown_ks),
        seeds=seed_table(everyone, shown_ks),
        base=baseline(everyone),
        differences=difference_table(everyone, shown_ks),
        differ=sentences.differences(everyone, shown_ks),
        tokens=tokens,
        samples=samples,
        facts=_facts(runs),
        settings=settings_table(everyone),
        jobs=list(jobs),
        last=last,
        smoothing=smoothing(reached),
        # Many thin lines over one another would be a wall in front of the bold ones.
        thin=max(0.08, min(0.28, 3.4 / len(runs))),
    )


def _split(runs: Sequence[Run]) -> str:
    # The curve is drawn on the split evaluated most often, the table always on the test split.
    counts = Counter(item.split for run in runs for item in run.evaluations)
    return max(sorted(counts), key=lambda split: (counts[split], split == "test"), default="test")


def _made(groups: Sequence[Group], runs: Sequence[Run]) -> list[str]:
    def count(number: int, noun: str) -> str:
        return f"{number} {noun}" if number == 1 else f"{number} {noun}s"

    return [
        count(len(groups), "recipe"),
        count(len({run.seed for run in runs}), "seed"),
        listed([str(steps) for steps in sorted({run.planned for run in runs})]) + " steps",
        *sorted({visible(run.task, limit=80) for run in runs if run.task}),
        *sorted({visible(run.model, limit=80) for run in runs if run.model}),
    ]


def _facts(runs: Sequence[Run]) -> dict[str, list[str]]:
    def each(values: Iterable[str]) -> list[str]:
        return [visible(listed(sorted({value for value in values if value}, key=lambda value: (len(value), value))))]

    kinds = sorted(
        {(item.split, item.problems, item.samples, item.temperature) for run in runs for item in run.evaluations}
    )
    seconds = [run.process_seconds for run in runs if run.process_seconds is not None]
    versions: dict[str, dict[str, None]] = {}
    for run in runs:
        for name, version in run.versions.items():
            versions.setdefault(name, {})[str(version)] = None
    found = {
        "Task": each(run.task for run in runs),
        "Start model": each(run.model for run in runs),
        "Seeds": each(str(run.seed) for run in runs),
        "Steps": each(str(run.planned) for run in runs),
        "Evaluations": [
            f"{visible(split, limit=60)}: {problems:,} problems, {samples} samples each at temperature {temperature:g}"
            for split, problems, samples, temperature in kinds
        ],
        "CPU time, all runs": [duration(sum(seconds)) if seconds else ""],
        "Versions": [
            ", ".join(
                f"{visible(name, limit=60)} {visible(' / '.join(some), limit=200)}" for name, some in versions.items()
            )
        ],
    }
    return {title: lines for title, lines in found.items() if any(lines)}
