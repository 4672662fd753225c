"""What the table is made of: one rule for each port of a Service, and the endpoints behind it. Pure."""

from __future__ import annotations

import hashlib
from base64 import b32encode
from dataclasses import dataclass
from enum import Enum

from services.api.object import ObjectKey

AFFINITY_SECONDS = 10800


class Door(Enum):
    """By which of its addresses a Service was reached: it decides whose policy counts."""

    CLUSTER_IP = "cluster IP"
    EXTERNAL_IP = "external IP"
    LOAD_BALANCER = "loadbalancer IP"
    NODE_PORT = "node port"


class Verdict(Enum):
    """What becomes of a connection that is led to no endpoint."""

    REJECT = "REJECT"  # nobody is there: connection refused
    DROP = "DROP"  # nobody is here, and the policy forbids going elsewhere: it hangs


@dataclass(frozen=True, slots=True)
class PortName:
    """One port of a Service: `default/kubernetes:https`."""

    service: ObjectKey
    port: str
    protocol: str

    def __str__(self) -> str:
        name = f"{self.service.namespace}/{self.service.name}"
        return f"{name}:{self.port}" if self.port else name

    def chain(self, prefix: str, more: str = "") -> str:
        """The name of an iptables chain, as kube-proxy names it: `KUBE-SVC-…`."""
        digest = hashlib.sha256(f"{self}{self.protocol.lower()}{more}".encode()).digest()
        return prefix + b32encode(digest).decode()[:16]


@dataclass(frozen=True, slots=True)
class Target:
    """An endpoint: an address and a port of a Pod (or of whatever was written by hand)."""

    ip: str
    port: int
    ready: bool = True
    serving: bool = True
    terminating: bool = False
    is_local: bool = False
    zones: frozenset[str] = frozenset()  # of which clients should come here; empty: anybody
    nodes: frozenset[str] = frozenset()

    def __str__(self) -> str:
        return f"[{self.ip}]:{self.port}" if ":" in self.ip else f"{self.ip}:{self.port}"


@dataclass(slots=True)
class Rule:
    """A port of a Service as this node treats it."""

    name: PortName
    cluster_ip: str
    port: int
    node_port: int = 0
    external_ips: tuple[str, ...] = ()
    balancer_ips: tuple[str, ...] = ()
    source_ranges: tuple[str, ...] = ()
    affinity_seconds: int = 0  # 0: none
    external_local: bool = False
    internal_local: bool = False
    health_check_port: int = 0
    cluster: tuple[Target, ...] = ()  # whom traffic may reach wherever they are
    local: tuple[Target, ...] = ()  # those of this node
    any_anywhere: bool = False

    def targets(self, door: Door) -> tuple[Target, ...]:
        return self.local if self.is_local(door) else self.cluster

    def is_local(self, door: Door) -> bool:
        return self.internal_local if door is Door.CLUSTER_IP else self.external_local
