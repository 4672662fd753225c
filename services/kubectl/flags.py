"""Flags as kubectl reads them: anywhere on the line, `-ojson`, `-o=json`, `--output json`, `--now`.

A small layer that follows spf13/pflag and cobra, error texts included, because people learn those
texts by heart; argparse and click say other words. Pure: declarations and words go in, a `Parsed`
comes out, `FlagError` carries what to print.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from services.machinery import duration


class FlagError(Exception):
    """What is wrong with the line; the caller adds where to find help."""


class InvalidValue(ValueError):
    """A value that its flag cannot take; the text is Go's."""


@dataclass(frozen=True, slots=True)
class Flag:
    """`bare` is the value that the flag has when written without one (pflag: NoOptDefVal)."""

    name: str
    help: str = ""
    default: Any = ""
    short: str = ""
    parse: Callable[[str], Any] = str
    bare: str | None = None
    repeated: bool = False  # values add up
    split: bool = False  # one value may hold several, parted by commas
    required: bool = False
    hidden: bool = False

    def shown_default(self) -> str:
        if self.repeated:
            return f"[{','.join(self.default)}]"
        if isinstance(self.default, bool):
            return "true" if self.default else "false"
        if self.parse is duration.parse:
            return duration.go(self.default)
        return f"'{self.default}'" if isinstance(self.default, str) else str(self.default)


def _boolean(text: str) -> bool:
    if text in ("1", "t", "T", "TRUE", "true", "True"):
        return True
    if text in ("0", "f", "F", "FALSE", "false", "False"):
        return False
    raise InvalidValue(f'strconv.ParseBool: parsing "{text}": invalid syntax')


def _integer(text: str) -> int:
    if not re.fullmatch(r"[+-]?\d+", text):
        raise InvalidValue(f'strconv.ParseInt: parsing "{text}": invalid syntax')
    number = int(text)
    if not -(2**63) <= number < 2**63:
        raise InvalidValue(f'strconv.ParseInt: parsing "{text}": value out of range')
    return number


def boolean(name: str, help: str = "", *, short: str = "", default: bool = False) -> Flag:
    return Flag(name, help, default, short, _boolean, bare="true")


def text(
    name: str,
    help: str = "",
    *,
    short: str = "",
    default: str = "",
    bare: str | None = None,
    required: bool = False,
) -> Flag:
    return Flag(name, help, default, short, bare=bare, required=required)


def integer(name: str, help: str = "", *, default: int = 0, required: bool = False, short: str = "") -> Flag:
    return Flag(name, help, default, short, _integer, required=required)


def seconds(name: str, help: str = "", *, default: float = 0) -> Flag:
    return Flag(name, help, default, parse=duration.parse)


def texts(name: str, help: str = "", *, short: str = "", split: bool = True, required: bool = False) -> Flag:
    return Flag(name, help, (), short, repeated=True, split=split, required=required)


@dataclass
class Parsed:
    """The values of all flags, which of them were written, and the words that are no flags."""

    values: dict[str, Any]
    args: list[str] = field(default_factory=list)
    written: set[str] = field(default_factory=set)
    dash: int = -1  # how many arguments stood before `--`; -1 without one

    def __getitem__(self, name: str) -> Any:
        return self.values[name]

    def get(self, name: str, default: Any = None) -> Any:
        return self.values.get(name, default)

    def changed(self, name: str) -> bool:
        return name in self.written


def parse(declared: Iterable[Flag], words: Sequence[str]) -> Parsed:
    """Reads a whole line. FlagError at the first word that does not fit."""
    by_name = {flag.name: flag for flag in declared}
    by_short = {flag.short: flag for flag in by_name.values() if flag.short}
    parsed = Parsed({flag.name: flag.default for flag in by_name.values()})
    rest = list(reversed(words))
    while rest:
        word = rest.pop()
        if word == "--":
            parsed.dash = len(parsed.args)
            parsed.args.extend(reversed(rest))
            break
        if word.startswith("--"):
            _long(word, rest, by_name, parsed)
        elif word.startswith("-") and word != "-":
            _bundle(word, rest, by_short, parsed)
        else:
            parsed.args.append(word)
    return parsed


def check_required(declared: Iterable[Flag], parsed: Parsed) -> None:
    missing = [flag.name for flag in declared if flag.required and flag.name not in parsed.written]
    if missing:
        names = ", ".join(f'"{name}"' for name in sorted(missing))
        raise FlagError(f"required flag(s) {names} not set")


def _long(word: str, rest: list[str], by_name: dict[str, Flag], parsed: Parsed) -> None:
    name, equals, value = word[2:].partition("=")
    if not name or name.startswith("-"):
        raise FlagError(f"bad flag syntax: {word}")
    flag = by_name.get(name)
    if flag is None:
        if name == "help":
            raise Help
        raise FlagError(f"unknown flag: --{name}")
    if not equals:
        if flag.bare is not None:
            value = flag.bare
        elif rest:
            value = rest.pop()
        else:
            raise FlagError(f"flag needs an argument: {word}")
    _set(flag, value, parsed)


def _bundle(word: str, rest: list[str], by_short: dict[str, Flag], parsed: Parsed) -> None:
    letters = word[1:]
    while letters:
        letter, letters = letters[0], letters[1:]
        flag = by_short.get(letter)
        if flag is None:
            if letter == "h":
                raise Help
            raise FlagError(f"unknown shorthand flag: '{letter}' in -{letter}{letters}")
        if letters.startswith("="):
            return _set(flag, letters[1:], parsed)
        if flag.bare is not None:
            _set(flag, flag.bare, parsed)
        elif letters:
            return _set(flag, letters, parsed)
        elif rest:
            return _set(flag, rest.pop(), parsed)
        else:
            raise FlagError(f"flag needs an argument: '{letter}' in -{letter}")
    return None


class Help(Exception):
    """`-h` or `--help` stood on the line."""


def _set(flag: Flag, text: str, parsed: Parsed) -> None:
    try:
        if flag.repeated:
            values = text.split(",") if flag.split else [text]
            before = parsed.values[flag.name] if flag.name in parsed.written else ()
            parsed.values[flag.name] = (*before, *values)
        else:
            parsed.values[flag.name] = flag.parse(text)
    except ValueError as error:
        name = f"-{flag.short}, --{flag.name}" if flag.short else f"--{flag.name}"
        raise FlagError(f'invalid argument "{text}" for "{name}" flag: {error}') from error
    parsed.written.add(flag.name)
