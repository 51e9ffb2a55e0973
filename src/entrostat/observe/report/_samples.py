"""Shows what the models wrote: three completions per recipe, right and wrong ones."""

from __future__ import annotations

from entrostat.observe.report._facts import Group
from entrostat.observe.report._load import Sample, last_samples
from entrostat.observe.report._text import label, shown

RIGHT = 0.5
"""Reward above which a completion counts as right."""


def chosen(samples: list[Sample], count: int = 3) -> list[Sample]:
    """Return samples of different problems, right and wrong in turn as long as there are both.

    The choice goes by the order of the file, never by how good an answer looks.
    """
    picked: list[Sample] = []
    problems: set[str] = set()
    while len(picked) < count:
        fresh = [sample for sample in samples if sample.problem not in problems]
        wanted = [sample for sample in fresh if _right(sample) == (len(picked) % 2 == 0)] or fresh
        if not wanted:
            break
        picked.append(wanted[0])
        problems.add(wanted[0].problem)
    return picked


def _right(sample: Sample) -> bool:
    return sample.reward > RIGHT


def samples_html(group: Group, style: str) -> str:
    """Return the samples of a recipe's first seed that has any; nothing if none has."""
    for run in group.runs:
        if picked := chosen(last_samples(run)):
            cells = "".join(_sample_html(sample, run.seed) for sample in picked)
            return f'<div class="written {style}"><h3>{label(group.label)}</h3><div class="three">{cells}</div></div>'
    return ""


def _sample_html(sample: Sample, seed: int) -> str:
    verdict = '<span class="right">right</span>' if _right(sample) else '<span class="wrong">wrong</span>'
    place = f"problem {shown(sample.problem, limit=40)}, seed {seed}, step {sample.step}"
    text = f'<span class="prompt">{shown(sample.prompt)}</span> {shown(sample.completion)}'
    return (
        f'<div class="sample"><p>{verdict}, reward {sample.reward:.3g}<br>{place}</p>'
        f'<pre tabindex="0" role="group" aria-label="prompt and completion">{text}</pre></div>'
    )
