"""Cron schedules: five fields of numbers, names, ranges and steps, or a word for a common one.

The dialect of upstream's `robfig/cron`, refusals word for word. Pure: what a schedule means at some moment,
and in which time zone, is for whoever runs it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from services.machinery import duration

_NAMED = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_EVERY = "@every "
_INTEGER_CHARACTERS_MAX = 4000  # Python reads no longer ones; the value is out of range long before.


class CronError(ValueError):
    """What is wrong with a schedule, in upstream's words."""


@dataclass(frozen=True, slots=True)
class Field:
    """The values of one field, and whether it was left open (`*`): then the other kind of day decides."""

    values: frozenset[int]
    is_open: bool = False


@dataclass(frozen=True, slots=True)
class Schedule:
    """When it fires. `every_seconds` stands alone: the fields are then all open."""

    minute: Field
    hour: Field
    day: Field
    month: Field
    weekday: Field
    every_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class _Bounds:
    low: int
    high: int
    names: tuple[str, ...] = ()

    @property
    def whole(self) -> Field:
        return Field(frozenset(range(self.low, self.high + 1)), True)


_BOUNDS = (_Bounds(0, 59), _Bounds(0, 23), _Bounds(1, 31), _Bounds(1, 12, _MONTHS), _Bounds(0, 6, _DAYS))


def parse(text: str) -> Schedule:
    """CronError when it is no schedule. A time zone in front of it is skipped, and not looked at."""
    if not text:
        raise CronError("empty spec string")
    if text.startswith(("TZ=", "CRON_TZ=")):
        text = text.partition(" ")[2].strip()
    if text.startswith(_EVERY):
        return _every(text)
    if text.startswith("@"):
        if text not in _NAMED:
            raise CronError(f"unrecognized descriptor: {text}")
        text = _NAMED[text]
    fields = text.split()
    if len(fields) != len(_BOUNDS):
        raise CronError(f"expected exactly 5 fields, found {len(fields)}: [{' '.join(fields)}]")
    minute, hour, day, month, weekday = (
        _field(field, bounds) for field, bounds in zip(fields, _BOUNDS, strict=True)
    )
    return Schedule(minute, hour, day, month, weekday)


def _every(text: str) -> Schedule:
    span = text.removeprefix(_EVERY)
    try:
        seconds = duration.parse(span)
    except ValueError as error:
        raise CronError(f"failed to parse duration {text}: {error}") from error
    minute, hour, day, month, weekday = (bounds.whole for bounds in _BOUNDS)
    return Schedule(minute, hour, day, month, weekday, every_seconds=max(1.0, seconds // 1))


def _field(text: str, bounds: _Bounds) -> Field:
    parts = [_range(part, bounds) for part in text.split(",") if part]
    return Field(frozenset().union(*(part.values for part in parts)), any(part.is_open for part in parts))


def _range(text: str, bounds: _Bounds) -> Field:
    ends, *steps = text.split("/")
    first, *others = ends.split("-")
    is_open = first in ("*", "?")
    if is_open:
        start, end = bounds.low, bounds.high
    else:
        start = end = _number_or_name(first, bounds)
        if others:
            end = _number_or_name(others[0], bounds)
        if len(others) > 1:
            raise CronError(f"too many hyphens: {text}")
    step = 1
    if len(steps) > 1:
        raise CronError(f"too many slashes: {text}")
    if steps:
        step = _number(steps[0])
        end = end if others else bounds.high
        is_open = is_open and step <= 1
    _check(start, end, step, bounds, text)
    return Field(frozenset(range(start, end + 1, step)), is_open)


def _check(start: int, end: int, step: int, bounds: _Bounds, text: str) -> None:
    if start < bounds.low:
        raise CronError(f"beginning of range ({start}) below minimum ({bounds.low}): {text}")
    if end > bounds.high:
        raise CronError(f"end of range ({end}) above maximum ({bounds.high}): {text}")
    if start > end:
        raise CronError(f"beginning of range ({start}) beyond end of range ({end}): {text}")
    if step == 0:
        raise CronError(f"step of range should be a positive number: {text}")


def _number_or_name(text: str, bounds: _Bounds) -> int:
    if text.lower() in bounds.names:
        return bounds.low + bounds.names.index(text.lower())
    return _number(text)


def _number(text: str) -> int:
    if not re.fullmatch(r"[+-]?[0-9]+", text, re.A):
        raise CronError(f'failed to parse int from {text}: strconv.Atoi: parsing "{text}": invalid syntax')
    if len(text) > _INTEGER_CHARACTERS_MAX or not -(2**63) <= int(text) < 2**63:
        raise CronError(
            f'failed to parse int from {text}: strconv.Atoi: parsing "{text}": value out of range'
        )
    if int(text) < 0:
        raise CronError(f"negative number ({int(text)}) not allowed: {text}")
    return int(text)
