"""TaintToleration: keeps Pods off nodes with a taint that they do not tolerate.

NoSchedule and NoExecute taints are filtered on; PreferNoSchedule taints only lower the score, the
node with the fewest that are not tolerated coming first.
"""

from __future__ import annotations

from collections.abc import Sequence

from services.api.core_v1 import Node
from services.machinery import taints
from services.scheduler.framework.events import ClusterEvent, Happening
from services.scheduler.framework.interface import (
    SUCCESS,
    CycleState,
    Filter,
    NodeList,
    PreScore,
    Score,
    Status,
    normalize_by_max,
)
from services.scheduler.framework.node_info import NodeInfo
from services.scheduler.framework.pod_info import PodInfo
from services.scheduler.framework.status import SKIP


class TaintToleration(Filter, PreScore, Score):
    name = "TaintToleration"
    wakes_on = (
        ClusterEvent.NODE_ADDED,
        ClusterEvent.NODE_TAINTS_CHANGED,
        ClusterEvent.TARGET_POD_CHANGED,
    )

    def filter(self, state: CycleState, pod: PodInfo, node: NodeInfo) -> Status:
        if node.taints and taints.untolerated(node.taints, pod.pod.spec.tolerations):
            return Status.unresolvable("node(s) had untolerated taint(s)")
        return SUCCESS

    def pre_score(
        self, state: CycleState, pod: PodInfo, feasible: Sequence[NodeInfo], nodes: NodeList
    ) -> Status:
        return SUCCESS if nodes.tainted_prefer_no_schedule else SKIP

    def score(self, state: CycleState, pod: PodInfo, node: NodeInfo) -> int:
        """How many PreferNoSchedule taints it would have to put up with."""
        if not node.prefer_no_schedule:
            return 0
        return sum(
            taint.effect == taints.PREFER_NO_SCHEDULE
            and not taints.tolerated(taint, pod.pod.spec.tolerations)
            for taint in node.taints
        )

    def normalize(
        self, state: CycleState, pod: PodInfo, nodes: Sequence[NodeInfo], scores: list[int]
    ) -> list[int]:
        return normalize_by_max(scores, reverse=True)

    def queueing_hint(self, pod: PodInfo, happening: Happening) -> bool:
        if isinstance(happening.new, Node):
            return not taints.untolerated(happening.new.spec.taints, pod.pod.spec.tolerations)
        return True

    def sign(self, pod: PodInfo) -> object:
        return pod.pod.spec.tolerations
