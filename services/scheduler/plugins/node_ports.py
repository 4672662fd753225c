"""NodePorts: two Pods cannot have the same port of one host."""

from __future__ import annotations

from services.api.core_v1 import Pod
from services.scheduler.framework.events import ClusterEvent, Happening
from services.scheduler.framework.interface import (
    SUCCESS,
    CycleState,
    Filter,
    NodeList,
    PreFilter,
    Status,
)
from services.scheduler.framework.node_info import NodeInfo
from services.scheduler.framework.pod_info import PodInfo
from services.scheduler.framework.status import SKIP


class NodePorts(PreFilter, Filter):
    name = "NodePorts"
    wakes_on = (ClusterEvent.POD_REMOVED, ClusterEvent.NODE_ADDED)

    def pre_filter(self, state: CycleState, pod: PodInfo, nodes: NodeList) -> Status:
        return SUCCESS if pod.host_ports else SKIP

    def filter(self, state: CycleState, pod: PodInfo, node: NodeInfo) -> Status:
        if any(wanted.conflicts(used) for wanted in pod.host_ports for used in node.used_ports):
            return Status.unschedulable("node(s) didn't have free ports for the requested pod ports")
        return SUCCESS

    def queueing_hint(self, pod: PodInfo, happening: Happening) -> bool:
        gone = happening.old
        if not isinstance(gone, Pod):
            return True
        freed = PodInfo(gone).host_ports
        return any(wanted.conflicts(port) for wanted in pod.host_ports for port in freed)

    def sign(self, pod: PodInfo) -> object:
        return pod.host_ports
