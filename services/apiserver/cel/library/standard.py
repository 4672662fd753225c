"""What every CEL has: sizes, conversions, parts of moments, optional values, and whether a text matches."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from services.apiserver.cel import values
from services.apiserver.cel.faults import EvaluationError
from services.apiserver.cel.functions import Library
from services.apiserver.cel.lexer import INT64_MAX, INT64_MIN, UINT64_MAX
from services.apiserver.cel.patterns import searched
from services.apiserver.cel.types import Type
from services.apiserver.cel.values import NO_OVERLOAD, NONE, Duration, Optional, UInt

STANDARD = Library()


def _length(cost: float) -> Any:
    return lambda args, result: max(1, math.ceil(values.size_of(args[0]) * cost))


_SIZED = ("string", "bytes", "list<A>", "map<A, B>")
STANDARD.function("size", *(f"{kind} -> int" for kind in _SIZED))(len)
STANDARD.member("size", *(f"{kind} -> int" for kind in _SIZED))(len)
STANDARD.function("dyn", "A -> dyn")(lambda value: value)


@STANDARD.member("contains", "string, string -> bool")
def _contains(text: str, part: str) -> bool:
    return part in text


STANDARD.member("startsWith", "string, string -> bool")(str.startswith)
STANDARD.member("endsWith", "string, string -> bool")(str.endswith)
STANDARD.member("matches", "string, string -> bool")(searched)
STANDARD.function("matches", "string, string -> bool")(searched)
STANDARD.costs |= {
    "contains": lambda args, result: math.ceil(len(args[0]) * 0.1) * math.ceil(len(args[1]) * 0.1) + 1,
    "matches": lambda args, result: math.ceil((1 + len(args[0])) * 0.1) * math.ceil(len(args[1]) * 0.25),
}


# -- conversions ---------------------------------------------------------------------------------


@STANDARD.function("int", "int -> int", "uint -> int", "double -> int", "string -> int", "timestamp -> int",
                   "duration -> int")  # fmt: skip
def _int(value: Any) -> int:
    if isinstance(value, datetime):
        return int(value.timestamp())
    if isinstance(value, Duration):
        return value.nanoseconds
    return _whole(value, INT64_MIN, INT64_MAX, "int")


@STANDARD.function("uint", "uint -> uint", "int -> uint", "double -> uint", "string -> uint")
def _uint(value: Any) -> UInt:
    return UInt(_whole(value, 0, UINT64_MAX, "uint"))


def _whole(value: Any, least: int, most: int, kind: str) -> int:
    if isinstance(value, str):
        digits = value[1:] if kind == "int" and value[:1] in ("-", "+") else value
        if not (digits.isascii() and digits.isdigit()):
            raise EvaluationError(f'strconv.Parse{kind.title()}: parsing "{value}": invalid syntax')
        value = int(value) if len(value) < 30 else most + 1
    if isinstance(value, float) and not math.isfinite(value):
        raise EvaluationError("integer overflow")
    if not least <= value <= most:
        raise EvaluationError("integer overflow" if kind == "int" else "unsigned integer overflow")
    return int(value)


@STANDARD.function("double", "double -> double", "int -> double", "uint -> double", "string -> double")
def _double(value: Any) -> float:
    try:
        return float(value)
    except ValueError:
        raise EvaluationError(f'strconv.ParseFloat: parsing "{value}": invalid syntax') from None


@STANDARD.function("bool", "bool -> bool", "string -> bool")
def _bool(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if value in ("1", "t", "T", "true", "TRUE", "True"):
        return True
    if value in ("0", "f", "F", "false", "FALSE", "False"):
        return False
    raise EvaluationError(f'strconv.ParseBool: parsing "{value}": invalid syntax')


_SHOWN = ("string", "bool", "int", "uint", "double", "bytes", "timestamp", "duration")


@STANDARD.function("string", *(f"{kind} -> string" for kind in _SHOWN))
def shown(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _double_text(value)
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            raise EvaluationError("invalid UTF-8 in bytes, cannot convert to string") from None
    if isinstance(value, datetime):
        return values.timestamp_text(value)
    if isinstance(value, Duration):
        return values.duration_text(value)
    return str(value)


def _double_text(value: float) -> str:
    """As Go's `%g` does it: the shortest text, with an exponent where it is small or large."""
    if not math.isfinite(value):
        return "NaN" if value != value else "+Inf" if value > 0 else "-Inf"
    if value == int(value) and abs(value) < 1e21:
        return str(int(value))
    return repr(value)


@STANDARD.function("bytes", "bytes -> bytes", "string -> bytes")
def _bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


@STANDARD.function("type", "A -> type<A>")
def _type(value: Any) -> Type:
    return values.type_of(value)


@STANDARD.function("duration", "duration -> duration", "string -> duration", "int -> duration")
def _duration(value: Any) -> Duration:
    if isinstance(value, Duration):
        return value
    if isinstance(value, int):
        return Duration(value)
    try:
        return values.parse_duration(value)
    except ValueError:
        raise EvaluationError(f'time: invalid duration "{value}"') from None


@STANDARD.function("timestamp", "timestamp -> timestamp", "string -> timestamp", "int -> timestamp")
def _timestamp(value: Any) -> datetime:
    if isinstance(value, datetime):
        return value
    try:
        if isinstance(value, int):
            return datetime.fromtimestamp(value, UTC)
        return values.parse_timestamp(value)
    except (ValueError, OverflowError, OSError):
        raise EvaluationError(f'parsing time "{value}": cannot parse as a timestamp') from None


# -- parts of moments ----------------------------------------------------------------------------


def _zone(name: str) -> tzinfo:
    if name in ("", "UTC"):
        return UTC
    sign = -1 if name.startswith("-") else 1
    hours, colon, minutes = name.lstrip("+-").partition(":")
    if colon and hours.isdigit() and minutes.isdigit():
        from datetime import timezone

        return timezone(sign * timedelta(hours=int(hours), minutes=int(minutes)))
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        raise EvaluationError(f"unknown time zone {name}") from None


_PARTS: dict[str, Any] = {
    "getFullYear": lambda at: at.year,
    "getMonth": lambda at: at.month - 1,
    "getDate": lambda at: at.day,
    "getDayOfMonth": lambda at: at.day - 1,
    "getDayOfWeek": lambda at: at.isoweekday() % 7,
    "getDayOfYear": lambda at: at.timetuple().tm_yday - 1,
    "getHours": lambda at: at.hour,
    "getMinutes": lambda at: at.minute,
    "getSeconds": lambda at: at.second,
    "getMilliseconds": lambda at: at.microsecond // 1000,
}
_LASTING = {"getHours": 3600 * 10**9, "getMinutes": 60 * 10**9, "getSeconds": 10**9, "getMilliseconds": 10**6}


def _declare_part(name: str, part: Any) -> None:
    STANDARD.member(name, "timestamp -> int")(lambda at: part(at.astimezone(UTC)))
    STANDARD.member(name, "timestamp, string -> int")(lambda at, zone: part(at.astimezone(_zone(zone))))
    if unit := _LASTING.get(name):

        def whole(value: Duration) -> int:
            found = abs(value.nanoseconds) // unit
            if name == "getMilliseconds":
                found %= 1000
            return found if value.nanoseconds >= 0 else -found

        STANDARD.member(name, "duration -> int")(whole)


for _name, _part in _PARTS.items():
    _declare_part(_name, _part)


# -- optional values -----------------------------------------------------------------------------

STANDARD.function("optional.of", "A -> optional<A>")(lambda value: Optional(value, True))
STANDARD.function("optional.none", " -> optional<A>")(lambda: NONE)
STANDARD.member("hasValue", "optional<A> -> bool")(lambda given: given.present)
STANDARD.member("orValue", "optional<A>, A -> A")(
    lambda given, other: given.value if given.present else other
)
STANDARD.member("or", "optional<A>, optional<A> -> optional<A>")(
    lambda given, other: given if given.present else other
)


@STANDARD.function("optional.ofNonZeroValue", "A -> optional<A>")
def _of_non_zero(value: Any) -> Optional:
    empty = (
        value is None
        or value is False
        or (isinstance(value, str | bytes | list | dict | int | float) and not value)
    )
    return NONE if empty or value == Duration(0) else Optional(value, True)


@STANDARD.member("value", "optional<A> -> A")
def _value(given: Optional) -> Any:
    if not given.present:
        raise EvaluationError("optional.none() dereference")
    return given.value


@STANDARD.function("optional.unwrap", "list<optional<A>> -> list<A>")
def _unwrap(many: list[Any]) -> list[Any]:
    if not all(isinstance(each, Optional) for each in many):
        raise EvaluationError(NO_OVERLOAD)
    return [each.value for each in many if each.present]


STANDARD.member("unwrapOpt", "list<optional<A>> -> list<A>")(_unwrap)
