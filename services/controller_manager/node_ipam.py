"""Node IPAM controller: gives each node a range of Pod addresses of its own, the lowest that is free.

The nodes themselves are the record of what is taken: on start all of them are read before the first
range is given away. A range is free again when its node is gone. Upstream: pkg/controller/nodeipam.
"""

from __future__ import annotations

from ipaddress import IPv4Network, ip_network

from services.api.core_v1 import Node
from services.api.object import ObjectKey
from services.client.controller import Controller, ControllerContext, For

CLUSTER_CIDR = "10.244.0.0/16"
NODE_MASK_SIZE = 24


class CidrSet:
    """The ranges of one size inside the cluster's, and who holds which."""

    def __init__(self, cluster: str = CLUSTER_CIDR, mask_size: int = NODE_MASK_SIZE) -> None:
        network = ip_network(cluster)
        assert isinstance(network, IPv4Network)
        self._free_order = [str(subnet) for subnet in network.subnets(new_prefix=mask_size)]
        self._holder: dict[str, str] = {}
        self._range: dict[str, str] = {}

    def occupy(self, node: str, cidr: str) -> None:
        self.release(node)
        self._holder[cidr] = node
        self._range[node] = cidr

    def allocate(self, node: str) -> str | None:
        """The node's own range, or the lowest free one; None when all are taken."""
        if node not in self._range:
            lowest = next((cidr for cidr in self._free_order if cidr not in self._holder), None)
            if lowest is None:
                return None
            self.occupy(node, lowest)
        return self._range[node]

    def release(self, node: str) -> None:
        cidr = self._range.pop(node, None)
        if cidr is not None and self._holder.get(cidr) == node:
            del self._holder[cidr]


class NodeIpamController(Controller[Node]):
    name = "node-ipam"
    event_source = "cidrAllocator"
    workers = 1  # Ranges are given one by one.
    watches = (For(Node, when=lambda old, new: old is None or new is None or not new.spec.pod_cidr),)

    def __init__(self, context: ControllerContext, cluster_cidr: str = CLUSTER_CIDR) -> None:
        super().__init__(context)
        self._ranges = CidrSet(cluster_cidr)

    async def start(self) -> None:
        for node in self.store(Node).list():
            if node.spec.pod_cidr:
                self._ranges.occupy(node.key.name, node.spec.pod_cidr)

    async def reconcile(self, node: Node) -> None:
        name = node.key.name
        if node.spec.pod_cidr:
            self._ranges.occupy(name, node.spec.pod_cidr)
            return
        cidr = self._ranges.allocate(name)
        if cidr is None:
            self.recorder.event(
                node, "Normal", "CIDRNotAvailable", f"Node {name} status is now: CIDRNotAvailable"
            )
            self.log.warning("No range of Pod addresses is left for the node", kind="Node", name=name)
            return
        patch = {
            "metadata": {"uid": node.metadata.uid},
            "spec": {"podCIDR": cidr, "podCIDRs": [cidr]},
        }
        await self.client.patch(Node, name, "", patch)
        self.log.info("Gave the node its Pod addresses", kind="Node", name=name, cidr=cidr)

    async def reconcile_deleted(self, key: ObjectKey) -> None:
        self._ranges.release(key.name)
