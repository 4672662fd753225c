"""Whether a Pod may be evicted, by the budgets that select it; and what an eviction uses up of one.

A budget says in its status how many more of its Pods may go, as the disruption controller has counted them;
one that it has not looked at yet lets nobody go.
Upstream: `pkg/registry/core/pod/storage/eviction.go`.
"""

from __future__ import annotations

from typing import Any

import orjson

from services.api import errors
from services.api.errors import ApiError
from services.apiserver.registry.context import RequestContext
from services.apiserver.registry.request import Target, WriteOptions
from services.apiserver.registry.store import Store
from services.apiserver.registry.written import Change
from services.apiserver.rules.strategy import strategy_for
from services.apiserver.rules.validation.meta import selects
from services.apiserver.storage.entries import Selection
from services.apiserver.storage.storage import Stored
from services.machinery.clock import rfc3339

Json = dict[str, Any]

DISRUPTED_PODS_MAX = 2000
PROCESSING_SECONDS = 10
_FIELD_MANAGER = "kube-apiserver"
_REFUSED = "Cannot evict pod as it would violate the pod's disruption budget."
_SEVERAL = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."


class Budgets:
    def __init__(self, store: Store) -> None:
        """`store` is that of PodDisruptionBudgets."""
        self._store = store
        self._strategy = strategy_for(store.resource, "status")

    async def spend(self, pod: Json, dry_run: bool) -> None:
        """Takes one disruption from the Pod's budget, where it has one. ApiError 429, 500."""
        status, meta = pod.get("status") or {}, pod["metadata"]
        if status.get("phase") in ("Pending", "Succeeded", "Failed") or meta.get("deletionTimestamp"):
            return  # Nothing that works is disturbed.
        found = self._of(pod)
        if len(found) > 1:
            raise errors.failure(500, "", _SEVERAL)
        if not found or exempt(found[0], pod):
            return
        name = found[0]["metadata"]["name"]
        target = Target(self._store.resource, meta["namespace"], name, "status")
        options = WriteOptions(field_manager=_FIELD_MANAGER, dry_run=dry_run)

        async def update(old: Json, stored: Stored, ctx: RequestContext) -> Change:
            new = orjson.loads(stored.value)
            new["status"] = spent(old, meta["name"], rfc3339(ctx.now))
            return await self._store.checked(target, new, old, stored.revision, ctx, self._strategy, options)

        await self._store.update(target, update, options)

    def _of(self, pod: Json) -> list[Json]:
        """The budgets whose selector matches; a missing selector matches nothing."""
        labels = pod["metadata"].get("labels") or {}
        entries = self._store.cache.select(Selection(pod["metadata"]["namespace"]))
        budgets = (orjson.loads(entry.value) for entry in entries)
        return [each for each in budgets if selects(each["spec"].get("selector"), labels)]


def exempt(budget: Json, pod: Json) -> bool:
    """A Pod that is not ready costs nothing, where the budget says so or is kept without it."""
    conditions = (pod.get("status") or {}).get("conditions") or ()
    if any(each.get("type") == "Ready" and each.get("status") == "True" for each in conditions):
        return False
    if budget["spec"].get("unhealthyPodEvictionPolicy") == "AlwaysAllow":
        return True
    status = budget["status"]
    return bool(0 < status.get("desiredHealthy", 0) <= status.get("currentHealthy", 0))


def spent(budget: Json, pod_name: str, now: str) -> Json:
    """The budget's status after one more disruption. ApiError (429) where it has none left. Pure."""
    status, name = budget["status"], budget["metadata"]["name"]
    if status.get("observedGeneration", 0) < budget["metadata"].get("generation", 0):
        why = f"The disruption budget {name} is still being processed by the server."
        raise _refused(why, PROCESSING_SECONDS)
    allowed, disrupted = status.get("disruptionsAllowed", 0), status.get("disruptedPods") or {}
    if allowed < 0 or len(disrupted) > DISRUPTED_PODS_MAX:
        why = "pdb disruptions allowed is negative" if allowed < 0 else "DisruptedPods map too big"
        raise errors.failure(403, "Forbidden", f'poddisruptionbudgets.policy "{name}" is forbidden: {why}')
    if allowed == 0:
        wanted, held = status.get("desiredHealthy", 0), status.get("currentHealthy", 0)
        raise _refused(f"The disruption budget {name} needs {wanted} healthy pods and has {held} currently")
    new = {**status, "disruptionsAllowed": allowed - 1, "disruptedPods": {**disrupted, pod_name: now}}
    if allowed == 1:
        new["conditions"] = _none_allowed(status, now)
    return new


def _none_allowed(status: Json, now: str) -> list[Json]:
    condition = {
        "type": "DisruptionAllowed",
        "status": "False",
        "observedGeneration": status.get("observedGeneration", 0),
        "lastTransitionTime": now,
        "reason": "InsufficientPods",
        "message": "",
    }
    others = [each for each in status.get("conditions") or () if each.get("type") != condition["type"]]
    return [*others, condition]


def _refused(why: str, retry_seconds: int = 0) -> ApiError:
    cause = {"reason": "DisruptionBudget", "message": why}
    details: Json = {"causes": [cause]}
    if retry_seconds:
        details["retryAfterSeconds"] = retry_seconds
    return errors.failure(429, "TooManyRequests", _REFUSED, details)
