"""Which node owns an address: Pod ranges and node addresses, from the Node objects. Pure.

Kept by a watch. A node that is gone owns nothing; a range that two nodes claim belongs to the one that
claimed it last, as the routing table of a real network would have it.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address, ip_network

from services.api.core_v1 import Node


@dataclass(frozen=True, slots=True)
class Peer:
    """A node, and where its process can be reached."""

    name: str
    ip: str
    port: int

    @property
    def address(self) -> str:
        return f"{self.ip}:{self.port}"


class Routes:
    def __init__(self) -> None:
        self._peers: dict[str, Peer] = {}
        self._ranges: dict[tuple[int, int, int], str] = {}  # (version, prefix length, network) → node
        self._of: dict[str, list[tuple[int, int, int]]] = {}
        self._by_ip: dict[str, dict[str, Peer]] = {}
        self._lengths: list[tuple[int, int]] = []  # (version, prefix length) of the ranges, longest first

    def put(self, node: Node) -> None:
        name = node.key.name
        self.remove(name)
        status = node.status
        ip = next((each.address for each in status.addresses if each.type == "InternalIP"), "")
        endpoint = status.daemon_endpoints.kubelet_endpoint if status.daemon_endpoints else None
        peer = Peer(name, ip, endpoint.port if endpoint else 0)
        self._peers[name] = peer
        self._by_ip.setdefault(ip, {})[name] = peer
        for cidr in node.spec.pod_cidrs or ([node.spec.pod_cidr] if node.spec.pod_cidr else []):
            network = ip_network(cidr, strict=False)
            key = (network.version, network.prefixlen, int(network.network_address))
            self._ranges[key] = name
            self._of.setdefault(name, []).append(key)
            if key[:2] not in self._lengths:
                self._lengths = sorted((*self._lengths, key[:2]), reverse=True)

    def remove(self, name: str) -> None:
        peer = self._peers.pop(name, None)
        if peer is not None:
            self._by_ip.get(peer.ip, {}).pop(name, None)
        for key in self._of.pop(name, []):
            if self._ranges.get(key) == name:
                del self._ranges[key]

    def owner(self, ip: str) -> Peer | None:
        """The node to which a Pod's address belongs."""
        address = ip_address(ip)
        bits, number = address.max_prefixlen, int(address)
        for version, length in self._lengths:
            if version != address.version:
                continue
            network = number >> (bits - length) << (bits - length)
            name = self._ranges.get((address.version, length, network))
            if name is not None:
                return self._peers[name]
        return None

    def node_at(self, ip: str) -> Peer | None:
        """The node with that address of its own. Several may share one: then none is meant."""
        found = self._by_ip.get(ip, {})
        return next(iter(found.values())) if len(found) == 1 else None

    def peer(self, name: str) -> Peer | None:
        return self._peers.get(name)
