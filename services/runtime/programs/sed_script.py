"""sed's language: from a script to a flat list of steps, whose jumps are indexes. Bounded in length."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from services.runtime.programs.patterns import Pattern, basic, extended

STEPS_MAX = 1_000
_NUMBER = re.compile(r"\d{1,9}")


class BadScript(ValueError):
    pass


@dataclass(frozen=True, slots=True)
class Address:
    kind: str  # line, last, step, plus, regex
    number: int = 0
    step: int = 0
    regex: Pattern | None = None


@dataclass(slots=True)
class Step:
    first: Address | None
    last: Address | None
    negated: bool
    command: str
    regex: Pattern | None = None
    text: str = ""  # of a, i, c; the file of r, w; the label of a jump; the exit status of q
    replacement: list[tuple[str, str]] = field(default_factory=list)  # text, group, case
    which: int = 1
    everywhere: bool = False
    prints: bool = False
    table: dict[int, int] = field(default_factory=dict)
    target: int = 0


def compiled(script: str, *, is_extended: bool, busybox: bool) -> list[Step]:
    reader = _Reader(script, is_extended=is_extended, busybox=busybox)
    reader.read()
    return reader.steps


class _Reader:
    def __init__(self, script: str, *, is_extended: bool, busybox: bool) -> None:
        self._script, self._at = script, 0
        self._regex = extended if is_extended else basic
        self._busybox = busybox
        self._last_pattern = ""
        self.steps: list[Step] = []
        self._labels: dict[str, int] = {}
        self._open: list[int] = []

    def _fail(self, busybox: str, gnu: str = "") -> BadScript:
        return BadScript(busybox if self._busybox or not gnu else gnu)

    def read(self) -> None:
        while True:
            self._skip(" \t\n;")
            if self._at >= len(self._script):
                break
            if self._peek() == "#":
                end = self._script.find("\n", self._at)
                self._at = len(self._script) if end < 0 else end
                continue
            self._step()
            if len(self.steps) > STEPS_MAX:
                raise BadScript("too long")
        if self._open:
            raise self._fail("unmatched '{'", "unmatched `{'")
        for step in self.steps:
            if step.command in ("b", "t", "T"):
                if step.text and step.text not in self._labels:
                    raise self._fail(
                        f"can't find label for jump to '{step.text}'",
                        f"can't find label for jump to `{step.text}'",
                    )
                step.target = self._labels[step.text] if step.text else len(self.steps)

    def _peek(self) -> str:
        return self._script[self._at : self._at + 1]

    def _skip(self, signs: str) -> None:
        while self._at < len(self._script) and self._script[self._at] in signs:
            self._at += 1

    def _step(self) -> None:
        first = self._address()
        last = None
        self._skip(" \t")
        if first is not None and self._peek() == ",":
            self._at += 1
            self._skip(" \t")
            last = self._address(second=True)
            if last is None:
                raise self._fail("no address after comma", "unexpected `,'")
        self._skip(" \t")
        negated = False
        while self._peek() == "!":
            negated = True
            self._at += 1
            self._skip(" \t")
        command = self._peek()
        self._at += 1
        step = Step(first, last, negated, command)
        if command == "}":
            if not self._open:
                raise self._fail("unexpected '}'", "unexpected `}'")
            self.steps[self._open.pop()].target = len(self.steps)
            return
        if command == ":":
            self._labels[self._word()] = len(self.steps)
            return
        self._arguments(step)
        self.steps.append(step)

    def _arguments(self, step: Step) -> None:
        command = step.command
        if command == "{":
            self._open.append(len(self.steps))
        elif command == "s":
            self._substitution(step)
        elif command == "y":
            before, after = self._parts()
            before, after = (text.replace("\\n", "\n").replace("\\\\", "\\") for text in (before, after))
            if len(before) != len(after):
                raise self._fail(
                    "y strings have different lengths", "strings for `y' command are different lengths"
                )
            step.table = {ord(a): ord(b) for a, b in zip(before, after, strict=True)}
        elif command in ("a", "i", "c"):
            step.text = self._text()
        elif command in ("b", "t", "T"):
            step.text = self._word()
        elif command in ("r", "w", "R", "W"):
            self._skip(" \t")
            step.text = self._rest()
        elif command in ("q", "Q"):
            self._skip(" \t")
            match = _NUMBER.match(self._script, self._at)
            step.text = match[0] if match else ""
            self._at = match.end() if match else self._at
        elif not command:
            raise self._fail("missing command", "missing command")
        elif command not in "dDpPnNhHgGx=l":
            raise self._fail(f"unsupported command {command}", f"unknown command: `{command}'")

    def _rest(self) -> str:
        end = self._script.find("\n", self._at)
        end = len(self._script) if end < 0 else end
        text, self._at = self._script[self._at : end], end
        return text

    def _word(self) -> str:
        self._skip(" \t")
        start = self._at
        while self._at < len(self._script) and self._script[self._at] not in "\n;}":
            self._at += 1
        return self._script[start : self._at].strip()

    def _text(self) -> str:
        """What a, i and c put in: up to a line end that no backslash stands before."""
        self._skip(" \t")
        if self._script.startswith("\\\n", self._at):
            self._at += 2
        elif self._peek() == "\\":
            self._at += 1
            self._skip(" \t")
        out: list[str] = []
        while self._at < len(self._script) and self._script[self._at] != "\n":
            if self._script[self._at] == "\\":
                self._at += 1
            out.append(self._peek())
            self._at += 1
        return "".join(out)

    def _address(self, *, second: bool = False) -> Address | None:
        match = _NUMBER.match(self._script, self._at)
        if match:
            self._at = match.end()
            if self._peek() == "~":
                self._at += 1
                step = _NUMBER.match(self._script, self._at)
                self._at = step.end() if step else self._at
                if self._busybox:
                    raise BadScript("unsupported command ~")
                return Address("step", int(match[0]), int(step[0]) if step else 0)
            return Address("line", int(match[0]))
        sign = self._peek()
        if sign == "$":
            self._at += 1
            return Address("last")
        if second and sign == "+":
            self._at += 1
            match = _NUMBER.match(self._script, self._at)
            self._at = match.end() if match else self._at
            return Address("plus", int(match[0]) if match else 0)
        if sign in ("/", "\\") and sign:
            self._at += sign == "\\"
            pattern = self._delimited(self._peek(), unterminated="unterminated address regex")
            ignore = self._peek() == "I"
            self._at += ignore
            return Address("regex", regex=self._pattern(pattern, ignore_case=ignore))
        return None

    def _pattern(self, text: str, *, ignore_case: bool) -> Pattern:
        self._last_pattern = text or self._last_pattern
        if not self._last_pattern:
            raise self._fail("no previous regexp", "no previous regular expression")
        return self._regex(self._last_pattern, ignore_case=ignore_case)

    def _delimited(self, sign: str, *, unterminated: str) -> str:
        """What stands between here and the next such sign; brackets hide it."""
        if not sign or sign in "\n\\":
            raise self._fail(f"unmatched '{sign or '/'}'", unterminated)
        self._at += 1
        out: list[str] = []
        bracket = False
        while self._at < len(self._script):
            letter = self._script[self._at]
            if letter == "\\" and not bracket:
                following = self._script[self._at + 1 : self._at + 2]
                out.append(
                    following if following == sign and sign not in ".*[]^$+?(){}|" else letter + following
                )
                self._at += 2
                continue
            if letter == "[" and not bracket:
                bracket = True
                body = re.compile(r"\[\^?\]?").match(self._script, self._at)
                assert body is not None
                out.append(body[0])
                self._at = body.end()
                bracket = self._script.find("]", self._at) >= 0
                continue
            if letter == "]":
                bracket = False
            if letter == sign and not bracket:
                self._at += 1
                return "".join(out)
            out.append(letter)
            self._at += 1
        raise self._fail(f"unmatched '{sign}'", unterminated)

    def _parts(self) -> tuple[str, str]:
        sign = self._peek()
        first = self._delimited(sign, unterminated="unterminated `s' command")
        start = self._at
        while self._at < len(self._script) and self._script[self._at] != sign:
            self._at += 2 if self._script[self._at] == "\\" else 1
        if self._at >= len(self._script):
            raise self._fail(f"unmatched '{sign}'", "unterminated `s' command")
        second = self._script[start : self._at].replace("\\" + sign, sign)
        self._at += 1
        return first, second

    def _substitution(self, step: Step) -> None:
        pattern, replacement = self._parts()
        ignore = False
        while self._at < len(self._script):
            sign = self._script[self._at]
            if sign == "g":
                step.everywhere = True
            elif sign == "p":
                step.prints = True
            elif sign in "iI":
                ignore = True
            elif sign == "w":
                self._at += 1
                self._skip(" \t")
                step.text = self._rest()
                break
            elif sign.isdigit():
                match = _NUMBER.match(self._script, self._at)
                assert match is not None
                step.which = max(int(match[0]), 1)
                self._at = match.end() - 1
            elif sign in " \t\n;}#":
                break
            else:
                raise self._fail(f"unknown option to s command", "unknown option to `s'")  # noqa: F541
            self._at += 1
        step.regex = self._pattern(pattern, ignore_case=ignore)
        step.replacement = _replacement(replacement)
        highest = max((int(value) for kind, value in step.replacement if kind == "group"), default=0)
        if highest > step.regex.groups:
            raise self._fail(
                f"invalid reference \\{highest} on s command's RHS",
                f"invalid reference \\{highest} on `s' command's RHS",
            )


def _replacement(text: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    plain: list[str] = []

    def put(kind: str, value: str) -> None:
        if plain:
            found.append(("text", "".join(plain)))
            plain.clear()
        found.append((kind, value))

    at = 0
    while at < len(text):
        sign = text[at]
        at += 1
        if sign == "&":
            put("group", "0")
        elif sign == "\\" and at < len(text):
            following = text[at]
            at += 1
            if following.isdigit():
                put("group", following)
            elif following in "ULulE":
                put("case", following)
            else:
                plain.append({"n": "\n", "t": "\t"}.get(following, following))
        else:
            plain.append(sign)
    if plain:
        found.append(("text", "".join(plain)))
    return found
