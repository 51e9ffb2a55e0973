"""Countdown: join three numbers by + - * / so that they make the target, each number exactly once.

A problem is shown to the model as ``<bos> 4 7 9 > 20 :`` and answered in steps, ``9 + 4 = 13 ; 7 + 13 = 20``.
The scorer replays the steps into one expression and judges that expression, so an answer earns 1.0 only by
being a proof: every step must be true arithmetic, every intermediate result is consumed once, every given
number is used once, and the value is the target. Everything else earns 0.0; there is no partial credit to farm.
"""

from __future__ import annotations

import ast
import functools
import itertools
import json
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Final, Literal, cast

from entrostat.errors import require, require_choice, require_count, sentence

PROBLEMS_FILE: Final = Path(__file__).parent / "data" / "countdown.jsonl"
"""The shipped problems, written by ``python -m entrostat.tasks.make_countdown``."""

Split = Literal["train", "validation", "test"]

MAX_CHARACTERS: Final = 128
MAX_DEPTH: Final = 16
MAX_DIGITS: Final = 9

# [0-9] and re.ASCII, not str.isdigit or a bare \d: those accept digits of every script.
_EXPRESSION: Final = re.compile(rf"(?:\s*(?:(?:0|[1-9][0-9]{{0,{MAX_DIGITS - 1}}})(?![0-9])|[-+*/()]))*\s*", re.ASCII)
_OPERATIONS: Final[dict[type[ast.operator], Callable[[Fraction, Fraction], Fraction]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_ALLOWED: Final = (ast.BinOp, ast.UnaryOp, ast.Constant, ast.UAdd, ast.USub, *_OPERATIONS)
_INTEGER: Final = rf"\s*([0-9]{{1,{MAX_DIGITS}}})\s*"
_STEP: Final = re.compile(rf"{_INTEGER}([-+*/]){_INTEGER}={_INTEGER}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Problem:
    """One countdown problem.

    Args:
        numbers: The given numbers, non-negative, in the order in which they are shown.
        target: The value to reach.

    Raises:
        TypeError: If `numbers` is not a tuple, or a number or the target is not an integer.
        ValueError: If there are no numbers, or one of them or the target is negative.

    Example:
        >>> Problem((4, 7, 9), 20)
        Problem(numbers=(4, 7, 9), target=20)
    """

    numbers: tuple[int, ...]
    target: int

    def __post_init__(self) -> None:
        if not isinstance(self.numbers, tuple):
            raise TypeError(sentence("numbers", "be a tuple", self.numbers, "Write tuple(numbers)."))
        require(len(self.numbers) > 0, "numbers", "hold at least one number", self.numbers)
        for number in self.numbers:
            require_count("numbers", number)
        require_count("target", self.target)

    @property
    def key(self) -> tuple[tuple[int, ...], int]:
        """Equal for two problems that are the same: the numbers in any order, and the target."""
        return tuple(sorted(self.numbers)), self.target


def prompt(problem: Problem) -> str:
    """Write the prompt of a problem, words separated by single spaces.

    Example:
        >>> prompt(Problem((4, 7, 9), 20))
        '<bos> 4 7 9 > 20 :'
    """
    return f"<bos> {' '.join(map(str, problem.numbers))} > {problem.target} :"


def replay(text: str) -> str | None:
    """Turn steps into the one expression they compute, or `None` where they do not hold together.

    An operand that equals a result not yet consumed consumes it, otherwise it stands for a given number. Because
    every claimed result is checked, two candidates for an operand have the same value, and the choice between
    them cannot matter. All results but the last must be consumed.

    Args:
        text: Steps ``a op b = c`` separated by ``;``, in non-negative integers.

    Returns:
        The expression, or `None` if a step is malformed or its arithmetic is wrong, or if a result is left over.

    Example:
        >>> replay("9 + 4 = 13 ; 7 + 13 = 20")
        '(7 + (9 + 4))'
        >>> replay("9 + 4 = 12 ; 7 + 12 = 20") is None
        True
    """
    if len(text) > MAX_CHARACTERS:
        return None
    unused: dict[int, list[str]] = {}
    for step in text.split(";"):
        found = _STEP.fullmatch(step)
        if found is None:
            return None
        a, b, c = int(found[1]), int(found[3]), int(found[4])
        # a / b = c  <=>  b != 0 and c b = a
        holds = {"+": a + b == c, "-": a - b == c, "*": a * b == c, "/": b != 0 and c * b == a}
        if not holds[found[2]]:
            return None
        left, right = _consume(unused, a), _consume(unused, b)
        unused.setdefault(c, []).append(f"({left} {found[2]} {right})")
    remaining = [expression for expressions in unused.values() for expression in expressions]
    return remaining[0] if len(remaining) == 1 else None


def _consume(unused: dict[int, list[str]], value: int) -> str:
    expressions = unused.get(value)
    return expressions.pop() if expressions else str(value)


def score(problem: Problem, completion_text: str) -> float:
    """Score an answer in steps: exactly 1.0 if it solves the problem, exactly 0.0 otherwise.

    A wrong claim in any step earns nothing, even where the numbers behind it would make the target. The text may
    be anything; nothing in it is executed and no text raises.

    Args:
        problem: The problem that was asked.
        completion_text: The completion, special tokens removed.

    Example:
        >>> problem = Problem((4, 7, 9), 20)
        >>> score(problem, "9 + 4 = 13 ; 7 + 13 = 20")
        1.0
        >>> score(problem, "9 + 4 = 13 ; 7 + 13 = 21")
        0.0
    """
    expression = replay(completion_text)
    return 0.0 if expression is None else score_expression(problem, expression)


def score_expression(problem: Problem, text: str) -> float:
    """Score a plain expression: 1.0 if it uses every given number exactly once and equals the target, else 0.0.

    On plain arithmetic the verdict is that of reasoning-gym's countdown (its score above 0.99), which also wants
    all the numbers. The two differ on purpose elsewhere: reasoning-gym evaluates the text as Python, so it also
    takes ``**``, ``//``, ``%``, decimals, factorials and function calls, and compares in floating point with a
    relative tolerance of 1e-5. Here those are refused and the comparison is exact.

    Args:
        problem: The problem that was asked.
        text: The answer, integers joined by + - * / and parentheses.

    Example:
        >>> problem = Problem((4, 7, 9), 20)
        >>> score_expression(problem, "7 + (9 + 4)"), score_expression(problem, "4 * (9 - 4)")
        (1.0, 0.0)
    """
    node = parse(text)
    if node is None or sorted(literals(node)) != sorted(problem.numbers):
        return 0.0
    return float(evaluate(node) == problem.target)


@functools.cache
def load(split: Split) -> tuple[Problem, ...]:
    """Load the problems of a split, in their fixed order. Reads a shipped file; needs no other package.

    Three numbers of 1..10 and a target of 1..50 admit 2431 solvable problems up to the order of the numbers, in
    11876 distinct prompts. `test` holds 192 of the former and `validation` 128 others, each once. `train` holds
    2048 distinct prompts over the rest: a problem may come back with its numbers in another order, but never one
    of `validation` or `test`.

    Args:
        split: ``train``, ``validation`` (for choosing settings) or ``test`` (for reporting).

    Raises:
        ValueError: If there is no such split.

    Example:
        >>> len(load("train")), len(load("validation")), len(load("test"))
        (2048, 128, 192)
    """
    require_choice("split", split, Split)
    lines = PROBLEMS_FILE.read_text(encoding="utf-8").splitlines()
    rows = [row for row in map(json.loads, lines) if row["split"] == split]
    return tuple(Problem(tuple(row["numbers"]), row["target"]) for row in rows)


# Arithmetic from untrusted text: Python's own parser builds a tree of it, and nothing is ever executed.
#
# A policy under reinforcement learning writes whatever earns reward, so its text is hostile input. It reaches the
# parser only if it is no longer than MAX_CHARACTERS and made of parentheses, the four operators, white space and
# integers in ASCII digits without leading zeros; a tree that holds anything but these, such as a power or a call, is
# rejected. Text within the caps has at most MAX_CHARACTERS / 2 operators on integers below 10^MAX_DIGITS, so no value
# exceeds 10^MAX_CHARACTERS and evaluation, exact in `fractions.Fraction`, stays trivial.


def parse(text: str) -> ast.expr | None:
    """Parse an expression of integers, + - * / and parentheses; `None` for anything else. Never raises.

    Example:
        >>> ast.unparse(parse("7 + 4"))
        '7 + 4'
        >>> parse("__import__('os')") is None
        True
    """
    if len(text) > MAX_CHARACTERS or _EXPRESSION.fullmatch(text) is None:
        return None
    depths = itertools.accumulate((letter == "(") - (letter == ")") for letter in text)
    if max(depths, default=0) > MAX_DEPTH:
        return None
    try:
        node = ast.parse(" ".join(text.split()), mode="eval").body
    except SyntaxError:
        return None
    return node if all(isinstance(part, _ALLOWED) for part in ast.walk(node)) else None


def evaluate(node: ast.expr) -> Fraction | None:
    """Return the exact value of a parsed expression; `None` if it divides by zero.

    Example:
        >>> evaluate(parse("8 / (3 - 1) + 1/2"))
        Fraction(9, 2)
        >>> evaluate(parse("1 / (2 - 2)")) is None
        True
    """
    try:
        return _value(node)
    except ZeroDivisionError:
        return None


def literals(node: ast.expr) -> list[int]:
    """Return the integers of a parsed expression as they stand in the text, from left to right.

    Example:
        >>> literals(parse("4 * (9 - 4)"))
        [4, 9, 4]
    """
    found = [part for part in ast.walk(node) if isinstance(part, ast.Constant)]
    return [cast("int", part.value) for part in sorted(found, key=lambda part: part.col_offset)]


def _value(node: ast.expr) -> Fraction:
    if isinstance(node, ast.BinOp):
        return _OPERATIONS[type(node.op)](_value(node.left), _value(node.right))
    if isinstance(node, ast.UnaryOp):
        value = _value(node.operand)
        return -value if isinstance(node.op, ast.USub) else value
    return Fraction(cast("int", cast("ast.Constant", node).value))
