"""The network agent of this process' nodes: kube-proxy's tables, policies, routes to other nodes, PodNetwork.

Made before the runtime, whose network it wraps, and run beside it. Until the watches are complete connections
within the process work and others fail as in a cluster whose network is still coming up. When the API server
is away, what is known stays in force. A process of one node also listens on that node's ports; the nodes of a
hollow fleet have no addresses of their own to listen on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from random import Random

import grpc.aio

from services.api.core_v1 import Node
from services.client.client import Client
from services.client.credentials import Credentials
from services.client.informer import InformerFactory
from services.client.log import Logger
from services.client.recorder import EventRecorder
from services.kube_proxy import rules_text
from services.machinery.clock import Clock
from services.node.network.api_gateway import ApiGateway
from services.node.network.cluster_network import ClusterNetwork
from services.node.network.dialer import Dialer
from services.node.network.ingress import ClusterIngress
from services.node.network.listeners import Listeners
from services.node.network.names import ClusterNames, Library, Resolver
from services.node.network.routes import Routes
from services.node.network.service import NAME, PodNetworkService
from services.node.network.tables import Tables
from services.node.network.watched_policies import WatchedPolicies
from services.pb.network.v1.network_pb2_grpc import add_PodNetworkServicer_to_server
from services.runtime.network import LocalNetwork, Namespace

__all__ = ["NAME", "NetworkAgent"]


class NetworkAgent:
    """`wrap` is for the runtime, `add_to` for the node's server, `run` for as long as both last."""

    def __init__(
        self,
        names: Sequence[str],
        ip: str,
        client: Client,
        clock: Clock,
        random: Random,
        log: Logger,
        api_host: str = "",
        credentials: Credentials | None = None,
    ) -> None:
        """`ip` is the node's own address, empty where several nodes share this process.

        `api_host` is where this process found the API server, for Pods that ask it by its Service.
        `credentials` are the node's, for other nodes.
        """
        self._api_host, self._credentials = api_host, credentials
        self._names, self._ip, self._log = list(names), ip, log
        self.informers = InformerFactory(client, clock, random, log)
        self.tables = Tables(self.informers, clock, random, log)
        self.routes = Routes()
        self.policies = WatchedPolicies(client, clock, random, log)
        self._recorder = EventRecorder(client, clock, "kube-proxy", log=log)
        self.informers.informer(Node).add_handler(
            lambda node, _: self.routes.put(node),
            lambda _, node, __: self.routes.put(node),
            lambda node, _: self.routes.remove(node.key.name),
        )
        self._client, self._clock, self._random = client, clock, random
        self._dialer: Dialer | None = None
        self._names_of_services: ClusterNames | None = None
        self._ingress: ClusterIngress | None = None
        self._local: LocalNetwork | None = None
        self.network: ClusterNetwork | None = None

    def wrap(self, local: LocalNetwork) -> ClusterNetwork:
        """The network of the cluster around that of this process."""
        here = frozenset(self._names)
        self._local, self._dialer = local, Dialer(local.kernel, self._credentials)
        if self._ip:
            local.give_address(self._names[0], self._ip)
        self.network = ClusterNetwork(
            local,
            local.kernel,
            table_of=lambda source: self.tables.of(self._node_of(source)),
            routes=self.routes,
            dialer=self._dialer,
            here=lambda: here,
            egress=self.policies.rules.allows_egress,
            ingress=self.policies.rules.allows_ingress,
        )
        self.network.gateway = ApiGateway(local.kernel, self.informers, self._api_host).dial
        library = Library(local.kernel)
        self.network.resolver = Resolver(self.network, library)
        self.network.name_service = self._names_of_services = ClusterNames(
            local.kernel, library, self._client, self._clock, self._random, self._log
        )
        self.network.ingress = self._ingress = ClusterIngress(
            local.kernel, self._client, self._clock, self._random, self._log
        )
        return self.network

    def _node_of(self, source: Namespace) -> str:
        return source.node or self._names[0]

    def proxy_rules(self, node: str) -> str:
        """The table of one node, as one reads iptables."""
        return rules_text.text(self.tables.of(node).rules())

    def add_to(self, server: grpc.aio.Server) -> None:
        """Takes connections from other nodes. After `wrap`."""
        if self._local is not None:
            admits = self.policies.rules.allows_ingress
            service = PodNetworkService(self._local.kernel, self._local, admits)
            add_PodNetworkServicer_to_server(service, server)

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.informers.run(), name="network informers")
            group.create_task(self.tables.run(), name="kube-proxy")
            group.create_task(self.policies.run(), name="network policies")
            group.create_task(self._recorder.run(), name="kube-proxy's recorder")
            if self._names_of_services is not None:
                group.create_task(self._names_of_services.run(), name="names")
            if self._ingress is not None:
                group.create_task(self._ingress.run(), name="ingress")
            if self._dialer is not None:
                group.create_task(self._dialer.run(), name="dialer")
            if self._ip and self.network is not None and self._local is not None:
                group.create_task(self._listen(self.network, self._local), name="node ports")

    async def _listen(self, network: ClusterNetwork, local: LocalNetwork) -> None:
        name = self._names[0]
        recorder = self._recorder.named("kube-proxy", name)
        listeners = Listeners(self._ip, name, self.tables.of(name), network, local, recorder, self._log)
        self.tables.on_change(listeners.changed)
        local.on_host_ports(listeners.changed)
        await listeners.run()
