"""What programs in containers dial through: the whole cluster behind the seam `Network`.

For each connection, in this order: a Service's address is replaced by one of its endpoints (kube-proxy's
table of the node on which it begins); an address of this process is handed over without a wire; an address of
another node's range is dialled there; a node's own address means its node ports and host network. The API
server is outside: its endpoint is dialled with a real socket. Anything else is not in the cluster: no route.
A connection that a policy or a table swallows hangs, as it does where packets are dropped, until the caller
or the system's own limit ends it.
"""

from __future__ import annotations

import errno
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from services.kube_proxy.model import Verdict
from services.kube_proxy.table import Route, Table
from services.node.network.dialer import Dialer
from services.node.network.routes import Peer, Routes
from services.runtime.filesystem import fault
from services.runtime.http import BadMessage, ClientConnection, Request, Response, encode_request
from services.runtime.ingress_rules import IngressService
from services.runtime.kernel import Kernel
from services.runtime.network import Connection, LocalNetwork, NameService, Namespace, is_address

CONNECT_SECONDS_MAX = 127.0  # what Linux takes to give up: six SYNs that nobody answers
READ_BYTES = 64 * 1024
LOOPBACK = ("127.0.0.1", "::1", "0.0.0.0", "localhost")


Allows = Callable[[str, str, int, str], bool]  # (source, destination, port, protocol), as the policies say


class Resolver(Protocol):
    """Cluster DNS."""

    async def resolve(self, source: Namespace, name: str) -> list[str]:
        """Addresses; none where there is no such name. Runs on the kernel."""
        ...


Dial = Callable[[bool], Awaitable[Connection]]  # whether with TLS; for the event loop
Gateway = Callable[[str, int], Dial | None]  # out of the cluster; None: there is no way


@dataclass(frozen=True, slots=True)
class _Way:
    """Where a connection goes; without a peer, to an address of this process, or out of the cluster."""

    ip: str
    port: int
    peer: Peer | None = None
    out: Dial | None = None


class ClusterNetwork:
    """One for a whole process. `table_of` gives the table of the node that a source is on."""

    def __init__(
        self,
        local: LocalNetwork,
        kernel: Kernel,
        *,
        table_of: Callable[[Namespace], Table],
        routes: Routes,
        dialer: Dialer,
        here: Callable[[], frozenset[str]],
        egress: Allows = lambda *_: True,
        ingress: Allows = lambda *_: True,
    ) -> None:
        """`here` are the nodes of this process; `egress` and `ingress` ask the policies."""
        self._local, self._kernel = local, kernel
        self._table_of, self._routes, self._dialer = table_of, routes, dialer
        self._here, self._egress, self._ingress = here, egress, ingress
        self.gateway: Gateway = lambda ip, port: None
        self.resolver: Resolver | None = None
        self.name_service: NameService | None = None
        self.ingress: IngressService | None = None

    async def http(self, source: Namespace, ip: str, port: int, request: Request) -> Response:
        way = await self._way(source, ip, port)
        if way.peer is None and way.out is None:
            return await self._local.http(source, way.ip, way.port, request)
        connection = await self._dial(way.peer, source, way, tls=True)
        try:
            return await _ask(connection, request, source)
        finally:
            connection.close()

    async def connect(self, source: Namespace, ip: str, port: int) -> Connection:
        way = await self._way(source, ip, port)
        if way.peer is None and way.out is None:
            return await self._local.connect(source, way.ip, way.port)
        return await self._dial(way.peer, source, way)

    async def lead(self, source: Namespace, route: Route) -> Connection:
        """A connection that came from outside, to the endpoint that was chosen for it."""
        ip, port = await self._endpoint(route)
        return await self.connect(source, ip, port)

    async def exchange(self, source: Namespace, ip: str, port: int, data: bytes) -> bytes:
        way = await self._way(source, ip, port, "UDP")
        if way.peer is None:
            return await self._local.exchange(source, way.ip, way.port, data)
        sending = self._dialer.exchange(way.peer, source.ip, way.ip, way.port, data)
        return await self._kernel.outside(sending)

    async def resolve(self, source: Namespace, name: str) -> list[str]:
        found = await self._local.resolve(source, name)
        if found or self.resolver is None or is_address(name):
            return found
        return await self.resolver.resolve(source, name)

    async def _dial(
        self, peer: Peer | None, source: Namespace, way: _Way, *, tls: bool = False
    ) -> Connection:
        """`tls` is what programs that ask for pages leave to the network, where it leads outside."""
        if peer is None:
            assert way.out is not None
            return await self._kernel.outside(way.out(tls))
        try:
            return await self._dialer.connect(peer, source.ip, way.ip, way.port)
        except TimeoutError:
            await self._hang()  # Nobody answers there, or a policy of that side swallows it.
            raise

    async def _way(self, source: Namespace, ip: str, port: int, protocol: str = "TCP") -> _Way:
        if ip in LOOPBACK or ip == source.ip:
            return _Way(ip, port)
        route = self._table_of(source).route(ip, port, protocol, source.ip)
        if route is None and self._routes.node_at(ip) is not None:
            route = self._table_of(source).route_node_port(port, protocol, source.ip)
        if route is not None:
            ip, port = await self._endpoint(route)
        if not self._egress(source.ip, ip, port, protocol):
            await self._hang()
        if (node := self._routes.node_at(ip)) is not None:
            return self._to(_Way(ip, port, node))
        if self._local.has(ip):
            if not self._is_the_node(source) and not self._ingress(source.ip, ip, port, protocol):
                await self._hang()
            return _Way(ip, port)
        owner = self._routes.owner(ip)
        if owner is None and protocol == "TCP" and (out := self.gateway(ip, port)) is not None:
            return _Way(ip, port, out=out)
        if owner is None or owner.name in self._here():
            raise fault(errno.EHOSTUNREACH)
        return _Way(ip, port, owner)

    def _is_the_node(self, source: Namespace) -> bool:
        """A kubelet probes its Pods whatever the policies say."""
        return source.hostname in self._here()

    def _to(self, way: _Way) -> _Way:
        """A node's own address: its host network."""
        if way.peer is not None and way.peer.name in self._here():
            return _Way(way.ip, way.port)
        return way

    async def _endpoint(self, route: Route) -> tuple[str, int]:
        if route.verdict is Verdict.DROP:
            await self._hang()
        if route.target is None:
            raise fault(errno.ECONNREFUSED)
        return route.target.ip, route.target.port

    async def _hang(self) -> None:
        await self._kernel.sleep(CONNECT_SECONDS_MAX)
        raise fault(errno.ETIMEDOUT)


async def _ask(connection: Connection, request: Request, source: Namespace) -> Response:
    """One request over a connection that carries bytes."""
    sent = encode_request(request)
    source.sent_bytes += len(sent)
    answer, ended = ClientConnection(head_only=request.method == "HEAD"), False
    try:
        await connection.outgoing.write(sent)
        while (response := answer.response(ended=ended)) is None:
            data = await connection.incoming.read(READ_BYTES)
            source.received_bytes += len(data)
            answer.feed(data)
            ended = not data
    except (BadMessage, BrokenPipeError):
        raise fault(errno.ECONNRESET) from None
    return response
