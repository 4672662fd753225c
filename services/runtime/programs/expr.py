"""expr, true, false: arithmetic and matching for shells that could not do it themselves."""

from __future__ import annotations

import re
from collections.abc import Callable

from services.runtime.processes import Process, Program
from services.runtime.programs.options import busybox
from services.runtime.programs.patterns import BadPattern, basic

DEPTH_MAX = 100
_ORDERS: dict[str, Callable[[int], bool]] = {
    "=": lambda order: order == 0, "==": lambda order: order == 0, "!=": lambda order: order != 0,
    "<": lambda order: order < 0, "<=": lambda order: order <= 0, ">": lambda order: order > 0,
    ">=": lambda order: order >= 0,
}  # fmt: skip
_LEVELS = (("|",), ("&",), ("=", "==", "!=", "<", "<=", ">", ">="), ("+", "-"), ("*", "/", "%"), (":",))


class Malformed(Exception):
    pass


async def expr(process: Process) -> int:
    words = list(process.argv[1:])
    is_busybox = busybox(process)
    if not words:
        await process.complain(
            "expr: too few arguments" if is_busybox else
            "expr: missing operand\nTry 'expr --help' for more information."
        )  # fmt: skip
        return 2
    try:
        value = _Expression(words, is_busybox=is_busybox).run()
    except Malformed as error:
        await process.complain(f"expr: {error}")
        return 2
    await process.write(value + "\n")
    return 0 if value not in ("", "0") else 1


class _Expression:
    def __init__(self, words: list[str], *, is_busybox: bool) -> None:
        self._words, self._at, self._busybox = words, 0, is_busybox
        self._depth = 0

    def run(self) -> str:
        value = self._level(0)
        if self._at < len(self._words):
            extra = self._words[self._at]
            raise Malformed(
                "syntax error" if self._busybox else f"syntax error: unexpected argument ‘{extra}’"
            )
        return value

    def _level(self, level: int) -> str:
        if level == len(_LEVELS):
            return self._primary()
        value = self._level(level + 1)
        while self._at < len(self._words) and self._words[self._at] in _LEVELS[level]:
            operator = self._words[self._at]
            self._at += 1
            value = self._apply(operator, value, self._level(level + 1))
        return value

    def _take(self) -> str:
        if self._at >= len(self._words):
            before = self._words[self._at - 1] if self._at else ""
            raise Malformed(
                "syntax error" if self._busybox else f"syntax error: missing argument after ‘{before}’"
            )
        self._at += 1
        return self._words[self._at - 1]

    def _primary(self) -> str:
        word = self._take()
        self._depth += 1
        if self._depth > DEPTH_MAX:
            raise Malformed("syntax error")
        try:
            more = self._at < len(self._words)
            if word == "(":
                value = self._level(0)
                if self._take() != ")":
                    raise Malformed("syntax error")
                return value
            if word == "length" and more:
                return str(len(self._primary()))
            if word == "match" and more:
                return matched(self._primary(), self._primary())
            if word == "index" and more:
                text, signs = self._primary(), self._primary()
                return str(next((at for at, sign in enumerate(text, 1) if sign in signs), 0))
            if word == "substr" and more:
                return _substring(self._primary(), self._primary(), self._primary())
            return word
        finally:
            self._depth -= 1

    def _apply(self, operator: str, left: str, right: str) -> str:
        if operator == "|":
            return left if left not in ("", "0") else right
        if operator == "&":
            return left if left not in ("", "0") and right not in ("", "0") else "0"
        if operator == ":":
            return matched(left, right)
        numbers = all(re.fullmatch(r"-?\d{1,30}", text) for text in (left, right))
        if operator in _ORDERS:
            one, other = (int(left), int(right)) if numbers else (left, right)
            order = (one > other) - (one < other)  # type: ignore[operator]
            return str(int(_ORDERS[operator](order)))
        if not numbers:
            raise Malformed("non-numeric argument" if self._busybox else "non-integer argument")
        return _calculated(operator, int(left), int(right))


def _calculated(operator: str, first: int, second: int) -> str:
    if operator in "/%" and second == 0:
        raise Malformed("division by zero")
    quotient = abs(first) // abs(second) * (1 if (first < 0) == (second < 0) else -1) if second else 0
    return str({"+": first + second, "-": first - second, "*": first * second, "/": quotient,
                "%": first - quotient * second}[operator])  # fmt: skip


def _substring(text: str, start: str, length: str) -> str:
    if not re.fullmatch(r"\d{1,9}", start) or not re.fullmatch(r"\d{1,9}", length) or start == "0":
        return ""
    return text[int(start) - 1 : int(start) - 1 + int(length)]


def matched(text: str, pattern: str) -> str:
    try:
        found = basic(pattern)
    except BadPattern as error:
        raise Malformed(f"bad regex '{pattern}': {error}") from error
    match = found.match(text)
    if match is None:
        return "" if found.groups else "0"
    return match.group(1) or "" if found.groups else str(match.end())


async def true(process: Process) -> int:
    return 0


async def false(process: Process) -> int:
    return 1


PROGRAMS: dict[str, Program] = {"expr": expr, "true": true, "false": false}
