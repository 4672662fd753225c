"""Whether a node takes a Pod in that was bound to it: the last look before it runs.

The scheduler decided from a cache, and a Pod may also be bound by hand. Pure; refusals are in
upstream's words. Upstream: `pkg/kubelet/lifecycle/predicate.go`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from services.api.core_v1 import Node, Pod
from services.machinery import node_affinity
from services.machinery.pods import amounts, requests_of


class Refusal(NamedTuple):
    reason: str
    message: str


def admit(
    pod: Pod, admitted: Iterable[Pod], allocatable: Mapping[str, str], node: Node | None
) -> Refusal | None:
    """None: it may run. `admitted` are the Pods that hold resources here."""
    if node is not None and not node_affinity.matches(pod, node):
        text = "Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector"
        return Refusal("NodeAffinity", text)
    wanted = requests_of(pod)
    capacity = amounts(allocatable)
    used: dict[str, int] = {"pods": 0}
    interesting = {resource for resource, amount in wanted.items() if amount > 0}
    for other in admitted:
        used["pods"] += 1
        if interesting:
            for resource, amount in requests_of(other).items():
                used[resource] = used.get(resource, 0) + amount
    for resource, amount in (("pods", 1), *sorted(wanted.items())):
        if resource != "pods" and not amount:
            continue
        have, limit = used.get(resource, 0), capacity.get(resource, 0)
        if have + amount > limit:
            return Refusal(
                f"OutOf{resource}",
                f"Node didn't have enough resource: {resource}, requested: {amount}, used: {have}, "
                f"capacity: {limit}",
            )
    return None
