"""JSON as the values that a declared type makes of it: a date-time is a moment, a number a double.

Only what differs is copied; where a type says nothing of the kind the JSON itself is the value. Lists that
a schema calls sets or maps compare without regard to order.
"""

from __future__ import annotations

import base64
import binascii
from functools import lru_cache
from typing import Any

from services.apiserver.cel import values
from services.apiserver.cel.types import Type
from services.machinery import turns


class SetList(list[Any]):
    """`x-kubernetes-list-type: set`."""

    __slots__ = ()
    __hash__ = None

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, list) or len(self) != len(other):
            return False
        return set(map(hashable, self)) <= set(map(hashable, other))

    def joined(self, other: list[Any]) -> SetList:
        """With those of the other that are not in here."""
        seen = set(map(hashable, self))
        return SetList([*self, *(each for each in other if hashable(each) not in seen)])


def hashable(value: Any) -> Any:
    """The same for equal values, and for no others, as `values.equal` has it."""
    kind = type(value)
    if kind is str or kind is int:
        return value
    if isinstance(value, list):
        return list, tuple(map(hashable, value))
    if isinstance(value, dict):
        return dict, frozenset((key, hashable(each)) for key, each in value.items())
    return value if isinstance(value, float | values.UInt) else (kind, value)


class MapList(list[Any]):
    """`x-kubernetes-list-type: map`; `keys` tell its elements apart."""

    __slots__ = ("keys",)
    __hash__ = None

    def __init__(self, elements: list[Any], keys: tuple[str, ...]) -> None:
        super().__init__(elements)
        self.keys = keys

    def _by_key(self, elements: list[Any]) -> dict[str, Any]:
        return {repr([each.get(key) for key in self.keys]): each for each in elements}

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, list) or len(self) != len(other):
            return False
        mine, theirs = self._by_key(self), self._by_key(other)
        return mine.keys() == theirs.keys() and all(values.equal(mine[key], theirs[key]) for key in mine)

    def joined(self, other: list[Any]) -> MapList:
        """The other's elements win, in the places of those that they replace."""
        mine = self._by_key(self)
        mine.update(self._by_key(other))
        return MapList(list(mine.values()), self.keys)


@lru_cache(maxsize=4096)
def _kinds_differ(kind: Type, depth: int = 0) -> bool:
    if kind.kind in ("double", "bytes", "timestamp", "duration"):
        return True
    if kind.kind == "list" and kind.name:
        return True
    if kind.fields is not None:
        return depth > 20 or any(_kinds_differ(each.type, depth + 1) for each in kind.fields.values())
    return any(_kinds_differ(each, depth + 1) for each in kind.args)


def value_of(raw: Any, kind: Type) -> Any:
    """What an expression sees of `raw`, declared as `kind`. What does not fit is left as it is."""
    match kind.kind:
        case "double" if type(raw) is int:
            return float(raw)
        case "timestamp" | "duration" | "bytes" if isinstance(raw, str):
            return _scalar(raw, kind.kind)
        case "list" if isinstance(raw, list):
            return _list(raw, kind)
        case "map" if isinstance(raw, dict) and kind.args and needs_values(kind.args[1]):
            turns.done(len(raw))
            return {key: value_of(each, kind.args[1]) for key, each in raw.items()}
        case "object" if isinstance(raw, dict) and kind.fields is not None:
            return _object(raw, kind)
    return raw


def _object(raw: dict[str, Any], kind: Type) -> dict[str, Any]:
    differing = _fields_that_differ(kind)
    if not differing:
        return raw
    turns.done(1 + len(differing))
    found = dict(raw)
    for key, declared in differing:
        if key in found:
            found[key] = value_of(found[key], declared)
    return found


@lru_cache(maxsize=4096)
def _fields_that_differ(kind: Type) -> tuple[tuple[str, Type], ...]:
    """By their names in JSON."""
    fields = (kind.fields or {}).items()
    return tuple((each.key or name, each.type) for name, each in fields if needs_values(each.type))


def _list(raw: list[Any], kind: Type) -> list[Any]:
    element = kind.args[0] if kind.args else None
    turns.done(len(raw))
    found = raw
    if element is not None and needs_values(element):
        found = [value_of(each, element) for each in raw]
    if kind.name == "set":
        return SetList(found)
    if kind.name.startswith("map:"):
        return MapList(found, tuple(kind.name[4:].split(",")))
    return found


def _scalar(raw: str, kind: str) -> Any:
    try:
        if kind == "timestamp":
            text = raw if "T" in raw.upper() else f"{raw}T00:00:00Z"
            return values.parse_timestamp(text)
        if kind == "duration":
            return values.parse_duration(raw)
        return base64.b64decode(raw, validate=True)
    except (ValueError, binascii.Error):
        return raw


def needs_values(kind: Type) -> bool:
    """Whether JSON declared as `kind` has to be gone through at all."""
    return _kinds_differ(kind)
