"""The addresses of a cluster on this machine: loopback ones, so that only this machine reaches them.

Each cluster has a range of its own, 127.N.0.0/16: nodes are 127.N.0.11 and so on (a node port is then as free
on one node as on the next), load balancers 127.N.1.x, Ingresses 127.N.2.1. Which N is whose is written down
for all clusters of a user. Where loopback has only one address (macOS), everything is at 127.0.0.1, and node
ports and load balancers take what ports are free there.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

NETWORKS = range(20, 120)
FIRST_NODE, LAST_NODE = 11, 254
LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Addresses:
    """`network` is N, or 0 where there is only 127.0.0.1; `nodes` the last octet of each."""

    network: int = 0
    nodes: Mapping[str, int] = field(default_factory=dict)

    def node(self, name: str) -> str:
        octet = self.nodes.get(name)
        return f"127.{self.network}.0.{octet}" if self.network and octet else LOOPBACK

    @property
    def load_balancers(self) -> str:
        """As CIDR."""
        return f"127.{self.network}.1.0/24" if self.network else f"{LOOPBACK}/32"

    @property
    def ingress(self) -> str:
        return f"127.{self.network}.2.1" if self.network else LOOPBACK

    def to_json(self) -> dict[str, Any]:
        return {"network": self.network, "nodes": dict(self.nodes)}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Addresses:
        return cls(int(record.get("network", 0)), dict(record.get("nodes", {})))

    def with_nodes(self, names: Iterable[str]) -> Addresses:
        """Every name with an octet: the one it had, or the lowest that is free."""
        wanted = list(names)
        held = {name: octet for name, octet in self.nodes.items() if name in wanted}
        free = (octet for octet in range(FIRST_NODE, LAST_NODE + 1) if octet not in {*held.values()})
        for name in wanted:
            if name not in held and (octet := next(free, 0)):
                held[name] = octet
        return Addresses(self.network, held)


def choose(owner: str, former: Addresses) -> Addresses:
    """With a range of its own, the former one if nobody has taken it. `owner` is the cluster's home."""
    if not _is_usable(former.network or NETWORKS.start):
        return Addresses(0, former.nodes)
    path = Path(tempfile.gettempdir()) / f"orrery-{os.getuid()}-networks.json"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        holders = _living(file.read())
        taken = {number for number, holder in holders.items() if holder != owner}
        mine = next((number for number, holder in holders.items() if holder == owner), former.network)
        if not mine or mine in taken:
            mine = next((number for number in NETWORKS if number not in taken), NETWORKS.start)
        file.seek(0)
        file.truncate()
        json.dump({**holders, mine: owner}, file)
    return Addresses(mine, former.nodes)


def _is_usable(network: int) -> bool:
    """Whether this machine listens on such addresses without being told to."""
    with socket.socket() as probe:
        try:
            probe.bind((f"127.{network}.0.{FIRST_NODE}", 0))
        except OSError:
            return False
    return True


def _living(text: str) -> dict[int, str]:
    """Who holds which; clusters whose home is gone hold nothing, and a file cut short counts as empty."""
    try:
        record = {int(number): str(holder) for number, holder in json.loads(text or "{}").items()}
    except (ValueError, AttributeError):
        return {}
    return {number: holder for number, holder in record.items() if Path(holder).exists()}
