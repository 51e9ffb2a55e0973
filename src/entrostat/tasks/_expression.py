"""Arithmetic from strangers: text in, a small syntax tree or `None` out. Nothing is ever executed.

A policy under reinforcement learning writes whatever earns reward, so its text is hostile input. The grammar
below is all there is; a character outside it ends the matter.

    sum     = product { ("+" | "-") product }
    product = signed  { ("*" | "/") signed }
    signed  = { "+" | "-" } atom
    atom    = integer | "(" sum ")"
    integer = "0" | nonzero digit { digit }          ASCII digits only, at most MAX_DIGITS of them

Three caps bound the work: the length of the text, the depth of parentheses and the digits of an integer.
A text within them has at most MAX_CHARACTERS / 2 operators on integers below 10^9, so no value exceeds
10^MAX_CHARACTERS and evaluation, exact in `fractions.Fraction`, stays trivial.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

MAX_CHARACTERS: Final = 128
MAX_DEPTH: Final = 16
MAX_DIGITS: Final = 9

# [0-9] and re.ASCII, not str.isdigit or a bare \d: those accept digits of every script.
_TOKEN: Final = re.compile(r"\s*([0-9]+|[-+*/()])\s*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Literal:
    """An integer as written."""

    value: int


@dataclass(frozen=True, slots=True)
class Negated:
    """Minus its operand."""

    operand: Node


@dataclass(frozen=True, slots=True)
class Binary:
    """Two operands joined by one of + - * /."""

    operator: str
    left: Node
    right: Node


Node = Literal | Negated | Binary


def parse(text: str) -> Node | None:
    """Parse `text` by the grammar above; `None` for anything else. Never raises, linear in the length.

    Example:
        >>> parse("7 + 4")
        Binary(operator='+', left=Literal(value=7), right=Literal(value=4))
        >>> parse("__import__('os')") is None
        True
    """
    tokens = _tokenize(text)
    if tokens is None:
        return None
    try:
        return _Parser(tokens).whole()
    except _MalformedError:
        return None


def evaluate(node: Node) -> Fraction | None:
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


def literals(node: Node) -> Iterator[int]:
    """Yield the integers of a parsed expression as they stand in the text, from left to right.

    Example:
        >>> list(literals(parse("4 * (9 - 4)")))
        [4, 9, 4]
    """
    match node:
        case Literal(value):
            yield value
        case Negated(operand):
            yield from literals(operand)
        case Binary(_, left, right):
            yield from literals(left)
            yield from literals(right)


def _value(node: Node) -> Fraction:
    match node:
        case Literal(value):
            return Fraction(value)
        case Negated(operand):
            return -_value(operand)
        case Binary("+", left, right):
            return _value(left) + _value(right)
        case Binary("-", left, right):
            return _value(left) - _value(right)
        case Binary("*", left, right):
            return _value(left) * _value(right)
        case Binary(_, left, right):
            return _value(left) / _value(right)


def _tokenize(text: str) -> list[str] | None:
    """Cut `text` into tokens; `None` if it is too long or holds anything but integers, operators and spaces."""
    if len(text) > MAX_CHARACTERS:
        return None
    tokens: list[str] = []
    position = 0
    while position < len(text):
        found = _TOKEN.match(text, position)
        if found is None:
            return None
        tokens.append(found[1])
        position = found.end()
    return tokens


class _MalformedError(Exception):
    """The tokens do not follow the grammar; caught in `parse`."""


class _Parser:
    """Recursive descent: one method for each rule of the grammar."""

    def __init__(self, tokens: list[str]) -> None:
        self._tokens = tokens
        self._next = 0
        self._depth = 0

    def whole(self) -> Node:
        node = self._sum()
        if self._peek():  # "1 2" and "(1)) + 2" are one expression and a rest
            raise _MalformedError
        return node

    def _sum(self) -> Node:
        node = self._product()
        while self._peek() in ("+", "-"):
            node = Binary(self._take(), node, self._product())
        return node

    def _product(self) -> Node:
        node = self._signed()
        while self._peek() in ("*", "/"):
            node = Binary(self._take(), node, self._signed())
        return node

    def _signed(self) -> Node:
        negative = False
        while self._peek() in ("+", "-"):
            negative ^= self._take() == "-"
        atom = self._atom()
        return Negated(atom) if negative else atom

    def _atom(self) -> Node:
        token = self._take()
        if token != "(":
            return _literal(token)
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise _MalformedError
        node = self._sum()
        if self._take() != ")":
            raise _MalformedError
        self._depth -= 1
        return node

    def _peek(self) -> str:
        return self._tokens[self._next] if self._next < len(self._tokens) else ""

    def _take(self) -> str:
        token = self._peek()
        self._next += 1
        return token


def _literal(token: str) -> Literal:
    # A leading zero is an error in Python and sympy too; "0" itself is a number.
    if not token.isdecimal() or len(token) > MAX_DIGITS or (token[0] == "0" and token != "0"):
        raise _MalformedError
    return Literal(int(token))
