"""PodTopologySpread: keeps Pods that belong together apart, over nodes and zones.

A Pod without constraints of its own gets the system's defaults, which only score: spread the Pods
of its Service, ReplicationController or ReplicaSet, at most 3 more on one node, 5 more in one zone.
Its own constraints filter (`DoNotSchedule`) or score (`ScheduleAnyway`).

Pods are counted by their labels on each node, not one by one. Upstream: `plugins/podtopologyspread`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from services.api.core_v1 import Pod, TopologySpreadConstraint
from services.machinery import labels, node_affinity, taints
from services.machinery.labels import Requirement, Selector, SelectorError
from services.scheduler.framework.events import ClusterEvent, Happening
from services.scheduler.framework.interface import (
    NODE_SCORE_MAX,
    SUCCESS,
    CycleState,
    Filter,
    NodeList,
    PreFilter,
    PreScore,
    Score,
    Status,
)
from services.scheduler.framework.node_info import HOSTNAME, ZONE, NodeInfo
from services.scheduler.framework.pod_info import LabelSet, PodInfo
from services.scheduler.framework.status import SKIP

REASON = "node(s) didn't match pod topology spread constraints"
REASON_LABEL = f"{REASON} (missing required label)"
DO_NOT_SCHEDULE, SCHEDULE_ANYWAY = "DoNotSchedule", "ScheduleAnyway"


@dataclass(slots=True)
class Constraint:
    """One rule, ready to count with: it remembers its verdict on each set of labels."""

    topology_key: str
    max_skew: int
    selector: Selector
    namespace: str
    min_domains: int = 1
    honor_affinity: bool = True
    honor_taints: bool = False
    _verdicts: dict[LabelSet, bool] = field(default_factory=dict)

    def matches(self, label_set: LabelSet) -> bool:
        verdict = label_set.namespace == self.namespace and self.selector.matches(label_set.labels)
        self._verdicts[label_set] = verdict
        return verdict

    def count(self, node: NodeInfo) -> int:
        """How many Pods on the node it is about."""
        total, verdicts = 0, self._verdicts
        for label_set, count in node.label_counts.items():
            verdict = verdicts.get(label_set)
            if verdict or (verdict is None and self.matches(label_set)):
                total += count
        return total

    def considers(self, pod: Pod, node: NodeInfo) -> bool:
        """Whether the node's topology takes part at all (the inclusion policies)."""
        if self.honor_affinity and not _may_go_to(pod, node):
            return False
        return not (self.honor_taints and taints.untolerated(node.taints, pod.spec.tolerations))


@dataclass(slots=True)
class _Hard:
    constraints: list[Constraint]
    counts: list[dict[str, int]]
    """Per constraint, Pods per topology value."""
    least: list[int]
    """Per constraint, the smallest of them."""


class PodTopologySpread(PreFilter, Filter, PreScore, Score):
    name = "PodTopologySpread"
    filter_is_node_local = False
    score_is_node_local = False
    wakes_on = (
        ClusterEvent.POD_ADDED,
        ClusterEvent.POD_REMOVED,
        ClusterEvent.POD_LABELS_CHANGED,
        ClusterEvent.NODE_ADDED,
        ClusterEvent.NODE_REMOVED,
        ClusterEvent.NODE_LABELS_CHANGED,
        ClusterEvent.NODE_TAINTS_CHANGED,
        ClusterEvent.TARGET_POD_CHANGED,
    )

    def __init__(self, owners_selector: Callable[[Pod], Selector]) -> None:
        self._owners_selector = owners_selector
        """Selects the Pods of whatever owns a Pod; empty when nothing does."""

    # DoNotSchedule.

    def pre_filter(self, state: CycleState, pod: PodInfo, nodes: NodeList) -> Status:
        try:
            constraints = own_constraints(pod.pod, DO_NOT_SCHEDULE)
        except SelectorError as error:
            return Status.error(str(error))
        if not constraints:
            return SKIP
        counts: list[dict[str, int]] = [{} for _ in constraints]
        for node in nodes:
            if not all(c.topology_key in node.labels for c in constraints):
                continue
            for constraint, values in zip(constraints, counts):
                if constraint.considers(pod.pod, node):
                    value = node.labels[constraint.topology_key]
                    values[value] = values.get(value, 0) + constraint.count(node)
        least = [
            min(values.values(), default=0) if len(values) >= c.min_domains else 0
            for c, values in zip(constraints, counts)
        ]
        state[f"{self.name}/filter"] = _Hard(constraints, counts, least)
        return SUCCESS

    def filter(self, state: CycleState, pod: PodInfo, node: NodeInfo) -> Status:
        hard: _Hard = state[f"{self.name}/filter"]
        for constraint, counts, least in zip(hard.constraints, hard.counts, hard.least):
            value = node.labels.get(constraint.topology_key)
            if value is None:
                return Status.unresolvable(REASON_LABEL)
            itself = constraint.matches(pod.label_set)
            if counts.get(value, 0) + itself - least > constraint.max_skew:
                return Status.unschedulable(REASON)
        return SUCCESS

    # ScheduleAnyway, and the defaults.

    def pre_score(
        self, state: CycleState, pod: PodInfo, feasible: Sequence[NodeInfo], nodes: NodeList
    ) -> Status:
        own = bool(pod.pod.spec.topology_spread_constraints)
        constraints = own_constraints(pod.pod, SCHEDULE_ANYWAY) if own else self._defaults(pod)
        if not constraints:
            return SKIP
        # With the defaults, a node without a zone still takes part in spreading over nodes.
        ignored = {n.name for n in feasible if own and not _has_all_keys(n, constraints)}
        totals = [0.0] * len(feasible)
        for constraint in constraints:
            counts, domains = _counts(constraint, pod.pod, feasible, nodes, ignored)
            if not domains:
                continue
            # Fewer domains, less weight: with two zones being one off is not as bad as with ten nodes.
            weight, base = math.log(domains + 2), constraint.max_skew - 1
            totals = [
                total if count is None else total + count * weight + base
                for total, count in zip(totals, counts)
            ]
        # Rounded half up, as Go rounds.
        crowding = {node.name: int(total + 0.5) for node, total in zip(feasible, totals)}
        state[self.name] = crowding, ignored
        return SUCCESS

    def score(self, state: CycleState, pod: PodInfo, node: NodeInfo) -> int:
        crowding: dict[str, int] = state[self.name][0]
        return crowding[node.name]

    def normalize(
        self, state: CycleState, pod: PodInfo, nodes: Sequence[NodeInfo], scores: list[int]
    ) -> list[int]:
        """The least crowded gets most; nodes outside the topology get nothing."""
        ignored: set[str] = state[self.name][1]
        taking_part = [s for s, n in zip(scores, nodes) if n.name not in ignored] if ignored else scores
        least, most = min(taking_part, default=0), max(taking_part, default=0)
        if most == 0:
            return [0 if node.name in ignored else NODE_SCORE_MAX for node in nodes]
        spread = [NODE_SCORE_MAX * (most + least - score) // most for score in scores]
        if ignored:
            return [0 if node.name in ignored else score for score, node in zip(spread, nodes)]
        return spread

    def _defaults(self, pod: PodInfo) -> list[Constraint]:
        selector = self._owners_selector(pod.pod)
        if selector.empty or selector.nothing:
            return []
        namespace = pod.key.namespace
        return [Constraint(HOSTNAME, 3, selector, namespace), Constraint(ZONE, 5, selector, namespace)]

    def queueing_hint(self, pod: PodInfo, happening: Happening) -> bool:
        """Another Pod matters only when a constraint counts it."""
        constraints = own_constraints(pod.pod, DO_NOT_SCHEDULE)
        others = [thing for thing in (happening.old, happening.new) if isinstance(thing, Pod)]
        if not others or any(other.metadata.uid == pod.uid for other in others):
            return True
        return any(
            other.metadata.namespace == c.namespace and c.selector.matches(other.metadata.labels)
            for c in constraints
            for other in others
        )


def own_constraints(pod: Pod, when_unsatisfiable: str) -> list[Constraint]:
    """Those in the Pod's spec that act so when they cannot be met."""
    return [
        Constraint(
            topology_key=spec.topology_key,
            max_skew=spec.max_skew,
            selector=_selector(pod, spec),
            namespace=pod.metadata.namespace or "",
            min_domains=spec.min_domains or 1,
            honor_affinity=(spec.node_affinity_policy or "Honor") == "Honor",
            honor_taints=spec.node_taints_policy == "Honor",
        )
        for spec in pod.spec.topology_spread_constraints
        if spec.when_unsatisfiable == when_unsatisfiable
    ]


def _selector(pod: Pod, spec: TopologySpreadConstraint) -> Selector:
    """The constraint's selector; `matchLabelKeys` adds the Pod's own values of these keys."""
    selector = labels.from_label_selector(spec.label_selector)
    extra = tuple(
        Requirement(key, "in", (pod.metadata.labels[key],))
        for key in spec.match_label_keys
        if key in pod.metadata.labels
    )
    return Selector(selector.requirements + extra, selector.nothing)


def _counts(
    constraint: Constraint,
    pod: Pod,
    feasible: Sequence[NodeInfo],
    nodes: Iterable[NodeInfo],
    ignored: set[str],
) -> tuple[list[int | None], int]:
    """For each feasible node the Pods in its domain (None: it has none), and the number of domains."""
    key = constraint.topology_key
    if key == HOSTNAME:
        # Each node is its own domain.
        own = [constraint.count(node) if key in node.labels else None for node in feasible]
        return own, len(feasible) - len(ignored)
    values = [node.labels.get(key) for node in feasible]
    if ignored:
        values = [None if node.name in ignored else value for value, node in zip(values, feasible)]
    by_value = dict.fromkeys((value for value in values if value is not None), 0)
    if by_value:
        for node in nodes:
            value = node.labels.get(key)
            if value in by_value and constraint.considers(pod, node):
                by_value[value] += constraint.count(node)
    return [None if value is None else by_value[value] for value in values], len(by_value)


def _may_go_to(pod: Pod, node: NodeInfo) -> bool:
    if not pod.spec.node_selector and pod.spec.affinity is None:
        return True
    return node.node is not None and node_affinity.matches(pod, node.node)


def _has_all_keys(node: NodeInfo, constraints: Iterable[Constraint]) -> bool:
    return all(constraint.topology_key in node.labels for constraint in constraints)
