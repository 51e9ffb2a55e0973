"""Samples and answers token by token: read, validated, and chosen so that they fit the page."""

from __future__ import annotations

import dataclasses
import json
import math
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import msgspec

from entrostat.observe.report._groups import Group
from entrostat.observe.report._load import Run
from entrostat.observe.text import visible

RIGHT = 0.5
"""Reward above which an answer counts as right."""
LEVELS = 11
"""Shades of a token above none."""
LONGEST = 160
"""Tokens shown of one answer."""
BUDGET = 12_000
"""Tokens of all runs together on one page: about a megabyte."""
MOST = 1_000_000
"""Bytes of the data on the page: texts may be longer than the tokens of honest runs are."""
PROMPT = 600
"""Characters shown of a prompt."""
SPACE, BREAK = "␣", "↵"
_TOP = 8
"""Alternatives shown of one token, however many a file holds."""
_STATIC = 3
"""Answers of a recipe shown without a script."""
_SHAPES = ((6, 6), (5, 6), (4, 6), (4, 4), (3, 4), (3, 3), (2, 3), (2, 2), (2, 1))
"""Steps and problems per run, the most first."""
# A rounding error above 1 is accepted. The bounds also reject infinities, which JSON may hold as 1e999.
Chance = Annotated[float, msgspec.Meta(ge=0, le=1.001)]
Finite = Annotated[float, msgspec.Meta(ge=-1e300, le=1e300)]


class Sample(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One completion a model wrote at an evaluation."""

    step: int
    split: str
    problem: int | str
    prompt: str
    completion: str
    reward: Finite

    @property
    def right(self) -> bool:
        """Whether it counts as right."""
        return self.reward > RIGHT


class Alternative(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One likely token of a place."""

    text: str
    chance: Chance
    kept: bool
    """Whether the recipe's measure keeps it."""


class Answer(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One answer at one evaluation, token by token: a value for each token in every tuple."""

    schema: Literal[1]
    step: int
    split: str
    problem: int
    prompt: str
    reward: Finite
    cut: int
    """Tokens left out at its end."""
    tokens: tuple[str, ...]
    entropy: tuple[Finite, ...]
    clamped_entropy: tuple[Finite, ...]
    chosen: tuple[Chance, ...]
    """Probability of the token drawn."""
    chosen_kept: tuple[bool, ...]
    kept_mass: tuple[Chance, ...]
    top: tuple[tuple[Alternative, ...], ...]

    def __post_init__(self) -> None:
        if len({len(getattr(self, name)) for name in _BY_TOKEN}) > 1:
            raise ValueError("the columns of an answer are not equally long")

    @property
    def right(self) -> bool:
        """Whether it counts as right."""
        return self.reward > RIGHT

    def shortened(self, most: int) -> Answer:
        """Return the answer without the tokens after the first `most`."""
        over = max(0, len(self.tokens) - most)
        columns = {name: getattr(self, name)[:most] for name in _BY_TOKEN}
        return msgspec.structs.replace(self, cut=self.cut + over, **columns)


_BY_TOKEN = ("tokens", "entropy", "clamped_entropy", "chosen", "chosen_kept", "kept_mass", "top")
_Line = TypeVar("_Line", Sample, Answer)


def _lines(path: Path, kind: type[_Line], complaint: str) -> Iterator[_Line]:
    if not path.exists():
        return
    decoder = msgspec.json.Decoder(kind)
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                return  # the line a kill cut short
            try:
                yield _decoded(decoder, kind, line)
            except (ValueError, RecursionError):
                raise ValueError(f"{path}, line {number}: {complaint}") from None


def _decoded(decoder: msgspec.json.Decoder[_Line], kind: type[_Line], line: bytes) -> _Line:
    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is no number of JSON")

    try:
        return decoder.decode(line)
    except msgspec.DecodeError:
        # Only Python's own parser reads the halves of a character that a tokenizer may leave at the end of an answer.
        return msgspec.convert(json.loads(line.decode(errors="replace"), parse_constant=refuse), kind)


def last_samples(run: Run) -> list[Sample]:
    """Return the completions of a run's last evaluation, those of the test split if there are any.

    Raises:
        ValueError: `samples.jsonl` holds a line that is no sample; the message names the file and the line.
    """
    complaint = "not a sample. Remove the line, or the run's directory to start a new run."
    found = list(_lines(run.path / "samples.jsonl", Sample, complaint))
    last = max((sample.step for sample in found), default=0)
    latest = [sample for sample in found if sample.step == last]
    return [sample for sample in latest if sample.split == "test"] or latest


def chosen(samples: Sequence[Sample], count: int = 3) -> list[Sample]:
    """Return samples of different problems, right and wrong in turn as long as there are both.

    The choice goes by the order of the file, never by how good an answer looks.
    """
    picked: list[Sample] = []
    problems: set[int | str] = set()
    while len(picked) < count:
        fresh = [sample for sample in samples if sample.problem not in problems]
        wanted = [sample for sample in fresh if sample.right == (len(picked) % 2 == 0)] or fresh
        if not wanted:
            break
        picked.append(wanted[0])
        problems.add(wanted[0].problem)
    return picked


def answers(path: Path) -> list[Answer]:
    """Return the answers in a `tokens.jsonl`; an empty list if there is no such file.

    Raises:
        ValueError: a line is no answer; the message names the file and the line.
    """
    complaint = "not an answer token by token. Remove the line, or remove the file to do without."
    return list(_lines(path, Answer, complaint))


def chosen_answers(found: Sequence[Answer], allowed: int) -> list[Answer]:
    """Return the answers a run may show within so many tokens: those of the split evaluated most often.

    The first and the last step stay, then steps evenly between; long answers are cut.
    """
    steps_of = Counter(split for split, _ in {(one.split, one.step) for one in found})
    if not steps_of:
        return []
    split = max(steps_of, key=lambda name: (steps_of[name], name == "test", name))
    here = [one.shortened(LONGEST) for one in found if one.split == split]
    known, problems = sorted({one.step for one in here}), sorted({one.problem for one in here})

    def some(steps: int, most: int) -> list[Answer]:
        count = min(steps, len(known))
        taken = {known[round(i * (len(known) - 1) / max(1, count - 1))] for i in range(count)}
        return [one for one in here if one.step in taken and one.problem in problems[:most]]

    for shape in _SHAPES:
        fitting = some(*shape)
        if sum(len(one.tokens) for one in fitting) <= allowed:
            return fitting
    return [one.shortened(max(8, allowed // 2)) for one in some(*_SHAPES[-1])]


@dataclasses.dataclass(frozen=True, kw_only=True)
class TokenView:
    """The answers of every recipe, every token shaded by its entropy."""

    runs: list[tuple[int, Run, list[Answer]]]
    """The number of its recipe, the run, its answers."""
    greatest: float
    """The highest entropy shown: the darkest shade."""

    def level(self, entropy: float) -> int:
        """Return the shade of an entropy: by its square root, since most tokens are nearly certain."""
        if self.greatest <= 0 or entropy <= 0:
            return 0
        return min(LEVELS, math.ceil(LEVELS * math.sqrt(entropy / self.greatest) - 1e-9))

    def last(self, recipe: int) -> tuple[Run, list[Answer]] | None:
        """Return the last answers of a recipe, for readers without scripts and for paper."""
        for at, run, some in self.runs:
            if at == recipe and some:
                return run, [one for one in some if one.step == some[-1].step][:_STATIC]
        return None


def token_view(groups: list[Group]) -> TokenView | None:
    """Return the view; None if no run kept an answer token by token."""
    found = [
        (group.index, run, kept)
        for group in groups
        for run in group.runs
        if (kept := answers(run.path / "tokens.jsonl"))
    ]
    if not found:
        return None
    allowed = BUDGET // len(found)
    while True:
        runs = [(index, run, chosen_answers(kept, allowed)) for index, run, kept in found]
        greatest = max((entropy for _, _, some in runs for one in some for entropy in one.entropy), default=0.0)
        view = TokenView(runs=runs, greatest=greatest)
        if allowed <= 1 or len(json.dumps(view_data(view), separators=(",", ":"))) <= MOST:
            return view
        allowed //= 2


def marked(text: str) -> str:
    """Return a piece of text in which every character can be seen: spaces and line breaks have signs of their own.

    Example:
        >>> marked(" a\\u00a0\\n"), marked("")
        ('␣a⟨U+00A0⟩↵', '∅')
    """
    if not text.isascii():
        seen = (char if char == " " or unicodedata.category(char) != "Zs" else f"⟨U+{ord(char):04X}⟩" for char in text)
        text = "".join(seen).replace(SPACE, "⟨U+2423⟩")
    return visible(text, limit=40).replace(" ", SPACE).replace("\n", BREAK) or "∅"


def view_data(view: TokenView) -> dict[str, Any]:
    """Return the data of the script: every text once, and numbers."""
    texts: dict[str, int] = {}
    prompts: dict[str, int] = {}

    def place(text: str) -> int:
        return texts.setdefault(marked(text), len(texts))

    def tokens(one: Answer) -> Iterator[list[Any]]:
        for text, entropy, clamped, chance, kept, mass, others in zip(
            *(getattr(one, name) for name in _BY_TOKEN), strict=True
        ):
            top = [[place(other.text), other.chance, int(other.kept)] for other in others[:_TOP]]
            yield [place(text), view.level(entropy), entropy, clamped, chance, mass, int(kept), top]

    runs = [
        {
            "g": index,
            "seed": run.seed,
            "answers": [
                {
                    "step": one.step,
                    "problem": one.problem,
                    "split": visible(one.split, limit=40),
                    "prompt": prompts.setdefault(visible(one.prompt, limit=PROMPT), len(prompts)),
                    "right": one.right,
                    "reward": float(f"{one.reward:.3g}"),
                    "cut": one.cut,
                    "tokens": list(tokens(one)),
                }
                for one in some
            ],
        }
        for index, run, some in view.runs
    ]
    return {"runs": runs, "texts": list(texts), "prompts": list(prompts)}
