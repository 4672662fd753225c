"""Resourcequota controller: says in each quota's status how much there is, and how much is used.

The API server charges a quota for what it creates; here everything is counted again, when a quota changes,
when something that counts goes or needs less, and every five minutes. Pods, Services and claims are read from
the caches, of other kinds metadata is enough. A cache may lag behind a charge: who finds less used than is
charged looks again a moment later. What a quota names, custom resources too, is watched from then on.
Upstream: `pkg/controller/resourcequota`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from msgspec.structs import replace

from services.api.core_v1 import (
    Container,
    PersistentVolumeClaim,
    Pod,
    ResourceQuota,
    ResourceQuotaStatus,
    Service,
)
from services.api.kinds import RESOURCES, resource_of
from services.api.object import Object, ObjectKey
from services.client import codec
from services.client.controller import Controller, ControllerContext, For, Stores, Watches
from services.client.informer import Informer
from services.controller_manager.custom_kinds import CustomKinds
from services.machinery import quantity, quota
from services.machinery.pod_amounts import Amounts

RESYNC_SECONDS = 300.0
AGAIN_SECONDS = 1.0  # after finding less than was charged: for a creation that a cache does not show yet
SYNC_SECONDS = 10.0
_COUNT = "count/"
_PLAIN = ("configmaps", "replicationcontrollers", "resourcequotas", "secrets")
# What is used where nothing is: a quota says so of the names that it knows.
_POD_NAMES = ("pods", "cpu", "memory", "ephemeral-storage")
_SERVICE_NAMES = ("services", "services.nodeports", "services.loadbalancers")
_CLAIM_NAMES = ("persistentvolumeclaims", "requests.storage")


def _quotas_beside(obj: Object, stores: Stores) -> Iterable[ObjectKey]:
    return [each.key for each in stores[ResourceQuota].by_index("namespace", obj.key.namespace)]


def _respecified(old: ResourceQuota | None, new: ResourceQuota | None) -> bool:
    return old is None or new is None or old.spec != new.spec or new.status.hard != new.spec.hard


def _needs_less(old: Pod | None, new: Pod | None) -> bool:
    """A Pod that is gone or finished, or that was resized."""
    if old is None or new is None:
        return new is None
    return old.status.phase != new.status.phase or old.metadata.generation != new.metadata.generation


def _changed(old: Any, new: Any) -> bool:
    return new is None or (old is not None and old.spec != new.spec)


class ResourceQuotaController(Controller[ResourceQuota]):
    name = "resourcequota"
    watches = (
        For(ResourceQuota, when=_respecified),
        Watches(Pod, map=_quotas_beside, when=_needs_less),
        Watches(Service, map=_quotas_beside, when=_changed),
        Watches(PersistentVolumeClaim, map=_quotas_beside, when=_changed),
    )

    def __init__(self, context: ControllerContext) -> None:
        super().__init__(context)
        self._counted: dict[str, Informer[Any]] = {}  # by the names that follow `count/`
        self._custom = CustomKinds(context)
        self._custom.follow(self._recount, self._recount)
        self._used = _Used()
        context.informers.informer(Pod).add_handler(on_delete=lambda pod, _: self._used.forget(pod))

    async def reconcile(self, found: ResourceQuota) -> None:
        hard = found.spec.hard
        used = _nothing(hard)
        now = self.clock.now()
        for kind in (Pod, Service, PersistentVolumeClaim):
            self._add(found, kind, used, now)
        for name in hard:
            if name not in used and (count := await self._count(name, found.key.namespace)) is not None:
                used[name] = count
        status = ResourceQuotaStatus(
            hard=dict(hard), used=quota.shown({name: used[name] for name in hard if name in used})
        )
        lowered = any(
            quantity.parse(before) > used.get(name, 0) for name, before in found.status.used.items()
        )
        if status != found.status:
            await self.client.update(replace(found, status=status), subresource="status")
        self.requeue_after(found.key, AGAIN_SECONDS if lowered else RESYNC_SECONDS)

    async def start(self) -> None:
        await self._custom.definitions.wait_synced()

    def _add(self, found: ResourceQuota, kind: type[Any], used: Amounts, now: datetime) -> None:
        plural, spec = _PLURALS[kind], codec.to_dict(found.spec)
        for obj in self.store(kind).by_index("namespace", found.key.namespace):
            plain = self._used.plain(obj)
            if quota.covers(spec, "", plural, plain):
                more = quota.usage("", plural, plain, now)
                quota.add(used, {name: amount for name, amount in more.items() if name in used})

    async def _count(self, name: str, namespace: str) -> int | None:
        """How many there are of what a name means; None: it means nothing, or nobody knows yet."""
        named = name.removeprefix(_COUNT)
        if named == name and name not in _PLAIN:
            return None
        informer = self._counted.get(named) or self._informer(named)
        if informer is None:
            return None
        self._counted[named] = informer
        with contextlib.suppress(TimeoutError):  # a kind that cannot be listed stops no others
            async with self.clock.timeout(SYNC_SECONDS):
                await informer.wait_synced()
        return len(informer.store.by_index("namespace", namespace)) if informer.has_synced else None

    def _informer(self, named: str) -> Informer[Any] | None:
        kinds = [resource.type for resource in RESOURCES if resource.qualified == named]
        for kind in (*kinds, *self._custom.all()):
            resource = resource_of(kind)
            if resource.namespaced and resource.qualified == named:
                informer = self.context.informers.informer(kind, transform=_only_metadata)
                informer.add_handler(on_delete=self._gone)
                return informer
        return None

    def _gone(self, obj: Object, cause: str) -> None:
        for key in _quotas_beside(obj, self.stores):
            self.enqueue(key, cause)

    def _recount(self, kind: type[Object]) -> None:
        """A custom kind has come or gone: whoever counts it begins anew."""
        named = resource_of(kind).qualified
        self._counted.pop(named, None)
        for found in self.store(ResourceQuota).list():
            if _COUNT + named in found.spec.hard:
                self.enqueue(found.key)


def _only_metadata(obj: Any) -> Any:
    return type(obj)(metadata=obj.metadata)


def _nothing(hard: dict[str, str]) -> Amounts:
    """Zero of everything that Pods, Services and claims use."""
    known = {*_POD_NAMES, *_SERVICE_NAMES, *_CLAIM_NAMES, *(_COUNT + plural for plural in _PLURALS.values())}
    prefixes = ("requests.", "limits.", "hugepages-")
    return {
        name: 0 for name in hard if name in known or name.startswith(prefixes) or quota.CLASS_SUFFIX in name
    }


_PLURALS: dict[type[Any], str] = {
    Pod: "pods",
    Service: "services",
    PersistentVolumeClaim: "persistentvolumeclaims",
}


class _Used:
    """Objects as plain data, made once for each of their versions: a quota reads them all every time."""

    def __init__(self) -> None:
        self._plain: dict[str, tuple[str, dict[str, Any]]] = {}

    def plain(self, obj: Any) -> dict[str, Any]:
        meta = obj.metadata
        known = self._plain.get(meta.uid or "")
        if known is None or known[0] != meta.resource_version:
            known = (meta.resource_version, _counting(obj))
            if isinstance(obj, Pod):  # of the others there are few
                self._plain[meta.uid or ""] = known
        return known[1]

    def forget(self, pod: Pod) -> None:
        self._plain.pop(pod.metadata.uid or "", None)


def _counting(obj: Any) -> dict[str, Any]:
    """What a quota asks of an object; of a Pod no more than that is kept."""
    found: dict[str, Any]
    if not isinstance(obj, Pod):
        found = codec.to_dict(obj)
        return found
    spec, meta = obj.spec, obj.metadata
    found = {
        "metadata": {
            "deletionTimestamp": meta.deletion_timestamp,
            "deletionGracePeriodSeconds": meta.deletion_grace_period_seconds,
        },
        "spec": {
            "containers": [_resources(each) for each in spec.containers],
            "initContainers": [_resources(each) for each in spec.init_containers],
            "resources": codec.to_dict(spec.resources) if spec.resources else {},
            "overhead": dict(spec.overhead),
            "activeDeadlineSeconds": spec.active_deadline_seconds,
            "priorityClassName": spec.priority_class_name,
            "affinity": codec.to_dict(spec.affinity) if spec.affinity else {},
        },
        "status": {"phase": obj.status.phase},
    }
    return found


def _resources(container: Container) -> dict[str, Any]:
    given = codec.to_dict(container.resources) if container.resources else {}
    return {"resources": given, "restartPolicy": container.restart_policy}
