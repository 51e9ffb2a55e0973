"""A diagnosis as text."""

from __future__ import annotations

import textwrap

from entrostat.observe.analysis.curves import Curves
from entrostat.observe.analysis.findings import COLLAPSED, EXPLODED, LEAKED, WINDOW, Alarm
from entrostat.observe.analysis.law import Law, NoLaw
from entrostat.observe.diagnose._diagnosis import Diagnosis
from entrostat.observe.diagnose._remarks import remarks
from entrostat.observe.report._text import number, percent, visible

_WIDTH = 100


def told(found: Diagnosis) -> str:
    """Return a diagnosis in words, a paragraph per part."""
    noted = [_line("!", f"{remark}.") for remark in remarks(found.curves)]
    lines = [_head(found), *_findings(found), *noted, _law(found), *_advice(found)]
    return "\n".join(lines)


def _head(found: Diagnosis) -> str:
    entropy = found.curves.series("entropy")
    name = visible(found.curves.name, limit=300)
    if not entropy:
        return f"{name} ({found.curves.source}): no finite entropy is on record."
    first, last = found.ends("entropy")
    text = f"entropy {number(first)} to {number(last)} nats per token"
    before, after = found.ends("reward")
    reward = f", reward {number(before)} to {number(after)}" if before is not None else ""
    return f"{name} ({found.curves.source}), steps {entropy[0][0]} to {entropy[-1][0]}: {text}{reward}."


def _findings(found: Diagnosis) -> list[str]:
    if found.short:
        return [_line("-", f"{_logged(found)} logged: under {WINDOW} are too short for a finding.")]
    if not found.findings:
        return [_line("-", "No collapse, explosion, oscillation, pinned coefficient or inert method found.")]
    return [_line("!", sentence(finding, found.curves)) for finding in found.findings]


def _logged(found: Diagnosis) -> str:
    count = len(found.curves.series("entropy"))
    return "1 step is" if count == 1 else f"{count} steps are"


def sentence(finding: Alarm, curves: Curves) -> str:
    """Return a finding as a sentence: what, from which step, by which figures."""
    step, value = finding.step, finding.value
    level = curves.series("entropy")[:5]
    begin = number(sum(entropy for _, entropy in level) / len(level)) if level else ""
    return {
        "collapsed": f"Collapsed from step {step}: entropy fell below {COLLAPSED:.0%} of its {begin} nats and stayed "
        f"there, at least at {number(value)}.",
        "withdrawn": f"Released from step {step}: entropy fell below {COLLAPSED:.0%} of its {begin} nats as the "
        f"coefficient was taken back to zero, at least at {number(value)}.",
        "exploded": f"Exploded from step {step}: entropy rose above {EXPLODED:g} times its {begin} nats, at most to "
        f"{number(value)}.",
        "oscillated": f"Oscillated from step {step}: entropy fell to half or doubled, in turn, {value:.0f} times.",
        "leaked": f"Leaked from step {step}: more than {LEAKED:.0%} of the probability went to useless tokens, at most "
        f"{percent(value)}.",
        "pinned": f"Pinned from step {step}: the coefficient sat at its ceiling in {percent(value)} of the steps.",
        "idle": "Inert: the coefficient was zero at every step: no bonus was paid.",
        "unclipped": "Inert: no ratio ever reached a clip bound, so the bounds did nothing.",
        "inert": f"Inert clamp: it removed {percent(value)} of the probability and next to nothing of the entropy.",
    }[finding.kind]


def _law(found: Diagnosis) -> str:
    law = found.law
    if isinstance(law, NoLaw):
        return _line("-", f"The law R = -a e^H + b cannot be fitted: {law.reason}.")
    return _line("-", fitted(law))


def fitted(law: Law) -> str:
    """Return the fitted law as a sentence."""
    return (
        f"The law R = -a e^H + b fits the {law.performance} with a = {number(law.a)} and b = {number(law.b)}, "
        f"explaining {percent(law.explained)} of its variance. If it goes on to hold, the {law.performance} ends at "
        f"{number(law.ceiling)} ({number(law.ceiling - law.half)} to {number(law.ceiling + law.half)}, 95%) when no "
        "entropy is left."
    )


def _advice(found: Diagnosis) -> list[str]:
    lines: list[str] = []
    for advice in found.advice:
        lines += [
            _line(">", f"Try {advice.recipe}: {advice.reason}."),
            f"    in your trainer:   recipe={advice.python}",
            f"    on a small model:  {advice.command}",
        ]
    return lines


def _line(mark: str, text: str) -> str:
    return textwrap.fill(text, _WIDTH, initial_indent=f"  {mark} ", subsequent_indent="    ", break_long_words=False)
