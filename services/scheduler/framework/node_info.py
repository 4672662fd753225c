"""A node with all that is on it, added up: what Filter and Score plugins look at.

Sums are kept, never recomputed: adding or removing a Pod costs the same on a full node as on
an empty one. Pods that were only assumed count too. `generation` grows with every change, so that
whoever remembers something about a node can tell whether it still holds.
Upstream: `framework.NodeInfo`.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from typing import TypeVar

from services.api.core_v1 import Node, Taint
from services.machinery import pods, taints
from services.scheduler.framework.pod_info import HostPort, LabelSet, PodInfo

PODS = "pods"
ZONE = "topology.kubernetes.io/zone"
HOSTNAME = "kubernetes.io/hostname"
_generations = count(1)


class NodeInfo:
    __slots__ = (
        "allocatable", "generation", "image_sizes", "label_counts", "labels", "name", "node", "pods",
        "prefer_no_schedule", "requested", "scored", "taints", "used_ports",
    )  # fmt: skip

    def __init__(self, node: Node | None = None, name: str = "") -> None:
        self.name = name
        self.node = node
        self.pods: dict[str, PodInfo] = {}
        self.requested: dict[str, int] = {}
        self.scored: dict[str, int] = {}
        self.used_ports: dict[HostPort, int] = {}
        self.label_counts: dict[LabelSet, int] = {}
        """How many Pods carry these labels; those on their way out do not count."""
        self._set_nothing()
        self.generation = next(_generations)
        if node is not None:
            self.set_node(node)

    def _set_nothing(self) -> None:
        self.labels: Mapping[str, str] = {}
        self.allocatable: dict[str, int] = {}
        self.taints: tuple[Taint, ...] = ()
        self.prefer_no_schedule = False
        self.image_sizes: dict[str, int] = {}

    def set_node(self, node: Node) -> None:
        self.node = node
        self.name = node.metadata.name or ""
        self.labels = node.metadata.labels
        self.allocatable = pods.amounts(node.status.allocatable)
        self.taints = tuple(node.spec.taints)
        self.prefer_no_schedule = any(t.effect == taints.PREFER_NO_SCHEDULE for t in self.taints)
        self.image_sizes = {
            name: image.size_bytes or 0 for image in node.status.images for name in image.names
        }
        self.generation = next(_generations)

    def clear_node(self) -> None:
        """The node is gone; its Pods are not known to be, yet."""
        self.node = None
        self._set_nothing()
        self.generation = next(_generations)

    @property
    def zone(self) -> str:
        return self.labels.get(ZONE, "")

    def free(self, resource: str) -> int:
        return self.allocatable.get(resource, 0) - self.requested.get(resource, 0)

    def add_pod(self, info: PodInfo) -> None:
        self.pods[info.uid] = info
        self._count(info, 1)

    def remove_pod(self, uid: str) -> None:
        """KeyError when it is not here."""
        self._count(self.pods.pop(uid), -1)

    def _count(self, info: PodInfo, sign: int) -> None:
        requested, scored = self.requested, self.scored
        for resource, amount in info.requests.items():
            requested[resource] = requested.get(resource, 0) + sign * amount
        for resource, amount in info.scored.items():
            scored[resource] = scored.get(resource, 0) + sign * amount
        for port in info.host_ports:
            _add(self.used_ports, port, sign)
        if not info.terminating:
            _add(self.label_counts, info.label_set, sign)
        self.generation = next(_generations)

    def clone(self) -> NodeInfo:
        """A copy that later changes of this one do not reach."""
        twin = object.__new__(NodeInfo)
        twin.name, twin.node, twin.labels = self.name, self.node, self.labels
        twin.pods = self.pods.copy()
        twin.requested, twin.scored = self.requested.copy(), self.scored.copy()
        twin.used_ports, twin.label_counts = self.used_ports.copy(), self.label_counts.copy()
        twin.allocatable, twin.taints = self.allocatable, self.taints
        twin.prefer_no_schedule, twin.image_sizes = self.prefer_no_schedule, self.image_sizes
        twin.generation = self.generation
        return twin


K = TypeVar("K")


def _add(counts: dict[K, int], key: K, amount: int) -> None:
    """Adds to a count and forgets it when nothing is left."""
    left = counts.get(key, 0) + amount
    if left:
        counts[key] = left
    else:
        counts.pop(key, None)
