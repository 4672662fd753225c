"""Admission plugin ResourceQuota: an object is created only once its quotas have been charged for it.

Runs last, when the object is about to be written. Quotas come from the watch cache, or as this server wrote
them last where that is newer. Each is charged by compare-and-swap on its status, so that what several
servers admit at once cannot be more than there is; a refusal rests on what etcd says, not on a cache.
Only the controller gives back: what was charged for a creation that failed afterwards is counted again by it.
A quota counts what its status already knows: before the controller has looked at it, it limits nothing.
Upstream: `apiserver/pkg/admission/plugin/resourcequota`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from weakref import WeakValueDictionary

import orjson

from services.api import core_v1, errors, kinds
from services.api.kinds import Resource
from services.apiserver.registry.context import RequestContext
from services.apiserver.registry.request import Target, WriteOptions
from services.apiserver.registry.store import Store
from services.apiserver.registry.written import Change
from services.apiserver.storage.entries import Entry, Selection
from services.apiserver.storage.storage import Stored
from services.machinery import pod_amounts, quota
from services.machinery.clock import Clock
from services.machinery.pod_amounts import Amounts

Json = dict[str, Any]

QUOTAS = kinds.resource_of(core_v1.ResourceQuota)
_UNCOUNTED = (("", "events"), ("events.k8s.io", "events"))
_MANAGER = "kube-apiserver"
_WRITE = WriteOptions(field_manager=_MANAGER)
# What is charged for updates too: their use may grow. Everything else counts once, when it is created.
_GROWING = {("", "services"): ("",), ("", "persistentvolumeclaims"): ("",), ("", "pods"): ("resize",)}


class Quotas:
    def __init__(self, store: Store, clock: Clock) -> None:
        """`store` is that of ResourceQuotas."""
        self._store, self._clock = store, clock
        # One namespace's charges go one after the other: they would only fail each other's swaps.
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._last: dict[str, Stored] = {}  # by key, what this server wrote and the cache may not show yet

    def limit(self, resource: Resource, namespace: str) -> bool:
        """Whether there is any quota to ask."""
        if not resource.namespaced or (resource.group, resource.plural) in _UNCOUNTED:
            return False
        return bool(self._present(namespace))

    def grows(self, target: Target) -> bool:
        """Whether an update may use more than what was there."""
        resource = target.resource
        return target.subresource in _GROWING.get((resource.group, resource.plural), ())

    async def charge(
        self, target: Target, obj: Json, old: Json | None, *, dry_run: bool, paid: Amounts | None = None
    ) -> Amounts:
        """Charges what `obj` uses more than `old`, but for what is `paid`; returns what is paid for then.

        ApiError 403 where a quota would be exceeded.
        """
        resource, paid = target.resource, paid or {}
        namespace = obj["metadata"].get("namespace", "")
        if not self.limit(resource, namespace):
            return paid
        now = self._clock.now()
        used = _growth(resource, obj, old, now)
        more = {
            name: amount - paid.get(name, 0) for name, amount in used.items() if amount > paid.get(name, 0)
        }
        lock = self._locks.setdefault(namespace, asyncio.Lock())
        async with lock:
            quotas = [self._newest(entry) for entry in self._present(namespace)]
            if len(quotas) > 1:  # None is charged for what another one refuses.
                for each in quotas:
                    await self._charge_one(each, resource, obj, more, dry_run=True)
            for each in quotas:
                await self._charge_one(each, resource, obj, more, dry_run=dry_run)
        return used

    def _present(self, namespace: str) -> list[Entry]:
        cache = self._store.cache
        return cache.select(Selection(namespace)) if cache.entries else []

    def _newest(self, entry: Entry) -> Stored:
        last = self._last.get(entry.key)
        if last is not None and last.revision > entry.revision:
            return last
        self._last.pop(entry.key, None)
        return Stored(entry.key, entry.value, entry.revision)

    async def _charge_one(
        self, found: Stored, resource: Resource, obj: Json, more: Amounts, *, dry_run: bool
    ) -> None:
        shown = orjson.loads(found.value)
        if not quota.covers(shown["spec"], resource.group, resource.plural, obj):
            return
        hard = (shown.get("status") or {}).get("hard") or {}
        if not any(more.get(name) for name in hard) and resource.kind != "Pod":
            return

        def update(present: Json, stored: Stored, ctx: RequestContext) -> Change:
            before = orjson.loads(stored.value)
            present["status"] = _charged(present, resource, obj, more)
            self._store.ownership.track(before, present, _MANAGER, "status", ctx.now)
            return Change(present)

        meta = shown["metadata"]
        target = Target(QUOTAS, meta["namespace"], meta["name"], "status")
        options = WriteOptions(dry_run=True) if dry_run else _WRITE
        try:
            written = await self._store.update(target, update, options, found)
        except errors.ApiError as error:
            if not errors.is_not_found(error):
                raise
            return  # The quota has gone meanwhile.
        if not dry_run and written.changed:
            self._last[found.key] = written.stored


def _growth(resource: Resource, obj: Json, old: Json | None, now: datetime) -> Amounts:
    """What is used now and was not before; nothing is given back here."""
    used = quota.usage(resource.group, resource.plural, obj, now)
    before = quota.usage(resource.group, resource.plural, old, now) if old is not None else {}
    grown = {name: amount - before.get(name, 0) for name, amount in used.items()}
    return {name: amount for name, amount in grown.items() if amount > 0}


def _charged(present: Json, resource: Resource, obj: Json, more: Amounts) -> Json:
    """The quota's status with that much more used. ApiError 403 where it is not to be had."""
    status = present.get("status") or {}
    hard: Mapping[str, str] = status.get("hard") or {}
    used: Mapping[str, str] = status.get("used") or {}
    name = present["metadata"]["name"]
    shown = obj["metadata"].get("name") or obj["metadata"].get("generateName", "")
    if resource.key == "v1/pods" and (missing := quota.unspecified(obj, hard)):
        raise errors.forbidden(resource, shown, f"failed quota: {name}: must specify {missing}")
    asked = {each: amount for each, amount in more.items() if each in hard}
    if unknown := sorted(each for each in asked if each not in used):
        why = f"status unknown for quota: {name}, resources: {','.join(unknown)}"
        raise errors.forbidden(resource, shown, why)
    total = {each: pod_amounts.amounts(used)[each] + amount for each, amount in asked.items()}
    limits = pod_amounts.amounts(hard)
    exceeded = sorted(each for each, amount in total.items() if amount > limits[each])
    if exceeded:
        why = (
            f"exceeded quota: {name}, requested: {_listed({each: asked[each] for each in exceeded})},"
            f" used: {_listed({each: used[each] for each in exceeded})},"
            f" limited: {_listed({each: hard[each] for each in exceeded})}"
        )
        raise errors.forbidden(resource, shown, why)
    return {**status, "used": {**used, **quota.shown(total)}}


def _listed(amounts: Mapping[str, Any]) -> str:
    texts = (
        f"{name}={amount if isinstance(amount, str) else pod_amounts.shown(name, amount)}"
        for name, amount in sorted(amounts.items())
    )
    return ",".join(texts)
