"""`ok proxy`: an HTTP port of this machine that is the API server's, with the credentials of the kubeconfig.

A request's head is read to learn where it goes; the rest passes as bytes, so that watches and upgraded
connections do too. Each connection carries one request. `…/pods/NAME:PORT/proxy/…` and
`…/services/NAME:PORT/proxy/…` lead into the Pod through a stream of their own. As with kubectl only requests
for localhost are taken, and none that would run commands in containers.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import unquote

from services.api.errors import ApiError, failure
from services.kubectl.forwarding import carry
from services.kubectl.pod_connection import CHUNK_BYTES, PodConnections

HEAD_BYTES_MAX = 64 * 1024
HEAD_SECONDS = 60.0
ACCEPTED_HOSTS = re.compile(r"^(localhost|127\.0\.0\.1|\[::1\])$")
REJECTED_PATHS = re.compile(r"^/api/.*/pods/.*/(exec|attach)")
_PROXIED = re.compile(r"^/api/v1/namespaces/([^/]+)/(pods|services)/([^/]+)/proxy(/.*)?$")
_HOP_BY_HOP = ("connection", "keep-alive", "proxy-connection", "host", "x-forwarded-for", "x-forwarded-host")

Dial = Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]
Locate = Callable[
    ["Proxied"], Awaitable[tuple[str, int]]
]  # the Pod and its port; ApiError where there is none


@dataclass(frozen=True, slots=True)
class Head:
    method: str
    target: str
    version: str
    headers: tuple[tuple[str, str], ...]

    def get(self, name: str) -> str:
        return next((value for key, value in self.headers if key.lower() == name), "")

    def encode(self, target: str, *more: tuple[str, str]) -> bytes:
        """For the other side: without what concerns this connection alone, and for one request."""
        upgrade = self.get("upgrade")
        kept = [pair for pair in self.headers if pair[0].lower() not in _HOP_BY_HOP]
        connection = ("Connection", "Upgrade" if upgrade else "close")
        lines = [f"{name}: {value}" for name, value in (*more, *kept, connection)]
        return "\r\n".join((f"{self.method} {target} HTTP/1.1", *lines, "", "")).encode("latin-1")


@dataclass(frozen=True, slots=True)
class Proxied:
    """What a path behind `/proxy` means: a part of a Pod or Service."""

    namespace: str
    resource: str  # pods, services
    name: str
    port: str
    scheme: str
    rest: str


def parse_head(data: bytes) -> Head | None:
    """None: this is no HTTP."""
    first, *lines = data.decode("latin-1").split("\r\n")
    words = first.split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/1.") or not words[1].startswith("/"):
        return None
    pairs = [line.partition(":") for line in lines if line]
    return Head(words[0], words[1], words[2], tuple((name, value.strip()) for name, _, value in pairs))


def proxied(path: str) -> Proxied | None:
    found = _PROXIED.match(path)
    if found is None:
        return None
    namespace, resource, word, rest = found.groups()
    parts = unquote(word).split(":")
    scheme, name, port = {1: ["", *parts, ""], 2: ["", *parts], 3: parts}.get(len(parts), ["", "", ""])
    return Proxied(namespace, resource, name, port, scheme, rest or "")


class ApiProxy:
    """`serve` one connection at a time. `prefix` ends with a slash."""

    def __init__(
        self, dial: Dial, host: str, locate: Locate, connections: PodConnections, prefix: str = "/"
    ) -> None:
        self._dial, self._host, self._locate = dial, host, locate
        self._connections, self._prefix = connections, prefix

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = parse_head((await reader.readuntil(b"\r\n\r\n"))[:-4])
            if head is None:
                writer.write(_plain(400, "Bad Request"))
            elif not self._accepts(head):
                writer.write(_plain(403, "Forbidden"))
            elif not head.target.startswith(self._prefix):
                writer.write(_plain(404, "404 page not found"))
            else:
                await self._lead(reader, writer, head, "/" + head.target[len(self._prefix) :])
            await writer.drain()
        except ApiError as error:
            writer.write(_status(error))
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
            pass  # whoever came has gone, or speaks something else
        finally:
            writer.close()

    def _accepts(self, head: Head) -> bool:
        host = head.get("host")
        name = host[: host.index("]") + 1] if host.startswith("[") and "]" in host else host.partition(":")[0]
        path = head.target.partition("?")[0]
        return bool(ACCEPTED_HOSTS.match(name)) and not REJECTED_PATHS.match(path)

    async def _lead(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: Head, target: str
    ) -> None:
        path, mark, query = target.partition("?")
        part = proxied(path)
        if part is None:
            await self._to_server(reader, writer, head.encode(target, ("Host", self._host)))
        elif not part.rest:
            location = f"Location: {self._prefix}{path[1:]}/{mark}{query}\r\n"
            writer.write(_plain(301, "Moved Permanently", location))
        else:
            pod, port = await self._locate(part)
            more = ("Host", f"{pod}:{port}"), ("X-Forwarded-Host", head.get("host"))
            connection = await self._connections.open(part.namespace, pod, port)
            await connection.send(head.encode(f"{part.rest}{mark}{query}", *more))
            try:
                await carry(reader, writer, connection)
            except ApiError as error:
                message = f"error trying to reach service: {error.message}"
                raise failure(503, "ServiceUnavailable", message) from error

    async def _to_server(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: bytes
    ) -> None:
        try:
            inner_reader, inner_writer = await self._dial()
        except OSError as error:
            writer.write(_plain(502, f"the API server cannot be reached: {error.strerror or error}"))
            return
        inner_writer.write(head)
        sending = asyncio.ensure_future(_copy(reader, inner_writer))
        try:
            await _copy(inner_reader, writer)
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
            inner_writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(CHUNK_BYTES):
            writer.write(data)
            await writer.drain()


def _plain(status: int, text: str, more: str = "") -> bytes:
    body = f"{text}\n"
    head = f"HTTP/1.1 {status} {text}\r\n{more}Content-Type: text/plain; charset=utf-8\r\n"
    return f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}".encode()


def _status(error: ApiError) -> bytes:
    body = json.dumps(error.status).encode()
    head = f"HTTP/1.1 {error.code} {error.reason or 'Error'}\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body
