"""The embedded model's tokenizer, the directory it is shipped in, and demonstrations to train it from scratch."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from entrostat.tasks.countdown import Problem

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

# One word, one token, V = 1024:
#
#     ids 0..10      <pad> <bos> <eos>  > : = ;  + - * /
#     ids 11..1023   the integers 0..1012
#
# A correct answer to a shipped problem needs only the integers 0..100: numbers are at most 10, so the one
# intermediate result is at most 10 * 10, and the last result is the target, at most 50. The integers 101..1012 are
# there to be useless, as most of a real vocabulary is at any one position. The mass that a policy puts on them shows
# whether an entropy bonus buys exploration or leaks into tokens that can never help.
SPECIALS: Final = ("<pad>", "<bos>", "<eos>")
SYMBOLS: Final = (">", ":", "=", ";", "+", "-", "*", "/")
LARGEST_INTEGER: Final = 1012
LARGEST_USEFUL_INTEGER: Final = 100


def build_tokenizer() -> PreTrainedTokenizerFast:
    """Build the tokenizer; words are separated by spaces, nothing is added around a text, padding is on the left.

    There is no token for unknown words: a text that holds one is an error of the tokenizer, never silently cut.

    Raises:
        ImportError: If transformers is not installed.

    Example:
        >>> tokenizer = build_tokenizer()
        >>> tokenizer("<bos> 4 7 9 > 20 :")["input_ids"]
        [1, 15, 18, 20, 3, 31, 4]
        >>> tokenizer.decode([20, 7, 15, 5, 24, 2, 0], skip_special_tokens=True)
        '9 + 4 = 13'
    """
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import WhitespaceSplit
    from transformers import PreTrainedTokenizerFast

    words = [*SPECIALS, *SYMBOLS, *map(str, range(LARGEST_INTEGER + 1))]
    backend = Tokenizer(WordLevel({word: index for index, word in enumerate(words)}))
    backend.pre_tokenizer = WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token="<pad>",
        bos_token="<bos>",
        eos_token="<eos>",
        padding_side="left",
        model_input_names=["input_ids", "attention_mask"],
        clean_up_tokenization_spaces=False,
    )


def useless_token_ids(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Return the ids of the integers above 100: tokens that no correct answer to a shipped problem contains.

    Any tokenizer will do; one that has no such words as tokens gives an empty list.

    Example:
        >>> ids = useless_token_ids(build_tokenizer())
        >>> len(ids), min(ids), max(ids)
        (912, 112, 1023)
    """
    vocabulary: dict[str, int] = tokenizer.get_vocab()
    words = map(str, range(LARGEST_USEFUL_INTEGER + 1, LARGEST_INTEGER + 1))
    return [vocabulary[word] for word in words if word in vocabulary]


def warm_start_path() -> Path:
    """Return the directory of the embedded small language model and its tokenizer.

    It is an ordinary ``save_pretrained`` directory, written by ``python -m entrostat.tasks.warm_start``:
    ``AutoModelForCausalLM.from_pretrained(warm_start_path())`` loads it, without a network.

    Example:
        >>> (warm_start_path() / "model.safetensors").is_file()
        True
    """
    return Path(__file__).parent / "data" / "warm_start"


# Demonstrations are random walks, made without a solver: three random numbers are joined by random legal steps. In
# half of the demonstrations the target is the last result of the walk, so the answer is right; in the other half it is
# drawn at random, so the answer is nearly always wrong. The mixture teaches the format and true arithmetic but little
# regard for the target, which leaves a policy that is uncertain, sometimes right, and improvable: a start that
# reinforcement learning can work with.
_NUMBERS: Final = 3
_LARGEST_NUMBER: Final = 10
_LARGEST_TARGET: Final = 50
_HONEST: Final = 0.5
_OPERATORS: Final = "+-*/"
_WEIGHTS: Final = (4, 4, 2, 1)


class Demonstration(NamedTuple):
    """A problem and steps that are true arithmetic; `honest` if they were walked before the target was set."""

    problem: Problem
    response: str
    honest: bool


def demonstrations(seed: int, *, without: Collection[tuple[tuple[int, ...], int]] = ()) -> Iterator[Demonstration]:
    """Yield demonstrations without end, the same ones for the same seed.

    Args:
        seed: Seed of the stream's own random generator.
        without: Keys of problems (`Problem.key`) to leave out, such as the held-out ones.

    Example:
        >>> demonstration = next(demonstrations(seed=3))
        >>> demonstration.problem, demonstration.honest
        (Problem(numbers=(9, 3, 6), target=27), True)
        >>> demonstration.response
        '6 - 3 = 3 ; 9 * 3 = 27'
    """
    rng = random.Random(seed)
    excluded = frozenset(without)
    while True:
        honest = rng.random() < _HONEST
        yield _draw(rng, honest, excluded)


def _draw(rng: random.Random, honest: bool, excluded: frozenset[tuple[tuple[int, ...], int]]) -> Demonstration:
    """Walk until the target is within bounds and the problem is not excluded."""
    while True:
        numbers = tuple(rng.randint(1, _LARGEST_NUMBER) for _ in range(_NUMBERS))
        response, result = _walk(rng, numbers)
        target = result if honest else rng.randint(1, _LARGEST_TARGET)
        problem = Problem(numbers, target)
        if 1 <= target <= _LARGEST_TARGET and problem.key not in excluded:
            return Demonstration(problem, response, honest)


def _walk(rng: random.Random, numbers: tuple[int, ...]) -> tuple[str, int]:
    """Join the numbers by random steps; return the steps and the last result."""
    pool = list(numbers)
    steps: list[str] = []
    while len(pool) > 1:
        left, operator, right, result = _step(rng, pool)
        pool.remove(left)
        pool.remove(right)
        pool.append(result)
        steps.append(f"{left} {operator} {right} = {result}")
    return " ; ".join(steps), pool[0]


def _step(rng: random.Random, pool: list[int]) -> tuple[int, str, int, int]:
    """Draw pairs and operators until a step is legal: an integer result of 0..100."""
    while True:
        left, right = rng.sample(pool, 2)
        (operator,) = rng.choices(_OPERATORS, _WEIGHTS)
        if operator in "-/" and left < right:
            left, right = right, left
        quotient = left // right if right != 0 and left % right == 0 else None
        result = {"+": left + right, "-": left - right, "*": left * right, "/": quotient}[operator]
        if result is not None and result <= LARGEST_USEFUL_INTEGER:
            return left, operator, right, result
