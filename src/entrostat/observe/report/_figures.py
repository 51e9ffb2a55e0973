"""The parts of a page that hold its plots: the bar that steers them, the figures, and what their script reads."""

from __future__ import annotations

from typing import Any

from entrostat.observe.report._drawings import Drawing
from entrostat.observe.report._facts import Group
from entrostat.observe.report._law_panel import law_table
from entrostat.observe.report._look import Look
from entrostat.observe.report._panels import Panel
from entrostat.observe.report._still import still
from entrostat.observe.report._text import label, listed, shown

_HALVES = '<button type="button" id="halves" aria-pressed="true" title="interquartile band">middle half</button>'
_ZOOM = (
    '<button type="button" id="closer" title="zoom in around the step">closer</button>'
    '<button type="button" id="reset" disabled>whole run</button>'
)
_NOSCRIPT = (
    "<noscript><p>Without scripts there is a picture of the first plot; of the others, the numbers under each title."
    "</p></noscript>"
)
_SECTIONS = {
    "control": ("The control loop", "What the recipe measures, and how hard it pushes."),
    "learning": ("What was learned", "Reward in training, and held-out problems answered by sampling."),
    "side": ("Side effects", "Where a policy goes when its entropy is pushed or let go."),
}


def hero(groups: list[Group], drawings: list[Drawing], look: Look) -> str:
    """Return the bar and the large plots; nothing without a drawing."""
    large = [
        figure(drawing, look, "hero", still(drawing, groups, look, last_step(groups)))
        for drawing in drawings
        if drawing.panel.section == "entropy"
    ]
    return _bar(groups, drawings, look) + "".join(large) if drawings else ""


def _bar(groups: list[Group], drawings: list[Drawing], look: Look) -> str:
    buttons = "".join(
        f'<button type="button" class="{look.style(group)}" data-group="{i}" aria-pressed="true">'
        f'{look.swatch(group)}<span class="what">{label(group.label)}</span></button>'
        for i, group in enumerate(groups)
    )
    halves = any(line["kind"] == "half" for drawing in drawings for line in drawing.lines)
    seeds = '<button type="button" id="seeds" aria-pressed="true">every seed</button>' + (_HALVES if halves else "")
    views = f'<span class="views">{_slider(last_step(groups))}{_ZOOM}{seeds}</span>'
    recipes = f'<span class="recipes">{buttons}</span>'
    return f'{_NOSCRIPT}<div class="legend" role="group" aria-label="What is shown">{recipes}{views}</div>'


def _slider(last: int) -> str:
    return (
        f'<label class="step">step <input type="range" id="step" min="0" max="{last}" value="{last}" '
        f'step="{max(1, last // 100)}" aria-valuetext="the end"> <output id="step-told" for="step">end</output></label>'
    )


def last_step(groups: list[Group]) -> int:
    """Return the last step of all runs."""
    return max([1, *(run.reached for group in groups for run in group.runs)])


def figure(drawing: Drawing, look: Look, style: str = "", picture: str = "") -> str:
    """Return one plot with its title, what it means, its last values, and a picture until it is drawn."""
    panel = drawing.panel
    rank = "h2" if style == "hero" else "h3"  # the large figure is a section of its own
    unit = f" <small>{panel.unit}</small>" if panel.unit else ""
    return (
        f'<figure class="{style}"><figcaption><{rank}>{panel.title}{unit}</{rank}>{_scale(drawing)}'
        f'<p class="note">{shown(panel.note)}</p>{_ends(drawing, look)}</figcaption>'
        f'<div class="plot" id="plot-{panel.key}" role="img" aria-label="{shown(drawing.described)}">'
        f"{picture}</div></figure>"
    )


def _scale(drawing: Drawing) -> str:
    panel = drawing.panel
    if panel.scale == "linear":
        return ""
    return (
        f'<button type="button" class="scale" data-scale="{panel.key}" aria-pressed="{str(drawing.log).lower()}" '
        f'><span class="unseen">{panel.title}: </span>log scale</button>'
    )


def _ends(drawing: Drawing, look: Look) -> str:
    items = "".join(
        f'<li class="{look.style(group)}" data-end="{index}"><span class="unseen">{label(group.label)}: </span>'
        f'<span class="value">{value}</span></li>'
        for index, group, value in drawing.ends
    )
    when = '<li class="when">at the end</li>'
    return f'<ul class="ends" aria-label="{drawing.panel.title} in numbers">{when}{items}</ul>' if items else ""


def sections(drawings: list[Drawing], absent: list[Panel], look: Look) -> str:
    """Return the small plots by what they tell of, and which quantities no run has on record."""
    titles = listed([panel.title.lower() for panel in absent])
    left_out = f'<p class="absent">Not on record in any run: {titles}.</p>' if titles else ""
    return "".join(_section(key, drawings, look) for key in _SECTIONS) + left_out


def _section(key: str, drawings: list[Drawing], look: Look) -> str:
    figures = "".join(figure(drawing, look) for drawing in drawings if drawing.panel.section == key)
    title, lead = _SECTIONS[key]
    body = f'<p class="lead">{lead}</p><div class="plots">{figures}</div>'
    return f"<section><h2>{title}</h2>{body}</section>" if figures else ""


def law(groups: list[Group], drawings: list[Drawing], look: Look) -> str:
    """Return the section of entropy against performance; nothing where no run has performance on record."""
    figures = "".join(figure(drawing, look, "wider") for drawing in drawings if drawing.reach is not None)
    if not figures:
        return ""
    lead = (
        "In runs without entropy control, performance and entropy tend to trade along "
        '<span class="law">R = -a e<sup>H</sup> + b</span>. The '
        "ceiling is R at H = 0: where such a run ends if it goes on as it did. A controller that holds entropy takes a "
        "run off the law; there the fit tells of the past only."
    )
    body = f'<p class="lead">{lead}</p>{figures}{law_table(groups, look.style)}'
    return f"<section><h2>What entropy bought</h2>{body}</section>"


def curve_data(groups: list[Group], drawings: list[Drawing], look: Look) -> dict[str, Any]:
    """Return what the script needs to draw."""
    panels = [
        {
            "key": drawing.panel.key,
            "share": drawing.panel.share,
            "sparse": drawing.panel.sparse,
            "log": drawing.log,
            "named": drawing.panel.section == "entropy",
            "plane": drawing.reach,
            "lines": drawing.lines,
        }
        for drawing in drawings
    ]
    described = [look.described(group) for group in groups]
    return {"groups": described, "last": last_step(groups), "thin": look.thin, "panels": panels}
