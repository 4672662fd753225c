"""Gives a cluster its default roles and bindings, and gives them back what somebody took away.

At start, before the server says that it serves. What is missing is made; roles lack no rule, bindings no
subject, that the defaults have, whatever else was added; the annotation
`rbac.authorization.kubernetes.io/autoupdate: "false"` keeps an object as it is. Upstream:
`rbac/reconciliation`, the post-start hook `rbac/bootstrap-roles`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import orjson

from services.api import errors
from services.api.kinds import resource_of_kind
from services.apiserver.authorization import default_roles
from services.apiserver.authorization.controller_roles import CONTROLLER_ROLES
from services.apiserver.registry.registry import Registry
from services.apiserver.registry.request import Target, WriteOptions
from services.apiserver.storage.watch_cache import WatchCache
from services.machinery.clock import Clock
from services.machinery.policy_rules import uncovered
from services.process.logging import Logger

Json = dict[str, Any]

GROUP = "rbac.authorization.k8s.io"
AUTO_UPDATE = "rbac.authorization.kubernetes.io/autoupdate"
OPTIONS = WriteOptions(field_manager="kube-apiserver")
RETRY_SECONDS = 0.5
AT_ONCE = 16


def wanted() -> Iterator[Json]:
    """All default roles and bindings, roles first."""
    for name, lines in default_roles.CLUSTER_ROLES.items():
        obj = _object("ClusterRole", "", name)
        if label := default_roles.LABELS.get(name):
            obj["metadata"]["labels"][label] = "true"
        if label := default_roles.AGGREGATES.get(name):
            obj["aggregationRule"] = {"clusterRoleSelectors": [{"matchLabels": {label: "true"}}]}
        obj["rules"] = [default_roles.rule(line) for line in lines] or None
        yield obj
    for (namespace, name), lines in default_roles.ROLES.items():
        yield {**_object("Role", namespace, name), "rules": [default_roles.rule(line) for line in lines]}
    for name, subjects in default_roles.CLUSTER_BINDINGS.items():
        yield _binding(_object("ClusterRoleBinding", "", name), "ClusterRole", name, subjects)
    for (namespace, name), (role, subjects) in default_roles.BINDINGS.items():
        yield _binding(_object("RoleBinding", namespace, name), "Role", role, subjects)


def for_controllers() -> Iterator[Json]:
    """The roles of single controllers, and their bindings: nobody who starts with the cluster needs them."""
    for controller, lines in CONTROLLER_ROLES.items():
        name = f"system:controller:{controller}"
        yield {**_object("ClusterRole", "", name), "rules": [default_roles.rule(line) for line in lines]}
        subject = (f"ServiceAccount kube-system/{controller}",)
        yield _binding(_object("ClusterRoleBinding", "", name), "ClusterRole", name, subject)


def _object(kind: str, namespace: str, name: str) -> Json:
    meta: Json = {
        "name": name,
        "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"},
        "annotations": {AUTO_UPDATE: "true"},
    }
    if namespace:
        meta["namespace"] = namespace
    return {"apiVersion": f"{GROUP}/v1", "kind": kind, "metadata": meta}


def _binding(obj: Json, role_kind: str, role: str, subjects: Iterable[str]) -> Json:
    obj["roleRef"] = {"apiGroup": GROUP, "kind": role_kind, "name": role}
    if found := [_subject(*text.split()) for text in subjects]:
        obj["subjects"] = found
    return obj


def _subject(kind: str, name: str) -> Json:
    if kind == "ServiceAccount":
        namespace, _, name = name.partition("/")
        return {"kind": kind, "name": name, "namespace": namespace}
    return {"kind": kind, "apiGroup": GROUP, "name": name}


def completed(found: Json, default: Json) -> Json | None:
    """`found` with what it lacks of the default; None where it lacks nothing or is to be left alone. Pure."""
    meta, model = found["metadata"], default["metadata"]
    if meta.get("annotations", {}).get(AUTO_UPDATE) == "false":
        return None
    new = orjson.loads(orjson.dumps(found))
    # Labels decide which roles are gathered: those of the default always hold.
    new["metadata"]["labels"] = {**meta.get("labels", {}), **model["labels"]}
    new["metadata"]["annotations"] = {**model["annotations"], **meta.get("annotations", {})}
    if "roleRef" in default:
        held = found.get("subjects") or []
        missing = [each for each in default.get("subjects", ()) if each not in held]
        if missing:
            new["subjects"] = [*held, *missing]
    elif "aggregationRule" in default:
        new["aggregationRule"] = default["aggregationRule"]
    else:
        held = found.get("rules") or []
        lacking = [rule for rule in default["rules"] if uncovered([rule], held)]
        if lacking:
            new["rules"] = [*held, *lacking]
    return new if new != found else None


async def reconcile(registry: Registry, clock: Clock, log: Logger, objects: Iterable[Json] = ()) -> None:
    """Returns once all of it is there; waits for etcd as long as it takes. One line of log for all."""
    made = 0
    for batch in batched(objects or wanted()):
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(_until_there(registry, each, clock, log)) for each in batch]
        made += sum(task.result() for task in tasks)
    for kind in ("ClusterRole", "Role", "ClusterRoleBinding", "RoleBinding"):
        resource = resource_of_kind(f"{GROUP}/v1", kind)
        assert resource is not None
        await _until_seen(registry.store(resource).cache, clock, log)
    if made:
        log.info("Made the default roles and role bindings", count=made)


async def _until_seen(cache: WatchCache, clock: Clock, log: Logger) -> None:
    """Who asks from then on is judged by what was made."""
    while True:
        try:
            return await cache.catch_up()
        except (errors.ApiError, TimeoutError) as error:
            log.warning("Cannot see the default roles yet", prefix=cache.prefix, reason=str(error))
            await clock.sleep(RETRY_SECONDS)


def batched(objects: Iterable[Json]) -> Iterator[list[Json]]:
    """So many at a time: a cluster's first second is short of time, and its etcd of nothing."""
    iterator = iter(objects)
    while batch := list(islice(iterator, AT_ONCE)):
        yield batch


async def _until_there(registry: Registry, default: Json, clock: Clock, log: Logger) -> bool:
    """Whether anything had to be written."""
    resource = resource_of_kind(default["apiVersion"], default["kind"])
    assert resource is not None
    meta = default["metadata"]
    target = Target(resource, meta.get("namespace", ""), meta["name"])
    while True:
        try:
            return await _reconcile(registry, target, default)
        except errors.ApiError as error:
            if errors.is_already_exists(error) or errors.is_conflict(error):
                return False  # another server is at it too
            log.warning("Cannot make a default role yet", name=meta["name"], reason=error.message)
            await clock.sleep(RETRY_SECONDS)


async def _reconcile(registry: Registry, target: Target, default: Json) -> bool:
    store = registry.store(target.resource)
    entry = store.find(target.namespace, target.name)
    found = orjson.loads(entry.value) if entry is not None else None
    if found is not None and found.get("roleRef") != default.get("roleRef"):
        # What a binding is bound to cannot change: it is made anew.
        await registry.delete(target, b"")
        found = None
    if entry is None or found is None:
        # Past the journal: what every cluster has is no news.
        collection = Target(target.resource, target.namespace)
        await store.create(collection, store.strategy.decode(orjson.dumps(default)), OPTIONS)
        return True
    new = completed(found, default)
    if new is None:
        return False
    new["metadata"]["resourceVersion"] = str(entry.revision)
    await registry.update(target, orjson.dumps(new), OPTIONS)
    return True
