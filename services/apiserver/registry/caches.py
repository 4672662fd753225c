"""The watch caches of all kinds, fed together."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson

from services.api.kinds import RESOURCES, Resource
from services.api.object import Object
from services.apiserver.registry import keys
from services.apiserver.rules.strategy import Strategy, strategy_for
from services.apiserver.storage.causes import CauseLedger
from services.apiserver.storage.entries import Attributes, Describe, Entry
from services.apiserver.storage.storage import Storage
from services.apiserver.storage.watch_cache import WatchCache
from services.machinery.clock import Clock
from services.process.logging import Logger

BOOKMARK_SECONDS = 60.0


def describer(strategy: Strategy) -> Describe:
    """How to read out of a stored object what selectors and indexes ask for."""

    def describe(value: bytes) -> Attributes:
        return attributes_of(strategy, orjson.loads(value))

    return describe


def attributes_of(strategy: Strategy, obj: dict[str, Any]) -> Attributes:
    metadata = obj["metadata"]
    return Attributes(
        metadata.get("namespace", ""),
        metadata.get("name", ""),
        metadata.get("uid", ""),
        metadata.get("labels") or {},
        strategy.selectable_fields(obj),
    )


class Caches:
    def __init__(self, storage: Storage, clock: Clock, log: Logger) -> None:
        self.causes = CauseLedger()
        self._storage, self._clock = storage, clock
        # By type: hashing a whole table entry for each lookup would cost more than the lookup.
        self._by_type: dict[type[Object], WatchCache] = {}
        for resource in RESOURCES:
            describe = describer(strategy_for(resource))
            self._by_type[resource.type] = WatchCache(
                keys.prefix(resource), storage, describe, self.causes, clock, log
            )

    def of(self, resource: Resource) -> WatchCache:
        return self._by_type[resource.type]

    def find(self, resource: Resource, namespace: str, name: str) -> Entry | None:
        return self._by_type[resource.type].get(keys.key(resource, namespace, name))

    async def run(self) -> None:
        """Fills and follows all of them until cancelled."""
        async with asyncio.TaskGroup() as group:
            for cache in self._by_type.values():
                group.create_task(cache.run())
            group.create_task(self._bookmarks())

    async def ready(self) -> None:
        for cache in self._by_type.values():
            await cache.ready.wait()

    async def _bookmarks(self) -> None:
        while True:
            await self._clock.sleep(BOOKMARK_SECONDS)
            # So that those who watch a quiet kind can resume near the present, after compaction too.
            self._storage.ask_progress()
            for cache in self._by_type.values():
                cache.bookmark()
