"""NodeResourcesFit: a Pod fits where all it requests is still free.

Filters against allocatable minus what Pods already hold, assumed Pods included, and
scores the node left emptiest highest (LeastAllocated), so that load spreads. For the score alone, a
container that requests nothing counts as a small one.
"""

from __future__ import annotations

from services.api.core_v1 import Node
from services.machinery import pods
from services.scheduler.framework.events import ClusterEvent, Happening
from services.scheduler.framework.interface import (
    NODE_SCORE_MAX,
    SUCCESS,
    CycleState,
    Filter,
    Score,
    Status,
)
from services.scheduler.framework.node_info import PODS, NodeInfo
from services.scheduler.framework.pod_info import PodInfo

SCORED_RESOURCES = ("cpu", "memory")  # each with weight 1


class NodeResourcesFit(Filter, Score):
    name = "NodeResourcesFit"

    wakes_on = (
        ClusterEvent.NODE_ADDED,
        ClusterEvent.NODE_ALLOCATABLE_CHANGED,
        ClusterEvent.POD_REMOVED,
        ClusterEvent.POD_SCALED_DOWN,
        ClusterEvent.TARGET_POD_CHANGED,
    )

    def filter(self, state: CycleState, pod: PodInfo, node: NodeInfo) -> Status:
        reasons: list[str] = []
        if len(node.pods) + 1 > node.allocatable.get(PODS, 0):
            reasons.append("Too many pods")
        lacking = [r for r, amount in pod.requests.items() if amount > node.free(r)]
        if not lacking and not reasons:
            return SUCCESS
        reasons += [f"Insufficient {resource}" for resource in lacking]
        # Preemption cannot help a Pod that outgrows even the empty node.
        if any(pod.requests[r] > node.allocatable.get(r, 0) for r in lacking):
            return Status.unresolvable(*reasons)
        return Status.unschedulable(*reasons)

    def score(self, state: CycleState, pod: PodInfo, node: NodeInfo) -> int:
        """LeastAllocated: the mean share, in percent, that would stay free."""
        total = resources = 0
        for resource in SCORED_RESOURCES:
            allocatable = node.allocatable.get(resource, 0)
            if not allocatable:
                continue
            resources += 1
            taken = node.scored.get(resource, 0) + pod.scored.get(resource, 0)
            if taken <= allocatable:
                total += (allocatable - taken) * NODE_SCORE_MAX // allocatable
        return total // resources if resources else 0

    def queueing_hint(self, pod: PodInfo, happening: Happening) -> bool:
        """A node that is too small even when empty is no help. Any Pod that goes frees at least its place."""
        if not isinstance(happening.new, Node):
            return True
        allocatable = pods.amounts(happening.new.status.allocatable)
        return all(amount <= allocatable.get(r, 0) for r, amount in pod.requests.items())

    def sign(self, pod: PodInfo) -> object:
        return [pod.requests, pod.scored]
