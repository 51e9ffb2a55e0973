r"""The reward functions. Each gives 1.0 or 0.0 to every response and ignores arguments that it does not know.

An answer is found by scanning: the last `\boxed{}`, the line after a marker, the last number.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, Final

from entrostat.tasks.rewards._verifier import MAX_CHARACTERS, require_math_verify, same_value

_TAIL: Final = 400
"""A plain number is searched for in this many characters at the end of a text."""
_OPEN: Final = re.compile(r"\\(?:boxed|fbox)\s*\{")
_NUMBER: Final = re.compile(r"-?[0-9][0-9,]*(?:\.[0-9]+)?(?:/[0-9]+)?")


def boxed(text: str) -> str | None:
    r"""Return the contents of the last `\boxed{}` of a text, or `None` if there is none that closes.

    Example:
        >>> boxed(r"so \boxed{1} or rather \boxed{\frac{1}{2}}.")
        '\\frac{1}{2}'
        >>> boxed(r"\boxed{1") is None
        True
    """
    opened = [found.end() for found in _OPEN.finditer(text)]
    if not opened:
        return None
    start = opened[-1]
    depth = 1
    for place in range(start, min(len(text), start + MAX_CHARACTERS + 1)):
        depth += {"{": 1, "}": -1}.get(text[place], 0)
        if depth == 0:
            return text[start:place].strip()
    return None


def after_marker(text: str, marker: str) -> str | None:
    """Return the rest of the line after the last `marker`, or `None` if there is none.

    Example:
        >>> after_marker("6 * 7 = 42\\n#### 42", "####")
        '42'
    """
    _, found, rest = text.rpartition(marker)
    line = rest.strip().partition("\n")[0].strip()
    return line if found and 0 < len(line) <= MAX_CHARACTERS else None


def final_answer(text: str) -> str | None:
    r"""Return a response's answer: its last `\boxed{}`, else the line after its last `####`, else its last number.

    Example:
        >>> final_answer(r"Hence \boxed{x = 3}."), final_answer("#### 42"), final_answer("That makes 1,200 in all.")
        ('x = 3', '42', '1,200')
        >>> final_answer("I do not know.") is None
        True
    """
    found = boxed(text) or after_marker(text, "####")
    if found is not None:
        return found
    numbers = _NUMBER.findall(text[-_TAIL:])
    return numbers[-1].rstrip(",") if numbers else None


def math(
    completions: Sequence[Any], answer: Sequence[str] | None = None, solution: Sequence[str] | None = None, **_: Any
) -> list[float]:
    r"""Reward responses whose final answer has the mathematical value of the reference.

    Args:
        completions: responses, as texts or as conversations.
        answer: references; one that is a whole solution counts by its last `\boxed{}`.
        solution: the same under the name other datasets use, where there is no `answer`.

    Raises:
        ValueError: there are no references.
        ImportError: math-verify is not installed.

    Example:
        >>> math([r"So it is \boxed{\frac{1}{2}}.", "That makes 0.6"], answer=["1/2", "1/2"])
        [1.0, 0.0]
    """
    require_math_verify()
    references = answer if answer is not None else solution
    if references is None:
        raise ValueError("the reward `math` needs a column `answer` or `solution` in the dataset.")
    wanted = [boxed(reference) or reference for reference in references]
    return judged(completions, wanted, by_value)


def gsm8k(completions: Sequence[Any], answer: Sequence[str], **_: Any) -> list[float]:
    """Reward responses whose final answer is the number after `####` in the reference, as GSM8K writes it.

    Example:
        >>> gsm8k(["It costs $18.", "#### 17"], answer=["9 * 2 = 18\\n#### 18", "9 * 2 = 18\\n#### 18"])
        [1.0, 0.0]
    """
    require_math_verify()
    return judged(completions, [after_marker(text, "####") or text for text in answer], by_value)


def exact(completions: Sequence[Any], answer: Sequence[str], **_: Any) -> list[float]:
    """Reward responses that are the reference, white space aside.

    Example:
        >>> exact([" Paris ", "London"], answer=["Paris", "Paris"])
        [1.0, 0.0]
    """
    return judged(completions, answer, by_text)


def judged(completions: Sequence[Any], references: Sequence[str], right: Callable[[str, str], bool]) -> list[float]:
    """Return 1.0 for each response that is right by `right(reference, response)`, 0.0 for the others."""
    texts = map(written, completions)
    return [float(right(reference, text)) for reference, text in zip(references, texts, strict=True)]


def by_value(reference: str, response: str) -> bool:
    """Return whether a response's final answer has the value of the reference."""
    found = final_answer(response)
    return found is not None and same_value(reference, found)


def by_text(reference: str, response: str) -> bool:
    """Return whether two texts are the same, white space aside."""
    return reference.split() == response.split()


def written(completion: Any) -> str:
    """Return the text of a completion: the text itself, or the last message of a conversation."""
    if isinstance(completion, str):
        return completion
    content = completion[-1].get("content") if completion else ""
    return content if isinstance(content, str) else ""
