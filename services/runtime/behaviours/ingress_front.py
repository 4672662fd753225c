"""nginx as the ingress controller runs it: one HTTP or HTTPS connection at a time, request after request."""

from __future__ import annotations

import errno
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, Protocol, TypeVar

from services.runtime.http import (
    REASONS,
    BadMessage,
    Headers,
    Request,
    Response,
    ServerConnection,
    encode_request,
    encode_response,
    header,
)
from services.runtime.ingress_rules import Decision, IngressRules
from services.runtime.kernel import Future, Kernel
from services.runtime.network import Connection
from services.runtime.processes import Process
from services.runtime.tls import TlsStream

READ_BYTES = 64 * 1024
TRIES_MAX = 3
KEEPALIVE_SECONDS = 75.0
PROXY_SECONDS = 60.0
TLS_HELLO = 0x16
HSTS = ("Strict-Transport-Security", "max-age=31536000; includeSubDomains")
_HOP_BY_HOP = frozenset(
    ("connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade")
)
_OURS = frozenset(
    ("x-forwarded-for", "x-forwarded-host", "x-forwarded-port", "x-forwarded-proto", "x-forwarded-scheme",
     "x-real-ip", "x-request-id", "x-scheme", "content-length", "expect")
)  # fmt: skip
# After these the request has not been seen by anybody, so that it may be sent again.
_UNSEEN = (errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETDOWN)
_TITLES = {503: "Service Temporarily Unavailable", 504: "Gateway Time-out"}  # nginx' own
T = TypeVar("T")


class Wire(Protocol):
    async def read(self, size: int) -> bytes: ...
    async def write(self, data: bytes) -> None: ...


class _Plain:
    def __init__(self, connection: Connection, received: bytes = b"") -> None:
        self._connection, self._received = connection, received

    async def read(self, size: int) -> bytes:
        if self._received:
            data, self._received = self._received, b""
            return data
        return await self._connection.incoming.read(size)

    async def write(self, data: bytes) -> None:
        await self._connection.outgoing.write(data)


class Front:
    def __init__(self, process: Process, rules: IngressRules) -> None:
        self._process, self._rules = process, rules
        self._kernel: Kernel = process.container.kernel

    async def plain(self, connection: Connection) -> None:
        await self._serve(_Plain(connection), connection.peer, secure=False)

    async def secure(self, connection: Connection) -> None:
        try:
            first = await within(self._kernel, KEEPALIVE_SECONDS, connection.incoming.read(READ_BYTES))
            if not first:
                return
            if first[0] != TLS_HELLO:
                said = "The plain HTTP request was sent to HTTPS port"
                page = Response(400, nginx_page(400, said), (("Content-Type", "text/html"),))
                await connection.outgoing.write(encode_response(page, close=True))
                return
            stream = TlsStream(connection, await self._rules.context(), first)
            if not await within(self._kernel, KEEPALIVE_SECONDS, stream.handshake()):
                return
        except TimeoutError:
            return
        await self._serve(stream, connection.peer, secure=True)
        with suppress(BrokenPipeError):
            await stream.close()

    async def _serve(self, wire: Wire, peer: str, *, secure: bool) -> None:
        protocol = ServerConnection()
        while not protocol.closed:
            try:
                request = protocol.next()
            except BadMessage as bad:
                page = Response(bad.status, nginx_page(bad.status), (("Content-Type", "text/html"),))
                await wire.write(encode_response(page, close=True))
                return
            if request is None:
                if protocol.wants_continue:
                    protocol.wants_continue = False
                    await wire.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                try:
                    data = await within(self._kernel, KEEPALIVE_SECONDS, wire.read(READ_BYTES))
                except TimeoutError:
                    return
                if not data or self._process.exit.done:
                    return
                protocol.feed(data)
                continue
            decision = self._rules.decide(header(request.headers, "host"), request.path, secure=secure)
            if header(request.headers, "upgrade") and decision.backend is not None:
                await self._upgrade(wire, request, decision, peer, protocol.rest(), secure=secure)
                return
            response = await self._answer(request, decision, peer, secure=secure)
            is_head = request.method == "HEAD"
            await wire.write(encode_response(response, close=protocol.closed, head_only=is_head))

    # -- one request -----------------------------------------------------------------------------

    async def _answer(self, request: Request, decision: Decision, peer: str, *, secure: bool) -> Response:
        began = self._kernel.clock.monotonic()
        upstream, tried = "-", ""
        if decision.location:
            response = _page(decision.status, ("Location", decision.location))
        elif decision.backend is None:
            response = _page(decision.status)
            upstream = "upstream-default-backend"
        else:
            upstream = str(decision.backend)
            asked = self._asked(request, decision.path, peer, secure=secure)
            response, tried = await self._ask(asked, self._rules.endpoints(decision.backend))
        if secure:
            response = Response(response.status, response.body, (*response.headers, HSTS))
        await self._log(request, response, peer, upstream, tried, self._kernel.clock.monotonic() - began)
        return response

    async def _ask(self, request: Request, endpoints: list[tuple[str, int]]) -> tuple[Response, str]:
        """The answer, and who gave it; a page of nginx' where nobody does."""
        container = self._process.container
        network, source = container.machine.network, container.sandbox.namespace
        tried: list[str] = []
        for ip, port in endpoints[:TRIES_MAX]:
            tried.append(f"{ip}:{port}")
            try:
                asking = network.http(source, ip, port, request)
                answer = await within(self._kernel, PROXY_SECONDS, asking)
            except TimeoutError:
                return _page(504), ", ".join(tried)
            except OSError as error:
                if error.errno in _UNSEEN:
                    continue
                return _page(502), ", ".join(tried)
            kept = tuple(pair for pair in answer.headers if pair[0].lower() not in _HOP_BY_HOP)
            if request.method != "HEAD":  # the length is the body's, whatever the backend called it
                kept = tuple(pair for pair in kept if pair[0].lower() != "content-length")
            return Response(answer.status, answer.body, kept), ", ".join(tried)
        return (_page(502) if tried else _page(503)), ", ".join(tried)

    def _asked(self, request: Request, path: str, peer: str, *, secure: bool) -> Request:
        """The request as the backend gets it."""
        kept = [
            pair
            for pair in request.headers
            if pair[0].lower() not in _HOP_BY_HOP and pair[0].lower() not in _OURS
        ]
        return Request(request.method, path, (*kept, *self._forwarded(request, peer, secure)), request.body)

    def _forwarded(self, request: Request, peer: str, secure: bool) -> Headers:
        scheme = "https" if secure else "http"
        number = self._process.container.machine.random.getrandbits(128)
        return (
            ("X-Request-ID", header(request.headers, "x-request-id") or f"{number:032x}"),
            ("X-Real-IP", peer),
            ("X-Forwarded-For", peer),
            ("X-Forwarded-Host", header(request.headers, "host")),
            ("X-Forwarded-Port", "443" if secure else "80"),
            ("X-Forwarded-Proto", scheme),
            ("X-Forwarded-Scheme", scheme),
            ("X-Scheme", scheme),
        )

    async def _log(
        self, request: Request, response: Response, peer: str, upstream: str, tried: str, seconds: float
    ) -> None:
        """As nginx' access log has it in the controller."""
        when = self._kernel.clock.now()
        agent, referer = (header(request.headers, name, "-") for name in ("user-agent", "referer"))
        line = f'"{request.method} {request.path} HTTP/1.1" {response.status} {len(response.body)}'
        took = f"{seconds:.3f}"
        await self._process.write(
            f'{peer} - - [{when:%d/%b/%Y:%H:%M:%S} +0000] {line} "{referer}" "{agent}" '
            f"{len(request.body)} {took} [{upstream}] [] {tried or '-'} {len(response.body)} {took} "
            f"{response.status}\n"
        )

    # -- what is no HTTP any more ----------------------------------------------------------------

    async def _upgrade(
        self, wire: Wire, request: Request, decision: Decision, peer: str, rest: bytes, *, secure: bool
    ) -> None:
        """Hands the request on as it is and then carries bytes, both ways, until either side ends."""
        container = self._process.container
        endpoints = self._rules.endpoints(decision.backend)
        asked = self._asked(request, decision.path, peer, secure=secure)
        protocol = ("Connection", "Upgrade"), ("Upgrade", header(request.headers, "upgrade"))
        head = encode_request(Request(asked.method, asked.path, (*asked.headers, *protocol), asked.body))
        for ip, port in endpoints[:TRIES_MAX]:
            try:
                inner = await container.machine.network.connect(container.sandbox.namespace, ip, port)
                break
            except OSError:
                continue
        else:
            await wire.write(encode_response(_page(502 if endpoints else 503), close=True))
            return
        sending = self._kernel.spawn(_copy(wire, inner, head + rest))
        try:
            while data := await inner.incoming.read(READ_BYTES):
                await wire.write(data)
        finally:
            sending.kill(0)
            inner.close()


async def _copy(wire: Wire, inner: Connection, first: bytes) -> None:
    with suppress(BrokenPipeError):
        await inner.outgoing.write(first)
        while data := await wire.read(READ_BYTES):
            await inner.outgoing.write(data)
    inner.outgoing.close_writer()


def nginx_page(status: int, said: str = "") -> bytes:
    title = f"{status} {_TITLES.get(status) or REASONS.get(status, 'Unknown')}"
    extra = f"<center>{said}</center>\r\n" if said else ""
    return (
        f"<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n"
        f"{extra}<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
    ).encode()


def _page(status: int, *headers: tuple[str, str]) -> Response:
    return Response(status, nginx_page(status), (("Content-Type", "text/html"), *headers))


async def within(kernel: Kernel, seconds: float, work: Coroutine[Any, Any, T]) -> T:
    """Its result; TimeoutError when it takes longer, which ends it."""
    first: Future[None] = Future()
    task, timer = kernel.spawn(work), kernel.timer(seconds)

    def wake() -> None:
        first.set(None)

    task.finished.on_done(wake)
    timer.future.on_done(wake)
    try:
        await first
        if not task.finished.done:
            raise TimeoutError
        return task.result()
    finally:
        timer.cancel()
        if not task.finished.done:
            task.kill(137)
