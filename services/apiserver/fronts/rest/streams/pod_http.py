"""HTTP/1.1 with a port of a Pod, through the kubelet's port-forward.

The library wants a socket, so it gets one end of a pair; the other end is carried over the kubelet's stream.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import grpc.aio

from services.apiserver.fronts.kubelets import Call
from services.apiserver.fronts.rest.streams.commands import alongside
from services.pb.node.v1 import node_pb2 as pb

CHUNK_BYTES = 64 * 1024
HANDSHAKE_SECONDS = 10.0
_LOST = (grpc.aio.AioRpcError, grpc.aio.UsageError, asyncio.InvalidStateError, ConnectionError)


@asynccontextmanager
async def client(
    call: Call, tls: bool | ssl.SSLContext, host: str = ""
) -> AsyncIterator[aiohttp.ClientSession]:
    """For one request over that call; `tls` True takes any certificate, a context one for `host`."""
    ours, theirs = socket.socketpair()
    reader, writer = await asyncio.open_unix_connection(sock=ours)
    session = aiohttp.ClientSession(
        connector=_Connector(theirs, _unverified() if tls is True else tls or None, host),
        auto_decompress=False,
        timeout=aiohttp.ClientTimeout(total=None),
        cookie_jar=aiohttp.DummyCookieJar(),
        skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
    )
    try:
        async with alongside(upward(reader, call)), alongside(_downward(call, writer)), session:
            yield session
    finally:
        writer.close()
        theirs.close()


@asynccontextmanager
async def stream(
    call: Call, tls: bool | ssl.SSLContext, host: str = ""
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """The bytes themselves, within TLS if so. OSError where the certificate is not one for `host`."""
    ours, theirs = socket.socketpair()
    context = _unverified() if tls is True else tls or None
    near, into = await asyncio.open_unix_connection(sock=ours)
    try:
        async with alongside(upward(near, call)), alongside(_downward(call, into)):
            reader, writer = await asyncio.open_unix_connection(
                sock=theirs,
                ssl=context,
                server_hostname=host if context else None,
                ssl_handshake_timeout=HANDSHAKE_SECONDS if context else None,
            )
            try:
                yield reader, writer
            finally:
                writer.transport.abort()
    finally:
        into.close()
        theirs.close()


class _Connector(aiohttp.BaseConnector):
    def __init__(self, end: socket.socket, tls: ssl.SSLContext | None, host: str) -> None:
        super().__init__(force_close=True)
        self._end, self._tls, self._host = end, tls, host

    async def _create_connection(self, *_: Any) -> Any:
        loop = asyncio.get_running_loop()
        name = self._host if self._tls else None
        try:
            made = await loop.create_unix_connection(
                self._factory,
                sock=self._end,
                ssl=self._tls,
                server_hostname=name,
                ssl_handshake_timeout=HANDSHAKE_SECONDS if self._tls else None,
            )
        except OSError as error:
            raise aiohttp.ClientConnectionError(str(error)) from error
        return made[1]


def _unverified() -> ssl.SSLContext:
    """Whose certificate a Pod shows is not ours to judge, as upstream has it."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


async def upward(reader: asyncio.StreamReader, call: Call) -> None:
    try:
        while data := await reader.read(CHUNK_BYTES):
            await send(call, data)
    except _LOST:
        return


async def send(call: Call, data: bytes) -> None:
    await call.write(pb.PortForwardRequest(data=data).SerializeToString())


async def _downward(call: Call, writer: asyncio.StreamWriter) -> None:
    try:
        async for data in received(call):
            writer.write(data)
            await writer.drain()
    except _LOST:
        pass
    writer.close()


async def received(call: Call) -> AsyncIterator[bytes]:
    async for raw in call:
        message = pb.PortForwardResponse.FromString(raw)
        if message.data:
            yield message.data
        if message.half_close:
            return
