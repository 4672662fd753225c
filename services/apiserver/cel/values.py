"""The values that expressions are about. JSON stands for itself: dict, list, str, int, float, bool, None.

Beside it: unsigned integers, durations, optional values, types as values, and opaque ones, which say in
`cel_type` what they are. Moments are datetimes with a zone. Equality never fails: what differs in kind is
unequal.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from services.apiserver.cel import types
from services.apiserver.cel.faults import EvaluationError
from services.apiserver.cel.types import Type

NO_OVERLOAD = "no such overload"
_UNITS_NS = {
    "ns": 1, "us": 1000, "µs": 1000, "μs": 1000, "ms": 10**6,
    "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9,
}  # fmt: skip
_DURATION_PART = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)")
_NS_MAX = 2**63 - 1


class UInt(int):
    """An unsigned integer; never mixes with a signed one but in comparisons."""

    __slots__ = ()


@dataclass(frozen=True, slots=True, order=True)
class Duration:
    nanoseconds: int

    def delta(self) -> timedelta:
        return timedelta(microseconds=self.nanoseconds // 1000)


@dataclass(frozen=True, slots=True)
class Optional:
    """A value, or none."""

    value: Any = None
    present: bool = False


NONE = Optional()


class Opaque:
    """A value that only functions know the inside of."""

    __slots__ = ()
    cel_type: ClassVar[Type]


_KINDS: dict[type, Type] = {
    bool: types.BOOL,
    int: types.INT,
    UInt: types.UINT,
    float: types.DOUBLE,
    str: types.STRING,
    bytes: types.BYTES,
    type(None): types.NULL,
    list: Type("list"),
    dict: Type("map"),
    datetime: types.TIMESTAMP,
    Duration: types.DURATION,
    Optional: Type("optional"),
    Type: Type("type"),
}


def type_of(value: Any) -> Type:
    found = _KINDS.get(type(value))
    if found is not None:
        return found
    if isinstance(value, Opaque):
        return value.cel_type
    if isinstance(value, list):
        return _KINDS[list]
    if isinstance(value, dict):
        return _KINDS[dict]
    return types.DYN


def matches(value: Any, wanted: Type) -> bool:
    """Whether a value may be passed where `wanted` is declared; what is in a list is not looked at."""
    if wanted.kind in ("dyn", "param"):
        return True
    kind = type_of(value)
    return kind.kind == wanted.kind and (wanted.kind not in ("opaque", "object") or kind.name == wanted.name)


def equal(one: Any, other: Any) -> bool:
    kind, other_kind = type(one), type(other)
    if kind is other_kind:
        if kind in _PLAIN:
            return bool(one == other)
        if kind is list:
            return len(one) == len(other) and all(map(equal, one, other))
        if kind is dict:
            return len(one) == len(other) and all(
                key in other and equal(value, other[key]) for key, value in one.items()
            )
        if kind is Type:
            return bool(one.kind == other.kind and one.name == other.name)
        if kind is Optional:
            return bool(one.present == other.present and equal(one.value, other.value))
        return bool(one == other)
    if kind in _NUMBERS and other_kind in _NUMBERS:
        return bool(one == other)
    if isinstance(one, list | dict) and isinstance(other, list | dict):
        return bool(one == other)  # lists that compare as sets or by key
    return False


_NUMBERS = (int, UInt, float)
_ORDERED = (str, bytes, bool, datetime, Duration)
_PLAIN = (int, str, bool)  # the most usual kinds


def comparable(one: Any, other: Any) -> None:
    """EvaluationError where there is no order, in which Python's `<` would put them as CEL does."""
    kind, other_kind = type(one), type(other)
    if kind is other_kind and kind in _PLAIN:  # texts by code point, as bytes of UTF-8 are
        return
    if not ((kind is other_kind and kind in _ORDERED) or (kind in _NUMBERS and other_kind in _NUMBERS)):
        raise EvaluationError(NO_OVERLOAD)
    if one != one or other != other:
        raise EvaluationError("NaN values cannot be ordered")


def compare(one: Any, other: Any) -> int:
    """-1, 0, 1. EvaluationError where there is no order."""
    comparable(one, other)
    return int(one > other) - int(one < other)


def size_of(value: Any) -> int:
    """What traversing it costs; 1 for what is no string, list or map."""
    return len(value) if isinstance(value, str | bytes | list | dict) else 1


def whole_size(value: Any) -> int:
    """What comparing it costs: a string by its length, and all that a list or a map holds."""
    if isinstance(value, list):
        return 1 + sum(map(whole_size, value))
    if isinstance(value, dict):
        return 1 + len(value) + sum(map(whole_size, value.values()))
    return 1 + len(value) // 10 if isinstance(value, str | bytes) else 1


# -- moments and durations -----------------------------------------------------------------------


def parse_duration(text: str) -> Duration:
    """As Go writes them: `1h30m`, `-1.5s`. ValueError."""
    sign, rest = (-1, text[1:]) if text.startswith("-") else (1, text.removeprefix("+"))
    if rest == "0":
        return Duration(0)
    total, at = 0, 0
    while part := _DURATION_PART.match(rest, at):
        whole, _, fraction = part[1].partition(".")
        unit = _UNITS_NS[part[2]]
        total += int(whole or 0) * unit + int(fraction or 0) * unit // 10 ** len(fraction)
        at = part.end()
    if at != len(rest) or not rest or total > _NS_MAX:
        raise ValueError(text)
    return Duration(sign * total)


def is_duration(text: str) -> bool:
    return _reads(parse_duration, text)


def is_timestamp(text: str) -> bool:
    return _reads(parse_timestamp, text)


def _reads(parse: Callable[[str], object], text: str) -> bool:
    try:
        parse(text)
    except ValueError:
        return False
    return True


def duration_text(value: Duration) -> str:
    """As CEL shows them: seconds."""
    whole, rest = divmod(abs(value.nanoseconds), 10**9)
    shown = f"{whole}.{rest:09}".rstrip("0").rstrip(".")
    return f"{'-' if value.nanoseconds < 0 else ''}{shown}s"


def parse_timestamp(text: str) -> datetime:
    """RFC 3339. ValueError."""
    if not re.fullmatch(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", text):
        raise ValueError(text)
    trimmed = re.sub(r"(\.\d{6})\d+", r"\1", text.upper())
    return datetime.fromisoformat(trimmed.replace("Z", "+00:00"))


def timestamp_text(value: datetime) -> str:
    moment = value.astimezone(UTC)
    shown = moment.strftime("%Y-%m-%dT%H:%M:%S").rjust(19, "0")
    fraction = f".{moment.microsecond:06}".rstrip("0") if moment.microsecond else ""
    return f"{shown}{fraction}Z"
