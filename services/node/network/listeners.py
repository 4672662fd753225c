"""Node ports: real listeners on the node's own address, one for each that kube-proxy's table names.

What they accept is led to an endpoint as the table says and carried there. A port that somebody else has is
tried again with the next change, and told once as an Event of its Service. Connections that are open stay
open when their Service goes, as connections that are tracked by a kernel do. Also answers the health checks
of load balancers: whether this node has an endpoint of its own.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, cast

from services.api.core_v1 import ObjectReference
from services.client.log import Logger
from services.client.recorder import EventRecorder
from services.kube_proxy.model import Rule, Verdict
from services.kube_proxy.table import Route, Table
from services.node.network import health
from services.node.network.bridge import Bridge
from services.node.network.cluster_network import ClusterNetwork
from services.runtime.network import Connection, LocalNetwork, Namespace

CONNECTIONS_MAX = 20_000  # of this process; further ones are reset
BACKLOG = 1024

HEALTH = "health"
HOST = "host"
RETRY_SECONDS = 5.0  # for a port that was taken

_Key = tuple[str, int]  # TCP, UDP, health or host, and the port
Lead = Callable[[str], Coroutine[Any, Any, Connection]]


class Listeners:
    """For one node, at its address."""

    def __init__(
        self,
        ip: str,
        node: str,
        table: Table,
        network: ClusterNetwork,
        local: LocalNetwork,
        recorder: EventRecorder,
        log: Logger,
    ) -> None:
        self._ip, self._node, self._table, self._network = ip, node, table, network
        self._local, self._kernel = local, local.kernel
        self._recorder, self._log = recorder, log
        self._open: dict[_Key, Callable[[], None]] = {}  # how to close it
        self._failed: set[_Key] = set()
        self._bridges: set[Bridge] = set()
        self._changed = asyncio.Event()

    def changed(self) -> None:
        """The table is another one: to be called by whoever keeps it."""
        self._changed.set()

    async def run(self) -> None:
        """Until cancelled."""
        try:
            await self._listen_for_health()
            while True:
                await self._match()
                await self._wait()
        finally:
            for close in self._open.values():
                close()
            for bridge in list(self._bridges):
                bridge.reset()

    async def _wait(self) -> None:
        """For a change; for a port that somebody else has only for a while."""
        try:
            async with self._kernel.clock.timeout(RETRY_SECONDS if self._failed else None):
                await self._changed.wait()
        except TimeoutError:
            return
        self._changed.clear()

    async def _match(self) -> None:
        """Listens where the table says so, and nowhere else."""
        wanted: dict[_Key, Rule | None] = {(HOST, port): None for port in self._local.host_ports(self._node)}
        wanted |= {(protocol, port): rule for (port, protocol), rule in self._table.node_ports().items()}
        wanted |= {(HEALTH, port): rule for port, rule in self._table.health_ports().items()}
        kept = {*wanted, (HEALTH, health.PROXY_PORT)}
        for key in [key for key in self._open if key not in kept]:
            self._open.pop(key)()
        self._failed &= wanted.keys()
        for key, rule in wanted.items():
            if key not in self._open:
                await self._listen(key, rule)

    async def _listen(self, key: _Key, rule: Rule | None) -> None:
        kind, port = key
        loop = asyncio.get_running_loop()
        try:
            if kind == "UDP":
                transport, _ = await loop.create_datagram_endpoint(
                    lambda: _Datagrams(partial(self._exchange, port)), (self._ip, port)
                )
                self._open[key] = transport.close
            elif rule is None:
                self._open[key] = await self._serve(partial(self._to_host, port), port)
            elif kind == HEALTH:
                answer = health.of_service(self._table, rule.name.service)
                self._open[key] = await self._serve(partial(health.connect, self._kernel, answer), port)
            elif kind == "TCP":
                self._open[key] = await self._serve(partial(self._lead, port), port)
        except OSError as error:
            self._complain(key, rule, error)
        else:
            self._failed.discard(key)

    def _complain(self, key: _Key, rule: Rule | None, error: OSError) -> None:
        if key in self._failed:
            return
        self._failed.add(key)
        if rule is None:
            self._log.warning("Cannot listen for a Pod of the host network", port=key[1], reason=str(error))
            return
        name = rule.name.service
        what = f'can\'t open port "nodePort for {rule.name}" ({self._ip}:{key[1]}/{key[0].lower()})'
        why = "address already in use" if error.errno == errno.EADDRINUSE else str(error.strerror or error)
        about = ObjectReference(
            kind="Service",
            namespace=name.namespace,
            name=name.name,
            uid=self._table.uid(name),
            api_version="v1",
        )
        self._recorder.event(about, "Warning", "PortNotAllocated", f"{what}: listen: bind: {why}")
        self._log.warning(
            "Cannot listen on a node port", kind="Service", namespace=name.namespace, name=name.name,
            port=key[1], reason=why,
        )  # fmt: skip

    # -- connections -----------------------------------------------------------------------------

    async def _serve(self, lead: Lead, port: int) -> Callable[[], None]:
        """Listens; how to stop."""
        loop = asyncio.get_running_loop()
        server = await loop.create_server(partial(self._bridge, lead), self._ip, port, backlog=BACKLOG)
        return server.close

    async def _listen_for_health(self) -> None:
        """A port that another cluster on this address has is no fault of a Service's."""
        lead = partial(health.connect, self._kernel, health.of_proxy(self._kernel.clock.now))
        try:
            self._open[HEALTH, health.PROXY_PORT] = await self._serve(lead, health.PROXY_PORT)
        except OSError as error:
            self._log.warning("kube-proxy's health port is taken", port=health.PROXY_PORT, reason=str(error))

    def _bridge(self, lead: Lead) -> Bridge:
        bridge = Bridge(self._kernel, lead, self._bridges.discard)
        self._bridges.add(bridge)
        return bridge

    async def _lead(self, port: int, source: str) -> Connection:
        """To an endpoint. OSError where nobody is there."""
        if len(self._bridges) > CONNECTIONS_MAX:
            raise OSError(errno.EMFILE, "too many connections")
        route = self._table.route_node_port(port, "TCP", source)
        if route is None or route.verdict is Verdict.REJECT:
            raise OSError(errno.ECONNREFUSED, "no endpoints")
        return await self._network.lead(self._seen_as(route, source), route)

    async def _to_host(self, port: int, source: str) -> Connection:
        """To a Pod of the host network, or to one with a hostPort."""
        return await self._local.connect(Namespace(source, node=self._node), self._ip, port)

    def _seen_as(self, route: Route, source: str) -> Namespace:
        """A Pod sees the client's own address only where traffic never leaves the node (policy Local)."""
        return Namespace(source if route.rule.external_local else self._ip, node=self._node)

    async def _exchange(self, port: int, data: bytes, source: str) -> bytes:
        route = self._table.route_node_port(port, "UDP", source)
        if route is None or route.target is None:
            return b""
        target, seen = route.target, self._seen_as(route, source)
        return await self._kernel.call(self._network.exchange(seen, target.ip, target.port, data))


class _Datagrams(asyncio.DatagramProtocol):
    """Each datagram is answered on its own; those that nobody answers are lost, as datagrams are."""

    def __init__(self, exchange: Callable[[bytes, str], object]) -> None:
        self._exchange = exchange
        self._tasks: set[asyncio.Task[None]] = set()
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)  # uvloop's is none by inheritance

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if len(self._tasks) < CONNECTIONS_MAX:
            task = asyncio.ensure_future(self._answer(data, addr))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _answer(self, data: bytes, addr: tuple[str, int]) -> None:
        try:
            answer = await self._exchange(data, addr[0])  # type: ignore[misc]
        except OSError:
            return
        if answer and self._transport is not None:
            self._transport.sendto(answer, addr)
