"""Health: what a node's conditions, Lease and silence say about it, and the taints that follow.

A kubelet shows that it lives by renewing its Lease and by writing its status. What counts is when
*this* controller saw either change, by its own clock: two machines need not agree on the time. A node
silent for the grace period has its conditions turned Unknown; conditions turn into taints.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from msgspec.structs import replace

from services.api.coordination_v1 import Lease
from services.api.core_v1 import Node, NodeCondition, Taint
from services.machinery import conditions
from services.machinery.clock import rfc3339
from services.machinery.taints import NO_EXECUTE, NO_SCHEDULE, same_taint

STARTUP_GRACE_SECONDS = 60.0
NOT_READY = "node.kubernetes.io/not-ready"
UNREACHABLE = "node.kubernetes.io/unreachable"
UNSCHEDULABLE = "node.kubernetes.io/unschedulable"

_CONDITION_TAINTS = {
    ("Ready", "False"): NOT_READY,
    ("Ready", "Unknown"): UNREACHABLE,
    ("MemoryPressure", "True"): "node.kubernetes.io/memory-pressure",
    ("DiskPressure", "True"): "node.kubernetes.io/disk-pressure",
    ("NetworkUnavailable", "True"): "node.kubernetes.io/network-unavailable",
    ("PIDPressure", "True"): "node.kubernetes.io/pid-pressure",
}
_OURS = frozenset(_CONDITION_TAINTS.values()) | {UNSCHEDULABLE}
_KUBELETS_CONDITIONS = ("Ready", "MemoryPressure", "DiskPressure", "PIDPressure")

Readiness = Literal["True", "False", "Unknown"]


@dataclass(frozen=True, slots=True)
class Sighting:
    """The last sign of life that we saw from a node, and when by our own (monotonic) clock."""

    seen_seconds: float
    heartbeat: str
    renewed: str
    reported: bool  # whether it ever posted a Ready condition


def look(last: Sighting | None, node: Node, lease: Lease | None, now_seconds: float) -> Sighting:
    """Takes in what the caches show now; any news is a sign of life."""
    ready = conditions.get(node.status.conditions, "Ready")
    heartbeat = (ready.last_heartbeat_time or "") if ready else ""
    renewed = (lease.spec.renew_time or "") if lease else ""
    if last is None or last.reported != (ready is not None):
        return Sighting(now_seconds, heartbeat, renewed, ready is not None)
    if heartbeat != last.heartbeat or renewed > last.renewed:
        return Sighting(now_seconds, heartbeat, max(renewed, last.renewed), last.reported)
    return last


def silence_left_seconds(sighting: Sighting, grace_seconds: float, now_seconds: float) -> float:
    """How long the node may still stay silent; a node that never reported has longer to start."""
    grace = grace_seconds if sighting.reported else STARTUP_GRACE_SECONDS
    return sighting.seen_seconds + grace - now_seconds


def silent(node: Node, now: datetime) -> list[NodeCondition]:
    """The conditions of a node that stopped posting, or never began to."""
    found = list(node.status.conditions)
    moment = rfc3339(now)
    for kind in _KUBELETS_CONDITIONS:
        old = conditions.get(found, kind)
        if old is None:
            never = NodeCondition(
                type=kind,
                status="Unknown",
                reason="NodeStatusNeverUpdated",
                message="Kubelet never posted node status.",
                last_heartbeat_time=node.metadata.creation_timestamp,
                last_transition_time=moment,
            )
            found.append(never)
        elif old.status != "Unknown":
            stopped = replace(
                old,
                status="Unknown",
                reason="NodeStatusUnknown",
                message="Kubelet stopped posting node status.",
                last_transition_time=moment,
            )
            found[found.index(old)] = stopped
    return found


def readiness(node: Node) -> Readiness:
    """A node without a Ready condition counts as Unknown."""
    ready = conditions.get(node.status.conditions, "Ready")
    match ready.status if ready else "Unknown":
        case "True":
            return "True"
        case "False":
            return "False"
    return "Unknown"


def schedule_taints(node: Node, now: datetime) -> list[Taint]:
    """The node's taints after its conditions had their say about new Pods (NoSchedule)."""
    keys = [
        _CONDITION_TAINTS[pair]
        for condition in node.status.conditions
        if (pair := (condition.type, condition.status)) in _CONDITION_TAINTS
    ]
    if node.spec.unschedulable:
        keys.append(UNSCHEDULABLE)
    kept = [t for t in node.spec.taints if t.effect != NO_SCHEDULE or t.key not in _OURS or t.key in keys]
    return with_taints(kept, [Taint(key=key, effect=NO_SCHEDULE) for key in keys], now)


def eviction_taint(state: Readiness) -> Taint | None:
    """The taint that empties a node in that state (NoExecute)."""
    match state:
        case "False":
            return Taint(key=NOT_READY, effect=NO_EXECUTE)
        case "Unknown":
            return Taint(key=UNREACHABLE, effect=NO_EXECUTE)
    return None


def without_eviction(taints: Sequence[Taint]) -> list[Taint]:
    return [
        taint for taint in taints if taint.effect != NO_EXECUTE or taint.key not in (NOT_READY, UNREACHABLE)
    ]


def with_taints(taints: Sequence[Taint], wanted: Sequence[Taint], now: datetime) -> list[Taint]:
    """Adds the missing ones at the end, stamped with the time; those there keep theirs."""
    missing = [new for new in wanted if not any(same_taint(new, old) for old in taints)]
    return [*taints, *(replace(taint, time_added=rfc3339(now)) for taint in missing)]


def legacy_labels(node: Node) -> dict[str, str]:
    """The old names of the os and architecture labels, where they do not agree with the new ones."""
    labels = node.metadata.labels
    return {
        f"beta.kubernetes.io/{name}": value
        for name in ("os", "arch")
        if (value := labels.get(f"kubernetes.io/{name}"))
        and labels.get(f"beta.kubernetes.io/{name}") != value
    }
