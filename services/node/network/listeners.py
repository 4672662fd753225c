"""Node ports: real listeners on the node's own address, one for each that kube-proxy's table names.

What they accept is led to an endpoint as the table says and carried there. A port that somebody else has is
tried again with the next change, and told once as an Event of its Service. Connections that are open stay
open when their Service goes, as connections that are tracked by a kernel do. Also answers the health checks
of load balancers: whether this node has an endpoint of its own.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable
from functools import partial

import orjson

from services.api.core_v1 import ObjectReference
from services.api.object import ObjectKey
from services.client.log import Logger
from services.client.recorder import EventRecorder
from services.kube_proxy.model import Rule
from services.kube_proxy.table import Route, Table
from services.node.network.bridge import carry, reset
from services.node.network.cluster_network import ClusterNetwork
from services.runtime.http import Request, Response
from services.runtime.kernel import Kernel
from services.runtime.network import Connection, Namespace, serve_http
from services.runtime.streams import Pipe

CONNECTIONS_MAX = 20_000  # of this process; further ones are reset
BACKLOG = 1024

_Key = tuple[str, int]  # TCP, UDP or health, and the port


class Listeners:
    """For one node, at its address."""

    def __init__(
        self,
        ip: str,
        node: str,
        table: Table,
        network: ClusterNetwork,
        kernel: Kernel,
        recorder: EventRecorder,
        log: Logger,
    ) -> None:
        self._ip, self._node, self._table, self._network = ip, node, table, network
        self._kernel, self._recorder, self._log = kernel, recorder, log
        self._open: dict[_Key, Callable[[], None]] = {}  # how to close it
        self._failed: set[_Key] = set()
        self._connections = 0
        self._changed = asyncio.Event()

    def changed(self) -> None:
        """The table is another one: to be called by whoever keeps it."""
        self._changed.set()

    async def run(self) -> None:
        """Until cancelled."""
        try:
            while True:
                await self._match()
                await self._changed.wait()
                self._changed.clear()
        finally:
            for close in self._open.values():
                close()

    async def _match(self) -> None:
        """Listens where the table says so, and nowhere else."""
        wanted: dict[_Key, Rule] = {
            (protocol, port): rule for (port, protocol), rule in self._table.node_ports().items()
        }
        for rule in self._table.rules():
            if rule.health_check_port:
                wanted["health", rule.health_check_port] = rule
        for key in [key for key in self._open if key not in wanted]:
            self._open.pop(key)()
        self._failed &= wanted.keys()
        for key, rule in wanted.items():
            if key not in self._open:
                await self._listen(key, rule)

    async def _listen(self, key: _Key, rule: Rule) -> None:
        kind, port = key
        try:
            if kind == "TCP":
                server = await asyncio.start_server(
                    partial(self._accept, port), self._ip, port, backlog=BACKLOG
                )
                self._open[key] = server.close
            elif kind == "health":
                answer = partial(self._check_health, rule.name.service)
                server = await asyncio.start_server(partial(self._serve_health, answer), self._ip, port)
                self._open[key] = server.close
            elif kind == "UDP":
                loop = asyncio.get_running_loop()
                transport, _ = await loop.create_datagram_endpoint(
                    lambda: _Datagrams(partial(self._exchange, port)), (self._ip, port)
                )
                self._open[key] = transport.close
        except OSError as error:
            self._complain(key, rule, error)
        else:
            self._failed.discard(key)

    def _complain(self, key: _Key, rule: Rule, error: OSError) -> None:
        if key in self._failed:
            return
        self._failed.add(key)
        name = rule.name.service
        what = f'can\'t open port "nodePort for {rule.name}" ({self._ip}:{key[1]}/{key[0].lower()})'
        why = "address already in use" if error.errno == errno.EADDRINUSE else str(error.strerror or error)
        about = ObjectReference(kind="Service", namespace=name.namespace, name=name.name, api_version="v1")
        self._recorder.event(about, "Warning", "PortNotAllocated", f"{what}: listen: bind: {why}")
        self._log.warning(
            "Cannot listen on a node port", kind="Service", namespace=name.namespace, name=name.name,
            port=key[1], reason=why,
        )  # fmt: skip

    # -- connections -----------------------------------------------------------------------------

    async def _accept(self, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._connections >= CONNECTIONS_MAX:
            reset(writer)
            return
        self._connections += 1
        try:
            source = writer.get_extra_info("peername")[0]
            connection = await self._connect(self._table.route_node_port(port, "TCP", source), source)
            await carry(reader, writer, connection, self._kernel)
        except OSError:
            reset(writer)
        finally:
            self._connections -= 1

    async def _connect(self, route: Route | None, source: str) -> Connection:
        """OSError where nobody is there."""
        if route is None or route.target is None:
            raise OSError(errno.ECONNREFUSED, "no endpoints")
        seen = self._seen_as(route, source)
        target = route.target
        return await self._kernel.call(self._network.connect(seen, target.ip, target.port))

    def _seen_as(self, route: Route, source: str) -> Namespace:
        """A Pod sees the client's own address only where traffic never leaves the node (policy Local)."""
        return Namespace(source if route.rule.external_local else self._ip, node=self._node)

    async def _exchange(self, port: int, data: bytes, source: str) -> bytes:
        route = self._table.route_node_port(port, "UDP", source)
        if route is None or route.target is None:
            return b""
        target, seen = route.target, self._seen_as(route, source)
        return await self._kernel.call(self._network.exchange(seen, target.ip, target.port, data))

    # -- health checks ---------------------------------------------------------------------------

    async def _serve_health(
        self,
        answer: Callable[[], Response],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        async def handle(request: Request, client: str) -> Response:
            return answer()

        there, back = Pipe(), Pipe()
        task = self._kernel.spawn(serve_http(handle, Connection(self._ip, there, back)))
        try:
            await carry(reader, writer, Connection(self._ip, back, there), self._kernel)
        finally:
            task.kill(0)

    def _check_health(self, service: ObjectKey) -> Response:
        rules = [rule for rule in self._table.rules() if rule.name.service == service]
        count = max((len(rule.local) for rule in rules), default=0)
        body = {
            "service": {"namespace": service.namespace, "name": service.name},
            "localEndpoints": count,
            "serviceProxyHealthy": True,
        }
        headers = (("Content-Type", "application/json"), ("X-Content-Type-Options", "nosniff"))
        return Response(200 if count else 503, orjson.dumps(body), headers)


class _Datagrams(asyncio.DatagramProtocol):
    """Each datagram is answered on its own; those that nobody answers are lost, as datagrams are."""

    def __init__(self, exchange: Callable[[bytes, str], object]) -> None:
        self._exchange = exchange
        self._tasks: set[asyncio.Task[None]] = set()
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.DatagramTransport)
        self._transport = transport

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
