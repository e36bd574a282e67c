"""Constant expressions: parsing by precedence, and evaluation with exact integers.

RFC 4506 has literals and names only; real files, and every ``#if``, calculate.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Sequence

from .ast import Binary, Expression, Name, Number, Unary
from .lexer import Kind, Token
from .source import Span

LANGUAGE_LEVELS: tuple[tuple[str, ...], ...] = (("|",), ("^",), ("&",), ("<<", ">>"), ("+", "-"), ("*", "/", "%"))
"""Operators by rising precedence; comparisons are left out, because ``<`` and ``>`` enclose bounds."""

DIRECTIVE_LEVELS: tuple[tuple[str, ...], ...] = (
    ("||",), ("&&",), *LANGUAGE_LEVELS[:3], ("==", "!="), ("<", ">", "<=", ">="), *LANGUAGE_LEVELS[3:],
)  # fmt: skip
"""What an ``#if`` may use."""

_MOST_NESTING = 32
_MOST_OPERATORS = 128


class ExpressionError(Exception):
    """An expression is not well-formed or has no value; `span` is where, `hint` may say what to do."""

    def __init__(self, message: str, span: Span, hint: str = "") -> None:
        super().__init__(message)
        self.message, self.span, self.hint = message, span, hint


def number_of(text: str) -> int:
    """Return the value of a literal in C notation (0octal, 0xhex, decimal, suffixes); may raise ValueError."""
    digits = re.sub(r"[uUlL]+$", "", text)
    if digits[:2] in ("0x", "0X"):
        return int(digits, 16)
    return int(digits, 8) if digits.startswith("0") else int(digits)


class ExpressionParser:
    """Reads one expression from `tokens`, starting at `position`, which afterwards is behind it."""

    def __init__(self, tokens: Sequence[Token], position: int, levels: tuple[tuple[str, ...], ...]) -> None:
        self.tokens = tokens
        self.position = position
        self.levels = levels
        self.nesting = 0
        self.operators = 0

    def parse(self, level: int = 0) -> Expression:
        """Return the expression; raise ExpressionError where there is none."""
        if level == len(self.levels):
            return self._operand()
        left = self.parse(level + 1)
        while self.tokens[self.position].kind is Kind.SYMBOL and self.tokens[self.position].text in self.levels[level]:
            sign = self.tokens[self.position]
            self.position += 1
            self.operators += 1
            if self.operators > _MOST_OPERATORS:
                raise ExpressionError("expression is too long", sign.span)
            left = Binary(sign.text, left, self.parse(level + 1), sign.span)
        return left

    def _operand(self) -> Expression:
        token = self.tokens[self.position]
        self.nesting += 1
        if self.nesting > _MOST_NESTING:
            raise ExpressionError("expression is nested too deep", token.span)
        try:
            return self._operand_of(token)
        finally:
            self.nesting -= 1

    def _operand_of(self, token: Token) -> Expression:
        if token.kind is Kind.END:
            raise ExpressionError("expected a constant, found end of file", token.span)
        self.position += 1
        if token.kind is Kind.NUMBER:
            try:
                return Number(number_of(token.text), token.text, token.span)
            except ValueError:
                raise ExpressionError(
                    f"{token.text!r} is not a number", token.span, "0 in front makes it octal"
                ) from None
        if token.kind is Kind.NAME or token.text == "::":
            self.position -= 1
            return self._name()
        if token.text in ("-", "+", "~", "!"):
            return Unary(token.text, self._operand(), token.span)
        if token.text == "(":
            inside = self.parse()
            closing = self.tokens[self.position]
            if closing.text != ")":
                raise ExpressionError(f"expected ')', found {closing}", closing.span)
            self.position += 1
            return inside
        self.position -= 1
        raise ExpressionError(f"expected a constant, found {token}", token.span)

    def _name(self) -> Name:
        """Read a name, perhaps qualified: ``B``, ``::B``, ``a::B``."""
        path = [""] if self.tokens[self.position].text == "::" else []
        self.position += len(path)
        while True:
            token = self.tokens[self.position]
            if token.kind is not Kind.NAME:
                raise ExpressionError(f"expected a name behind '::', found {token}", token.span)
            self.position += 1
            if self.tokens[self.position].text != "::":
                return Name(token.text, token.span, tuple(path))
            path.append(token.text)
            self.position += 1


def _divide(a: int, b: int) -> int:
    # C divides towards zero.
    return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)


_UNARY: dict[str, Callable[[int], int]] = {
    "-": operator.neg,
    "+": operator.pos,
    "~": operator.invert,
    "!": lambda a: int(not a),
}
_BINARY: dict[str, Callable[[int, int], int]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": _divide,
    "%": lambda a, b: a - _divide(a, b) * b,
    "<<": operator.lshift,
    ">>": operator.rshift,
    "&": operator.and_,
    "|": operator.or_,
    "^": operator.xor,
    "==": lambda a, b: int(a == b),
    "!=": lambda a, b: int(a != b),
    "<": lambda a, b: int(a < b),
    ">": lambda a, b: int(a > b),
    "<=": lambda a, b: int(a <= b),
    ">=": lambda a, b: int(a >= b),
    "&&": lambda a, b: int(bool(a and b)),
    "||": lambda a, b: int(bool(a or b)),
}
_MOST_BITS = 4096


def evaluate(expression: Expression, lookup: Callable[[Name], int]) -> int:
    """Return the value of `expression`; `lookup` gives a name's. May raise ExpressionError."""
    match expression:
        case Number(value):
            return value
        case Name():
            return lookup(expression)
        case Unary(sign, operand):
            return _UNARY[sign](evaluate(operand, lookup))
        case Binary(sign, left, right, span):
            a, b = evaluate(left, lookup), evaluate(right, lookup)
            if sign in ("/", "%") and b == 0:
                raise ExpressionError("division by zero", span)
            if sign in ("<<", ">>") and not 0 <= b < 64:
                raise ExpressionError(f"shift by {b} is not within 0..63", span)
            value = _BINARY[sign](a, b)
            if value.bit_length() > _MOST_BITS:
                raise ExpressionError("value is out of all proportion", span)
            return value
