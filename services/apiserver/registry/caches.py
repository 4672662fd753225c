"""The watch caches of all kinds, fed together; some come and go with what is served.

One cache holds all objects of a kind, in whichever versions it is served.
"""

from __future__ import annotations

import asyncio
from typing import Any

import orjson

from services.api.kinds import Resource
from services.apiserver.registry import keys
from services.apiserver.registry.catalog import Catalog
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
    def __init__(self, storage: Storage, clock: Clock, log: Logger, catalog: Catalog | None = None) -> None:
        self.causes = CauseLedger()
        self.catalog = catalog or Catalog()
        self._storage, self._clock, self._log = storage, clock, log
        self._by_key: dict[str, WatchCache] = {}
        self._group: asyncio.TaskGroup | None = None
        self._running: dict[WatchCache, asyncio.Task[None]] = {}
        for resource in self.catalog.resources:
            if not resource.stored_as:
                self._by_key[resource.key] = self.make(resource, describer(strategy_for(resource)))
        for resource in self.catalog.resources:
            if resource.stored_as:
                self._by_key[resource.key] = self._by_key[f"{resource.stored_as}/{resource.plural}"]

    def make(self, resource: Resource, describe: Describe) -> WatchCache:
        """One that is not known here and does not run yet."""
        prefix = keys.prefix(resource)
        return WatchCache(prefix, self._storage, describe, self.causes, self._clock, self._log)

    def of(self, resource: Resource) -> WatchCache:
        return self._by_key[resource.key]

    def find(self, resource: Resource, namespace: str, name: str) -> Entry | None:
        return self._by_key[resource.key].get(keys.key(resource, namespace, name))

    # -- those that come and go ------------------------------------------------------------------

    def put(self, resource: Resource, cache: WatchCache) -> None:
        """From now on this one holds the resource's objects."""
        self._by_key[resource.key] = cache

    def forget(self, resource: Resource) -> None:
        self._by_key.pop(resource.key, None)

    def start(self, cache: WatchCache) -> None:
        """Fills and follows it, while `run` does the others."""
        assert self._group is not None, "the caches do not run"
        self._running[cache] = self._group.create_task(cache.run())

    def stop(self, cache: WatchCache) -> None:
        """Its watchers get what has gathered and see the end of their watches."""
        cache.close()
        if (task := self._running.pop(cache, None)) is not None:
            task.cancel()

    async def run(self) -> None:
        """Fills and follows all of them until cancelled."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            for cache in dict.fromkeys(self._by_key.values()):
                self.start(cache)
            group.create_task(self._bookmarks())

    async def ready(self) -> None:
        for cache in list(self._by_key.values()):
            await cache.ready.wait()

    async def _bookmarks(self) -> None:
        while True:
            await self._clock.sleep(BOOKMARK_SECONDS)
            # So that those who watch a quiet kind can resume near the present, after compaction too.
            self._storage.ask_progress()
            for cache in dict.fromkeys(self._by_key.values()):
                cache.bookmark()
