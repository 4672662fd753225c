"""Replication: how many Pods to make or lose, which ones, and what to report about those that exist.

ReplicaSets and ReplicationControllers keep a count of Pods in the same way; this is that way, pure,
so that both controllers only fetch and act. Upstream: pkg/controller/replicaset and ActivePodsWithRanks.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from msgspec import Struct, to_builtins
from msgspec.structs import fields as struct_fields

from services.api.core_v1 import Pod
from services.machinery import pods
from services.machinery.clock import parse_time

BURST_PODS_MAX = 500  # Bounds one reconcile; the Pods it creates wake the next one.
DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"

_PHASE_ORDER = {"Pending": 0, "Unknown": 1, "Running": 2}
_LONG_AGO = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True, slots=True)
class Plan:
    create: int = 0
    delete: tuple[Pod, ...] = ()


def plan(replicas: int, live: Sequence[Pod], related: Callable[[], Iterable[Pod]], now: datetime) -> Plan:
    """How to get from `live` to `replicas`, losing the cheapest Pods first.

    `related` gives all Pods of the owner's siblings (a Deployment's other ReplicaSets), whose
    crowding on a node counts; it is asked only when Pods have to go.
    """
    surplus = len(live) - replicas
    if surplus <= 0:
        return Plan(create=min(-surplus, BURST_PODS_MAX))
    losing = min(surplus, BURST_PODS_MAX)
    if losing == len(live):
        return Plan(delete=tuple(live))
    crowd = Counter(pod.spec.node_name for pod in related() if pods.is_active(pod))
    order = sorted(live, key=lambda pod: deletion_order(pod, crowd[pod.spec.node_name], now))
    return Plan(delete=tuple(order[:losing]))


def deletion_order(pod: Pod, crowd: int, now: datetime) -> tuple[Any, ...]:
    """Sorts the Pod that is missed least first.

    Unassigned before assigned, pending before running, unready before ready, cheap before dear, crowded
    before alone, then the youngest (in powers of two, so that equals are told apart by chance), then the
    most restarted.
    """
    ready = pods.is_ready(pod)
    return (
        bool(pod.spec.node_name),
        _PHASE_ORDER.get(pod.status.phase or "Pending", 0),
        ready,
        deletion_cost(pod),
        -crowd,
        _magnitude(_ready_since(pod), now) if ready else 0,
        -_restarts(pod),
        _magnitude(_moment(pod.metadata.creation_timestamp), now),
        pod.metadata.uid or "",
    )


def deletion_cost(pod: Pod) -> int:
    """The user's own ranking; what is not a 32-bit integer counts as 0."""
    try:
        cost = int(pod.metadata.annotations.get(DELETION_COST, "0"))
    except ValueError:
        return 0
    return cost if -(2**31) <= cost < 2**31 else 0


def _ready_since(pod: Pod) -> datetime:
    return pods.ready_since(pod) or _LONG_AGO


def _moment(text: str | None) -> datetime:
    return parse_time(text) if text else _LONG_AGO


def _magnitude(since: datetime, now: datetime) -> int:
    seconds = (now - since).total_seconds()
    return math.floor(math.log2(seconds * 1e9)) if seconds > 0 else -1


def _restarts(pod: Pod) -> int:
    return max((status.restart_count for status in pod.status.container_statuses), default=0)


@dataclass(frozen=True, slots=True)
class Counts:
    """What a ReplicaSet's status says about its Pods."""

    replicas: int
    fully_labeled: int
    ready: int
    available: int
    terminating: int


def count(
    owned: Sequence[Pod], template_labels: dict[str, str], min_ready_seconds: int, now: datetime
) -> Counts:
    live = [pod for pod in owned if pods.is_active(pod)]
    wanted = template_labels.items()
    ready = [pod for pod in live if pods.is_ready(pod)]
    return Counts(
        replicas=len(live),
        fully_labeled=sum(wanted <= pod.metadata.labels.items() for pod in live),
        ready=len(ready),
        available=sum(pods.is_available(pod, min_ready_seconds, now) for pod in ready),
        terminating=sum(
            pod.metadata.deletion_timestamp is not None and not pods.is_terminated(pod) for pod in owned
        ),
    )


def next_available_seconds(ready: Iterable[Pod], min_ready_seconds: int, now: datetime) -> float | None:
    """When the next ready Pod turns available, if time alone will do it."""
    waits = [
        min_ready_seconds - (now - _ready_since(pod)).total_seconds()
        for pod in ready
        if not pods.is_available(pod, min_ready_seconds, now)
    ]
    return max(min(waits), 0) if waits else None


def status_patch(uid: str | None, status: Struct) -> dict[str, Any]:
    """A merge patch that makes the status exactly this one.

    Unlike an update it names no revision: a cache that lags behind our own last write costs nothing, and
    nobody else writes this status. The uid keeps it from another object of the same name.
    """
    fields = {field.encode_name: getattr(status, field.name) for field in struct_fields(status)}
    plain = to_builtins({name: value if value != [] else None for name, value in fields.items()})
    return {"metadata": {"uid": uid}, "status": plain}


def concerns_owner(old: Pod | None, new: Pod | None) -> bool:
    """Whether a change can change a plan or a count: most that a kubelet writes cannot."""
    if old is None or new is None:
        return True
    return _essence(old) != _essence(new)


def _essence(pod: Pod) -> tuple[Any, ...]:
    metadata = pod.metadata
    return (
        metadata.labels,
        metadata.owner_references,
        metadata.deletion_timestamp is None,
        pods.is_terminated(pod),
        pods.ready_since(pod),
    )
