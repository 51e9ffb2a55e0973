"""The scorer pays for proofs only; the splits are disjoint, solvable and reproducible."""

from __future__ import annotations

import itertools
import operator
import random
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrostat.tasks.countdown import PROBLEMS_FILE, Problem, load, prompt, replay, score, score_expression

EASY = Problem((4, 7, 9), 20)
DECIDE = {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": Fraction}


def walks(pool: tuple[int, ...], steps: tuple[str, ...] = ()) -> Iterator[tuple[str, int, int]]:
    """All answers in true steps over non-negative integers: (text, its value, the largest integer in it)."""
    if len(pool) == 1:
        text = " ; ".join(steps)
        yield text, pool[0], max((int(word) for word in text.split() if word.isdecimal()), default=pool[0])
        return
    for i, j in itertools.permutations(range(len(pool)), 2):
        rest = tuple(number for k, number in enumerate(pool) if k not in (i, j))
        for sign in "+-*/":
            if sign == "/" and pool[j] == 0:
                continue
            result = DECIDE[sign](pool[i], pool[j])
            if result >= 0 and result == int(result):
                step = f"{pool[i]} {sign} {pool[j]} = {int(result)}"
                yield from walks((*rest, int(result)), (*steps, step))


@pytest.fixture(scope="module")
def answers() -> dict[tuple[tuple[int, ...], int], list[tuple[str, int]]]:
    """Every solvable problem of three numbers of 1..10 and a target of 1..50, with all its answers in steps."""
    found: dict[tuple[tuple[int, ...], int], list[tuple[str, int]]] = {}
    for numbers in itertools.combinations_with_replacement(range(1, 11), 3):
        for text, result, largest in walks(numbers):
            if 1 <= result <= 50:
                found.setdefault((numbers, result), []).append((text, largest))
    return found


def test_the_space_is_as_large_as_the_docstring_of_load_says(answers) -> None:
    assert len(answers) == 2431
    assert sum(len(set(itertools.permutations(numbers))) for numbers, _ in answers) == 11876


def test_right_answers_score_one_for_any_order_of_the_numbers(answers) -> None:
    for (numbers, target), texts in answers.items():
        for text, _ in texts[::3]:
            assert score(Problem(numbers[::-1], target), text) == 1.0
            assert score(Problem(numbers, target + 1), text) == 0.0


def test_right_answers_hold_no_integer_above_100(answers) -> None:
    assert max(largest for texts in answers.values() for _, largest in texts) == 100


@pytest.mark.parametrize(
    "text",
    [
        "9 + 4 = 13 ; 7 + 13 = 20",
        "4 + 9 = 13 ; 13 + 7 = 20",
        "9+4=13;7+13=20",
        "  9 + 4 = 13 ;  7 + 13 = 20  ",
    ],
)
def test_right_answers_in_steps(text: str) -> None:
    assert score(EASY, text) == 1.0


WRONG = {
    "wrong total": "9 + 4 = 13 ; 7 + 13 = 21",
    "wrong total, claimed right": "9 - 4 = 5 ; 7 + 5 = 20",
    "wrong intermediate claim over a right expression": "9 + 4 = 12 ; 7 + 12 = 20",
    "two wrong claims that cancel": "9 + 4 = 12 ; 7 + 12 = 19",
    "a number not given": "9 + 4 = 13 ; 13 + 8 = 21",
    "a number used twice": "4 + 4 = 8 ; 8 + 9 = 17",
    "a number left out": "9 + 4 = 13",
    "an intermediate result used twice": "9 + 4 = 13 ; 13 + 13 = 26",
    "an intermediate result left over": "4 + 7 = 11 ; 9 + 11 = 20 ; 20 + 0 = 20 ; 1 + 1 = 2",
    "a spurious step first": "1 + 1 = 2 ; 9 + 4 = 13 ; 7 + 13 = 20",
    "the target out of thin air": "20 = 20",
    "a division by zero": "9 / 0 = 0 ; 7 + 13 = 20",
    "a division with a rest": "9 / 4 = 2 ; 7 + 2 = 9",
    "a trailing separator": "9 + 4 = 13 ; 7 + 13 = 20 ;",
    "a plain expression": "9 + 4 + 7",
    "words": "the answer is 9 + 4 = 13 ; 7 + 13 = 20",
    "a power": "9 ** 4 = 6561 ; 7 + 13 = 20",
    "other digits": "\u0669 + 4 = 13 ; 7 + 13 = 20",
    "too long": "9 + 4 = 13 ; 7 + 13 = 20" + " " * 10**6,
}


@pytest.mark.parametrize("text", WRONG.values(), ids=WRONG)
def test_wrong_answers_in_steps(text: str) -> None:
    assert score(EASY, text) == 0.0


def test_a_result_equal_to_a_given_number_does_not_confuse_the_replay() -> None:
    assert score(Problem((4, 4, 8), 8), "8 - 4 = 4 ; 4 + 4 = 8") == 1.0
    assert score(Problem((2, 2, 4, 3), 16), "2 + 2 = 4 ; 4 * 3 = 12 ; 4 + 12 = 16") == 1.0
    assert score(Problem((4, 8), 8), "8 - 4 = 4 ; 4 + 4 = 8") == 0.0


def test_replay_writes_one_expression() -> None:
    assert replay("6 / 2 = 3 ; 3 * 5 = 15") == "((6 / 2) * 5)"
    assert replay("") is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("9 + 4 + 7", 1.0),
        ("7 + (9 + 4)", 1.0),
        ("9 + 4 + 7 + 0", 0.0),
        ("4 + 7 + 9 - 0", 0.0),
        ("20", 0.0),
        ("4 * (9 - 4)", 0.0),
        ("47 - 9", 0.0),
        ("__import__('os').system('true')", 0.0),
        ("9**9**9", 0.0),
        ("9 / (4 - 4) + 7", 0.0),
    ],
)
def test_expressions(text: str, expected: float) -> None:
    assert score_expression(EASY, text) == expected


def test_a_fractional_intermediate_value_is_exact() -> None:
    assert score_expression(Problem((3, 3, 8, 8), 24), "8 / (3 - 8 / 3)") == 1.0


steps_like = st.text(alphabet="0123456789+-*/=;() ", max_size=60)


@given(st.text(max_size=60) | steps_like)
def test_any_text_scores_exactly_zero_or_one(text: str) -> None:
    for value in (score(EASY, text), score_expression(EASY, text)):
        assert isinstance(value, float)
        assert value in (0.0, 1.0)


def holds_on_the_table(problem: Problem, text: str) -> bool:
    """Judge steps as a player would: take two numbers off the table, put their result back, end with the target."""
    table = list(problem.numbers)
    for step in text.split(" ; "):
        words = step.split()
        if len(words) != 5 or words[1] not in DECIDE or words[3] != "=":
            return False
        if not all(word.isdecimal() for word in words[::2]):
            return False
        left, right, result = map(int, words[::2])
        if (words[1], right) == ("/", 0) or DECIDE[words[1]](left, right) != result:
            return False
        for number in (left, right):
            if number not in table:
                return False
            table.remove(number)
        table.append(result)
    return table == [problem.target]


@st.composite
def altered_answers(draw: st.DrawFn) -> tuple[Problem, str]:
    """A right answer to some problem with up to two words or steps exchanged, dropped or repeated."""
    numbers = tuple(draw(st.lists(st.integers(0, 6), min_size=2, max_size=3)))
    text, result, _ = draw(st.sampled_from(list(walks(numbers))))
    separator = draw(st.sampled_from([" ", " ; "]))
    parts = text.split(separator)
    for _ in range(draw(st.integers(0, 2))):
        where = draw(st.integers(0, len(parts) - 1))
        other = draw(st.sampled_from([*parts, "+", "-", "*", "/", *map(str, range(13))]))
        parts[where : where + 1] = draw(st.sampled_from([[other], [], [parts[where], other]]))
        parts = parts or ["0"]
    return Problem(numbers, result), separator.join(parts)


@given(altered_answers())
def test_the_verdict_is_that_of_a_player_at_the_table(answer: tuple[Problem, str]) -> None:
    assert score(*answer) == float(holds_on_the_table(*answer))


def honest_answers(count: int) -> Iterator[tuple[Problem, str]]:
    """Plain arithmetic, right and wrong in various ways, with the problem it is given to."""
    rng = random.Random(0)
    problems = [problem for split in ("train", "validation", "test") for problem in load(split)]
    for _ in range(count):
        problem = rng.choice(problems)
        numbers = list(problem.numbers)
        rng.shuffle(numbers)
        match rng.randrange(10):
            case 0:
                numbers.pop()
            case 1:
                numbers.append(rng.choice(numbers))
            case 2:
                numbers[0] = rng.randint(1, 10)
            case _:
                pass
        text = expression_over(rng, numbers)
        if rng.random() < 0.8:  # a target that the text hits, so that many verdicts are "right"
            problem = retargeted(problem, text)
        yield problem, text


def expression_over(rng: random.Random, numbers: list[int]) -> str:
    if len(numbers) == 1:
        return rng.choice(["{}", "{}", "{}", "-{}", "({})"]).format(numbers[0])
    cut = rng.randint(1, len(numbers) - 1)
    left, right = expression_over(rng, numbers[:cut]), expression_over(rng, numbers[cut:])
    text = f"{left} {rng.choice('++--**/')} {right}"
    return f"({text})" if rng.random() < 0.6 else text


def retargeted(problem: Problem, text: str) -> Problem:
    # The text was built above from integers, signs and parentheses, so Python may evaluate it.
    try:
        value = eval(text)
    except ZeroDivisionError:
        return problem
    return Problem(problem.numbers, round(value)) if value >= 0 else problem


@pytest.mark.parametrize("count", [1_000, pytest.param(10_000, marks=pytest.mark.slow)])
def test_verdicts_on_expressions_are_those_of_reasoning_gym(count: int) -> None:
    # reasoning-gym evaluates its input as Python: only ever pass it text built by this file.
    gym = pytest.importorskip("reasoning_gym", reason="reasoning-gym (the gym extra) is not installed")
    judge = gym.create_dataset("countdown", size=1, seed=0)
    verdicts = {0.0: 0, 1.0: 0}
    for problem, text in honest_answers(count):
        entry = {"metadata": {"numbers": list(problem.numbers), "target": problem.target}}
        ours = score_expression(problem, text)
        assert ours == float(judge.score_answer(text, entry) > 0.99), (problem, text)
        verdicts[ours] += 1
    assert min(verdicts.values()) > count / 4


def test_splits_are_disjoint_up_to_the_order_of_the_numbers() -> None:
    keys = {split: [problem.key for problem in load(split)] for split in ("train", "validation", "test")}
    for one, other in itertools.combinations(keys.values(), 2):
        assert not set(one) & set(other)
    assert len(set(keys["validation"])) == len(keys["validation"]) == 128
    assert len(set(keys["test"])) == len(keys["test"]) == 192
    assert len(set(load("train"))) == len(load("train")) == 2048
    # Training sees a good half of the rest, and about a fifth of its prompts: it is not exhausted.
    assert len(set(keys["train"])) == 1209


def test_every_shipped_problem_is_solvable(answers) -> None:
    for split in ("train", "validation", "test"):
        assert all(problem.key in answers for problem in load(split))


@pytest.mark.slow
def test_the_shipped_problems_can_be_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("reasoning_gym", reason="reasoning-gym (the gym extra) is not installed")
    from entrostat.tasks import make_countdown

    written = tmp_path / "countdown.jsonl"
    monkeypatch.setattr("sys.argv", ["make_countdown", "--out", str(written)])
    make_countdown.main()
    assert written.read_bytes() == PROBLEMS_FILE.read_bytes()


def test_prompts_show_the_numbers_in_their_own_order() -> None:
    assert prompt(Problem((9, 4, 7), 20)) == "<bos> 9 4 7 > 20 :"


@pytest.mark.parametrize(
    ("numbers", "target", "error", "message"),
    [
        ([1, 2], 3, TypeError, "`numbers` must be a tuple"),
        ((), 3, ValueError, "`numbers` must hold at least one number"),
        ((1, -2), 3, ValueError, "`numbers` must be at least 0"),
        ((1, 2.5), 3, TypeError, "`numbers` must be an integer"),
        ((1, 2), -3, ValueError, "`target` must be at least 0"),
        ((1, 2), True, TypeError, "`target` must be an integer"),
    ],
)
def test_impossible_problems_are_rejected(numbers, target, error, message) -> None:
    with pytest.raises(error, match=message):
        Problem(numbers, target)


def test_an_unknown_split_is_named() -> None:
    with pytest.raises(ValueError, match=r"unknown split 'tets'\. Did you mean 'test'"):
        load("tets")
