"""kube-proxy's tables for the nodes of this process: one each, made when a connection first begins there.

Most of a hollow fleet's nodes never open a connection: a table of thousands of Services for each would cost
more than all else they do. So all are fed by the same watches, and exist once somebody asks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random

from services.api.core_v1 import Node, Service
from services.api.discovery_v1 import EndpointSlice
from services.client.informer import InformerFactory
from services.client.log import Logger
from services.kube_proxy.table import Table
from services.machinery.clock import Clock

ZONE = "topology.kubernetes.io/zone"
SETTLE_SECONDS = 0.02  # Changes of one moment are told together.


class Tables:
    def __init__(self, informers: InformerFactory, clock: Clock, random: Random, log: Logger) -> None:
        self._clock, self._random, self._log = clock, random, log
        self._services = informers.informer(Service)
        self._slices = informers.informer(EndpointSlice)
        self._nodes = informers.informer(Node)
        self._tables: dict[str, Table] = {}
        self._listeners: list[Callable[[], None]] = []
        self._dirty = asyncio.Event()
        self._subscribe()

    def of(self, node: str) -> Table:
        """The table of one node; complete once the watches are."""
        table = self._tables.get(node)
        if table is None:
            found = self._nodes.store.by_index("namespace", "") if node else []
            zone = next((each.metadata.labels.get(ZONE, "") for each in found if each.key.name == node), "")
            table = self._tables[node] = Table(node, self._clock, self._random, zone)
            for service in self._services.store.list():
                table.put_service(service)
            for slice_ in self._slices.store.list():
                table.put_slice(slice_)
        return table

    def on_change(self, tell: Callable[[], None]) -> None:
        """Called a moment after any table may have changed: for those who listen on its ports."""
        self._listeners.append(tell)

    async def run(self) -> None:
        """Until cancelled."""
        for informer in (self._services, self._slices, self._nodes):
            await informer.wait_synced()
        self._log.info("kube-proxy knows where Services lead", services=len(self._services.store.list()))
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            await self._clock.sleep(SETTLE_SECONDS)
            for name, table in self._tables.items():
                for key in sorted(table.sync()):
                    self._log.debug(
                        "Set kube-proxy's rules", kind="Service", namespace=key.namespace, name=key.name,
                        node=name,
                    )  # fmt: skip
            for tell in self._listeners:
                tell()

    def _subscribe(self) -> None:
        self._services.add_handler(
            lambda service, _: self._each(lambda table: table.put_service(service)),
            lambda _, service, __: self._each(lambda table: table.put_service(service)),
            lambda service, _: self._each(lambda table: table.remove_service(service.key)),
        )
        self._slices.add_handler(
            lambda slice_, _: self._each(lambda table: table.put_slice(slice_)),
            lambda old, new, _: self._replace(old, new),
            lambda slice_, _: self._each(lambda table: table.remove_slice(slice_)),
        )
        self._nodes.add_handler(lambda node, _: self._see(node), lambda _, node, __: self._see(node))

    def _each(self, act: Callable[[Table], None]) -> None:
        for table in self._tables.values():
            act(table)
        self._dirty.set()

    def _replace(self, old: EndpointSlice, new: EndpointSlice) -> None:
        def act(table: Table) -> None:
            table.remove_slice(old)
            table.put_slice(new)

        self._each(act)

    def _see(self, node: Node) -> None:
        table = self._tables.get(node.key.name)
        if table is not None:
            table.set_zone(node.metadata.labels.get(ZONE, ""))
