"""A keeper: what the API server itself sees to, object by object, whenever something it depends on changes.

Level driven, as controllers are: `reconcile` is given a name and reads what the caches show now. Every API
server has its keepers; of two that write the same, one does. A refusal is told in the log and tried again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

import orjson

from services.api import errors
from services.api.errors import ApiError
from services.api.kinds import Resource
from services.apiserver.registry.registry import Registry
from services.apiserver.registry.request import Target, WriteOptions
from services.apiserver.storage.entries import Entry, Selection
from services.client.workqueue import WorkQueue
from services.machinery.clock import Clock
from services.process.logging import Logger

Json = dict[str, Any]

AT_ONCE = 10
# Which objects a change of another one concerns.
Touched = Callable[[Entry], Iterable[str]]
# Seconds after which to look again without a change; 0: never.
Reconcile = Callable[[str], Awaitable[float]]


class Keeper:
    def __init__(
        self,
        registry: Registry,
        clock: Clock,
        log: Logger,
        what: str,
        sources: Sequence[tuple[Resource, Touched]],
        reconcile: Reconcile,
    ) -> None:
        self._registry, self._log, self._what = registry, log, what
        self._sources, self._reconcile = sources, reconcile
        self._queue: WorkQueue[str] = WorkQueue(clock)

    def add(self, name: str) -> None:
        self._queue.add(name)

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            for resource, touched in self._sources:
                group.create_task(self._follow(resource, touched))
            group.create_task(self._work())

    async def _follow(self, resource: Resource, touched: Touched) -> None:
        cache = self._registry.store(resource).cache
        while True:
            watcher = cache.watch(Selection(), None)
            try:
                while True:
                    for delivery in await watcher.next():
                        if delivery.entry is not None:
                            for name in touched(delivery.entry):
                                self._queue.add(name)
            except ApiError as error:
                self._log.debug(f"Following anew for {self._what}", reason=error.message)
                await cache.ready.wait()
            finally:
                cache.watchers.leave(watcher)

    async def _work(self) -> None:
        while True:
            name, _ = await self._queue.get()
            try:
                again = await self._reconcile(name)
            except ApiError as error:
                if not errors.is_conflict(error) and not errors.is_not_found(error):
                    self._log.warning(f"Cannot see to {self._what} yet", name=name, reason=error.message)
                self._queue.add_rate_limited(name)
            else:
                self._queue.forget(name)
                if again:
                    self._queue.add_after(name, again)
            finally:
                self._queue.done(name)


def own_name(entry: Entry) -> Iterable[str]:
    return (entry.attributes.name,)


async def make_absent(
    registry: Registry, resource: Resource, bodies: Iterable[Json], manager: str, log: Logger
) -> None:
    """Creates those of `bodies` that are not there; one line of log for all. ApiError."""
    store, options = registry.store(resource), WriteOptions(field_manager=manager)

    async def make(body: Json) -> bool:
        decoded = store.strategy.decode(orjson.dumps(body), "Strict")
        try:
            await store.create(Target(resource), decoded, options)
        except ApiError as error:
            if not errors.is_already_exists(error):
                raise
            return False
        return True

    absent = [body for body in bodies if store.find("", body["metadata"]["name"]) is None]
    made = 0
    for batch in (absent[at : at + AT_ONCE] for at in range(0, len(absent), AT_ONCE)):
        made += sum(await asyncio.gather(*(make(body) for body in batch)))
    if made:
        log.info(f"Made every {resource.kind} that was missing", count=made)
