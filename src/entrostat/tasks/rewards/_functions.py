r"""The reward functions. Each gives 1.0 or 0.0 to every response and keeps what it does not know of its arguments."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from entrostat.tasks.rewards._extract import after_marker, boxed, final_answer
from entrostat.tasks.rewards._verifier import require_math_verify, same_value


def math(
    completions: Sequence[Any],
    answer: Sequence[str] | None = None,
    solution: Sequence[str] | None = None,
    **_: Any,
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
    """Return what the model wrote: the text itself, or the last message of a conversation."""
    if isinstance(completion, str):
        return completion
    content = completion[-1].get("content") if completion else ""
    return content if isinstance(content, str) else ""
