"""cel-go's extended lists: parts of lists, lists in another order, each element once.

`sortBy` is a macro (`macros.py`): it calls `@sortByAssociatedKeys` with the keys that it made. Costs are
those of upstream, which counts every element compared with every other one where something is sorted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from services.apiserver.cel import values
from services.apiserver.cel.faults import EvaluationError
from services.apiserver.cel.functions import Library
from services.apiserver.cel.macros import SORT_BY
from services.apiserver.cel.schema_values import hashable

MORE_LISTS = Library()
ALLOCATED = 11  # what a call and its new list cost, besides the elements
_ORDERED = ("int", "uint", "double", "bool", "string", "bytes", "timestamp", "duration")
_NO_ORDER = (list, dict, type(None))


@MORE_LISTS.member("slice", "list<A>, int, int -> list<A>")
def _slice(many: list[Any], start: int, end: int) -> list[Any]:
    shown = f"cannot slice({start}, {end}),"
    if start < 0 or end < 0:
        raise EvaluationError(f"{shown} negative indexes not supported")
    if start > end:
        raise EvaluationError(f"{shown} start index must be less than or equal to end index")
    if len(many) < end:
        raise EvaluationError(f"{shown} list is length {len(many)}")
    return many[start:end]


@MORE_LISTS.member("flatten", "list<list<A>> -> list<A>", "list<dyn>, int -> list<dyn>")
def _flatten(many: list[Any], depth: int = 1) -> list[Any]:
    if depth < 0:
        raise EvaluationError("level must be non-negative")
    found: list[Any] = []
    for each in many:
        if isinstance(each, list) and depth:
            found += _flatten(each, depth - 1)
        else:
            found.append(each)
    return found


@MORE_LISTS.function("lists.range", "int -> list<int>")
def _range(size: int) -> list[int]:
    return list(range(size))


@MORE_LISTS.member("reverse", "list<A> -> list<A>")
def _reverse(many: list[Any]) -> list[Any]:
    return many[::-1]


@MORE_LISTS.member("distinct", "list<A> -> list<A>")
def _distinct(many: list[Any]) -> list[Any]:
    found: dict[Any, Any] = {}
    for each in many:
        found.setdefault(hashable(each), each)
    return list(found.values())


@MORE_LISTS.member("sort", *(f"list<{kind}> -> list<{kind}>" for kind in _ORDERED))
def _sort(many: list[Any]) -> list[Any]:
    return _in_order(many, many)


@MORE_LISTS.member(SORT_BY, *(f"list<A>, list<{kind}> -> list<A>" for kind in _ORDERED))
def _sort_by(many: list[Any], keys: list[Any]) -> list[Any]:
    return _in_order(many, keys)


def _in_order(many: list[Any], keys: list[Any]) -> list[Any]:
    kinds = set(map(type, keys))
    if len(kinds) > 1:
        raise EvaluationError("list elements must have the same type")
    if not kinds.isdisjoint(_NO_ORDER):
        raise EvaluationError("list elements must be comparable")
    return [many[index] for index in sorted(range(len(many)), key=keys.__getitem__)]


# -- what they cost ------------------------------------------------------------------------------


def _compared(which: int) -> Callable[[tuple[Any, ...], Any], int]:
    """Of a list whose elements are compared with each other."""

    def cost(args: tuple[Any, ...], result: Any) -> int:
        many = args[which]
        is_text = bool(many) and isinstance(many[0], str | bytes)
        return int(len(many) ** 2 * (2.1 if is_text else 2)) + ALLOCATED

    return cost


def _sliced(args: tuple[Any, ...], result: Any) -> int:
    return int(max(0, min(args[2], len(args[0])) - max(args[1], 0))) + ALLOCATED


MORE_LISTS.costs |= {
    "slice": _sliced,
    "flatten": lambda args, result: len(args[0]) * max(0, args[1] if len(args) > 1 else 1) + ALLOCATED,
    "lists.range": lambda args, result: max(0, args[0]) + ALLOCATED,
    "reverse": lambda args, result: values.size_of(args[0]) + ALLOCATED,
    "distinct": _compared(0),
    "sort": _compared(0),
    SORT_BY: _compared(1),
}
