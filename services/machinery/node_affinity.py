"""Which nodes a Pod may go to: `nodeSelector` and node affinity.

Terms are alternatives; what is inside a term must all hold; a term without conditions matches
nothing. Upstream: `component-helpers/scheduling/corev1/nodeaffinity`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from services.api.core_v1 import (
    Node,
    NodeSelector,
    NodeSelectorRequirement,
    NodeSelectorTerm,
    Pod,
    PreferredSchedulingTerm,
)
from services.machinery.labels import Operator, Requirement

_OPERATORS: dict[str, Operator] = {
    "In": "in", "NotIn": "notin", "Exists": "exists", "DoesNotExist": "!", "Gt": "gt", "Lt": "lt",
}  # fmt: skip


def matches(pod: Pod, node: Node) -> bool:
    """Whether both the Pod's nodeSelector and its required node affinity allow that node."""
    labels = node.metadata.labels
    if any(labels.get(key) != value for key, value in pod.spec.node_selector.items()):
        return False
    required = required_of(pod)
    return required is None or matches_selector(required, node)


def required_of(pod: Pod) -> NodeSelector | None:
    affinity = pod.spec.affinity.node_affinity if pod.spec.affinity else None
    return affinity.required_during_scheduling_ignored_during_execution if affinity else None


def preferred_of(pod: Pod) -> list[PreferredSchedulingTerm]:
    affinity = pod.spec.affinity.node_affinity if pod.spec.affinity else None
    return affinity.preferred_during_scheduling_ignored_during_execution if affinity else []


def matches_selector(selector: NodeSelector, node: Node) -> bool:
    return any(matches_term(term, node) for term in selector.node_selector_terms)


def matches_term(term: NodeSelectorTerm, node: Node) -> bool:
    """One alternative. `matchFields` knows `metadata.name` only, as upstream."""
    if not term.match_expressions and not term.match_fields:
        return False
    fields = {"metadata.name": node.metadata.name or ""}
    return _all_match(term.match_expressions, node.metadata.labels) and _all_match(term.match_fields, fields)


def preference_score(pod: Pod, node: Node) -> int:
    """The sum of the weights of the preferred terms that match."""
    return sum(term.weight for term in preferred_of(pod) if matches_term(term.preference, node))


def required_names(pod: Pod) -> frozenset[str] | None:
    """The only node names that can match, when matchFields pins them (DaemonSet Pods); else None."""
    required = required_of(pod)
    if required is None:
        return None
    names: set[str] = set()
    for term in required.node_selector_terms:
        pinned = [
            frozenset(r.values) for r in term.match_fields if r.key == "metadata.name" and r.operator == "In"
        ]
        if not pinned:
            return None
        names |= frozenset.intersection(*pinned)
    return frozenset(names)


def _all_match(requirements: Iterable[NodeSelectorRequirement], values: Mapping[str, str]) -> bool:
    return all(_matches(requirement, values) for requirement in requirements)


def _matches(requirement: NodeSelectorRequirement, values: Mapping[str, str]) -> bool:
    operator = _OPERATORS.get(requirement.operator)
    if operator is None:
        return False
    if operator in ("gt", "lt") and not _is_one_integer(requirement.values):
        return False
    return Requirement(requirement.key, operator, tuple(requirement.values)).matches(values)


def _is_one_integer(values: list[str]) -> bool:
    return len(values) == 1 and values[0].lstrip("+-").isdigit()
