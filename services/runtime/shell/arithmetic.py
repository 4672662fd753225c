"""$((…)): C's integer expressions on 64 bits, as POSIX asks, with `**` and `base#digits` of ash and bash.

Pure but for the variables it may set.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from services.runtime.shell.dialect import Dialect

_TOKEN = re.compile(
    r"\s*(\d{1,2}#[0-9a-zA-Z@_]+|0[xX][0-9a-fA-F]+|0[0-7]*|[1-9]\d*|[A-Za-z_]\w*(?:\[[^\]]*\])?|\*\*|<<=|>>=|&&|\|\||[-+*/%&|^<>=!]=|<<|>>|\+\+|--|[-+*/%&|^<>=!~?:(),])"
)
_LEVELS: tuple[tuple[str, ...], ...] = (
    ("||",), ("&&",), ("|",), ("^",), ("&",), ("==", "!="), ("<", "<=", ">", ">="), ("<<", ">>"), ("+", "-"),
    ("*", "/", "%"),
)  # fmt: skip
_ASSIGNMENTS = frozenset({"=", "+=", "-=", "*=", "/=", "%=", "<<=", ">>=", "&=", "|=", "^="})
DEPTH_MAX = 50


class ArithmeticFault(Exception):
    """What dash says after `arithmetic expression:` (if `bare`, all that it says), and the others' words."""

    def __init__(
        self,
        message: str,
        *,
        bare: bool = False,
        ash: str = "arithmetic syntax error",
        bash: str = "arithmetic syntax error: operand expected",
    ) -> None:
        super().__init__(message)
        self.bare, self.ash, self.bash = bare, ash, bash
        self.calculated = "division by zero" in message  # not a matter of the text


def evaluate(
    text: str, get: Callable[[str], str], set_: Callable[[str, str], None], dialect: Dialect = Dialect.DASH
) -> int:
    return _Evaluator(_tokens(text, dialect), get, set_, dialect).run() if text.strip() else 0


def _tokens(text: str, dialect: Dialect) -> list[str]:
    tokens: list[str] = []
    at = 0
    text = text.rstrip()
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise ArithmeticFault("expecting primary")
        tokens.extend("**" if match[1] == "**" and dialect is Dialect.DASH else (match[1],))
        at = match.end()
    return tokens


def _wrap(value: int) -> int:
    return (value + 2**63) % 2**64 - 2**63


class _Evaluator:
    def __init__(
        self,
        tokens: list[str],
        get: Callable[[str], str],
        set_: Callable[[str, str], None],
        dialect: Dialect,
        depth: int = 0,
    ) -> None:
        self._tokens, self._get, self._set, self._dialect = tokens, get, set_, dialect
        self._at = 0
        self._depth = depth

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
            return self._power()
        value = self._binary(level + 1)
        while self._peek() in _LEVELS[level]:
            operator = self._take()
            if (operator == "&&" and not value) or (operator == "||" and value):
                # The right side is read and not done.
                get, put, self._get, self._set = self._get, self._set, lambda _: "1", lambda *_: None
                try:
                    self._binary(level + 1)
                except ArithmeticFault as fault:
                    if not fault.calculated:
                        raise
                self._get, self._set = get, put
                value = int(operator == "||")
                continue
            value = _apply(operator, value, self._binary(level + 1))
        return value

    def _power(self) -> int:
        value = self._unary()
        if self._peek() != "**" or self._dialect is Dialect.DASH:
            return value
        self._take()
        self._depth += 1
        if self._depth > DEPTH_MAX:
            raise ArithmeticFault("expression too deep")
        exponent = self._power()
        self._depth -= 1
        if exponent < 0:
            raise ArithmeticFault(
                "exponent less than 0", ash="exponent less than 0", bash="exponent less than 0"
            )
        return _wrap(pow(value, exponent, 2**64))

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
        if self._dialect is not Dialect.DASH and not re.fullmatch(r"[-+]?(0[xX][0-9a-fA-F]+|\d+)", text):
            # bash and ash evaluate what a variable holds.
            if self._depth >= DEPTH_MAX:
                raise ArithmeticFault("expression too deep", bash="expression recursion level exceeded")
            return _Evaluator(
                _tokens(text, self._dialect), self._get, self._set, self._dialect, self._depth + 5
            ).run()
        sign = -1 if text.startswith("-") else 1
        digits = text.lstrip("+-")
        if not re.fullmatch(r"0[xX][0-9a-fA-F]+|\d+", digits):
            raise ArithmeticFault(f"Illegal number: {text}", bare=True)
        return sign * _number(digits)


def _number(text: str) -> int:
    try:
        if text[:2] in ("0x", "0X"):
            return _wrap(int(text[:200], 16))
        if "#" in text:
            base, _, digits = text.partition("#")
            return _wrap(int(digits[:200], int(base)))
        return _wrap(int(text[:40], 8 if len(text) > 1 and text[0] == "0" else 10))
    except ValueError:
        raise ArithmeticFault(f"Illegal number: {text}") from None


def _apply(operator: str, left: int, right: int) -> int:
    if operator in ("/", "%"):
        if right == 0:
            raise ArithmeticFault(
                "division by zero", ash="divide by zero", bash=f'division by 0 (error token is "{right} ")'
            )
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
