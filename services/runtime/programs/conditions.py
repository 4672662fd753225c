"""test, [, expr, true, false."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence

from services.runtime.dialect import Dialect
from services.runtime.filesystem import DIRECTORY, FILE, LINK, Entry, normal
from services.runtime.processes import Process, Program

DEPTH_MAX = 100


class Malformed(Exception):
    pass


Complain = Callable[[str], Awaitable[None]]

# What each shell says: no number, something left over, an operand lacking, no closing bracket.
WORDS_OF_TEST = {
    Dialect.DASH: ("Illegal number: {}", "{}: unexpected operator", "{}: argument expected", "missing ]"),
    Dialect.ASH: ("{}: bad number", "{}: unknown operand", "argument expected", "missing ]"),
    Dialect.BASH: (
        "{}: integer expression expected", "{}: binary operator expected", "argument expected", "missing `]'"
    ),
}  # fmt: skip


async def test(
    process: Process, words: Sequence[str], complain: Complain, wording: tuple[str, str, str, str]
) -> int:
    arguments = list(words[1:])
    if words[0].rpartition("/")[2] == "[":
        if not arguments or arguments[-1] != "]":
            await complain(wording[3])
            return 2
        arguments.pop()
    try:
        return 0 if _Test(process, arguments, wording).run() else 1
    except Malformed as error:
        await complain(str(error))
        return 2


class _Test:
    """POSIX' rules by the number of words come first: `[ -n ]` and `[ = = = ]` are what they are."""

    def __init__(self, process: Process, words: list[str], wording: tuple[str, str, str, str]) -> None:
        self._process, self._words, self._at = process, words, 0
        self._wording = wording
        self._depth = 0

    def run(self) -> bool:
        words = self._words
        if not words:
            return False
        if len(words) == 1:
            return words[0] != ""
        if len(words) == 2 and words[0] == "!":
            return words[1] == ""
        if len(words) == 3 and words[1] in _BINARY:
            return self._compare(words[0], words[1], words[2])
        value = self._or()
        if self._at < len(words):
            raise Malformed(self._wording[1].format(words[self._at - (len(words) == 2)]))
        return value

    def _peek(self) -> str | None:
        return self._words[self._at] if self._at < len(self._words) else None

    def _take(self) -> str:
        if self._at >= len(self._words):
            raise Malformed(self._wording[2].format(self._words[-1] if self._words else ""))
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
            self._deeper()
            return not self._not()
        return self._primary()

    def _deeper(self) -> None:
        self._depth += 1
        if self._depth > DEPTH_MAX:
            raise Malformed("too deep")

    def _primary(self) -> bool:
        word = self._take()
        if self._peek() in _BINARY and self._at + 1 < len(self._words):
            operator = self._take()
            return self._compare(word, operator, self._take())
        if word == "(" and self._at < len(self._words):
            self._deeper()
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
            return unary(self._process, word[1], self._take())
        if self._peek() in _NUMBERS:  # an operator without what it should stand before
            raise Malformed(self._wording[2].format(self._peek()))
        return word != ""

    def _compare(self, left: str, operator: str, right: str) -> bool:
        if operator in _NUMBERS:
            return _NUMBERS[operator](self._integer(left), self._integer(right))
        if operator in ("=", "=="):
            return left == right
        if operator == "!=":
            return left != right
        if operator in ("<", ">"):
            return left < right if operator == "<" else left > right
        return compare_files(self._process, left, operator, right)

    def _integer(self, text: str) -> int:
        if not re.fullmatch(r"\s*[-+]?\d{1,30}\s*", text):
            raise Malformed(self._wording[0].format(text))
        return int(text)


def unary(process: Process, letter: str, operand: str) -> bool:
    """-f, -d, -n and their kin; also for [[."""
    if letter in "nz":
        return (operand != "") == (letter == "n")
    if letter == "t":
        stream = process.streams.get(int(operand) if operand.isdigit() else -1)
        return stream is not None and stream.terminal
    filesystem = process.container.filesystem
    try:
        entry = filesystem.lookup(normal(operand, process.cwd), follow=letter not in "hL")
    except OSError:
        return False
    checks: dict[str, bool] = {
        "d": entry.kind == DIRECTORY, "f": entry.kind == FILE, "h": entry.kind == LINK,
        "L": entry.kind == LINK,
        "s": len(entry.content()) > 0, "x": bool(entry.mode & 0o111), "c": entry.kind == "c", "b": False,
        "p": False, "S": False, "u": False, "g": False, "k": False,
    }  # fmt: skip
    return checks.get(letter, True)


def compare_files(process: Process, left: str, operator: str, right: str) -> bool:
    filesystem, cwd = process.container.filesystem, process.cwd
    found: list[Entry | None] = []
    for operand in (left, right):
        try:
            found.append(filesystem.lookup(normal(operand, cwd)))
        except OSError:
            # busybox compares nothing with what is not there, the others call it older.
            if operator == "-ef" or filesystem.exists("/bin/busybox"):
                return False
            found.append(None)
    if operator == "-ef":
        return filesystem.resolve(normal(left, cwd)) == filesystem.resolve(normal(right, cwd))
    times = [entry.modified if entry is not None else -1.0 for entry in found]
    return times[0] > times[1] if operator == "-nt" else times[0] < times[1]


_NUMBERS: dict[str, Callable[[int, int], bool]] = {
    "-eq": lambda a, b: a == b, "-ne": lambda a, b: a != b, "-lt": lambda a, b: a < b,
    "-le": lambda a, b: a <= b, "-gt": lambda a, b: a > b, "-ge": lambda a, b: a >= b,
}  # fmt: skip
_BINARY = frozenset({*_NUMBERS, "=", "==", "!=", "<", ">", "-nt", "-ot", "-ef"})


async def test_program(process: Process) -> int:
    dialect = Dialect.ASH if process.container.filesystem.exists("/bin/busybox") else Dialect.DASH
    called = process.argv[0].rpartition("/")[2]
    return await test(
        process, process.argv, lambda words: process.complain(f"{called}: {words}"), WORDS_OF_TEST[dialect]
    )


PROGRAMS: dict[str, Program] = {"test": test_program, "[": test_program}
