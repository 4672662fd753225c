"""Kubernetes' quantities and semantic versions as values."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, ClassVar

from services.apiserver.cel.faults import EvaluationError
from services.apiserver.cel.functions import Library
from services.apiserver.cel.lexer import INT64_MAX, INT64_MIN
from services.apiserver.cel.types import Type, opaque
from services.apiserver.cel.values import Opaque
from services.machinery import quantity

QUANTITIES = Library()
_Q, _V = "kubernetes.Quantity", "kubernetes.Semver"


@dataclass(frozen=True, slots=True)
class Quantity(Opaque):
    cel_type: ClassVar[Type] = opaque(_Q)
    number: quantity.Exact


def _traversed(args: tuple[Any, ...], result: Any) -> int:
    return max(1, math.ceil(len(args[0]) * 0.1))


QUANTITIES.costs |= dict.fromkeys(("quantity", "isQuantity", "semver", "isSemver"), _traversed)


@QUANTITIES.function("isQuantity", "string -> bool")
def _is_quantity(text: str) -> bool:
    try:
        quantity.parse(text)
    except ValueError:
        return False
    return True


@QUANTITIES.function("quantity", f"string -> {_Q}")
def _quantity(text: str) -> Quantity:
    try:
        return Quantity(quantity.parse(text))
    except ValueError as error:
        raise EvaluationError(str(error)) from None


def _sign(number: quantity.Exact) -> int:
    return (number > 0) - (number < 0)


def _is_integer(value: Quantity) -> bool:
    return isinstance(value.number, int) and INT64_MIN <= value.number <= INT64_MAX


@QUANTITIES.member("asInteger", f"{_Q} -> int")
def _as_integer(value: Quantity) -> int:
    if not _is_integer(value):
        raise EvaluationError("cannot convert value to integer")
    return int(value.number)


QUANTITIES.member("isInteger", f"{_Q} -> bool")(_is_integer)
QUANTITIES.member("asApproximateFloat", f"{_Q} -> double")(lambda value: float(value.number))
QUANTITIES.member("sign", f"{_Q} -> int")(lambda value: _sign(value.number))
QUANTITIES.member("isGreaterThan", f"{_Q}, {_Q} -> bool")(lambda one, other: one.number > other.number)
QUANTITIES.member("isLessThan", f"{_Q}, {_Q} -> bool")(lambda one, other: one.number < other.number)
QUANTITIES.member("compareTo", f"{_Q}, {_Q} -> int")(lambda one, other: _sign(one.number - other.number))


def _whole(number: quantity.Exact) -> Quantity:
    return Quantity(int(number) if isinstance(number, Fraction) and number.denominator == 1 else number)


@QUANTITIES.member("add", f"{_Q}, {_Q} -> {_Q}", f"{_Q}, int -> {_Q}")
def _add(one: Quantity, other: Any) -> Quantity:
    return _whole(one.number + (other.number if isinstance(other, Quantity) else other))


@QUANTITIES.member("sub", f"{_Q}, {_Q} -> {_Q}", f"{_Q}, int -> {_Q}")
def _sub(one: Quantity, other: Any) -> Quantity:
    return _whole(one.number - (other.number if isinstance(other, Quantity) else other))


# -- versions ------------------------------------------------------------------------------------

_NUMBER = r"(0|[1-9]\d*)"
_PART = r"(?:0|[1-9]\d*|\d*[A-Za-z-][0-9A-Za-z-]*)"
_SEMVER = re.compile(
    rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}(?:-({_PART}(?:\.{_PART})*))?(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?"
)


@dataclass(frozen=True, slots=True)
class Semver(Opaque):
    cel_type: ClassVar[Type] = opaque(_V)
    numbers: tuple[int, int, int]
    before: tuple[str, ...] = ()

    def order(self) -> Any:
        """A version before a release is less than it; numbers before names."""
        parts = tuple((0, int(each), "") if each.isdigit() else (1, 0, each) for each in self.before)
        return (self.numbers, not self.before, parts)


def _normalised(text: str) -> str:
    """`v1.02` as `1.2.0`."""
    core, mark, rest = re.sub(r"^v", "", text), "", ""
    if found := re.search(r"[-+]", core):
        core, mark, rest = core[: found.start()], found[0], core[found.end() :]
    numbers = [each.lstrip("0") or "0" if each else each for each in core.split(".")]
    return ".".join([*numbers, "0", "0"][: max(3, len(numbers))]) + mark + rest


def _parse(text: str, normalise: bool) -> Semver | None:
    found = _SEMVER.fullmatch(_normalised(text) if normalise else text)
    if found is None:
        return None
    numbers = (int(found[1]), int(found[2]), int(found[3]))
    return Semver(numbers, tuple(found[4].split(".")) if found[4] else ())


@QUANTITIES.function("isSemver", "string -> bool", "string, bool -> bool")
def _is_semver(text: str, normalise: bool = False) -> bool:
    return _parse(text, normalise) is not None


@QUANTITIES.function("semver", f"string -> {_V}", f"string, bool -> {_V}")
def _semver(text: str, normalise: bool = False) -> Semver:
    found = _parse(text, normalise)
    if found is None:
        raise EvaluationError(
            "No Major.Minor.Patch elements found" if text.count(".") < 2 else f"Invalid version: {text}"
        )
    return found


QUANTITIES.member("major", f"{_V} -> int")(lambda version: version.numbers[0])
QUANTITIES.member("minor", f"{_V} -> int")(lambda version: version.numbers[1])
QUANTITIES.member("patch", f"{_V} -> int")(lambda version: version.numbers[2])
QUANTITIES.member("isGreaterThan", f"{_V}, {_V} -> bool")(lambda one, other: one.order() > other.order())
QUANTITIES.member("isLessThan", f"{_V}, {_V} -> bool")(lambda one, other: one.order() < other.order())
QUANTITIES.member("compareTo", f"{_V}, {_V} -> int")(
    lambda one, other: (one.order() > other.order()) - (one.order() < other.order())
)
