"""Follows the CustomResourceDefinitions: gives them names, serves what they define, clears up after them.

Level driven, one definition at a time, since whether names are free depends on the others: it looks at
what the cache shows now. First the names are accepted, then the resources are answered for, then the
definition says it is Established; so nobody who waited for that is told 404 here. When a definition's
spec changes, its cache is replaced and watches end, as upstream; clients begin them anew. Every API server
does all of this: of two that write the same status, one does. A definition that cannot be served is told in
the log and tried again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from random import Random
from typing import Any

import orjson

from services.api import errors
from services.api.errors import ApiError
from services.api.kinds import Resource, resource_of_kind
from services.apiserver.crd import conditions as verdicts
from services.apiserver.custom import conditions, ending
from services.apiserver.custom.conditions import Judgement
from services.apiserver.custom.resource import definitions_resource, is_served, is_true
from services.apiserver.custom.serving import Caller, Plan, made_of, plan
from services.apiserver.registry.caches import describer
from services.apiserver.registry.context import RequestContext
from services.apiserver.registry.registry import Registry
from services.apiserver.registry.request import Target, WriteOptions
from services.apiserver.registry.written import Change
from services.apiserver.storage.entries import Selection
from services.apiserver.storage.storage import Stored
from services.apiserver.storage.watch_cache import WatchCache
from services.client.workqueue import WorkQueue
from services.machinery.clock import Clock
from services.process.logging import Logger

Json = dict[str, Any]

MANAGER = "kube-apiserver"
# What a definition comes to that nobody checked, or that is nested as deeply as JSON may be.
SENSELESS = (KeyError, TypeError, ValueError, RecursionError)
OPTIONS = WriteOptions(field_manager=MANAGER)


class Definitions:
    def __init__(self, registry: Registry, clock: Clock, random: Random, log: Logger, caller: Caller) -> None:
        self._registry, self._clock, self._random, self._log = registry, clock, random, log
        self._caller = caller
        self._resource = definitions_resource()
        self._store = registry.store(self._resource)
        self._queue: WorkQueue[str] = WorkQueue(clock)
        self._plans: dict[str, Plan] = {}
        self._caches: dict[str, WatchCache] = {}
        self._ending = ending.Endings(clock)

    # -- running ---------------------------------------------------------------------------------

    async def serve_all(self) -> None:
        """Answers for all that is there already: a server is not ready before."""
        for definition in self._all():
            try:
                await self._serve(definition)
            except SENSELESS as error:  # It is looked at again, and told then.
                self._log.debug("Passing over a definition", reason=repr(error))

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow())
            group.create_task(self._work())

    async def _follow(self) -> None:
        while True:
            watcher = self._store.cache.watch(Selection(), None)
            for name in self._plans:  # One may have gone while nobody watched.
                self._queue.add(name)
            try:
                while True:
                    for delivery in await watcher.next():
                        if delivery.entry is not None:
                            self._queue.add(delivery.entry.attributes.name)
            except ApiError as error:
                self._log.debug("Following the definitions anew", reason=error.message)
                await self._store.cache.ready.wait()
            finally:
                self._store.cache.watchers.leave(watcher)

    async def _work(self) -> None:
        while True:
            name, _ = await self._queue.get()
            try:
                again = await self._reconcile(name)
            except ApiError as error:
                if not errors.is_conflict(error) and not errors.is_not_found(error):
                    self._log.warning("Cannot serve a definition yet", name=name, reason=error.message)
                self._queue.add_rate_limited(name)
            except SENSELESS as error:
                self._log.error("A definition makes no sense", name=name, reason=repr(error))
                self._withdraw(name)
            else:
                self._queue.forget(name)
                if again:
                    self._queue.add_after(name, again)
            finally:
                self._queue.done(name)

    def _all(self) -> Iterator[Json]:
        for entry in list(self._store.cache.entries.values()):
            yield orjson.loads(entry.value)

    # -- one definition --------------------------------------------------------------------------

    async def _reconcile(self, name: str) -> float:
        """Seconds after which to look again; 0: when something changes."""
        entry = self._store.find("", name)
        if entry is None:
            self._withdraw(name)
            self._look_at_group_of(name)
            return 0
        definition: Json = orjson.loads(entry.value)
        now = self._clock.now()
        if (status := conditions.named(definition, self._all(), now)) is not None:
            definition = await self._write_status(definition, status)
            self._look_at_group_of(name)
        definition = await self._judge(definition)
        await self._serve(definition)
        if (status := conditions.established(definition, now)) is not None:
            definition = await self._write_status(definition, status)
            if is_true(definition, "Established"):
                self._log.info("Serving a custom resource", kind="CustomResourceDefinition", name=name)
        if ending.is_due(definition):
            return await self._end(definition)
        return 0

    async def _judge(self, definition: Json) -> Json:
        """What is to be said of its schemas, and of a group that is Kubernetes' own."""
        found = (verdicts.structure(definition), verdicts.approved(definition))
        for judgement, kind in zip(found, (verdicts.NON_STRUCTURAL, verdicts.CONFORMANT), strict=True):
            if judgement is not None:
                definition = await self._tell(definition, judgement)
            elif (status := conditions.without_condition(definition, kind)) is not None:
                definition = await self._write_status(definition, status)
        return definition

    def _look_at_group_of(self, name: str) -> None:
        """Names that were given up may be what others wait for."""
        group = name.partition(".")[2]
        for other in self._all():
            found = other["metadata"]["name"]
            if found != name and other["spec"]["group"] == group:
                self._queue.add(found)

    async def _write_status(self, definition: Json, status: Json, *, release: bool = False) -> Json:
        """What came of it. The cache shows it too, once this returns."""
        name, uid = definition["metadata"]["name"], definition["metadata"]["uid"]

        def update(old: Json, stored: Stored, ctx: RequestContext) -> Change:
            if old["metadata"]["uid"] != uid or old.get("status") != definition.get("status"):
                raise errors.conflict(self._resource, name, errors.STALE)
            new = orjson.loads(orjson.dumps({**old, "status": status}))
            self._store.ownership.track(old, new, MANAGER, "status", ctx.now)
            if release:
                ending.release(new)
            return Change(new, delete=release and not new["metadata"].get("finalizers"))

        written = await self._store.update(Target(self._resource, "", name), update, OPTIONS)
        if not written.deleted:
            await self._catch_up(written.stored.revision)
        return written.obj

    async def _catch_up(self, revision: int) -> None:
        try:
            await self._store.cache.wait_for(revision)
        except TimeoutError:
            raise errors.unavailable("the definitions are not known yet") from None

    # -- serving ---------------------------------------------------------------------------------

    async def _serve(self, definition: Json) -> None:
        name = definition["metadata"]["name"]
        if not is_served(definition):
            self._withdraw(name)
            return
        wanted, old = made_of(definition), self._plans.get(name)
        if old is not None and old.made_of == wanted:
            return
        new = plan(definition, self._caller, self._random)
        fresh = old is None or _begins_anew(old.made_of, wanted)
        cache = await self._cache_for(new) if fresh else self._caches[name]
        gone = [each for each in old.resources if each.key not in _keys(new)] if old is not None else []
        self._registry.withdraw(*gone)
        self._registry.caches.put(new.stored, cache)
        self._registry.serve(cache, [each for each in new.servings if not _is_built_in(each.resource)])
        if fresh and old is not None:
            self._registry.caches.stop(self._caches[name])
        self._plans[name], self._caches[name] = new, cache

    async def _cache_for(self, new: Plan) -> WatchCache:
        caches = self._registry.caches
        cache = caches.make(new.stored, describer(new.describing))
        caches.start(cache)
        try:
            await cache.ready.wait()
        except asyncio.CancelledError:
            caches.stop(cache)
            raise
        return cache

    def _withdraw(self, name: str) -> None:
        old = self._plans.pop(name, None)
        if old is None:
            return
        self._registry.withdraw(*old.resources, old.stored)
        self._registry.caches.stop(self._caches.pop(name))
        self._log.info("A custom resource is served no longer", kind="CustomResourceDefinition", name=name)

    # -- ending ----------------------------------------------------------------------------------

    async def _end(self, definition: Json) -> float:
        """Deletes the instances, then lets the definition go."""
        name = definition["metadata"]["name"]
        if not is_true(definition, "Established"):
            return await self._let_go(definition, ending.NEVER_ESTABLISHED)
        old = self._plans.get(name)
        if old is None:
            raise errors.unavailable(f"unable to find a custom resource client for {name}")
        self._ending.begin(name)
        if not self._ending.is_long(name):
            definition = await self._tell(definition, ending.IN_PROGRESS)
        store = self._registry.store_for(old.stored_serving)
        try:
            left = await ending.delete_all(store)
        except ApiError as error:
            await self._tell(definition, ending.failed(error.message))
            raise
        if left:
            if self._ending.is_long(name):
                await self._tell(definition, ending.UNCONFIRMED)
            return ending.LOOK_AGAIN_SECONDS
        self._ending.forget(name)
        return await self._let_go(definition, ending.COMPLETED)

    async def _tell(self, definition: Json, judgement: Judgement) -> Json:
        status = conditions.set_condition(definition, judgement, self._clock.now())
        return definition if status is None else await self._write_status(definition, status)

    async def _let_go(self, definition: Json, judgement: Judgement) -> float:
        status = conditions.set_condition(definition, judgement, self._clock.now())
        await self._write_status(definition, status or definition.get("status") or {}, release=True)
        return 0


def _keys(found: Plan) -> set[str]:
    return {each.key for each in found.resources}


def _begins_anew(before: Json, after: Json) -> bool:
    """Whether watches must end: not where the definition only begins to terminate."""
    return any(before[part] != after[part] for part in ("spec", "names", "uid"))


def _is_built_in(resource: Resource) -> bool:
    return resource_of_kind(resource.api_version, resource.kind) is not None
