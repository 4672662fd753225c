"""NodeName: a Pod that names its node in the spec fits on that one only."""

from __future__ import annotations

from services.scheduler.framework.events import ClusterEvent
from services.scheduler.framework.interface import SUCCESS, CycleState, Filter, Status
from services.scheduler.framework.node_info import NodeInfo
from services.scheduler.framework.pod_info import PodInfo


class NodeName(Filter):
    name = "NodeName"
    wakes_on = (ClusterEvent.NODE_ADDED,)

    def filter(self, state: CycleState, pod: PodInfo, node: NodeInfo) -> Status:
        wanted = pod.pod.spec.node_name
        if not wanted or wanted == node.name:
            return SUCCESS
        return Status.unresolvable("node(s) didn't match the requested node name")

    def sign(self, pod: PodInfo) -> object:
        return pod.pod.spec.node_name
