"""What the operators of the language do with values: arithmetic without overflow, fields, indexes."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime, timedelta
from operator import ge, gt, le, lt
from typing import Any

from services.apiserver.cel import values
from services.apiserver.cel.faults import EvaluationError
from services.apiserver.cel.functions import Library
from services.apiserver.cel.lexer import INT64_MAX, INT64_MIN, UINT64_MAX
from services.apiserver.cel.schema_values import MapList, SetList
from services.apiserver.cel.values import NO_OVERLOAD, NONE, Duration, Optional, UInt, comparable, equal

OPERATORS = Library()
_ORDERED = ("bool", "int", "uint", "double", "string", "bytes", "timestamp", "duration")
_MIXED = ("int, uint", "uint, int", "int, double", "double, int", "uint, double", "double, uint")
_NUMBERS = ("int", "uint", "double")


def _pairs(*kinds: str, result: str = "") -> tuple[str, ...]:
    return tuple(f"{kind}, {kind} -> {result or kind}" for kind in kinds)


# -- arithmetic ----------------------------------------------------------------------------------


def checked(value: int, kind: type) -> int:
    """EvaluationError where it is out of its type's range."""
    if kind is UInt:
        if not 0 <= value <= UINT64_MAX:
            raise EvaluationError("unsigned integer overflow")
        return UInt(value)
    if not INT64_MIN <= value <= INT64_MAX:
        raise EvaluationError("integer overflow")
    return int(value)


def _lasting(nanoseconds: int) -> Duration:
    return Duration(checked(nanoseconds, int))


def _moment(start: datetime, delta: timedelta) -> datetime:
    try:
        return start + delta
    except OverflowError:
        raise EvaluationError("timestamp overflow") from None


@OPERATORS.function(
    "_+_", *_pairs("int", "uint", "double", "string", "bytes", "duration"), "list<A>, list<A> -> list<A>",
    "timestamp, duration -> timestamp", "duration, timestamp -> timestamp",
)  # fmt: skip
def add(one: Any, other: Any) -> Any:
    kind = type(one)
    if kind is int:
        total = one + other
        return total if INT64_MIN <= total <= INT64_MAX else checked(total, kind)
    if kind is UInt:
        return checked(int(one) + int(other), kind)
    if kind is Duration and type(other) is Duration:
        return _lasting(one.nanoseconds + other.nanoseconds)
    if isinstance(one, datetime):
        return _moment(one, other.delta())
    if isinstance(other, datetime):
        return _moment(other, one.delta())
    if kind is SetList or kind is MapList:
        return one.joined(other)
    return one + other


@OPERATORS.function(
    "_-_", *_pairs("int", "uint", "double", "duration"),
    "timestamp, timestamp -> duration", "timestamp, duration -> timestamp",
)  # fmt: skip
def subtract(one: Any, other: Any) -> Any:
    kind = type(one)
    if kind is int or kind is UInt:
        return checked(int(one) - int(other), kind)
    if kind is Duration:
        return _lasting(one.nanoseconds - other.nanoseconds)
    if isinstance(one, datetime):
        if isinstance(other, datetime):
            return _lasting((one - other) // timedelta(microseconds=1) * 1000)
        return _moment(one, -other.delta())
    return one - other


@OPERATORS.function("_*_", *_pairs(*_NUMBERS))
def multiply(one: Any, other: Any) -> Any:
    return one * other if type(one) is float else checked(int(one) * int(other), type(one))


@OPERATORS.function("_/_", *_pairs(*_NUMBERS))
def divide(one: Any, other: Any) -> Any:
    if type(one) is float:
        if other:
            return one / other
        return math.nan if one == 0 or one != one else math.copysign(math.inf, one) * math.copysign(1, other)
    if not other:
        raise EvaluationError("division by zero")
    quotient = abs(int(one)) // abs(int(other))
    return checked(quotient if (one < 0) == (other < 0) else -quotient, type(one))


@OPERATORS.function("_%_", *_pairs("int", "uint"))
def modulo(one: Any, other: Any) -> Any:
    if not other:
        raise EvaluationError("modulus by zero")
    rest = abs(int(one)) % abs(int(other))
    return checked(-rest if one < 0 else rest, type(one))


@OPERATORS.function("-_", "int -> int", "double -> double", "duration -> duration")
def negate(one: Any) -> Any:
    if type(one) is Duration:
        return _lasting(-one.nanoseconds)
    return -one if type(one) is float else checked(-one, int)


@OPERATORS.function("!_", "bool -> bool")
def negated(one: Any) -> Any:
    return not one


# -- comparisons ---------------------------------------------------------------------------------

OPERATORS.function("_&&_", "bool, bool -> bool")(lambda one, other: one and other)
OPERATORS.function("_||_", "bool, bool -> bool")(lambda one, other: one or other)
OPERATORS.function("_?_:_", "bool, A, A -> A")(lambda condition, one, other: one if condition else other)
OPERATORS.function("_==_", "A, A -> bool")(equal)
OPERATORS.function("_!=_", "A, A -> bool")(lambda one, other: not equal(one, other))
_COMPARED = (*_pairs(*_ORDERED, result="bool"), *(f"{each} -> bool" for each in _MIXED))


def _declare_order(name: str, holds: Callable[[Any, Any], bool]) -> None:
    @OPERATORS.function(name, *_COMPARED)
    def ordered(one: Any, other: Any) -> bool:
        comparable(one, other)
        return holds(one, other)


for _name, _holds in (("_<_", lt), ("_<=_", le), ("_>_", gt), ("_>=_", ge)):
    _declare_order(_name, _holds)


@OPERATORS.function("@in", "A, list<A> -> bool", "A, map<A, B> -> bool")
def contains(one: Any, many: Any) -> bool:
    if isinstance(many, dict):
        return bool(isinstance(one, str | int | float) and one in many)
    if type(one) is str:
        return one in many
    return any(equal(one, each) for each in many)


def _by_size(args: tuple[Any, ...], result: Any) -> int:
    one, other = args
    if isinstance(one, list | dict) and isinstance(other, list | dict):
        # More than upstream asks, which counts the outermost only: here the server waits.
        return min(values.whole_size(one), values.whole_size(other))
    return max(1, -(-min(values.size_of(one), values.size_of(other)) // 10))


def _by_sum(args: tuple[Any, ...], result: Any) -> int:
    return max(1, -(-(values.size_of(args[0]) + values.size_of(args[1])) // 10))


OPERATORS.costs |= {
    **dict.fromkeys(("_==_", "_!=_", "_<_", "_<=_", "_>_", "_>=_"), _by_size),
    "_+_": _by_sum,
    "@in": lambda args, result: max(1, len(args[1]) if isinstance(args[1], list) else 1),
}


# -- fields and indexes --------------------------------------------------------------------------


def select(operand: Any, key: str, optional: bool) -> Any:
    """A field of whatever there is. EvaluationError where there is none, unless it is `optional`."""
    if isinstance(operand, Optional):
        return select(operand.value, key, True) if operand.present else NONE
    if isinstance(operand, dict):
        if optional:
            return Optional(operand[key], True) if key in operand else NONE
        if key not in operand:
            raise EvaluationError(f"no such key: {key}")
        return operand[key]
    field = getattr(operand, "cel_field", None)
    if field is None:
        raise EvaluationError(NO_OVERLOAD)
    found = field(key)
    return Optional(found, True) if optional else found


def has(operand: Any, key: str) -> bool:
    if isinstance(operand, Optional):
        return operand.present and has(operand.value, key)
    if isinstance(operand, dict):
        return key in operand
    field = getattr(operand, "cel_has", None)
    if field is None:
        raise EvaluationError(NO_OVERLOAD)
    return bool(field(key))


@OPERATORS.function("_[_]", "list<A>, int -> A", "map<A, B>, A -> B", "optional<list<A>>, int -> optional<A>",
                    "optional<map<A, B>>, A -> optional<B>")  # fmt: skip
def index(operand: Any, key: Any) -> Any:
    if isinstance(operand, Optional):
        return index_optional(operand, key)
    if isinstance(operand, dict):
        if key not in operand:
            raise EvaluationError(f"no such key: {key}")
        return operand[key]
    if type(key) is not int and not (isinstance(key, UInt | float) and key == int(key)):
        raise EvaluationError(f"unsupported index type '{values.type_of(key)}' in list")
    if not 0 <= key < len(operand):
        raise EvaluationError(f"index out of bounds: {key}")
    return operand[int(key)]


@OPERATORS.function(
    "_[?_]", "list<A>, int -> optional<A>", "map<A, B>, A -> optional<B>",
    "optional<list<A>>, int -> optional<A>", "optional<map<A, B>>, A -> optional<B>",
)  # fmt: skip
def index_optional(operand: Any, key: Any) -> Any:
    if isinstance(operand, Optional):
        return index_optional(operand.value, key) if operand.present else NONE
    if isinstance(operand, dict):
        return Optional(operand[key], True) if key in operand else NONE
    if isinstance(operand, list) and isinstance(key, int):
        return Optional(operand[key], True) if 0 <= key < len(operand) else NONE
    raise EvaluationError(NO_OVERLOAD)
