"""NodeResourcesBalancedAllocation: prefers nodes whose cpu and memory would be used up evenly.

A node with all its memory and none of its cpu requested can take nothing more, and its cpu is wasted.
Pods that request neither are not scored: with them every node would look equally balanced.
"""

from __future__ import annotations

from collections.abc import Sequence

from services.scheduler.framework.interface import (
    NODE_SCORE_MAX,
    SUCCESS,
    CycleState,
    NodeList,
    PreScore,
    Score,
    Status,
)
from services.scheduler.framework.node_info import NodeInfo
from services.scheduler.framework.pod_info import PodInfo
from services.scheduler.framework.status import SKIP

RESOURCES = ("cpu", "memory")


class NodeResourcesBalancedAllocation(PreScore, Score):
    name = "NodeResourcesBalancedAllocation"

    def pre_score(
        self, state: CycleState, pod: PodInfo, feasible: Sequence[NodeInfo], nodes: NodeList
    ) -> Status:
        return SUCCESS if any(pod.requests.get(resource) for resource in RESOURCES) else SKIP

    def score(self, state: CycleState, pod: PodInfo, node: NodeInfo) -> int:
        """100 less the standard deviation, in percent, of the shares that would be requested."""
        shares = [
            min((node.requested.get(r, 0) + pod.requests.get(r, 0)) / allocatable, 1.0)
            for r in RESOURCES
            if (allocatable := node.allocatable.get(r, 0))
        ]
        deviation = abs(shares[0] - shares[1]) / 2 if len(shares) == 2 else 0.0
        return int((1 - deviation) * NODE_SCORE_MAX)

    def sign(self, pod: PodInfo) -> object:
        return pod.requests
