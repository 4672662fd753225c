"""NodeUnschedulable: nothing new goes to a cordoned node, unless it tolerates that taint by name."""

from __future__ import annotations

from services.api.core_v1 import Node, Taint
from services.machinery import taints
from services.scheduler.framework.events import ClusterEvent, Happening
from services.scheduler.framework.interface import SUCCESS, CycleState, Filter, Status
from services.scheduler.framework.node_info import NodeInfo
from services.scheduler.framework.pod_info import PodInfo

TAINT = Taint(key="node.kubernetes.io/unschedulable", effect=taints.NO_SCHEDULE)


class NodeUnschedulable(Filter):
    name = "NodeUnschedulable"
    wakes_on = (
        ClusterEvent.NODE_ADDED,
        ClusterEvent.NODE_TAINTS_CHANGED,
        ClusterEvent.TARGET_POD_CHANGED,
    )

    def filter(self, state: CycleState, pod: PodInfo, node: NodeInfo) -> Status:
        if node.node is None or not node.node.spec.unschedulable:
            return SUCCESS
        if taints.tolerated(TAINT, pod.pod.spec.tolerations):
            return SUCCESS
        return Status.unresolvable("node(s) were unschedulable")

    def queueing_hint(self, pod: PodInfo, happening: Happening) -> bool:
        return not isinstance(happening.new, Node) or not happening.new.spec.unschedulable

    def sign(self, pod: PodInfo) -> object:
        return pod.pod.spec.tolerations
