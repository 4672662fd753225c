"""Subresources that do something instead of being a part of the object: scale, binding, eviction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import orjson

from services.api import core_v1, errors, kinds
from services.apiserver.authentication.acting import acting
from services.apiserver.registry import binding, deletion, extending, scale
from services.apiserver.registry.context import RequestContext
from services.apiserver.registry.disruption import Budgets
from services.apiserver.registry.request import Answer, Item, PatchType, Target, WriteOptions
from services.apiserver.registry.store import Store
from services.apiserver.registry.written import Change, Updater, Written
from services.apiserver.rules import node_restriction
from services.apiserver.storage.storage import Stored
from services.machinery.clock import rfc3339
from services.machinery.patch import apply_patch

Json = dict[str, Any]
NODES = kinds.resource_of(core_v1.Node)
# What a posted subresource answers.
CREATED = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}


@dataclass(frozen=True, slots=True)
class Done:
    written: Written
    answer: Answer


def decode(body: bytes) -> Json:
    """A small object that has no strategy of its own. ApiError 400."""
    try:
        obj = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise errors.bad_request(
            f"the object provided is unrecognized (must be of type Binding): {error}"
        ) from None
    if not isinstance(obj, dict):
        raise errors.bad_request("the object provided is unrecognized")
    for field in ("metadata", "target", "deleteOptions", "spec"):
        if not isinstance(obj.get(field) or {}, dict):
            raise errors.bad_request(f"the object provided is unrecognized: {field} must be an object")
    return obj


def _created(written: Written) -> Done:
    status = Item(orjson.dumps(CREATED), written.stored.revision)
    return Done(written, Answer(status))


async def bind(store: Store, target: Target, body: bytes, options: WriteOptions) -> Done:
    given = decode(body)
    binding.check(given)
    name = (given.get("metadata") or {}).get("name", "")
    if name and name != target.name:
        raise errors.bad_request("name in URL does not match name in Binding object")
    await extending.posting(store, target, given, options)
    node = binding.check(given)

    def update(pod: Json, stored: Stored, ctx: RequestContext) -> Change:
        binding.bind(store.resource, pod, given, node, ctx.now)
        binding.give_topology(pod, ctx.labels_of(NODES, "", node))
        return Change(pod)

    return _created(await store.update(target, update, options))


async def evict(store: Store, target: Target, body: bytes, options: WriteOptions, budgets: Budgets) -> Done:
    """A deletion that asks politely: the Pod's disruption budget may object."""
    given = decode(body)
    if (given.get("metadata") or {}).get("name", "") != target.name:
        raise errors.bad_request("name in URL does not match name in Eviction object")
    wishes = {**(given.get("deleteOptions") or {}), "kind": "DeleteOptions"}
    parsed = deletion.parse_options(orjson.dumps(wishes))
    await extending.posting(store, target, given, replace(options, dry_run=options.dry_run or parsed.dry_run))
    seen = store.find(target.namespace, target.name) or await store.get(target.namespace, target.name)
    node_restriction.evict(orjson.loads(seen.value), acting())
    await budgets.spend(orjson.loads(seen.value), options.dry_run or parsed.dry_run)
    if not (options.dry_run or parsed.dry_run):
        await store.update(target, _disrupted(store, parsed), options)
    written, _ = await store.delete(target, parsed, options.dry_run or parsed.dry_run, admitted=True)
    return _created(written)


def _disrupted(store: Store, parsed: deletion.Options) -> Updater:
    """Says in the Pod's status why it is to end, before its deletion begins."""

    def update(pod: Json, stored: Stored, ctx: RequestContext) -> Change:
        deletion.check_preconditions(store.resource, pod, stored.revision, parsed)
        status = pod.setdefault("status", {})
        if pod["metadata"].get("deletionTimestamp") or status.get("phase") in ("Succeeded", "Failed"):
            return Change(pod)
        kept = [c for c in status.get("conditions") or [] if c.get("type") != "DisruptionTarget"]
        condition = {
            "type": "DisruptionTarget",
            "status": "True",
            "lastProbeTime": None,
            "lastTransitionTime": rfc3339(ctx.now),
            "reason": "EvictionByEvictionAPI",
            "message": "Eviction API: evicting",
        }
        status["conditions"] = [*kept, condition]
        return Change(pod)

    return update


def scale_answer(store: Store, value: bytes, revision: int) -> Answer:
    obj, paths = orjson.loads(value), scale.paths_of(store.resource)
    scale.check_set(obj, paths)
    made = scale.of(obj, revision, paths)
    meta = made["metadata"]
    wire = {**made, "metadata": {name: v for name, v in meta.items() if name != "resourceVersion"}}
    return Answer(
        Item(orjson.dumps(wire), revision, meta.get("namespace", ""), meta["name"], meta.get("uid", ""))
    )


def scale_updater(store: Store, target: Target, body: bytes, options: WriteOptions) -> Updater:
    given = decode(body)
    return _scaled(store, target, lambda current: given, options)


def scale_patcher(
    store: Store, target: Target, body: bytes, patch_type: PatchType, options: WriteOptions
) -> Updater:
    # A Scale has no lists, so that a strategic merge is a merge.
    strategic = patch_type == "application/strategic-merge-patch+json"
    kind = "application/merge-patch+json" if strategic else patch_type
    return _scaled(store, target, lambda current: apply_patch(kind, current, body, None), options)


def _scaled(store: Store, target: Target, make: Callable[[Json], Json], options: WriteOptions) -> Updater:
    paths = scale.paths_of(store.resource)

    async def update(old: Json, stored: Stored, ctx: RequestContext) -> Change:
        before = scale.of(old, stored.revision, paths)
        given = make(orjson.loads(orjson.dumps(before)))
        extension = store.extension
        if extension is not None and extension.active:
            about = extending.asked("UPDATE", target, given, before, ctx, options)
            await extending.mutate(extension, store.ownership.schema, about, lambda obj: obj)
        replicas = scale.check(store.resource, given, target.name)
        new = orjson.loads(stored.value)
        scale.set_replicas(new, replicas, paths)
        version = (given.get("metadata") or {}).get("resourceVersion", "")
        new["metadata"]["resourceVersion"] = version or str(stored.revision)
        if extension is not None and extension.active:
            await extending.validate(
                extension, extending.asked("UPDATE", target, given, before, ctx, options)
            )
        return await store.checked(target, new, old, stored.revision, ctx, store.strategy, options)

    return update


__all__ = ["Done", "Updater", "bind", "evict", "scale_answer", "scale_patcher", "scale_updater"]
