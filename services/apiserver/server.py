"""The API server put together: etcd, caches, registry, fronts.

It serves from the first moment, so that whoever waits can ask; it says SERVING once etcd
answers, the caches are filled and the cluster's own namespaces exist.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc.aio
import orjson

from services.api import errors, kinds
from services.apiserver.fronts.discovery import DiscoveryFront
from services.apiserver.fronts.grpc import ResourceFront
from services.apiserver.fronts.node import NodeFront
from services.apiserver.registry.caches import Caches
from services.apiserver.registry.registry import Registry
from services.apiserver.registry.request import Target, WriteOptions
from services.apiserver.storage.storage import Storage
from services.machinery.clock import Clock
from services.process.grpc_server import Health, grpc_server
from services.process.logging import Logger

NAMESPACES = ("default", "kube-system", "kube-node-lease", "kube-public")
RETRY_SECONDS = 0.5
SERVICES = ("resource.v1.ResourceService", "resource.v1.DiscoveryService", "node.v1.NodeService")


class ApiServer:
    def __init__(self, storage: Storage, clock: Clock, chance: random.Random, log: Logger) -> None:
        self._clock, self._log = clock, log
        self.caches = Caches(storage, clock, log)
        self.registry = Registry(storage, self.caches, clock, chance, log)
        self._fronts = (
            ResourceFront(self.registry, clock, chance, log),
            DiscoveryFront(chance, log),
            NodeFront(self.registry, clock, chance, log),
        )
        self.health = Health()
        self.serving = asyncio.Event()

    def add_to(self, server: grpc.aio.Server) -> None:
        for front in self._fronts:
            front.add_to(server)

    @asynccontextmanager
    async def listen(self, address: str, port: int) -> AsyncIterator[int]:
        """Serves while the block runs; yields the bound port."""
        serving = grpc_server(address, port, self.add_to, names=SERVICES, health_state=self.health)
        async with serving as bound:
            yield bound

    async def run(self) -> None:
        """Fills the caches and keeps them current until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.caches.run())
            await self.caches.ready()
            for name in NAMESPACES:
                await self._make_namespace(name)
            await self.health.set_serving(True)
            self.serving.set()
            self._log.info("Serving")

    async def _make_namespace(self, name: str) -> None:
        resource = kinds.resource_named("", "v1", "namespaces")
        assert resource is not None
        body = orjson.dumps({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        options = WriteOptions(field_manager="kube-apiserver")
        while self.caches.find(resource, "", name) is None:
            try:
                await self.registry.create(Target(resource), body, options)
                return
            except errors.ApiError as error:
                if errors.is_already_exists(error):
                    return
                self._log.warning("Cannot create a namespace yet", name=name, reason=error.message)
                await self._clock.sleep(RETRY_SECONDS)
