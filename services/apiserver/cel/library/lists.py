"""Kubernetes' functions of lists, and sets as cel-go has them."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from services.apiserver.cel import operators, values
from services.apiserver.cel.faults import EvaluationError
from services.apiserver.cel.functions import Library
from services.apiserver.cel.values import Duration, compare, equal

LISTS = Library()
_ORDERED = ("int", "uint", "double", "bool", "string", "bytes", "timestamp", "duration")


def _traversed(args: tuple[Any, ...], result: Any) -> int:
    return max(1, values.size_of(args[0]))


LISTS.costs |= dict.fromkeys(("isSorted", "sum", "min", "max", "indexOf", "lastIndexOf"), _traversed)


def _multiplied(args: tuple[Any, ...], result: Any) -> int:
    return 1 + values.size_of(args[0]) * values.size_of(args[1])


LISTS.costs |= {f"sets.{name}": _multiplied for name in ("contains", "equivalent", "intersects")}


@LISTS.member("isSorted", *(f"list<{kind}> -> bool" for kind in _ORDERED))
def _is_sorted(many: list[Any]) -> bool:
    return all(compare(one, other) <= 0 for one, other in pairwise(many))


@LISTS.member("sum", *(f"list<{kind}> -> {kind}" for kind in ("int", "uint", "double", "duration")))
def _sum(many: list[Any]) -> Any:
    if not many:
        return 0
    total = many[0]
    if isinstance(total, bool) or not isinstance(total, int | float | Duration):
        raise EvaluationError(values.NO_OVERLOAD)
    for each in many[1:]:
        if type(each) is not type(total):
            raise EvaluationError(values.NO_OVERLOAD)
        total = operators.add(total, each)
    return total


@LISTS.member("min", *(f"list<{kind}> -> {kind}" for kind in _ORDERED))
def _min(many: list[Any]) -> Any:
    return _extreme(many, -1, "min")


@LISTS.member("max", *(f"list<{kind}> -> {kind}" for kind in _ORDERED))
def _max(many: list[Any]) -> Any:
    return _extreme(many, 1, "max")


def _extreme(many: list[Any], sign: int, name: str) -> Any:
    if not many:
        raise EvaluationError(f"{name} called on empty list")
    found = many[0]
    for each in many[1:]:
        if compare(each, found) == sign:
            found = each
    return found


@LISTS.member("indexOf", "list<A>, A -> int")
def _index_of(many: list[Any], wanted: Any) -> int:
    return next((at for at, each in enumerate(many) if equal(each, wanted)), -1)


@LISTS.member("lastIndexOf", "list<A>, A -> int")
def _last_index_of(many: list[Any], wanted: Any) -> int:
    return next((at for at in range(len(many) - 1, -1, -1) if equal(many[at], wanted)), -1)


@LISTS.function("sets.contains", "list<A>, list<A> -> bool")
def _contains(many: list[Any], few: list[Any]) -> bool:
    return all(operators.contains(each, many) for each in few)


@LISTS.function("sets.equivalent", "list<A>, list<A> -> bool")
def _equivalent(one: list[Any], other: list[Any]) -> bool:
    return bool(_contains(one, other) and _contains(other, one))


@LISTS.function("sets.intersects", "list<A>, list<A> -> bool")
def _intersects(one: list[Any], other: list[Any]) -> bool:
    return any(operators.contains(each, other) for each in one)
