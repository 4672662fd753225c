"""The API server put together: etcd, caches, registry, fronts.

It serves from the first moment, so that whoever waits can ask; it says SERVING once etcd
answers, the caches are filled and the cluster's own namespaces exist.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import grpc.aio

from services.api.core_v1 import Service
from services.api.errors import ApiError
from services.api.kinds import resource_of
from services.apiserver.admission.authorizing import answering
from services.apiserver.admission.policy_status import PolicyStatus
from services.apiserver.admission.step import Admission
from services.apiserver.aggregation.api_services import ApiServices
from services.apiserver.audit.audit import Audit, annotate
from services.apiserver.authentication.tokens import TokenAuthenticator
from services.apiserver.authorization.authorizer import Authorizer
from services.apiserver.authorization.bootstrap import for_controllers, reconcile
from services.apiserver.custom.resource import definitions_resource
from services.apiserver.fairness.fairness import SEATS, Fairness
from services.apiserver.fronts.callers import Callers
from services.apiserver.fronts.calls import Calls
from services.apiserver.fronts.discovery import DiscoveryFront
from services.apiserver.fronts.gate import Gate
from services.apiserver.fronts.grpc import ResourceFront
from services.apiserver.fronts.kubelets import Kubelets
from services.apiserver.fronts.node import NodeFront
from services.apiserver.openapi.documents import Documents
from services.apiserver.registry import bootstrap
from services.apiserver.registry.address_repair import AddressRepair
from services.apiserver.registry.caches import Caches
from services.apiserver.registry.extending import World
from services.apiserver.registry.flow_schemas import FlowSchemas
from services.apiserver.registry.registry import Registry
from services.apiserver.storage.entries import Selection
from services.apiserver.storage.storage import Storage
from services.apiserver.storage.watch_cache import WatchCache
from services.apiserver.token_issuer import TokenIssuer
from services.apiserver.usage.scraper import Usage
from services.client.credentials import Credentials
from services.machinery.clock import Clock
from services.process.grpc_server import Health, ServerTls, grpc_server
from services.process.logging import Logger

if TYPE_CHECKING:
    from services.apiserver.admission.calling import Caller
    from services.apiserver.aggregation.elsewhere import Told
    from services.apiserver.aggregation.remote import Remote
    from services.apiserver.custom.calling import Dial
    from services.apiserver.custom.conversion import Call
    from services.apiserver.custom.definitions import Definitions
    from services.apiserver.fronts.rest.server import RestFront

CONVERSION_SECONDS = 30
SERVICES = ("resource.v1.ResourceService", "resource.v1.DiscoveryService", "node.v1.NodeService")


class ApiServer:
    def __init__(
        self,
        storage: Storage,
        clock: Clock,
        chance: random.Random,
        log: Logger,
        issuer: TokenIssuer | None = None,
        kubelet_credentials: Credentials | None = None,
        seats: int = SEATS,
        audit: Audit | None = None,
    ) -> None:
        self.fairness, self.audit = Fairness(clock, seats), audit
        self._clock, self._random, self._log = clock, chance, log
        self.storage = storage
        self.caches = Caches(storage, clock, log)
        issuer = issuer or TokenIssuer()
        self.registry = registry = Registry(storage, self.caches, clock, chance, log, issuer)
        tokens = TokenAuthenticator(issuer, registry.lookup, clock.now)
        authorizer = Authorizer(lambda resource: registry.store(resource).cache)
        self.gate = Gate(tokens, authorizer)
        self._kubelets = Kubelets(self.registry, clock, kubelet_credentials)
        self._webhooks: Caller | None = None
        authorize = answering(authorizer)
        registry.extend(
            Admission(World(registry), self._ask, clock, chance, authorize, annotate, registry.strands)
        )
        self._documents = Documents(lambda: self.registry.catalog.described)
        self._callers = Callers(self.gate)
        calls = Calls(self._callers, chance, log, self.fairness, audit)
        self._fronts = (
            ResourceFront(self.registry, clock, chance, calls),
            DiscoveryFront(self.registry.catalog, self._documents, calls),
            NodeFront(self._kubelets, clock, calls),
        )
        self._flow_schemas = FlowSchemas(registry, clock, log, self.fairness.configure)
        self._api_services = ApiServices(registry, clock, log, self._ask_elsewhere)
        self._usage = Usage(self._kubelets, registry, clock)
        self.health = Health()
        self.serving = asyncio.Event()

    def rest(self) -> RestFront:
        """The REST API over the same registry."""
        from services.apiserver.aggregation.remote import Aggregated
        from services.apiserver.fronts.rest.server import RestFront

        is_ready = self.serving.is_set
        return RestFront(
            self.registry, self._clock, self._random, self._log, is_ready, self._kubelets, self.gate,
            self._documents, self.fairness,
            Aggregated(self._api_services, self._elsewhere(), self._clock, self._log), self.audit,
        )  # fmt: skip

    def _elsewhere(self) -> Remote:
        """Groups that Services of the cluster serve. Loaded when somebody registers such."""
        from services.apiserver.aggregation.remote import Remote

        return Remote(self._dial, self._address, self._clock)

    async def _ask_elsewhere(self, spec: dict[str, Any]) -> Told | str:
        return await self._elsewhere().ask(spec)

    def _address(self, namespace: str, name: str) -> str:
        found = self.registry.lookup(resource_of(Service), namespace, name) or {}
        return str(found.get("spec", {}).get("clusterIP", ""))

    def _webhook(self, config: dict[str, Any], definition: str) -> Call:
        """Asks the conversion webhook of a definition."""

        async def call(review: dict[str, Any]) -> dict[str, Any]:
            return await self._ask(config, review, CONVERSION_SECONDS)

        return call

    async def _ask(self, config: dict[str, Any], review: dict[str, Any], seconds: int) -> dict[str, Any]:
        """Asks a webhook. What it takes is loaded when there is one."""
        if self._webhooks is None:
            from services.apiserver.admission.calling import Caller

            self._webhooks = Caller(self._dial, self._clock)
        return await self._webhooks.ask(config, review, seconds)

    def _dial(self) -> Dial:
        """What reaches Services through the Pod network. Loaded when something has to."""
        from services.apiserver.fronts.rest.streams.service_dial import ServiceDial

        return ServiceDial(self._kubelets, self.registry, self._random)

    def add_to(self, server: grpc.aio.Server) -> None:
        for front in self._fronts:
            front.add_to(server)

    @asynccontextmanager
    async def listen(
        self, address: str, port: int, tls: ServerTls | None = None, health_socket: str = ""
    ) -> AsyncIterator[int]:
        """Serves while the block runs; yields the bound port. Without `tls` everybody may do everything."""
        self._callers.anybody = tls is None
        serving = grpc_server(
            address, port, self.add_to, names=SERVICES, health_state=self.health,
            tls=tls, health_socket=health_socket,
        )  # fmt: skip
        async with serving as bound:
            yield bound

    async def run(self) -> None:
        """Fills the caches and keeps them current until cancelled."""
        try:
            await self._run()
        finally:
            if self._webhooks is not None:
                await self._webhooks.close()

    @property
    def _defined(self) -> WatchCache:
        return self.registry.store(definitions_resource()).cache

    def _definitions(self) -> Definitions:
        from services.apiserver.custom.definitions import Definitions

        return Definitions(self.registry, self._clock, self._random, self._log, self._webhook)

    async def _follow_definitions(self, definitions: Definitions | None) -> None:
        """Serves custom resources. What that takes is loaded with the first definition."""
        while definitions is None:
            watcher = self._defined.watch(Selection(), None)
            try:
                await watcher.next()
                definitions = self._definitions()
            except ApiError:  # the cache started over
                await self._defined.ready.wait()
            finally:
                self._defined.watchers.leave(watcher)
        await definitions.run()

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self.caches.run())
            await self.caches.ready()
            definitions = self._definitions() if self._defined.entries else None
            if definitions is not None:
                await definitions.serve_all()
            await bootstrap.make_all(self.registry, self._clock, self._log)
            await reconcile(self.registry, self._clock, self._log)
            self.gate.ready = True
            await bootstrap.make_priority_classes(self.registry, self._clock, self._log)
            await self.health.set_serving(True)
            self.serving.set()
            self._log.info("Serving")
            group.create_task(reconcile(self.registry, self._clock, self._log, for_controllers()))
            group.create_task(self._follow_definitions(definitions))
            group.create_task(self._usage.run())
            group.create_task(self._flow_schemas.run())
            group.create_task(self.fairness.run())
            group.create_task(self._api_services.run())
            group.create_task(PolicyStatus(self.registry, self._clock, self._log).run())
            group.create_task(AddressRepair(self.registry, self._clock, self._log).run())
