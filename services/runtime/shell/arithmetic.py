"""$((…)): C's integer expressions on 64 bits, as POSIX asks. Pure but for the variables it may set."""

from __future__ import annotations

import re
from collections.abc import Callable

_TOKEN = re.compile(
    r"\s*(0[xX][0-9a-fA-F]+|\d+|[A-Za-z_]\w*|<<=|>>=|&&|\|\||[-+*/%&|^<>=!]=|<<|>>|\+\+|--|[-+*/%&|^<>=!~?:(),])"
)
_LEVELS: tuple[tuple[str, ...], ...] = (
    ("||",), ("&&",), ("|",), ("^",), ("&",), ("==", "!="), ("<", "<=", ">", ">="), ("<<", ">>"), ("+", "-"),
    ("*", "/", "%"),
)  # fmt: skip
_ASSIGNMENTS = frozenset({"=", "+=", "-=", "*=", "/=", "%=", "<<=", ">>=", "&=", "|=", "^="})
DEPTH_MAX = 50


class ArithmeticFault(Exception):
    """What dash says after `arithmetic expression:`."""


def evaluate(text: str, get: Callable[[str], str], set_: Callable[[str, str], None]) -> int:
    return _Evaluator(_tokens(text), get, set_).run() if text.strip() else 0


def _tokens(text: str) -> list[str]:
    tokens, at = [], 0
    text = text.rstrip()
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise ArithmeticFault("expecting primary")
        tokens.append(match[1])
        at = match.end()
    return tokens


def _wrap(value: int) -> int:
    return (value + 2**63) % 2**64 - 2**63


class _Evaluator:
    def __init__(
        self, tokens: list[str], get: Callable[[str], str], set_: Callable[[str, str], None]
    ) -> None:
        self._tokens, self._get, self._set = tokens, get, set_
        self._at = 0
        self._depth = 0

    def run(self) -> int:
        value = self._comma()
        if self._at < len(self._tokens):
            raise ArithmeticFault("expecting EOF")
        return value

    def _peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _take(self) -> str:
        token = self._peek()
        self._at += 1
        return token

    def _comma(self) -> int:
        value = self._assignment()
        while self._peek() == ",":
            self._take()
            value = self._assignment()
        return value

    def _assignment(self) -> int:
        self._depth += 1
        if self._depth > DEPTH_MAX:
            raise ArithmeticFault("expression too deep")
        try:
            following = self._tokens[self._at + 1] if self._at + 1 < len(self._tokens) else ""
            if following in _ASSIGNMENTS and self._peek()[0].isidentifier():
                name = self._take()
                operator = self._take()
                value = self._assignment()
                if operator != "=":
                    value = _apply(operator[:-1], self._variable(name), value)
                self._set(name, str(value))
                return value
            return self._conditional()
        finally:
            self._depth -= 1

    def _conditional(self) -> int:
        condition = self._binary(0)
        if self._peek() != "?":
            return condition
        self._take()
        first = self._assignment()
        if self._take() != ":":
            raise ArithmeticFault("expecting ':'")
        second = self._assignment()
        return first if condition else second

    def _binary(self, level: int) -> int:
        if level == len(_LEVELS):
            return self._unary()
        value = self._binary(level + 1)
        while self._peek() in _LEVELS[level]:
            operator = self._take()
            value = _apply(operator, value, self._binary(level + 1))
        return value

    def _unary(self) -> int:
        token = self._take()
        if token in ("+", "-", "!", "~"):
            self._depth += 1
            if self._depth > DEPTH_MAX:
                raise ArithmeticFault("expression too deep")
            value = self._unary()
            self._depth -= 1
            return {"+": value, "-": _wrap(-value), "!": int(not value), "~": ~value}[token]
        if token in ("++", "--"):
            name = self._take()
            value = _wrap(self._variable(name) + (1 if token == "++" else -1))
            self._set(name, str(value))
            return value
        if token == "(":
            value = self._comma()
            if self._take() != ")":
                raise ArithmeticFault("expecting ')'")
            return value
        if token and token[0].isdigit():
            return _number(token)
        if token and token[0].isidentifier():
            value = self._variable(token)
            if self._peek() in ("++", "--"):
                self._set(token, str(_wrap(value + (1 if self._take() == "++" else -1))))
            return value
        raise ArithmeticFault("expecting primary")

    def _variable(self, name: str) -> int:
        text = self._get(name).strip()
        if not text:
            return 0
        sign = -1 if text.startswith("-") else 1
        digits = text.lstrip("+-")
        if not re.fullmatch(r"0[xX][0-9a-fA-F]+|\d+", digits):
            raise ArithmeticFault(f"Illegal number: {text}")
        return sign * _number(digits)


def _number(text: str) -> int:
    try:
        if text[:2] in ("0x", "0X"):
            return _wrap(int(text, 16))
        return _wrap(int(text[:40], 8 if len(text) > 1 and text[0] == "0" else 10))
    except ValueError:
        raise ArithmeticFault(f"Illegal number: {text}") from None


def _apply(operator: str, left: int, right: int) -> int:
    if operator in ("/", "%"):
        if right == 0:
            raise ArithmeticFault("division by zero")
        quotient = abs(left) // abs(right) * (1 if (left < 0) == (right < 0) else -1)
        return _wrap(quotient if operator == "/" else left - quotient * right)
    if operator == "&&":
        return int(bool(left) and bool(right))
    if operator == "||":
        return int(bool(left) or bool(right))
    if operator in ("<<", ">>"):
        return _wrap(left << (right & 63) if operator == "<<" else left >> (right & 63))
    return _wrap(_SIMPLE[operator](left, right))


_SIMPLE: dict[str, Callable[[int, int], int]] = {
    "+": lambda a, b: a + b, "-": lambda a, b: a - b, "*": lambda a, b: a * b, "|": lambda a, b: a | b,
    "^": lambda a, b: a ^ b, "&": lambda a, b: a & b, "==": lambda a, b: int(a == b),
    "!=": lambda a, b: int(a != b), "<": lambda a, b: int(a < b), "<=": lambda a, b: int(a <= b),
    ">": lambda a, b: int(a > b), ">=": lambda a, b: int(a >= b),
}  # fmt: skip
