"""The Pod network as one machine sees it: who listens where, who may be reached, under which name.

`Network` is the seam. Programs in containers dial and look names up through it and know nothing else;
`LocalNetwork` joins the Pods of the runtimes in this process. Traffic that leaves the process (Pods on
other nodes, Services) is for whoever wraps it: an implementation of the same protocol that first asks
kube-proxy's table and then dials another node.

A server offers HTTP as a function from request to response (`Listener.http`), bytes as a
function from connection to nothing (`Listener.stream`), or both. Faults are `OSError` with the
errno that `connect(2)` gives: refused where a Pod does not listen, no route where there is no Pod.
"""

from __future__ import annotations

import errno
import ipaddress
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from services.runtime.filesystem import fault
from services.runtime.http import (
    BadMessage,
    ClientConnection,
    Request,
    Response,
    ServerConnection,
    encode_request,
    encode_response,
)
from services.runtime.ingress_rules import IngressService
from services.runtime.kernel import Kernel, Task
from services.runtime.model import Dns
from services.runtime.streams import Pipe

CONNECTIONS_MAX = 16_384  # of one listener


@dataclass(slots=True)
class Connection:
    """Two byte streams. `peer` is the address of the other side."""

    peer: str
    incoming: Pipe
    outgoing: Pipe

    def close(self) -> None:
        self.outgoing.close_writer()
        self.incoming.close_reader()


HttpHandler = Callable[[Request, str], Awaitable[Response]]  # the second is the client's address
StreamHandler = Callable[[Connection], Awaitable[None]]
DatagramHandler = Callable[[bytes, str], Awaitable[bytes]]  # a datagram and its sender; the one that answers


@dataclass(slots=True)
class Listener:
    http: HttpHandler | None = None
    stream: StreamHandler | None = None
    address: str = ""  # empty: every address of the Pod; 127.0.0.1: only from inside
    serving: set[Task[None]] = field(default_factory=set)  # one for each connection that is open


@dataclass(slots=True)
class Namespace:
    """What the containers of one sandbox share: an address and its ports."""

    ip: str
    hostname: str = ""
    node: str = ""  # the machine it is on
    listeners: dict[int, Listener] = field(default_factory=dict)
    datagrams: dict[int, DatagramHandler] = field(default_factory=dict)  # by UDP port
    hosts: dict[str, str] = field(default_factory=dict)
    dns: Dns | None = None  # who is asked for names, and how
    received_bytes: int = 0
    sent_bytes: int = 0
    on_ports: Callable[[], None] | None = None  # hears that other ports are listened on

    def listen(self, port: int, listener: Listener) -> None:
        if port in self.listeners:
            raise fault(errno.EADDRINUSE)
        self.listeners[port] = listener
        if self.on_ports is not None:
            self.on_ports()

    def stop(self, listener: Listener) -> None:
        """Its process has ended: nobody listens there any more, and its connections end too."""
        for port in [port for port, known in self.listeners.items() if known is listener]:
            del self.listeners[port]
        for task in list(listener.serving):
            task.kill(0)
        if self.on_ports is not None:
            self.on_ports()


class NameService(Protocol):
    """What an emulated CoreDNS knows: it only has to listen."""

    def fault(self, corefile: str) -> str:
        """What is wrong with its settings; empty where nothing is."""
        ...

    async def answer(self, query: bytes, client: str, corefile: str, *, tcp: bool) -> bytes:
        """The bytes of an answer; empty where there is none. Runs on the kernel."""
        ...


class Network(Protocol):
    """Everything here runs on the kernel, not on asyncio."""

    name_service: NameService | None
    ingress: IngressService | None

    async def http(self, source: Namespace, ip: str, port: int, request: Request) -> Response:
        """One request to whoever listens there. OSError as connect(2) gives it."""
        ...

    async def connect(self, source: Namespace, ip: str, port: int) -> Connection: ...

    async def exchange(self, source: Namespace, ip: str, port: int, data: bytes) -> bytes:
        """One UDP datagram there and one back."""
        ...

    async def resolve(self, source: Namespace, name: str) -> list[str]:
        """Addresses of a name; none when there is no such name."""
        ...


class LocalNetwork:
    """Joins the sandboxes of this process by their addresses."""

    name_service: NameService | None = None
    ingress: IngressService | None = None

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = self._kernel = kernel
        self._namespaces: dict[str, Namespace] = {}
        self._hosts: dict[str, Namespace] = {}  # by machine: what its Pods of the host network share
        self._machine_at: dict[str, str] = {}
        self._published: dict[tuple[str, int], tuple[Namespace, int]] = {}  # hostPorts: machine, port
        self._port_watchers: list[Callable[[], None]] = []

    # -- machines' own addresses -----------------------------------------------------------------

    def add_host(self, host: Namespace) -> None:
        self._hosts[host.node] = host
        host.on_ports = self._tell

    def give_address(self, machine: str, ip: str) -> None:
        """Where a machine's own ports are reached; without it they are not."""
        self._machine_at[ip] = machine

    def publish(self, namespace: Namespace, ports: Mapping[int, int]) -> None:
        """hostPorts: ports of its machine that lead to ports of a Pod."""
        for host_port, port in ports.items():
            self._published[namespace.node, host_port] = (namespace, port)
        if ports:
            self._tell()

    def withdraw(self, namespace: Namespace) -> None:
        gone = [key for key, (known, _) in self._published.items() if known is namespace]
        for key in gone:
            del self._published[key]
        if gone:
            self._tell()

    def host_ports(self, machine: str) -> set[int]:
        """The TCP ports on which a machine itself answers."""
        host = self._hosts.get(machine)
        listening = (
            {port for port, each in host.listeners.items() if each.address != "127.0.0.1"} if host else set()
        )
        return listening | {port for known, port in self._published if known == machine}

    def on_host_ports(self, tell: Callable[[], None]) -> None:
        self._port_watchers.append(tell)

    def _tell(self) -> None:
        for tell in self._port_watchers:
            tell()

    # -- Pods ------------------------------------------------------------------------------------

    def join(self, namespace: Namespace) -> None:
        self._namespaces[namespace.ip] = namespace

    def leave(self, namespace: Namespace) -> None:
        if self._namespaces.get(namespace.ip) is namespace:
            del self._namespaces[namespace.ip]

    def has(self, ip: str) -> bool:
        """Whether a sandbox of this process has that address."""
        return ip in self._namespaces

    async def http(self, source: Namespace, ip: str, port: int, request: Request) -> Response:
        listener = self.listener(source, ip, port)
        if listener.http is None:
            return await http_over(await self.connect(source, ip, port), request)
        source.sent_bytes += len(request.body) + 200
        response = await listener.http(request, self._seen_as(source, ip))
        source.received_bytes += len(response.body) + 200
        return response

    async def connect(self, source: Namespace, ip: str, port: int) -> Connection:
        listener = self.listener(source, ip, port)
        there, back = Pipe(), Pipe()
        self.serve(listener, Connection(self._seen_as(source, ip), there, back))
        return Connection(f"{ip}:{port}", back, there)

    def serve(self, listener: Listener, connection: Connection) -> None:
        """Hands a connection to whoever listens."""
        task = self._kernel.prepare(self._serve(listener, connection))
        listener.serving.add(task)
        task.finished.on_done(lambda: listener.serving.discard(task))
        self._kernel.ready(task)

    async def exchange(self, source: Namespace, ip: str, port: int, data: bytes) -> bytes:
        handler = self._namespace(source, ip).datagrams.get(port)
        if handler is None:
            raise fault(errno.ECONNREFUSED)
        source.sent_bytes += len(data)
        answer = await handler(data, self._seen_as(source, ip))
        source.received_bytes += len(answer)
        return answer

    async def resolve(self, source: Namespace, name: str) -> list[str]:
        if name == "localhost":
            return ["127.0.0.1"]
        if name == source.hostname and source.ip:
            return [source.ip]
        if name in source.hosts:
            return [source.hosts[name]]
        return [name] if is_address(name) else []

    def listener(self, source: Namespace, ip: str, port: int) -> Listener:
        """Who takes connections there. OSError as connect(2) gives it."""
        published = self._published.get((self._machine_at.get(ip, ""), port))
        namespace, port = published or (self._namespace(source, ip), port)
        listener = namespace.listeners.get(port)
        if listener is None or (listener.address == "127.0.0.1" and not _is_inside(source, ip)):
            raise fault(errno.ECONNREFUSED)
        if len(listener.serving) >= CONNECTIONS_MAX:
            raise fault(errno.ECONNREFUSED)
        return listener

    def _namespace(self, source: Namespace, ip: str) -> Namespace:
        namespace = source if _is_inside(source, ip) else self._namespaces.get(ip)
        if namespace is None:
            namespace = self._hosts.get(self._machine_at.get(ip, ""))
        if namespace is None:
            raise fault(errno.EHOSTUNREACH)
        return namespace

    def _seen_as(self, source: Namespace, ip: str) -> str:
        return "127.0.0.1" if ip == "127.0.0.1" else source.ip

    async def _serve(self, listener: Listener, connection: Connection) -> None:
        try:
            if listener.stream is not None:
                await listener.stream(connection)
            elif listener.http is not None:
                await serve_http(listener.http, connection)
        except BrokenPipeError:
            pass  # the client has gone
        finally:
            connection.close()


def _is_inside(source: Namespace, ip: str) -> bool:
    return ip == source.ip or ip in ("127.0.0.1", "0.0.0.0", "::1")


async def serve_http(handler: HttpHandler, connection: Connection) -> None:
    """Answers requests on a byte stream until either side ends it."""
    protocol = ServerConnection()
    while not protocol.closed:
        try:
            request = protocol.next()
        except BadMessage as bad:
            answer = Response(bad.status, f"{bad}\n".encode())
            await connection.outgoing.write(encode_response(answer, close=True))
            return
        if request is None:
            if protocol.wants_continue:
                protocol.wants_continue = False
                await connection.outgoing.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            data = await connection.incoming.read(65536)
            if not data:
                return
            protocol.feed(data)
            continue
        response = await handler(request, connection.peer)
        await connection.outgoing.write(
            encode_response(response, close=protocol.closed, head_only=request.method == "HEAD")
        )


async def http_over(connection: Connection, request: Request) -> Response:
    """One request over a byte stream. OSError ECONNRESET when what comes back is not HTTP."""
    protocol = ClientConnection(head_only=request.method == "HEAD")
    headers = (*request.headers, ("Connection", "close"))
    asked = Request(request.method, request.path, headers, request.body)
    try:
        await connection.outgoing.write(encode_request(asked))
        while True:
            data = await connection.incoming.read(65536)
            protocol.feed(data)
            response = protocol.response(ended=not data)
            if response is not None:
                return response
    except (BadMessage, BrokenPipeError) as error:
        raise fault(errno.ECONNRESET) from error
    finally:
        connection.close()


def is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
