"""A calibration as one HTML page that needs nothing but itself: no script, the plots are SVG."""

from __future__ import annotations

import html
from importlib import resources
from pathlib import Path
from string import Template

from entrostat.observe.calibrate._calibration import Calibration
from entrostat.observe.calibrate._chart import Axis, Chart, Mark, histogram
from entrostat.observe.calibrate._measure import Kept
from entrostat.observe.calibrate._propose import CEILING, INITIAL, PUBLISHED
from entrostat.observe.files import replace_text
from entrostat.observe.report._text import number, percent, shown

_PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>entrostat calibration</title>
<style>$style</style>
</head>
<body>
<header>
<p class="mark"><b>entrostat</b> calibration</p>
<h1>$headline</h1>
<p class="made">$made</p>
</header>
<main>
<pre class="proposal">$proposal</pre>
<ul class="reasons">$reasons</ul>
<section><h2>Why</h2><div class="plots">$charts</div></section>
<section><h2>What other clamps would do</h2>
<p class="lead">Means over all tokens. Kept mass is the probability of the tokens kept; clamped entropy is theirs,
renormalised.</p>
<div class="pair">$tables</div></section>
</main>
<footer>Written by entrostat from rollouts of the model; nothing was trained.</footer>
</body>
</html>
""")


def write_page(found: Calibration, out: Path) -> Path:
    """Write a calibration as a self-contained page.

    Args:
        found: what `calibrate` returned.
        out: the file to write; its directory must exist.

    Returns:
        `out`.

    Raises:
        ValueError: it cannot be written.
    """
    charts = "".join(_figure(chart) for chart in (_tokens(found), _push(found), _mass(found), _entropy(found)))
    proposal = found.proposal
    text = _PAGE.substitute(
        style=_style(),
        headline=_headline(found),
        made=_made(found),
        proposal=html.escape(proposal.python),
        reasons="".join(_reason(reason) for reason in proposal.reasons),
        charts=charts,
        tables=_share_table(found) + _count_table(found),
    )
    try:
        replace_text(out, text)
    except OSError as error:
        raise ValueError(f"cannot write the page to {out}: {error.strerror}.") from None
    return out


def _style() -> str:
    # The report's own sheet, so that both pages read alike.
    sheets = (("entrostat.observe.report", "page.css"), ("entrostat.observe.calibrate", "page.css"))
    return "\n".join((resources.files(package) / name).read_text(encoding="utf-8") for package, name in sheets)


def _headline(found: Calibration) -> str:
    proposal = found.proposal
    clamp = "no clamp" if proposal.keep is None else f"the {proposal.keep} likeliest tokens kept"
    return (
        f"Starts at {number(found.entropy)} nats per token: try a band of {proposal.low:g} to {proposal.high:g}, "
        f"{clamp}, and a coefficient from {proposal.initial:g}."
    )


def _made(found: Calibration) -> str:
    parts = [
        shown(found.model, limit=120),
        shown(found.data, limit=120),
        f"{found.responses} responses",
        f"{found.tokens:,} tokens",
        f"temperature {found.temperature:g}",
        *([] if found.reward is None else [f"mean reward {number(found.reward)}"]),
    ]
    return " · ".join(parts)


def _reason(text: str) -> str:
    head, _, rest = text.partition(": ")
    return f"<li><b>{html.escape(head)}.</b> {html.escape(rest[:1].upper() + rest[1:])}</li>"


def _figure(chart: Chart) -> str:
    return (
        f'<figure class="chart"><figcaption><h3>{html.escape(chart.title)}</h3>'
        f'<p class="note">{html.escape(chart.note)}</p></figcaption>{chart.svg()}</figure>'
    )


def _tokens(found: Calibration) -> Chart:
    points, width = histogram(found.measured.entropies)
    top = max(share for _, share in points)
    return Chart(
        key="tokens",
        title="Where the entropy is",
        note=f"Share of the tokens by their entropy. The fifth with the most carries {percent(_carried(found))} of it.",
        x=Axis("entropy, nats", 0.0, points[-1][0] + width),
        y=Axis("share of the tokens", 0.0, top, share=True),
        points=points,
        bars=width,
        marks=[Mark(found.entropy, f"mean {number(found.entropy)}", strong=True)],
    )


def _carried(found: Calibration) -> float:
    values = sorted(found.measured.entropies, reverse=True)
    return sum(values[: max(1, len(values) // 5)]) / sum(values)


def _push(found: Calibration) -> Chart:
    push, proposal = found.push, found.proposal
    low, high = push.coef(0.003), push.coef(3.0)
    where = "the whole model" if push.through == "model" else "the head's weights"
    against = "a random-sign gradient" if push.signed else "the policy gradient"
    return Chart(
        key="push",
        title="How hard a coefficient pushes",
        note=f"Gradient of the bonus over {against}, through {where}. Shaded: from {INITIAL:.0%} to {CEILING:.0%}.",
        x=Axis("coefficient", low, high, log=True),
        y=Axis("share of the gradient", 0.003, 3.0, log=True, share=True),
        points=[(low, push.share(low)), (high, push.share(high))],
        marks=[
            Mark(proposal.initial, f"start {proposal.initial:g}", strong=True),
            Mark(proposal.ceiling, f"ceiling {proposal.ceiling:g}"),
        ],
        stretch=(proposal.initial, proposal.ceiling),
    )


def _mass(found: Calibration) -> Chart:
    lost = [(float(count), 1 - kept.mass) for count, kept in found.measured.by_count.items()]
    floor = max(1e-6, min(value for _, value in lost[:-1]) / 2)
    return Chart(
        key="mass",
        title="What a clamp takes away",
        note="Probability of the tokens a clamp drops, by the number of tokens it keeps.",
        x=_count_axis(found),
        y=Axis("dropped probability", floor, max(value for _, value in lost), log=True, share=True),
        points=[(count, max(value, floor)) for count, value in lost],
        marks=_clamp_marks(found),
    )


def _entropy(found: Calibration) -> Chart:
    points = [(float(count), kept.entropy) for count, kept in found.measured.by_count.items()]
    return Chart(
        key="entropy",
        title="Clamped entropy",
        note="What is left of the entropy, in nats, by the number of tokens a clamp keeps.",
        x=_count_axis(found),
        y=Axis("clamped entropy", 0.0, max(value for _, value in points)),
        points=points,
        marks=_clamp_marks(found),
    )


def _count_axis(found: Calibration) -> Axis:
    return Axis("tokens kept", 2.0, float(found.measured.vocabulary), log=True)


def _clamp_marks(found: Calibration) -> list[Mark]:
    vocabulary, keep = found.measured.vocabulary, found.proposal.keep
    published = Mark(vocabulary - int(PUBLISHED * vocabulary), f"clamp={PUBLISHED:g}")
    return [published] if keep is None else [Mark(keep, f"keep={keep}", strong=True), published]


def _share_table(found: Calibration) -> str:
    shares = [(f"drop {share:.1%} of the vocabulary", kept, False) for share, kept in found.measured.by_share.items()]
    masses = [(f"keep {mass:.1%} of the probability", kept, False) for mass, kept in found.measured.by_mass.items()]
    return _table("By share", shares + masses)


def _count_table(found: Calibration) -> str:
    rows = [
        (f"keep {count:,} tokens", kept, count == found.proposal.keep)
        for count, kept in found.measured.by_count.items()
    ]
    return _table("By count", rows)


def _table(caption: str, rows: list[tuple[str, Kept, bool]]) -> str:
    body = "".join(
        f'<tr class="{"chosen" if chosen else ""}"><th scope="row">{name}</th><td>{percent(kept.mass)}</td>'
        f"<td>{number(kept.entropy)}</td></tr>"
        for name, kept, chosen in rows
    )
    head = "".join(f'<th scope="col">{title}</th>' for title in (caption, "Kept mass", "Clamped entropy, nats"))
    return (
        f'<div class="wide" role="region" tabindex="0" aria-label="{caption}"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )
