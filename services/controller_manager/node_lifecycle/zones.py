"""Zones: how fast nodes may be emptied, given how many of their zone are in trouble.

One dead node is emptied at once, the next ten seconds later. When most of a zone is unready the fault
is more likely ours (the network, the API server): a large zone slows down, a small one stops. When
every node of every zone is unready, all evictions stop and their taints are taken back: nobody
can tell a dead cluster from a cut cable. Upstream: handleDisruption in node_lifecycle_controller.go.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum

from services.api.core_v1 import Node

EVICTION_RATE = 0.1  # nodes a second
SECONDARY_EVICTION_RATE = 0.01
UNHEALTHY_ZONE_THRESHOLD = 0.55
LARGE_CLUSTER_SIZE_THRESHOLD = 50


class ZoneState(Enum):
    NORMAL = "Normal"
    PARTIAL_DISRUPTION = "PartialDisruption"
    FULL_DISRUPTION = "FullDisruption"


def zone_of(node: Node) -> str:
    labels = node.metadata.labels
    region = labels.get("topology.kubernetes.io/region", "")
    return f"{region}:{labels.get('topology.kubernetes.io/zone', '')}"


def zone_state(ready: int, not_ready: int) -> ZoneState:
    if not ready and not_ready:
        return ZoneState.FULL_DISRUPTION
    if not_ready > 2 and not_ready / (ready + not_ready) >= UNHEALTHY_ZONE_THRESHOLD:
        return ZoneState.PARTIAL_DISRUPTION
    return ZoneState.NORMAL


def eviction_rate(state: ZoneState, nodes: int) -> float:
    if state is ZoneState.PARTIAL_DISRUPTION:
        return SECONDARY_EVICTION_RATE if nodes > LARGE_CLUSTER_SIZE_THRESHOLD else 0.0
    return EVICTION_RATE


@dataclass(slots=True)
class EvictionBudget:
    """A token bucket that holds one token: the first node goes at once."""

    rate: float = EVICTION_RATE
    free_at_seconds: float = field(default=float("-inf"))

    def take(self, now_seconds: float) -> float:
        """0 when a node may be emptied now, else how long to wait before asking again."""
        if not self.rate:
            return 1 / SECONDARY_EVICTION_RATE
        if now_seconds < self.free_at_seconds:
            return self.free_at_seconds - now_seconds
        self.free_at_seconds = now_seconds + 1 / self.rate
        return 0.0


class Zones:
    """Every node's readiness by zone. Bounded by the number of nodes."""

    def __init__(self) -> None:
        self._nodes: dict[str, dict[str, bool]] = {}
        self._budgets: dict[str, EvictionBudget] = {}
        self._states: dict[str, ZoneState] = {}

    def put(self, name: str, zone: str, ready: bool) -> None:
        if ready != self._nodes.get(zone, {}).get(name):
            self.remove(name)
            self._nodes.setdefault(zone, {})[name] = ready
            self._review(zone)

    def remove(self, name: str) -> None:
        for zone, nodes in list(self._nodes.items()):
            if nodes.pop(name, None) is not None:
                self._review(zone)
                if not nodes:
                    del self._nodes[zone], self._budgets[zone], self._states[zone]

    def budget(self, zone: str) -> EvictionBudget:
        return self._budgets.setdefault(zone, EvictionBudget())

    def state(self, zone: str) -> ZoneState:
        return self._states.get(zone, ZoneState.NORMAL)

    @property
    def all_disrupted(self) -> bool:
        """No node anywhere is ready."""
        states = self._states.values()
        return bool(states) and all(state is ZoneState.FULL_DISRUPTION for state in states)

    def names(self) -> Iterable[str]:
        return [name for nodes in self._nodes.values() for name in nodes]

    def _review(self, zone: str) -> None:
        nodes = self._nodes[zone]
        ready = sum(nodes.values())
        self._states[zone] = zone_state(ready, len(nodes) - ready)
        self.budget(zone).rate = eviction_rate(self._states[zone], len(nodes))
