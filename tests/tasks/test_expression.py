"""The parser of hostile text: it accepts arithmetic, rejects all else, never raises and is never slow."""

from __future__ import annotations

import time
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from entrostat.tasks.countdown import MAX_CHARACTERS, MAX_DEPTH, MAX_DIGITS, evaluate, literals, parse


def value(text: str) -> Fraction | None:
    node = parse(text)
    return None if node is None else evaluate(node)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("7", 7),
        ("2 + 3 * 4", 14),
        ("(2 + 3) * 4", 20),
        ("10 - 4 - 3", 3),
        ("8 / 4 / 2", 1),
        ("8 / (4 / 2)", 4),
        ("1 / 3 + 1 / 6", Fraction(1, 2)),
        ("-3 + 9", 6),
        ("2 * -3", -6),
        ("--3 - +-1", 4),
        ("-(2 - 5)", 3),
        (" ( ( 4 ) )\t", 4),
        ("0 * 5", 0),
    ],
)
def test_arithmetic_follows_the_usual_precedence(text: str, expected: Fraction) -> None:
    assert value(text) == expected


HOSTILE = [
    "",
    "   ",
    "__import__('os').system('true')",
    "9**9**9",
    "9//2",
    "9%2",
    "1e9",
    "2.5",
    "0x10",
    "1_000",
    "3!",
    "lambda: 1",
    "[1][0]",
    "1,2",
    "1;2",
    "1 2",
    "()",
    "(1",
    "1)",
    "2(3)",
    "1 +",
    "* 1",
    "04 + 9",
    "1 = 1",
    "\u0664 + \u0669",  # Arabic-Indic digits
    "\uff14 + \uff19",  # full-width digits
    "\u00b2 + 9",  # superscript two: isdigit, yet int() refuses it
    "\U0001d7d2 + 9",  # mathematical bold four
    "4 \uff0b 9",  # full-width plus
    "4 \u2212 9",  # the typographic minus
    "4\u00a0+ 9",
    "4\x00+ 9",
    "\ud800",
    "9" * (MAX_DIGITS + 1),
    "9" * 10**6,
    "(" * 10**6,
    "-" * 10**6 + "1",
    "(" * 10**6 + "1" + ")" * 10**6,
    "(" * (MAX_DEPTH + 1) + "1" + ")" * (MAX_DEPTH + 1),
    "1+" * MAX_CHARACTERS + "1",
]


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text[:24]))
def test_everything_else_is_rejected(text: str) -> None:
    assert parse(text) is None


@pytest.mark.parametrize("text", ["1 / 0", "1 / (2 - 2)", "0 / 0", "1 / (0 / 5)"])
def test_division_by_zero_has_no_value(text: str) -> None:
    assert parse(text) is not None
    assert value(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "(" * MAX_DEPTH + "1" + ")" * MAX_DEPTH,
        "-" * (MAX_CHARACTERS - 1) + "1",
        "1+" * (MAX_CHARACTERS // 2 - 1) + "1",
        "1/" * (MAX_CHARACTERS // 2 - 1) + "1",
    ],
)
def test_the_largest_texts_within_the_caps_are_evaluated(text: str) -> None:
    assert value(text) is not None


def test_the_largest_value_within_the_caps_is_small_enough_to_be_quick() -> None:
    text = "*".join(["9" * MAX_DIGITS] * (MAX_CHARACTERS // (MAX_DIGITS + 1)))
    assert 10 ** (MAX_CHARACTERS - 30) < value(text) < 10**MAX_CHARACTERS


def test_literals_keep_the_order_and_the_repeats() -> None:
    assert list(literals(parse("4 * -(9 - 4) / 2"))) == [4, 9, 4, 2]


arithmetic_like = st.text(alphabet="0123456789+-*/() ", max_size=150)


@given(st.text(max_size=200) | arithmetic_like)
@example("((((")
def test_no_text_raises_and_accepted_text_means_what_python_says(text: str) -> None:
    node = parse(text)
    if node is not None:
        # Accepted text holds digits, operators, parentheses and spaces only, without **, //: a plain sum for Python.
        assert set(text) <= set("0123456789+-*/() \t\n\r\f\v")
        evaluate(node)


@given(
    st.recursive(
        st.integers(0, 99).map(str),
        lambda inner: st.builds("({} {} {})".format, inner, st.sampled_from("+-*/"), inner),
        max_leaves=8,
    )
)
def test_the_value_is_that_of_exact_arithmetic(text: str) -> None:
    # Text built here from integers and operators alone, so Python's own evaluation is a fair and safe judge.
    exact = "".join(
        f"F({word})" if word.isdecimal() else word for word in text.replace("(", " ( ").replace(")", " ) ").split()
    )
    try:
        expected = eval(exact, {"F": Fraction})
    except ZeroDivisionError:
        expected = None
    assert value(text) == expected


@pytest.mark.parametrize("unit", ["(", "1+", "-", "9", "1 ", "x", " "])
def test_a_million_characters_cost_no_more_than_a_few(unit: str) -> None:
    text = unit * 10**6
    started = time.process_time()
    for _ in range(100):
        parse(text)
    assert time.process_time() - started < 0.5
