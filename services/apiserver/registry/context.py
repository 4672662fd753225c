"""What the rules may ask of the world during one request: the moment, chance, other objects.

`lookup` reads the watch caches, which may be a moment behind. A lookup that found nothing is
remembered: before a refusal that may rest on it is sent, the store catches up and asks again.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

import orjson

from services.api.kinds import Resource
from services.apiserver.authentication.acting import acting
from services.apiserver.storage.entries import Selection

if TYPE_CHECKING:
    from services.apiserver.registry.caches import Caches

Json = dict[str, Any]


class RequestContext:
    def __init__(self, caches: Caches, now: datetime, chance: random.Random) -> None:
        self._caches = caches
        self.now = now
        self.random = chance
        self.user = acting()
        self.missed: list[Resource] = []
        self.warnings: list[str] = []

    def lookup(self, resource: Resource, namespace: str, name: str) -> Json | None:
        entry = self._caches.find(resource, namespace, name)
        if entry is None:
            self.missed.append(resource)
            return None
        obj: Json = orjson.loads(entry.value)
        return obj

    def labels_of(self, resource: Resource, namespace: str, name: str) -> dict[str, str]:
        """Read out of it already: nothing is decoded."""
        entry = self._caches.find(resource, namespace, name)
        return entry.attributes.labels if entry is not None else {}

    def warn(self, text: str) -> None:
        self.warnings.append(text)

    def every(self, resource: Resource) -> Iterator[Json]:
        for entry in list(self._caches.of(resource).entries.values()):
            yield orjson.loads(entry.value)

    def within(self, resource: Resource, namespace: str) -> Iterator[Json]:
        cache = self._caches.of(resource)
        if cache.entries:
            for entry in cache.select(Selection(namespace)):
                yield orjson.loads(entry.value)
