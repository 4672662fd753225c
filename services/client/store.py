"""What an informer knows: the objects of one kind, by key and by index. Pure.

Holds what the API server said last, never anything else: a change reaches it only through the
watch. Reads cost one dictionary look-up; a result list is the caller's own, its objects are
shared and frozen. Upstream: `cache.Indexer`.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterable
from typing import Generic, NamedTuple, TypeVar

from services.api.object import Object, ObjectKey
from services.machinery.owners import controller_of

T = TypeVar("T", bound=Object)
IndexFunction = Callable[[T], Iterable[str]]


class Change(NamedTuple, Generic[T]):
    """Added where `old` is None, deleted where `new` is None (`old` is then the last known state)."""

    old: T | None
    new: T | None
    cause: str = ""


def _by_namespace(obj: Object) -> tuple[str, ...]:
    return (obj.metadata.namespace or "",)


def _by_uid(obj: Object) -> tuple[str, ...]:
    return (obj.metadata.uid or "",)


def _by_owner_uid(obj: Object) -> tuple[str, ...]:
    owner = controller_of(obj)
    return (owner.uid,) if owner else ()


def _orphans_by_namespace(obj: Object) -> tuple[str, ...]:
    return () if controller_of(obj) else (obj.metadata.namespace or "",)


class Store(Generic[T]):
    """Built-in indexes: "namespace", "uid", "owner-uid" (of the controller), "orphan" (namespace of
    what has no controller)."""

    def __init__(self) -> None:
        self._objects: dict[ObjectKey, T] = {}
        self._functions: dict[str, IndexFunction[T]] = {
            "namespace": _by_namespace,
            "uid": _by_uid,
            "owner-uid": _by_owner_uid,
            "orphan": _orphans_by_namespace,
        }
        self._indexes: dict[str, dict[str, dict[ObjectKey, T]]] = {name: {} for name in self._functions}

    def __len__(self) -> int:
        return len(self._objects)

    def __contains__(self, key: object) -> bool:
        return key in self._objects

    def get(self, key: ObjectKey) -> T | None:
        return self._objects.get(key)

    def list(self) -> builtins.list[T]:
        return [*self._objects.values()]

    def keys(self) -> builtins.list[ObjectKey]:
        return [*self._objects]

    def by_index(self, index: str, value: str) -> builtins.list[T]:
        """The objects for which the index's function gave `value`. KeyError: no such index."""
        found = self._indexes[index].get(value)
        return [*found.values()] if found else []

    def by_uid(self, uid: str) -> T | None:
        found = self._indexes["uid"].get(uid)
        return next(iter(found.values())) if found else None

    def index_values(self, index: str) -> builtins.list[str]:
        return [*self._indexes[index]]

    def add_index(self, name: str, function: IndexFunction[T]) -> None:
        """Adds an index, over what is known already too. The same name again is the same index."""
        if name in self._functions:
            return
        self._functions[name] = function
        self._indexes[name] = {}
        for key, obj in self._objects.items():
            _index(self._indexes[name], function(obj), key, obj)

    # What follows is the informer's side.

    def put(self, obj: T, cause: str = "") -> Change[T] | None:
        """Adds or replaces; None when this very revision is known."""
        key = obj.key
        old = self._objects.get(key)
        if old is not None and old.metadata.resource_version == obj.metadata.resource_version:
            return None
        self._objects[key] = obj
        for name, function in self._functions.items():
            values = function(obj)
            if old is not None:
                before = function(old)
                if before != values:
                    _unindex(self._indexes[name], before, key)
            _index(self._indexes[name], values, key, obj)
        return Change(old, obj, cause)

    def remove(self, key: ObjectKey, last: T | None = None, cause: str = "") -> Change[T] | None:
        """Forgets an object; `last` is its final state where the watch told it."""
        old = self._objects.pop(key, None)
        if old is None:
            return None
        for name, function in self._functions.items():
            _unindex(self._indexes[name], function(old), key)
        return Change(last or old, None, cause)

    def replace(self, items: Iterable[T]) -> builtins.list[Change[T]]:
        """Becomes exactly `items`. Returns the differences, the deletions that no event told first.

        An object that was deleted and made again under its name is a deletion and an addition.
        """
        wanted = {obj.key: obj for obj in items}
        gone = [
            key
            for key, old in self._objects.items()
            if key not in wanted or wanted[key].metadata.uid != old.metadata.uid
        ]
        changes = [change for key in gone if (change := self.remove(key))]
        changes += [change for obj in wanted.values() if (change := self.put(obj))]
        return changes


def _index(index: dict[str, dict[ObjectKey, T]], values: Iterable[str], key: ObjectKey, obj: T) -> None:
    for value in values:
        bucket = index.get(value)
        if bucket is None:
            bucket = index[value] = {}
        bucket[key] = obj


def _unindex(index: dict[str, dict[ObjectKey, T]], values: Iterable[str], key: ObjectKey) -> None:
    for value in values:
        bucket = index.get(value)
        if bucket is not None:
            bucket.pop(key, None)
            if not bucket:
                del index[value]
