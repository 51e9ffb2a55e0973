"""The token view: sampled answers, every token shaded by its entropy.

The page carries the data as JSON, for the script that lets one choose and look closer, and the last answers of each
recipe as plain HTML, for readers without scripts and for paper.
"""

from __future__ import annotations

import dataclasses
import html
import math
import unicodedata
from typing import Any

from entrostat.observe.report._answers import BUDGET, Answer, Token, answers, chosen_answers
from entrostat.observe.report._facts import Group
from entrostat.observe.report._load import Run
from entrostat.observe.report._samples import RIGHT
from entrostat.observe.report._text import embedded, label, number, percent, shown, visible

LEVELS = 11
"""Shades above none."""
MOST = 1_000_000
"""Bytes of the data on the page: texts may be longer than the tokens of honest runs are."""
_STATIC = 3
"""Answers of a recipe shown without a script."""
_PROMPT = 600
"""Characters shown of a prompt."""
_SPACE, _BREAK = "␣", "↵"


@dataclasses.dataclass(frozen=True, kw_only=True)
class TokenView:
    """What the page shows of every recipe."""

    runs: list[tuple[int, Run, list[Answer]]]
    """The number of its recipe, the run, its answers."""
    greatest: float
    """The highest entropy shown: the darkest shade."""

    def level(self, entropy: float) -> int:
        """Return the shade of an entropy: by its square root, since most tokens are nearly certain."""
        if self.greatest <= 0 or entropy <= 0:
            return 0
        return min(LEVELS, math.ceil(LEVELS * math.sqrt(entropy / self.greatest) - 1e-9))


def token_view(groups: list[Group]) -> TokenView | None:
    """Return the view; None if no run kept an answer token by token."""
    found = [
        (index, run, kept)
        for index, group in enumerate(groups)
        for run in group.runs
        if (kept := answers(run.path / "tokens.jsonl"))
    ]
    if not found:
        return None
    allowed = BUDGET // len(found)
    while len(embedded(view_data(view := _view(found, allowed)))) > MOST and allowed > 1:
        allowed //= 2
    return view


def _view(found: list[tuple[int, Run, list[Answer]]], allowed: int) -> TokenView:
    runs = [(index, run, chosen_answers(kept, allowed)) for index, run, kept in found]
    greatest = max((token.entropy for _, _, some in runs for one in some for token in one.tokens), default=0.0)
    return TokenView(runs=runs, greatest=greatest)


def marked(text: str) -> str:
    """Return a piece of text in which every character can be seen: spaces and line breaks have signs of their own.

    Example:
        >>> marked(" a\\u00a0\\n"), marked("")
        ('␣a⟨U+00A0⟩↵', '∅')
    """
    seen = (char if char == " " or unicodedata.category(char) != "Zs" else f"⟨U+{ord(char):04X}⟩" for char in text)
    spelled = visible("".join(seen).replace(_SPACE, "⟨U+2423⟩"), limit=40)
    return spelled.replace(" ", _SPACE).replace("\n", _BREAK) or "∅"


def view_data(view: TokenView) -> dict[str, Any]:
    """Return what the script needs: every text once, and numbers."""
    texts: dict[str, int] = {}
    prompts: dict[str, int] = {}

    def place(text: str) -> int:
        return texts.setdefault(marked(text), len(texts))

    def token(one: Token) -> list[Any]:
        top = [[place(other.text), other.chance, int(other.kept)] for other in one.top]
        figures = (one.entropy, one.clamped_entropy, one.chance, one.kept_mass)
        return [place(one.text), view.level(one.entropy), *figures, int(one.kept), top]

    runs = [
        {
            "g": index,
            "seed": run.seed,
            "answers": [
                {
                    "step": one.step,
                    "problem": one.problem,
                    "split": visible(one.split, limit=40),
                    "prompt": prompts.setdefault(visible(one.prompt, limit=_PROMPT), len(prompts)),
                    "right": one.reward > RIGHT,
                    "reward": float(f"{one.reward:.3g}"),
                    "cut": one.cut,
                    "tokens": [token(each) for each in one.tokens],
                }
                for one in some
            ],
        }
        for index, run, some in view.runs
    ]
    return {"runs": runs, "texts": list(texts), "prompts": list(prompts)}


def view_html(view: TokenView, groups: list[Group], names: list[str]) -> str:
    """Return the section; `names` are the classes that give the recipes their colours."""
    lead = (
        "One sampled answer to each of a few fixed problems, drawn anew with the same seed at every evaluation. The "
        "stronger its shade, the less sure the model was when it drew a token. Point at a token, tap it, or walk along "
        "with the arrow keys to see what else it might have written, and what the recipe's clamp keeps."
    )
    blocks = "".join(_static(view, index, group, names[index]) for index, group in enumerate(groups))
    return (
        f'<section id="tokens"><h2>Token by token</h2><p class="lead">{lead}</p>{_scale(view)}'
        '<form class="choice" id="choice" aria-label="Answers shown" hidden></form>'
        f'<div class="closer"><div class="answers" id="answers">{blocks}</div>'
        '<div class="card" id="card" aria-live="polite" hidden></div></div></section>'
    )


def _scale(view: TokenView) -> str:
    steps = "".join(f'<i class="h{level}"></i>' for level in range(LEVELS + 1))
    middle, top = number(view.greatest / 4), number(view.greatest)
    return (
        f'<p class="heat"><span>0</span><span class="ramp" role="img" aria-label="from no shade at 0 nats, half the '
        f'shade at {middle}, to full shade at {top} nats"><span aria-hidden="true">{steps}</span></span>'
        f'<span>{top} nats</span><span class="key"><span class="dropped">token</span> dropped by the clamp</span></p>'
    )


def _static(view: TokenView, index: int, group: Group, style: str) -> str:
    for at, run, some in view.runs:
        if at == index and some:
            last = [one for one in some if one.step == some[-1].step][:_STATIC]
            items = "".join(_answer(view, one) for one in last)
            place = f"seed {run.seed}, step {last[0].step}"
            return f'<div class="answered {style}"><h3>{label(group.label)} <small>{place}</small></h3>{items}</div>'
    return ""


def _answer(view: TokenView, one: Answer) -> str:
    verdict = "right" if one.reward > RIGHT else "wrong"
    rest = f' <span class="rest">… {one.cut:,} more tokens</span>' if one.cut else ""
    return (
        f'<div class="answer"><p class="about"><b class="{verdict}">{verdict}</b> <span>problem {one.problem}, '
        f'{shown(one.split, limit=40)}</span></p><p class="asked">{shown(one.prompt, limit=_PROMPT)}</p>'
        f'<p class="tok">{"".join(_span(view, token) for token in one.tokens)}{rest}</p></div>'
    )


def _span(view: TokenView, token: Token) -> str:
    style = f"h{view.level(token.entropy)}" + ("" if token.kept else " dropped")
    told = f"{number(token.entropy)} nats, drawn at {percent(token.chance)}"
    text = html.escape(marked(token.text)).replace(_SPACE, "<i>·</i>").replace(_BREAK, f"<i>{_BREAK}</i><br>")
    return f'<span class="{style}" title="{told}">{text}</span>'
