"""NodeAffinity: `nodeSelector` and required node affinity filter, preferred terms score by their weights.

A term that names its nodes (`matchFields` on metadata.name, as DaemonSet Pods have) narrows the
search to them before any node is looked at.
"""

from __future__ import annotations

from collections.abc import Sequence

from services.api.core_v1 import Node
from services.machinery import node_affinity
from services.scheduler.framework.events import ClusterEvent, Happening
from services.scheduler.framework.interface import (
    SUCCESS,
    CycleState,
    Filter,
    NodeList,
    PreFilter,
    PreFilterResult,
    PreScore,
    Score,
    Status,
    normalize_by_max,
)
from services.scheduler.framework.node_info import NodeInfo
from services.scheduler.framework.pod_info import PodInfo
from services.scheduler.framework.status import SKIP

REASON = "node(s) didn't match Pod's node affinity/selector"
REASON_CONFLICT = "pod affinity terms conflict"


class NodeAffinity(PreFilter, Filter, PreScore, Score):
    name = "NodeAffinity"
    wakes_on = (ClusterEvent.NODE_ADDED, ClusterEvent.NODE_LABELS_CHANGED)

    def pre_filter(self, state: CycleState, pod: PodInfo, nodes: NodeList) -> Status | PreFilterResult:
        if not pod.pod.spec.node_selector and node_affinity.required_of(pod.pod) is None:
            return SKIP
        names = node_affinity.required_names(pod.pod)
        if names is None:
            return SUCCESS
        return PreFilterResult(names) if names else Status.unresolvable(REASON_CONFLICT)

    def filter(self, state: CycleState, pod: PodInfo, node: NodeInfo) -> Status:
        if node.node is not None and node_affinity.matches(pod.pod, node.node):
            return SUCCESS
        return Status.unresolvable(REASON)

    def pre_score(
        self, state: CycleState, pod: PodInfo, feasible: Sequence[NodeInfo], nodes: NodeList
    ) -> Status:
        return SUCCESS if node_affinity.preferred_of(pod.pod) else SKIP

    def score(self, state: CycleState, pod: PodInfo, node: NodeInfo) -> int:
        return node_affinity.preference_score(pod.pod, node.node) if node.node is not None else 0

    def normalize(
        self, state: CycleState, pod: PodInfo, nodes: Sequence[NodeInfo], scores: list[int]
    ) -> list[int]:
        return normalize_by_max(scores)

    def queueing_hint(self, pod: PodInfo, happening: Happening) -> bool:
        return isinstance(happening.new, Node) and node_affinity.matches(pod.pod, happening.new)

    def sign(self, pod: PodInfo) -> object:
        affinity = pod.pod.spec.affinity
        return [pod.pod.spec.node_selector, affinity.node_affinity if affinity else None]
