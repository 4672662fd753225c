"""The ingress controller's nginx: what backends see, what clients get, TLS and upgrades, without sockets."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest

from services.ingress.certificates import context, self_signed
from services.runtime.behaviours.ingress import flags
from services.runtime.behaviours.ingress_front import PROXY_SECONDS, Front
from services.runtime.http import Request, Response, header
from services.runtime.kernel import Future, Kernel
from services.runtime.network import Connection, Listener, LocalNetwork, Namespace
from tests.support.clock import ManualClock

BACKEND = "10.244.0.9"
FRONT = Namespace("10.244.0.5", "ingress", "n1")
CLIENT = Namespace("10.244.0.7", "client", "n1")


@dataclass
class Way:
    status: int = 0
    location: str = ""
    backend: Any = "default-web-80"
    path: str = "/asked"


@dataclass
class Rules:
    way: Way = field(default_factory=Way)
    found: list[tuple[str, int]] = field(default_factory=lambda: [(BACKEND, 8080)])
    tls: ssl.SSLContext | None = None

    def decide(self, host: str, target: str, *, secure: bool) -> Way:
        return self.way

    def endpoints(self, backend: Any) -> list[tuple[str, int]]:
        return self.found

    async def context(self) -> ssl.SSLContext:
        assert self.tls is not None
        return self.tls

    def close(self) -> None:
        pass


class World:
    def __init__(self, kernel: Kernel, clock: ManualClock) -> None:
        self.kernel, self.clock, self.rules, self.log = kernel, clock, Rules(), list[str]()
        self.network, self.backend = LocalNetwork(kernel), Namespace(BACKEND, "web", "n1")
        for namespace in (self.backend, FRONT, CLIENT):
            self.network.join(namespace)
        machine = SimpleNamespace(network=self.network, random=Random(1))
        container = SimpleNamespace(kernel=kernel, machine=machine, sandbox=SimpleNamespace(namespace=FRONT))
        process: Any = SimpleNamespace(container=container, exit=Future[int](), write=self._write)
        self.front = Front(process, self.rules)
        FRONT.listeners.clear()
        FRONT.listen(80, Listener(stream=self.front.plain))
        FRONT.listen(443, Listener(stream=self.front.secure))

    async def _write(self, text: str) -> None:
        self.log.append(text)

    def serve(self, answer: Callable[[Request], Response]) -> None:
        async def handle(request: Request, client: str) -> Response:
            return answer(request)

        self.backend.listen(8080, Listener(http=handle))

    async def dial(self, port: int) -> Connection:
        return await self.kernel.call(self.network.connect(CLIENT, FRONT.ip, port))

    async def ask(self, text: str, port: int = 80) -> str:
        """What comes back for these bytes, up to the end."""
        connection = await self.dial(port)
        await self.kernel.call(connection.outgoing.write(text.replace("\n", "\r\n").encode()))
        said = b""
        while data := await self.kernel.call(connection.incoming.read(65536)):
            said += data
        return said.decode()


@pytest.fixture
async def world() -> AsyncIterator[World]:
    clock = ManualClock()
    kernel = Kernel(clock)
    running = asyncio.ensure_future(kernel.run())
    yield World(kernel, clock)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


GET = "GET /x HTTP/1.1\nHost: a.example.com\nConnection: close\nX-Real-IP: 6.6.6.6\n\n"


async def test_backends_learn_who_asked_and_how(world: World) -> None:
    seen: list[Request] = []

    def answer(request: Request) -> Response:
        seen.append(request)
        return Response(200, b"hello", (("X-Of", "backend"), ("Keep-Alive", "5")))

    world.serve(answer)
    said = await world.ask(GET)
    assert said.startswith("HTTP/1.1 200 OK\r\n")
    assert said.endswith("\r\n\r\nhello")
    assert "X-Of: backend" in said
    assert "Keep-Alive: 5" not in said
    request = seen[0]
    assert (request.path, header(request.headers, "host")) == ("/asked", "a.example.com")
    got = {name: value for name, value in request.headers if name.startswith("X-")}
    assert (got["X-Real-IP"], got["X-Forwarded-For"]) == (CLIENT.ip, CLIENT.ip)
    assert (got["X-Forwarded-Proto"], got["X-Forwarded-Port"]) == ("http", "80")
    assert got["X-Forwarded-Host"] == "a.example.com"
    assert '"GET /x HTTP/1.1" 200 5' in world.log[0]
    assert f"[default-web-80] [] {BACKEND}:8080 5" in world.log[0]


async def test_a_body_in_chunks_arrives_whole_and_the_connection_is_kept(world: World) -> None:
    world.serve(lambda request: Response(200, request.method.encode() + request.body))
    post = "POST / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\n3\nabc\n2\nde\n0\n\n"
    said = await world.ask(post + GET)
    assert said.count("HTTP/1.1 200 OK") == 2
    assert "POSTabcde" in said


async def test_nobody_there(world: World) -> None:
    assert "502 Bad Gateway" in await world.ask(GET)
    world.rules.found = []
    assert "503 Service Temporarily Unavailable" in await world.ask(GET)
    world.rules.way = Way(404, backend=None)
    assert "404 Not Found" in await world.ask(GET)
    world.rules.way = Way(308, "https://a.example.com/x", None)
    assert "\r\nLocation: https://a.example.com/x\r\n" in await world.ask(GET)


async def test_the_next_endpoint_answers_for_one_that_refuses(world: World) -> None:
    world.serve(lambda request: Response(200, b"me"))
    world.rules.found = [("10.244.0.99", 8080), (BACKEND, 9), (BACKEND, 8080)]
    assert (await world.ask(GET)).endswith("me")


async def test_a_backend_that_says_nothing_is_given_up(world: World) -> None:
    async def hang(request: Request, client: str) -> Response:
        return await Future[Response]()

    world.backend.listen(8080, Listener(http=hang))
    connection = await world.dial(80)
    await world.kernel.call(connection.outgoing.write(GET.replace("\n", "\r\n").encode()))
    await world.clock.advance(PROXY_SECONDS + 1)
    said = await world.kernel.call(connection.incoming.read(65536))
    assert b"504 Gateway Time-out" in said


async def test_nonsense_is_a_bad_request(world: World) -> None:
    assert "400 Bad Request" in await world.ask("\x16\x03 nonsense\n\n")
    assert "The plain HTTP request was sent to HTTPS port" in await world.ask(GET, 443)


async def test_an_upgraded_connection_carries_bytes(world: World) -> None:
    async def shout(connection: Connection) -> None:
        head = await connection.incoming.read(65536)
        assert b"Upgrade: websocket\r\n" in head
        await connection.outgoing.write(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
        while data := await connection.incoming.read(65536):
            await connection.outgoing.write(data.upper())

    world.backend.listen(8080, Listener(stream=shout))
    connection = await world.dial(80)
    call, read = world.kernel.call, connection.incoming.read
    head = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    await call(connection.outgoing.write(head))
    assert (await call(read(65536))).startswith(b"HTTP/1.1 101 ")
    await call(connection.outgoing.write(b"abc"))
    assert await call(read(65536)) == b"ABC"
    connection.outgoing.close_writer()
    assert await call(read(65536)) == b""


async def test_tls_ends_here(world: World) -> None:
    world.serve(lambda request: Response(200, header(request.headers, "x-forwarded-proto").encode()))
    pair = self_signed(datetime.now(UTC), "a.example.com", ("a.example.com",))
    world.rules.tls = context(*pair)
    trusting = ssl.create_default_context(cadata=pair[0].decode())
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = trusting.wrap_bio(incoming, outgoing, server_hostname="a.example.com")
    connection = await world.dial(443)

    async def step(act: Callable[[], Any]) -> Any:
        while True:
            try:
                return act()
            except ssl.SSLWantReadError:
                await world.kernel.call(connection.outgoing.write(outgoing.read()))
                incoming.write(await world.kernel.call(connection.incoming.read(65536)))

    await step(client.do_handshake)
    client.write(GET.replace("\n", "\r\n").encode())
    said = (await step(lambda: client.read(65536))).decode()
    assert said.endswith("https")
    assert "Strict-Transport-Security: max-age=31536000; includeSubDomains" in said


def test_flags_of_the_program() -> None:
    words = ["--publish-service=ns/svc", "--watch-ingress-without-class", "x"]
    assert flags(words) == {"publish-service": "ns/svc", "watch-ingress-without-class": "true"}
