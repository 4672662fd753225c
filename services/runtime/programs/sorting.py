"""sort, uniq, shuf."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from services.runtime.opening import open_file
from services.runtime.processes import Process, Program
from services.runtime.programs.input import Lines, Pace, contents, joined, lines_of, words_of
from services.runtime.programs.options import busybox, numeric, options

SORT = "[-nrugMcszbdfiokt] [-o FILE] [-k START[.OFS][OPTS][,END[.OFS][OPTS]] [-t CHAR] [FILE]..."
_KEY = re.compile(r"(\d{1,6})(?:\.(\d{1,6}))?([bdfgiMhnrV]*)(?:,(\d{1,6})(?:\.(\d{1,6}))?([bdfgiMhnrV]*))?")
_NUMBER = re.compile(r"\s*(-?\d*\.?\d*)([KMGTPE]?)")
_UNITS = {unit: power for power, unit in enumerate("KMGTPE", 1)}
LINES_MAX = 300_000  # what is sorted at once, in about half a second
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")


@dataclass(frozen=True, slots=True)
class Key:
    first: int = 1
    first_offset: int = 1
    last: int = 0  # 0: the end of the line
    last_offset: int = 0
    flags: frozenset[str] = field(default_factory=frozenset)


async def sort(process: Process) -> int:
    letters = "nrufk:t:bo:VgscMzdiS:T:m" + ("" if busybox(process) else "h")
    long = {
        "reverse": "r",
        "numeric-sort": "n",
        "unique": "u",
        "key": "k",
        "field-separator": "t",
        "output": "o",
        "human-numeric-sort": "h",
        "version-sort": "V",
        "ignore-case": "f",
        "stable": "s",
        "check": "c",
    }
    found, operands = await options(process, letters, long=long, synopsis=SORT, status=2)
    inputs, status = await contents(process, operands)
    if status:
        return 2
    ending = "\0" if "z" in found else "\n"
    lines = [line for _, data in inputs for line in _lines(data, ending)]
    if len(lines) > LINES_MAX:
        await process.complain("sort: out of memory")
        return 2
    general = frozenset(found.keys() & set("bdfgiMhnrV"))
    keys: list[Key] = []
    for text in found.get("k", "").split("\n") if "k" in found else ():
        match = _KEY.fullmatch(text)
        if match is None or match[1] == "0":
            await process.complain(
                f"sort: bad field specification '{text}'"
                if busybox(process)
                else f"sort: invalid number at field start: invalid count at start of ‘{text}’"
            )
            return 2
        own = frozenset((match[3] or "") + (match[6] or ""))
        keys.append(
            Key(int(match[1]), int(match[2] or 1), int(match[4] or 0), int(match[5] or 0), own or general)
        )
    keys = keys or [Key(flags=general)]
    separator = found.get("t")
    if "c" in found:
        return await _check(process, lines, keys, separator)
    ordered = _ordered(lines, keys, separator, general, stable=bool(found.keys() & {"s", "u"}))
    if "u" in found:
        ordered = _unique(ordered, keys, separator)
    text = "".join(f"{line}{ending}" for line in ordered)
    if "o" in found:
        try:
            await open_file(process, found["o"], ">").write(text.encode("utf-8", "surrogateescape"))
        except OSError as error:
            await process.complain(f"sort: {found['o']}: {words_of(error)}")
            return 2
    else:
        await process.write(text)
    return 0


def _lines(data: bytes, ending: str) -> list[str]:
    if ending == "\n":
        return lines_of(data)
    return [piece for piece in data.decode("utf-8", "surrogateescape").split("\0") if piece]


def _ordered(
    lines: list[str], keys: list[Key], separator: str | None, general: frozenset[str], *, stable: bool
) -> list[str]:
    """Sorted by the last resort first, then by each key from the least: every sort keeps what came before."""
    found = list(lines)
    if not stable:
        found.sort(key=_bytes, reverse="r" in general)
    for key in reversed(keys):
        found.sort(key=_value_of(key, separator), reverse="r" in key.flags)
    return found


def _bytes(line: str) -> bytes:
    return line.encode("utf-8", "surrogateescape")


def _unique(lines: list[str], keys: list[Key], separator: str | None) -> list[str]:
    values = [_value_of(key, separator) for key in keys]
    kept: list[str] = []
    last: object = None
    for line in lines:
        value = [one(line) for one in values]
        if not kept or value != last:
            kept.append(line)
        last = value
    return kept


async def _check(process: Process, lines: list[str], keys: list[Key], separator: str | None) -> int:
    values = [(_value_of(key, separator), "r" in key.flags) for key in keys]
    for number in range(1, len(lines)):
        for value, backwards in values:
            before, after = value(lines[number - 1]), value(lines[number])
            if before == after:
                continue
            if (before > after) != backwards:
                words = f"Check line {number}" if busybox(process) else (
                    f"sort: -:{number + 1}: disorder: {lines[number]}"
                )  # fmt: skip
                await process.complain(words)
                return 1
            break
    return 0


def _value_of(key: Key, separator: str | None) -> Callable[[str], Any]:
    flags = key.flags
    whole = key == Key(flags=flags)

    def value(line: str) -> Any:
        text = line if whole else _cut(line, key, separator)
        if flags & {"n", "g", "h"}:
            match = _NUMBER.match(text)
            digits = match[1] if match else ""
            amount = float(digits) if digits not in ("", "-", ".", "-.") else 0.0
            if "h" in flags and match:
                return (_UNITS.get(match[2], 0) * (1 if amount >= 0 else -1), amount)
            return amount
        if "M" in flags:
            month = text.strip()[:3].upper()
            return _MONTHS.index(month) + 1 if month in _MONTHS else 0
        if "V" in flags:
            return [
                (0, int(piece[:18]), "") if piece.isdigit() else (1, 0, piece)
                for piece in re.split(r"(\d+)", text)
                if piece
            ]
        if "b" in flags:
            text = text.lstrip(" \t")
        if "d" in flags:
            text = "".join(sign for sign in text if sign.isalnum() or sign in " \t")
        return _bytes(text.upper() if "f" in flags else text)

    return value


def _cut(line: str, key: Key, separator: str | None) -> str:
    """The part of the line that a key names; without a separator a field begins with the blanks before it."""
    spans = (
        [(match.start(), match.end()) for match in re.finditer(r"[ \t]*[^ \t]+|[ \t]+$", line)]
        if separator is None
        else _separated(line, separator)
    )
    if key.first > len(spans):
        return ""
    start = spans[key.first - 1][0]
    if "b" in key.flags or key.first_offset > 1:
        if "b" in key.flags:
            start += len(line[start:]) - len(line[start:].lstrip(" \t"))
        start += key.first_offset - 1
    if not key.last or key.last > len(spans):
        return line[start:]
    end = spans[key.last - 1][0] + key.last_offset if key.last_offset else spans[key.last - 1][1]
    return line[start:end]


def _separated(line: str, separator: str) -> list[tuple[int, int]]:
    spans, at = [], 0
    for piece in line.split(separator[:1] or "\t"):
        spans.append((at, at + len(piece)))
        at += len(piece) + 1
    return spans


async def uniq(process: Process) -> int:
    found, operands = await options(
        process, "cdDuif:s:w:", synopsis="[-cduiz] [-f,s,w N] [FILE [OUTFILE]]",
        long={"count": "c", "repeated": "d", "unique": "u", "ignore-case": "i"},
    )  # fmt: skip
    skip_fields, skip = [int(await numeric(process, found.get(letter, "0"))) for letter in "fs"]
    width = int(await numeric(process, found["w"])) if "w" in found else None
    lines, pace = Lines(process, operands[:1]), Pace(process)

    def key(line: str) -> str:
        text = re.sub(rf"^(?:[ \t]*[^ \t]+){{0,{min(skip_fields, 100)}}}", "", line) if skip_fields else line
        text = text[skip:] if width is None else text[skip : skip + width]
        return text.lower() if "i" in found else text

    current: str | None = None
    count = 0
    while True:
        line = await lines.next()
        if line is not None and current is not None and key(line) == key(current):
            count += 1
            continue
        if current is not None and ("d" not in found or count > 1) and ("u" not in found or count == 1):
            await process.write(f"{count:7d} {current}\n" if "c" in found else f"{current}\n")
        if line is None:
            return int(lines.failed)
        current, count = line, 1
        await pace.spend(len(line))


async def shuf(process: Process) -> int:
    found, operands = await options(process, "ei:n:r", synopsis="[-n NUM] [-e ARG... | -i L-H | FILE]")
    if "i" in found:
        low, _, high = found["i"].partition("-")
        first, last = int(await numeric(process, low)), int(await numeric(process, high or low))
        lines = [str(number) for number in range(first, min(last, first + 100_000) + 1)]
    elif "e" in found:
        lines = operands
    else:
        inputs, _ = await contents(process, operands[:1])
        lines = [line for _, data in inputs for line in lines_of(data)]
    lines = list(lines)
    process.container.machine.random.shuffle(lines)
    await process.write(joined(lines[: int(await numeric(process, found["n"]))] if "n" in found else lines))
    return 0


PROGRAMS: dict[str, Program] = {"sort": sort, "uniq": uniq, "shuf": shuf}
