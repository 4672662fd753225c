"""test, [, expr, true, false."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from services.runtime.filesystem import DIRECTORY, FILE, LINK, normal
from services.runtime.processes import Process, Program
from services.runtime.programs.patterns import BadPattern, basic


class Malformed(Exception):
    pass


async def test(process: Process, words: Sequence[str]) -> int:
    arguments = list(words[1:])
    if words[0] == "[" or words[0].endswith("/["):
        if not arguments or arguments[-1] != "]":
            await process.complain(f"{process.argv[0].rpartition('/')[2]}: [: missing ]")
            return 2
        arguments.pop()
    try:
        return 0 if _Test(process, arguments).run() else 1
    except Malformed as error:
        await process.complain(f"{process.argv[0].rpartition('/')[2]}: {words[0]}: {error}")
        return 2


class _Test:
    """POSIX' rules by the number of words come first: `[ -n ]` and `[ = = = ]` are what they are."""

    def __init__(self, process: Process, words: list[str]) -> None:
        self._process, self._words, self._at = process, words, 0

    def run(self) -> bool:
        words = self._words
        if not words:
            return False
        if len(words) == 1:
            return words[0] != ""
        if len(words) == 3 and words[1] in _BINARY:
            return self._compare(words[0], words[1], words[2])
        value = self._or()
        if self._at < len(words):
            raise Malformed(f"{words[self._at]}: unexpected operator")
        return value

    def _peek(self) -> str | None:
        return self._words[self._at] if self._at < len(self._words) else None

    def _take(self) -> str:
        if self._at >= len(self._words):
            raise Malformed("argument expected")
        self._at += 1
        return self._words[self._at - 1]

    def _or(self) -> bool:
        value = self._and()
        while self._peek() == "-o":
            self._take()
            value = self._and() or value
        return value

    def _and(self) -> bool:
        value = self._not()
        while self._peek() == "-a":
            self._take()
            value = self._not() and value
        return value

    def _not(self) -> bool:
        if self._peek() == "!" and self._at + 1 < len(self._words):
            self._take()
            return not self._not()
        return self._primary()

    def _primary(self) -> bool:
        word = self._take()
        if self._peek() in _BINARY and self._at + 1 < len(self._words):
            operator = self._take()
            return self._compare(word, operator, self._take())
        if word == "(":
            value = self._or()
            if self._take() != ")":
                raise Malformed("closing paren expected")
            return value
        if (
            len(word) == 2
            and word[0] == "-"
            and word[1] in "bcdefghkLnprsStuwxzGO"
            and self._peek() is not None
        ):
            return self._unary(word[1], self._take())
        return word != ""

    def _unary(self, letter: str, operand: str) -> bool:
        if letter in "nz":
            return (operand != "") == (letter == "n")
        if letter == "t":
            stream = self._process.streams.get(int(operand) if operand.isdigit() else -1)
            return stream is not None and stream.terminal
        filesystem = self._process.container.filesystem
        try:
            entry = filesystem.lookup(normal(operand, self._process.cwd), follow=letter not in "hL")
        except OSError:
            return False
        checks: dict[str, bool] = {
            "d": entry.kind == DIRECTORY, "f": entry.kind == FILE, "h": entry.kind == LINK,
            "L": entry.kind == LINK,
            "s": len(entry.content()) > 0, "x": bool(entry.mode & 0o111), "c": entry.kind == "c", "b": False,
            "p": False, "S": False, "u": False, "g": False, "k": False,
        }  # fmt: skip
        return checks.get(letter, True)

    def _compare(self, left: str, operator: str, right: str) -> bool:
        if operator in _NUMBERS:
            return _NUMBERS[operator](_integer(left), _integer(right))
        if operator in ("=", "=="):
            return left == right
        if operator == "!=":
            return left != right
        if operator in ("<", ">"):
            return left < right if operator == "<" else left > right
        filesystem, cwd = self._process.container.filesystem, self._process.cwd
        times = []
        for path in (left, right):
            try:
                times.append(filesystem.lookup(normal(path, cwd)).modified)
            except OSError:
                times.append(-1.0)
        if operator == "-ef":
            return normal(left, cwd) == normal(right, cwd)
        return times[0] > times[1] if operator == "-nt" else times[0] < times[1]


def _integer(text: str) -> int:
    if not re.fullmatch(r"\s*[-+]?\d{1,30}\s*", text):
        raise Malformed(f"Illegal number: {text}")
    return int(text)


_NUMBERS: dict[str, Callable[[int, int], bool]] = {
    "-eq": lambda a, b: a == b, "-ne": lambda a, b: a != b, "-lt": lambda a, b: a < b,
    "-le": lambda a, b: a <= b, "-gt": lambda a, b: a > b, "-ge": lambda a, b: a >= b,
}  # fmt: skip
_BINARY = frozenset({*_NUMBERS, "=", "==", "!=", "<", ">", "-nt", "-ot", "-ef"})


async def test_program(process: Process) -> int:
    return await test(process, process.argv)


async def expr(process: Process) -> int:
    try:
        value = _Expression(list(process.argv[1:])).run()
    except Malformed as error:
        await process.complain(f"expr: {error}")
        return 2
    await process.write(value + "\n")
    return 0 if value not in ("", "0") else 1


_ORDERS: dict[str, Callable[[int], bool]] = {
    "=": lambda order: order == 0, "==": lambda order: order == 0, "!=": lambda order: order != 0,
    "<": lambda order: order < 0, "<=": lambda order: order <= 0, ">": lambda order: order > 0,
    ">=": lambda order: order >= 0,
}  # fmt: skip


class _Expression:
    LEVELS = (("|",), ("&",), ("=", "==", "!=", "<", "<=", ">", ">="), ("+", "-"), ("*", "/", "%"), (":",))

    def __init__(self, words: list[str]) -> None:
        self._words, self._at = words, 0

    def run(self) -> str:
        value = self._level(0)
        if self._at < len(self._words):
            raise Malformed("syntax error")
        return value

    def _level(self, level: int) -> str:
        if level == len(self.LEVELS):
            return self._primary()
        value = self._level(level + 1)
        while self._at < len(self._words) and self._words[self._at] in self.LEVELS[level]:
            operator = self._words[self._at]
            self._at += 1
            value = self._apply(operator, value, self._level(level + 1))
        return value

    def _primary(self) -> str:
        if self._at >= len(self._words):
            raise Malformed("syntax error")
        word = self._words[self._at]
        self._at += 1
        if word == "(":
            value = self._level(0)
            self._at += 1
            return value
        if word == "length" and self._at < len(self._words):
            return str(len(self._primary()))
        return word

    def _apply(self, operator: str, left: str, right: str) -> str:
        if operator == "|":
            return left if left not in ("", "0") else right
        if operator == "&":
            return left if left not in ("", "0") and right not in ("", "0") else "0"
        if operator == ":":
            return _matched(left, right)
        numbers = [re.fullmatch(r"-?\d{1,30}", text) for text in (left, right)]
        if operator in _ORDERS:
            order = (
                (int(left) > int(right)) - (int(left) < int(right))
                if all(numbers)
                else (left > right) - (left < right)
            )
            return str(int(_ORDERS[operator](order)))
        if not all(numbers):
            raise Malformed("non-integer argument")
        first, second = int(left), int(right)
        if operator in "/%" and second == 0:
            raise Malformed("division by zero")
        quotient = abs(first) // abs(second) * (1 if (first < 0) == (second < 0) else -1) if second else 0
        return str({"+": first + second, "-": first - second, "*": first * second, "/": quotient,
                    "%": first - quotient * second}[operator])  # fmt: skip


def _matched(text: str, pattern: str) -> str:
    try:
        match = basic(pattern).match(text)
    except BadPattern as error:
        raise Malformed(f"bad regex '{pattern}': {error}") from error
    if match is None:
        return "" if match is None and "\\(" in pattern else "0"
    return match[1] if match.re.groups else str(match.end())


async def true(process: Process) -> int:
    return 0


async def false(process: Process) -> int:
    return 1


PROGRAMS: dict[str, Program] = {
    "test": test_program,
    "[": test_program,
    "expr": expr,
    "true": true,
    "false": false,
}
