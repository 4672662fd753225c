"""Bytes both ways over a connection that HTTP has been left on: the raw one, or a WebSocket's messages.

A wire holds a bounded amount in each direction: what is not read stops the peer, and `write` waits for a
peer that does not read. When the peer goes, the handler of its request is cancelled, as for any request.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from typing import Protocol

from aiohttp import WSMsgType, web

from services.apiserver.fronts.rest import connections

BUFFERED_BYTES_MAX = 512 * 1024
MESSAGE_BYTES_MAX = 16 * 1024 * 1024  # one write of a client that tunnels is one message
HEARTBEAT_SECONDS = 30.0


class Wire(Protocol):
    async def read(self) -> bytes:
        """What has come, at least one byte; none at the end."""
        ...

    async def write(self, data: bytes) -> None:
        """ConnectionError when the peer is gone."""
        ...


class RawWire(asyncio.Protocol):
    """The connection itself, from where the request ended."""

    def __init__(self, transport: asyncio.Transport, former: asyncio.BaseProtocol) -> None:
        self._transport, self._former = transport, former
        self._chunks: deque[bytes] = deque()
        self._bytes = 0
        self._ended = False
        self._arrived, self._writable = asyncio.Event(), asyncio.Event()
        self._writable.set()

    def data_received(self, data: bytes) -> None:
        self._chunks.append(bytes(data))
        self._bytes += len(data)
        if self._bytes > BUFFERED_BYTES_MAX:
            self._transport.pause_reading()
        self._arrived.set()

    def eof_received(self) -> None:
        self._end()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end()
        self._writable.set()
        self._former.connection_lost(exc)

    def _end(self) -> None:
        self._ended = True
        self._arrived.set()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    async def read(self) -> bytes:
        while not self._chunks:
            if self._ended:
                return b""
            self._arrived.clear()
            await self._arrived.wait()
        data = self._chunks.popleft() if len(self._chunks) == 1 else b"".join(self._chunks)
        self._chunks.clear()
        if self._bytes > BUFFERED_BYTES_MAX and not self._ended:
            self._transport.resume_reading()
        self._bytes = 0
        return data

    async def write(self, data: bytes) -> None:
        if self._transport.is_closing():
            raise ConnectionResetError("the peer is gone")
        self._transport.write(data)
        await self._writable.wait()


class WebSocketWire:
    """The bytes of a WebSocket's binary messages, one after another."""

    def __init__(self, socket: web.WebSocketResponse) -> None:
        self._socket = socket

    async def read(self) -> bytes:
        while True:
            message = await self._socket.receive()
            if message.type is WSMsgType.BINARY:
                if message.data:
                    return bytes(message.data)
            elif message.type is not WSMsgType.TEXT:
                return b""

    async def write(self, data: bytes) -> None:
        await self._socket.send_bytes(data)


class _Left(web.StreamResponse):
    """The answer to a request whose connection is no longer HTTP: it has been written already."""

    async def prepare(self, request: web.BaseRequest) -> None:
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        return None


def leave_http(request: web.Request) -> tuple[RawWire, web.StreamResponse]:
    """The connection, which is the caller's until the handler returns that answer."""
    transport = request.transport
    if transport is None:
        raise ConnectionResetError("the peer is gone")
    connections.begin(request)
    wire = RawWire(transport, request.protocol)
    transport.set_protocol(wire)
    answer = _Left()
    answer.force_close()
    return wire, answer


async def switch(request: web.Request, headers: Mapping[str, str]) -> tuple[RawWire, web.StreamResponse]:
    """Says 101 and leaves HTTP."""
    wire, answer = leave_http(request)
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    await wire.write(f"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n{lines}\r\n".encode())
    return wire, answer


async def websocket(request: web.Request, protocol: str) -> web.WebSocketResponse:
    """Accepts a WebSocket that offers that sub-protocol, or none where none is meant."""
    socket = web.WebSocketResponse(
        protocols=(protocol,) if protocol else (),
        max_msg_size=MESSAGE_BYTES_MAX,
        compress=False,
        heartbeat=HEARTBEAT_SECONDS,
    )
    await socket.prepare(request)
    return socket
