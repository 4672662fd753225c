"""Whether a node takes a Pod in that was bound to it: the last look before it runs.

The scheduler decided from a cache, a Pod may also be bound by hand, and static Pods never saw a
scheduler. Pure; refusals are in upstream's words. Upstream: `pkg/kubelet/lifecycle/predicate.go`,
`pkg/kubelet/eviction` (`Admit`) and `pkg/kubelet/nodeshutdown`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import NamedTuple

from services.api.core_v1 import Node, Pod, Taint
from services.kubelet.eviction import MEMORY, STATIC_ANNOTATION, is_critical
from services.machinery import node_affinity
from services.machinery.pods import amounts, qos_class, requests_of
from services.machinery.taints import NO_EXECUTE, NO_SCHEDULE, tolerated, untolerated

MEMORY_PRESSURE_TAINT = "node.kubernetes.io/memory-pressure"


class Refusal(NamedTuple):
    reason: str
    message: str


def admit(
    pod: Pod,
    admitted: Iterable[Pod],
    allocatable: Mapping[str, str],
    node: Node | None,
    *,
    pressure: Collection[str] = (),
    shutting_down: bool = False,
) -> Refusal | None:
    """None: it may run. `admitted` hold resources here; `pressure` are the conditions of the node."""
    if shutting_down:
        return Refusal("NodeShutdown", "Pod was rejected as the node is shutting down.")
    if pressure and not _bears(pod, pressure):
        return Refusal("Evicted", f"The node had condition: [{' '.join(sorted(pressure))}]. ")
    others = list(admitted)
    return _misfit(pod, node) or _shortage(pod, others, allocatable) or _port_conflict(pod, others)


def _bears(pod: Pod, pressure: Collection[str]) -> bool:
    """Whether it may start on a node that is short of something."""
    if is_critical(pod):
        return True
    if set(pressure) != {MEMORY}:
        return False
    taint = Taint(key=MEMORY_PRESSURE_TAINT, effect=NO_SCHEDULE)
    return qos_class(pod) != "BestEffort" or tolerated(taint, pod.spec.tolerations)


def _misfit(pod: Pod, node: Node | None) -> Refusal | None:
    if node is None:
        return None
    if pod.spec.node_name and pod.spec.node_name != node.metadata.name:
        return _predicate("NodeName", "node(s) didn't match the requested node name")
    if not node_affinity.matches(pod, node):
        return _predicate("NodeAffinity", "node(s) didn't match Pod's node affinity/selector")
    static = STATIC_ANNOTATION in pod.metadata.annotations
    if not static and untolerated(node.spec.taints, pod.spec.tolerations, (NO_EXECUTE,)):
        return _predicate("TaintToleration", "node(s) had taints that the pod didn't tolerate")
    return None


def _predicate(name: str, why: str) -> Refusal:
    return Refusal(name, f"Predicate {name} failed: {why}")


def _shortage(pod: Pod, others: list[Pod], allocatable: Mapping[str, str]) -> Refusal | None:
    wanted = requests_of(pod)
    capacity = amounts(allocatable)
    used: dict[str, int] = {"pods": len(others)}
    if any(wanted.values()):
        for other in others:
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


def _port_conflict(pod: Pod, others: Iterable[Pod]) -> Refusal | None:
    wanted = set(_host_ports(pod))
    if not wanted:
        return None
    for other in others:
        for protocol, address, port in _host_ports(other):
            for mine in wanted:
                overlap = "0.0.0.0" in (address, mine[1]) or address == mine[1]
                if mine[0] == protocol and mine[2] == port and overlap:
                    return _predicate(
                        "NodePorts", "node(s) didn't have free ports for the requested pod ports"
                    )
    return None


def _host_ports(pod: Pod) -> Iterator[tuple[str, str, int]]:
    for container in pod.spec.containers:
        for port in container.ports:
            number = port.host_port or (port.container_port if pod.spec.host_network else 0)
            if number:
                yield port.protocol or "TCP", port.host_ip or "0.0.0.0", number
