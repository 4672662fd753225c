"""What the server answered to our own writes, until the cache shows it.

A controller that writes often would otherwise start from a cache that lags behind its last write, and have
the next one refused. Bounded: one object a key, dropped as soon as the cache has caught up.
"""

from __future__ import annotations

from typing import Generic, TypeVar

from services.api.object import Object, ObjectKey

T = TypeVar("T", bound=Object)


class Written(Generic[T]):
    def __init__(self) -> None:
        self._objects: dict[ObjectKey, T] = {}

    def remember(self, obj: T) -> T:
        self._objects[obj.key] = obj
        return obj

    def newest(self, cached: T) -> T:
        """The cached object, or our own later write of it."""
        ours = self._objects.get(cached.key)
        if ours is None:
            return cached
        if ours.metadata.uid == cached.metadata.uid and _revision(ours) > _revision(cached):
            return ours
        del self._objects[cached.key]
        return cached

    def forget(self, key: ObjectKey) -> None:
        self._objects.pop(key, None)


def _revision(obj: Object) -> int:
    """Revisions of one kind are numbers that grow."""
    return int(obj.metadata.resource_version or 0)
