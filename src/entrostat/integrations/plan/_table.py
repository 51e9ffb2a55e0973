"""A plan as a table and sentences."""

from __future__ import annotations

from typing import Any

from entrostat.integrations.plan._lines import GIB, PHASES
from entrostat.integrations.plan._plan import Plan
from entrostat.integrations.plan._traffic import control_bytes, host_bytes


def table(plan: Plan) -> Any:
    """Return the plan as a Rich table."""
    from rich.markup import escape
    from rich.table import Table

    drawn = Table("one GPU", "GiB", "when", "counted", box=None, pad_edge=False)
    drawn.columns[1].justify = "right"
    for line in plan.lines:
        when = "always" if line.phases == PHASES else ", ".join(line.phases)
        drawn.add_row(line.part, _gib(line.bytes), when, escape(line.how))
    for phase in PHASES:
        drawn.add_row(f"fullest {phase}", _gib(plan.peaks[phase]), phase, "with 5 % for what torch cannot use")
    return drawn


def sentences(plan: Plan) -> list[str]:
    """Return what the plan says in words: the model, the logits, the traffic, and last the verdict."""
    return [_model(plan), _logits(plan), *_traffic(plan), verdict(plan)]


def verdict(plan: Plan) -> str:
    """Return whether it fits, and what to change if not."""
    need, have = f"{plan.total / GIB:.1f} GiB", f"{plan.gpu_bytes / GIB:.0f} GiB"
    if plan.fits:
        return f"Fits: {need} of {have} at the fullest ({plan.phase})."
    return f"Does not fit: {need} at the fullest ({plan.phase}), {have} there are. {plan.remedy}"


def _model(plan: Plan) -> str:
    shape = plan.shape
    active = f", {shape.active:,} of them active per token" if shape.active != shape.parameters else ""
    trained = f", {shape.trainable:,} trained" if shape.lora is not None else ""
    tied = "tied" if shape.tied else "not tied"
    return f"{shape.name}: {shape.parameters:,} parameters{active}{trained}; embeddings {tied}."


def _logits(plan: Plan) -> str:
    head, rows = plan.head, f"{plan.setup.rows:,} tokens"
    return (
        f"Avoided by the fused head: {_gib(head.plain)} GiB of logits and their gradient for {rows}; "
        f"it holds {_gib(head.chunk)} GiB of them at a time (TRL's own {_gib(head.trl_chunk)})."
    )


def _traffic(plan: Plan) -> list[str]:
    gpus = plan.setup.gpus
    if gpus == 1:
        return []
    host = host_bytes(plan.shape, plan.setup)
    return [f"Sent per step and GPU: {host / 1e9:.2f} GB by the host, {control_bytes(gpus)} bytes by `aent`."]


def _gib(size: int) -> str:
    return f"{size / GIB:.2f}" if size >= GIB / 100 else f"{size / GIB:.4f}"
