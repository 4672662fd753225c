"""Resourcequota controller: says in each quota's status how much there is, and how much is used.

The API server charges a quota for what it creates; here everything is counted again, when a quota changes,
when something that counts goes or needs less, and every five minutes. Pods, Services and claims are read from
the caches, of other kinds metadata is enough. A cache may lag behind a charge: who finds less used than is
charged looks again a moment later. Custom resources are counted by asking the API server, every half minute.
Upstream: `pkg/controller/resourcequota`.
"""

from __future__ import annotations

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
from services.api.kinds import RESOURCES, Resource
from services.api.object import Object, ObjectKey
from services.client import codec
from services.client.controller import Controller, ControllerContext, For, Stores, Watches
from services.client.informer import Informer
from services.client.raw import RawClient
from services.client.transport import Representation, View
from services.machinery import quantity, quota
from services.machinery.pod_amounts import Amounts

RESYNC_SECONDS = 300.0
AGAIN_SECONDS = 1.0  # after finding less than was charged: for a creation that a cache does not show yet
CUSTOM_SECONDS = 30.0
_COUNT = "count/"
_METADATA = View(representation=Representation.PARTIAL_METADATA)
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
        self._counted: dict[type[Object], Informer[Any]] = {}
        self._raw = RawClient(context.client.transport)
        self._used = _Used()
        context.informers.informer(Pod).add_handler(on_delete=lambda pod, _: self._used.forget(pod))

    async def reconcile(self, found: ResourceQuota) -> None:
        hard = found.spec.hard
        used = _nothing(hard)
        now = self.clock.now()
        for kind in (Pod, Service, PersistentVolumeClaim):
            self._add(found, kind, used, now)
        asks = False
        for name in hard:
            if name not in used:
                count, is_custom = await self._count(name, found.key.namespace)
                asks = asks or is_custom
                if count is not None:
                    used[name] = count
        status = ResourceQuotaStatus(
            hard=dict(hard), used=quota.shown({name: used[name] for name in hard if name in used})
        )
        lowered = any(
            quantity.parse(before) > used.get(name, 0) for name, before in found.status.used.items()
        )
        if status != found.status:
            await self.client.update(replace(found, status=status), subresource="status")
        later = AGAIN_SECONDS if lowered else CUSTOM_SECONDS if asks else RESYNC_SECONDS
        self.requeue_after(found.key, later)

    def _add(self, found: ResourceQuota, kind: type[Any], used: Amounts, now: datetime) -> None:
        plural, spec = _PLURALS[kind], codec.to_dict(found.spec)
        for obj in self.store(kind).by_index("namespace", found.key.namespace):
            plain = self._used.plain(obj)
            if quota.covers(spec, "", plural, plain):
                more = quota.usage("", plural, plain, now)
                quota.add(used, {name: amount for name, amount in more.items() if name in used})

    async def _count(self, name: str, namespace: str) -> tuple[int | None, bool]:
        """How many there are of what a name means (None: nothing), and whether it is a custom resource."""
        named = name.removeprefix(_COUNT)
        if named == name and name not in _PLAIN:
            return None, False
        for resource in RESOURCES:
            if resource.namespaced and resource.qualified == named:
                return len((await self._informer(resource)).store.by_index("namespace", namespace)), False
        custom = await self._custom(named)
        if custom is None:
            return None, False
        page = await self._raw.list_page(custom, namespace, limit=1, view=_METADATA)
        return len(page.items) + (page.remaining_item_count or 0), True

    async def _informer(self, resource: Resource) -> Informer[Any]:
        known = self._counted.get(resource.type)
        if known is None:
            known = self.context.informers.informer(resource.type, transform=_only_metadata)
            known.add_handler(on_delete=self._gone)
            self._counted[resource.type] = known
        await known.wait_synced()
        return known

    def _gone(self, obj: Object, cause: str) -> None:
        for key in _quotas_beside(obj, self.stores):
            self.enqueue(key, cause)

    async def _custom(self, named: str) -> Resource | None:
        plural, _, group = named.partition(".")
        for found in await self._raw.resources():
            if found["groupVersion"].rpartition("/")[0] != group:
                continue
            for each in found["resources"]:
                if each["name"] == plural and each["namespaced"]:
                    return Resource(found["groupVersion"], each["kind"], plural, each["singularName"])
        return None


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
