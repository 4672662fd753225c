"""TTL controller: tells kubelets how long they may keep Secrets and ConfigMaps, by the cluster's size.

An annotation on each node; in a cluster of up to a hundred nodes it is 0. Upstream: pkg/controller/ttl.
"""

from __future__ import annotations

from services.api.core_v1 import Node
from services.client.controller import Controller, For

ANNOTATION = "node.alpha.kubernetes.io/ttl"
# (up to that many nodes, seconds)
BOUNDARIES = ((100, 0), (500, 15), (1000, 30), (2000, 60), (10**9, 300))


def ttl_seconds(nodes: int) -> int:
    return next(seconds for most, seconds in BOUNDARIES if nodes <= most)


class TtlController(Controller[Node]):
    name = "ttl"
    watches = (
        For(Node, when=lambda old, new: new is not None and ANNOTATION not in new.metadata.annotations),
    )

    async def reconcile(self, node: Node) -> None:
        wanted = str(ttl_seconds(len(self.store(Node))))
        if node.metadata.annotations.get(ANNOTATION) != wanted:
            await self.client.patch(
                Node, node.key.name, "", {"metadata": {"annotations": {ANNOTATION: wanted}}}
            )
