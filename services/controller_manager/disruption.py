"""Disruption controller: counts the Pods of each PodDisruptionBudget, and how many of them may go.

A Pod is healthy while it is ready, not going, and not about to go by an eviction of the last two minutes. How
many there should be is what the owners of the Pods ask for, where the budget is a share or a number that may
be missing. Upstream: pkg/controller/disruption.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from math import ceil

from msgspec.structs import replace

from services.api.apps_v1 import Deployment, ReplicaSet
from services.api.core_v1 import Pod, ReplicationController
from services.api.meta_v1 import Condition
from services.api.object import ObjectKey
from services.api.policy_v1 import PodDisruptionBudget, PodDisruptionBudgetStatus
from services.client.controller import Controller, For, Stores, Watches
from services.machinery import labels
from services.machinery.clock import parse_time, rfc3339
from services.machinery.owners import controller_of

EVICTION_TAKES = timedelta(minutes=2)  # after that an eviction that did not happen no longer counts
_ALLOWED = "DisruptionAllowed"


def _budgets_of(pod: Pod, stores: Stores) -> Iterable[ObjectKey]:
    return [
        budget.key
        for budget in stores[PodDisruptionBudget].list()
        if budget.key.namespace == pod.key.namespace and _selects(budget, pod)
    ]


def _budgets_beside(
    owner: Deployment | ReplicaSet | ReplicationController, stores: Stores
) -> Iterable[ObjectKey]:
    """Its scale may be what a budget is a share of."""
    return [
        each.key for each in stores[PodDisruptionBudget].list() if each.key.namespace == owner.key.namespace
    ]


def _respecified(old: Deployment | None, new: Deployment | None) -> bool:
    return old is None or new is None or old.metadata.generation != new.metadata.generation


def _selects(budget: PodDisruptionBudget, pod: Pod) -> bool:
    selector = budget.spec.selector
    return selector is not None and labels.from_label_selector(selector).matches(pod.metadata.labels)


def desired(budget: PodDisruptionBudget, pods: int, scale: int) -> tuple[int, int]:
    """(how many are expected, how many of them must stay healthy); `scale`: what owners ask for. Pure."""
    least, most = budget.spec.min_available, budget.spec.max_unavailable
    if most is not None:
        return scale, max(scale - _amount(most, scale), 0)
    if isinstance(least, str):
        return scale, _amount(least, scale)
    return pods, least or 0


def _amount(value: int | str, whole: int) -> int:
    return value if isinstance(value, int) else ceil(whole * int(value.rstrip("%")) / 100)


def healthy(pods: Iterable[Pod], disrupted: Mapping[str, str]) -> int:
    return sum(
        1
        for pod in pods
        if not pod.metadata.deletion_timestamp
        and pod.key.name not in disrupted
        and any(each.type == "Ready" and each.status == "True" for each in pod.status.conditions)
    )


class DisruptionController(Controller[PodDisruptionBudget]):
    name = "disruption"
    watches = (
        For(PodDisruptionBudget),
        Watches(Pod, map=_budgets_of),
        Watches(Deployment, map=_budgets_beside, when=_respecified),
        Watches(ReplicaSet, map=_budgets_beside, when=_respecified),
        Watches(ReplicationController, map=_budgets_beside, when=_respecified),
    )

    async def reconcile(self, budget: PodDisruptionBudget) -> None:
        pods = [
            pod
            for pod in self.store(Pod).list()
            if pod.key.namespace == budget.key.namespace and _selects(budget, pod)
        ]
        now = self.clock.now()
        disrupted = _still_going(budget.status.disrupted_pods, pods, now)
        expected, wanted = desired(budget, len(pods), self._scale(pods))
        current = healthy(pods, disrupted)
        allowed = max(current - wanted, 0) if expected > 0 else 0
        status = PodDisruptionBudgetStatus(
            conditions=_conditions(budget, allowed, rfc3339(now)),
            current_healthy=current,
            desired_healthy=wanted,
            disrupted_pods=disrupted,
            disruptions_allowed=allowed,
            expected_pods=expected,
            observed_generation=budget.metadata.generation,
        )
        if disrupted:
            self.requeue_after(budget.key, EVICTION_TAKES.total_seconds())
        if status != budget.status:
            await self.client.update(replace(budget, status=status), subresource="status")

    def _scale(self, pods: Iterable[Pod]) -> int:
        """How many Pods their owners ask for together; Pods without an owner count for nothing."""
        owners = {}
        for pod in pods:
            owner = controller_of(pod)
            if owner is None:
                continue
            key = ObjectKey(pod.key.namespace, owner.name)
            if owner.kind == "ReplicationController":
                controller = self.store(ReplicationController).get(key)
                owners[owner.uid] = controller.spec.replicas if controller else 0
            elif owner.kind == "ReplicaSet" and (found := self.store(ReplicaSet).get(key)) is not None:
                above = controller_of(found)
                top = above and self.store(Deployment).get(ObjectKey(key.namespace, above.name))
                owners[above.uid if above and top else owner.uid] = (top or found).spec.replicas
        return sum(replicas or 0 for replicas in owners.values())


def _still_going(disrupted: Mapping[str, str], pods: Iterable[Pod], now: datetime) -> dict[str, str]:
    there = {pod.key.name for pod in pods if not pod.metadata.deletion_timestamp}
    return {
        name: moment
        for name, moment in disrupted.items()
        if name in there and parse_time(moment) + EVICTION_TAKES > now
    }


def _conditions(budget: PodDisruptionBudget, allowed: int, now: str) -> list[Condition]:
    value, reason = ("True", "SufficientPods") if allowed else ("False", "InsufficientPods")
    old = next((each for each in budget.status.conditions if each.type == _ALLOWED), None)
    since = old.last_transition_time if old is not None and old.status == value else now
    new = Condition(
        type=_ALLOWED,
        status=value,
        reason=reason,
        message="",
        last_transition_time=since,
        observed_generation=budget.metadata.generation,
    )
    return [*(each for each in budget.status.conditions if each.type != _ALLOWED), new]
