"""Garbage collector: watches every kind, keeps the graph of owners, and acts on what follows from it.

Only metadata is kept of kinds that no other controller reads. A deletion carries the uid, and the
revision that the decision was made from, as preconditions: an object that got a new owner meanwhile stays.
Work is keyed by uid; whatever fails comes back with a growing delay. A restart loses nothing: the graph is
built anew from the first lists, and owners that are not in them are asked for live. Kinds that somebody
defined come and go with their definitions.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, ClassVar

import msgspec
from msgspec.structs import replace

from services.api.core_v1 import Event
from services.api.errors import ApiError, is_conflict, is_not_found
from services.api.kinds import RESOURCES, resource_of, resource_of_kind
from services.api.meta_v1 import OwnerReference
from services.api.object import Object, ObjectKey
from services.client.controller import ControllerContext
from services.client.informer import Informer
from services.client.transport import PatchType, Unavailable
from services.client.workqueue import WorkQueue
from services.controller_manager.custom_kinds import CustomKinds
from services.controller_manager.garbage_collector import graph
from services.controller_manager.garbage_collector.graph import (
    Action,
    Delete,
    Disown,
    Graph,
    Identity,
    Item,
    Orphan,
    Release,
    Unblock,
    Visit,
)
from services.machinery import trace

WORKERS = 10
CUSTOM_SYNC_SECONDS = 30.0
ABSENT_OWNERS_MAX = 500  # Owners known not to exist: a thousand Pods of one owner ask once.


def _only_metadata(obj: Any) -> Any:
    return type(obj)(metadata=obj.metadata)


class GarbageCollector:
    name: ClassVar[str] = "garbage-collector"

    def __init__(self, context: ControllerContext) -> None:
        self._client, self._log, self._clock = context.client, context.log, context.clock
        self._graph = Graph()
        self._queue: WorkQueue[str] = WorkQueue(context.clock)
        self._absent: OrderedDict[str, None] = OrderedDict()
        self._informers: dict[type[Object], Informer[Any]] = {}
        self._factory = context.informers
        for resource in RESOURCES:
            # Events belong to nobody, and there are many of them. One version of a kind tells of all.
            if resource.type is not Event and not resource.stored_as and "watch" in resource.verbs:
                self._follow(resource.type)
        self._custom = CustomKinds(context)
        self._custom.follow(self._follow, self._forget)

    def _follow(self, kind: type[Object]) -> None:
        informer = self._factory.informer(kind, transform=_only_metadata)
        informer.add_handler(self._on_add, self._on_update, self._on_delete)
        self._informers[kind] = informer

    def _forget(self, kind: type[Object]) -> None:
        self._informers.pop(kind, None)
        self._factory.stop(kind)

    async def run(self) -> None:
        """Until cancelled. Nothing is judged before every kind has been seen."""
        built_in = [*self._informers.values()]
        for informer in built_in:
            await informer.wait_synced()
        await self._custom.definitions.wait_synced()
        with contextlib.suppress(TimeoutError):  # one whose conversion fails is not to stop all others
            async with self._clock.timeout(CUSTOM_SYNC_SECONDS):
                for informer in [*self._informers.values()]:
                    await informer.wait_synced()
        async with asyncio.TaskGroup() as group:
            for number in range(WORKERS):
                group.create_task(self._work(), name=f"{self.name} worker {number}")

    # What the watches say

    def _on_add(self, obj: Object, cause: str) -> None:
        self._enqueue(self._graph.put(_identity(obj), obj.metadata), cause)

    def _on_update(self, old: Object, new: Object, cause: str) -> None:
        before, after = old.metadata, new.metadata
        if (
            before.uid == after.uid
            and before.owner_references == after.owner_references
            and before.deletion_timestamp == after.deletion_timestamp
            and before.finalizers == after.finalizers
        ):
            return
        if before.uid != after.uid:
            self._enqueue(self._graph.remove(before.uid or ""), cause)
        self._enqueue(self._graph.put(_identity(new), after), cause)

    def _on_delete(self, obj: Object, cause: str) -> None:
        self._remember_absent(obj.metadata.uid or "")
        self._enqueue(self._graph.remove(obj.metadata.uid or ""), cause)

    def _enqueue(self, uids: Sequence[str], cause: str) -> None:
        for uid in uids:
            self._queue.add(uid, cause)

    def _remember_absent(self, uid: str) -> None:
        self._absent[uid] = None
        self._absent.move_to_end(uid)
        if len(self._absent) > ABSENT_OWNERS_MAX:
            self._absent.popitem(last=False)

    # Acting

    async def _work(self) -> None:
        while True:
            uid, cause = await self._queue.get()
            try:
                with trace.scope(cause):
                    await self._attend_once(uid, cause)
            finally:
                self._queue.done(uid)

    async def _attend_once(self, uid: str, cause: str) -> None:
        try:
            await self._attend(uid)
        except ApiError as error:
            if is_not_found(error):
                pass  # Gone already: the watch will say so.
            else:
                say = self._log.debug if _passing(error) else self._log.warning
                say("Could not collect garbage; will try again", uid=uid, reason=error.message)
                self._queue.add_rate_limited(uid, cause)
                return
        self._queue.forget(uid)

    async def _attend(self, uid: str) -> None:
        item = self._graph.get(uid)
        if item is None:
            return
        absent = {
            owner.uid for owner in self._graph.unseen_owners(item) if await self._is_absent(item, owner)
        }
        # The graph may have moved while we asked.
        item = self._graph.get(uid)
        if item is not None:
            await self._do(self._graph.decide(item, absent))

    async def _is_absent(self, item: Item, owner: OwnerReference) -> bool:
        if owner.uid in self._absent:
            return True
        kind = self._class_of(owner.api_version, owner.kind)
        if kind is None:
            # Nobody can say whether it exists: what might be owned is left alone.
            return False
        namespace = item.identity.namespace if resource_of(kind).namespaced else ""
        try:
            found = await self._client.get(kind, owner.name, namespace)
        except ApiError as error:
            if not is_not_found(error):
                raise
        else:
            if found.metadata.uid == owner.uid:
                return False
        self._remember_absent(owner.uid)
        return True

    async def _do(self, action: Action) -> None:
        match action:
            case Delete(item, policy):
                await self._delete(item, policy)
            case Disown(item, owner_uids):
                await self._disown(item, owner_uids)
            case Orphan(item, dependents):
                for dependent in dependents:
                    await self._disown(dependent, frozenset([item.uid]))
                await self._drop_finalizer(item, graph.ORPHAN)
            case Release(item):
                await self._drop_finalizer(item, graph.FOREGROUND)
            case Unblock(item):
                await self._unblock(item)
            case Visit(uids):
                self._enqueue(uids, trace.current())

    async def _delete(self, item: Item, policy: graph.Policy) -> None:
        found = self._cached(item)
        if found is None:
            return
        self._log.info(
            "Deleting an object whose owners are gone",
            policy=policy, owner=",".join(owner.name for owner in item.owners), **_names(item),
        )  # fmt: skip
        await self._client.delete(
            type(found),
            item.identity.name,
            item.identity.namespace,
            uid=item.uid,
            resource_version=found.metadata.resource_version or "",
            propagation=policy,
        )

    async def _disown(self, item: Item, owner_uids: frozenset[str]) -> None:
        self._log.info("Dropping owners that are gone", **_names(item))
        try:
            if self._is_custom(item):
                kept = [owner for owner in item.owners if owner.uid not in owner_uids]
                await self._write_owners(item, kept)
            else:
                gone = [{"$patch": "delete", "uid": uid} for uid in sorted(owner_uids)]
                await self._patch(item, {"ownerReferences": gone})
        except ApiError as error:
            if not is_not_found(error):
                raise

    async def _unblock(self, item: Item) -> None:
        if self._is_custom(item):
            await self._write_owners(
                item, [replace(each, block_owner_deletion=False) for each in item.owners]
            )
            return
        references = [{"uid": owner.uid, "blockOwnerDeletion": False} for owner in item.owners]
        await self._patch(item, {"ownerReferences": references})

    async def _write_owners(self, item: Item, owners: Sequence[OwnerReference]) -> None:
        """Of an object whose kind knows no strategic patches: all of them, if nobody changed it meanwhile."""
        found = self._cached(item)
        if found is None:
            return
        metadata = {
            "ownerReferences": msgspec.to_builtins(list(owners)) or None,
            "uid": item.uid,
            "resourceVersion": found.metadata.resource_version,
        }
        identity = item.identity
        await self._client.patch(type(found), identity.name, identity.namespace, {"metadata": metadata})

    def _class_of(self, api_version: str, kind: str) -> type[Object] | None:
        resource = resource_of_kind(api_version, kind)
        return resource.type if resource is not None else self._custom.of_kind(api_version, kind)

    def _is_custom(self, item: Item) -> bool:
        return resource_of_kind(item.identity.api_version, item.identity.kind) is None

    async def _patch(self, item: Item, metadata: dict[str, Any]) -> None:
        resource = resource_of_kind(item.identity.api_version, item.identity.kind)
        if resource is not None:
            patch = {"metadata": {**metadata, "uid": item.uid}}
            await self._client.patch(
                resource.type, item.identity.name, item.identity.namespace, patch,
                patch_type=PatchType.STRATEGIC,
            )  # fmt: skip

    async def _drop_finalizer(self, item: Item, finalizer: str) -> None:
        found = self._cached(item)
        if found is None:
            return
        kept = [name for name in found.metadata.finalizers if name != finalizer]
        metadata = {
            "finalizers": kept or None,
            "uid": item.uid,
            "resourceVersion": found.metadata.resource_version,
        }
        identity = item.identity
        self._log.info("Nothing holds up the deletion any more", **_names(item))
        await self._client.patch(type(found), identity.name, identity.namespace, {"metadata": metadata})

    def _cached(self, item: Item) -> Object | None:
        """The object as the cache shows it; None once it is gone from there."""
        identity = item.identity
        kind = self._class_of(identity.api_version, identity.kind)
        informer = self._informers.get(kind) if kind is not None else None
        if informer is None:
            return None
        found: Object | None = informer.store.get(ObjectKey(identity.namespace, identity.name))
        return found if found is not None and found.metadata.uid == item.uid else None


def _identity(obj: Object) -> Identity:
    key = obj.key
    return Identity(obj.api_version, obj.kind, key.namespace, key.name)


def _names(item: Item) -> dict[str, str]:
    identity = item.identity
    return {"kind": identity.kind, "namespace": identity.namespace, "name": identity.name}


def _passing(error: ApiError) -> bool:
    return is_conflict(error) or isinstance(error, Unavailable)
