"""kube-proxy at work: keeps a node's table current, and says in the log what changed.

Watches Services, EndpointSlices and the node's own labels. A break of the watch is the informers' to heal:
until then the table stays as it was, and connections go where they went. In a process with many nodes all
tables are fed by the same watches. Who listens on node ports is told by `changed`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random

from services.api.core_v1 import Node, Service
from services.api.discovery_v1 import EndpointSlice
from services.api.object import ObjectKey
from services.client.informer import InformerFactory
from services.client.log import Logger
from services.kube_proxy.table import Table
from services.machinery.clock import Clock

ZONE = "topology.kubernetes.io/zone"
SETTLE_SECONDS = 0.02  # Changes of one moment are told together.


class Proxy:
    """One node's. `table` may be asked from the first moment, and knows everything once synced."""

    def __init__(
        self, node_name: str, informers: InformerFactory, clock: Clock, random: Random, log: Logger
    ) -> None:
        self.table = Table(node_name, clock, random)
        self._node_name, self._clock, self._log = node_name, clock, log
        self._dirty = asyncio.Event()
        self._changed: list[Callable[[], None]] = []
        self._informers = (
            informers.informer(Service),
            informers.informer(EndpointSlice),
            informers.informer(Node),
        )
        services, slices, nodes = self._informers
        services.add_handler(
            lambda service, _: self._touch(self.table.put_service, service),
            lambda _, service, __: self._touch(self.table.put_service, service),
            lambda service, _: self._touch(self.table.remove_service, service.key),
        )
        slices.add_handler(
            lambda slice_, _: self._touch(self.table.put_slice, slice_),
            lambda old, new, _: self._replace(old, new),
            lambda slice_, _: self._touch(self.table.remove_slice, slice_),
        )
        nodes.add_handler(lambda node, _: self._see_node(node), lambda _, node, __: self._see_node(node))

    def on_change(self, tell: Callable[[], None]) -> None:
        """Called after the table has changed, for those who listen on its ports."""
        self._changed.append(tell)

    def _touch(self, act: Callable[[object], None] | Callable[..., None], what: object) -> None:
        act(what)
        self._dirty.set()

    def _replace(self, old: EndpointSlice, new: EndpointSlice) -> None:
        self.table.remove_slice(old)
        self._touch(self.table.put_slice, new)

    def _see_node(self, node: Node) -> None:
        if node.key == ObjectKey("", self._node_name):
            self._touch(self.table.set_zone, node.metadata.labels.get(ZONE, ""))

    async def run(self) -> None:
        """Until cancelled."""
        for informer in self._informers:
            await informer.wait_synced()
        self._log.debug("kube-proxy knows all Services", node=self._node_name)
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            await self._clock.sleep(SETTLE_SECONDS)
            changed = self.table.sync()
            for key in sorted(changed):
                self._log.debug(
                    "Set the rules of the Service", kind="Service", namespace=key.namespace, name=key.name
                )
            for tell in self._changed:
                tell()
