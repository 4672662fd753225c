"""A connection that a client and another API server go on with in a protocol of their own: bytes both ways.

Only once the other server has agreed to it. Where it refuses, its answer is passed on and the connection
ends: what the client might say next would be taken for requests of this server.
Upstream: `UpgradeAwareHandler` of `apimachinery/pkg/util/proxy`.
"""

from __future__ import annotations

import asyncio
import contextlib

from aiohttp import web

from services.apiserver.aggregation import passing
from services.apiserver.fronts.rest.streams import wires
from services.apiserver.fronts.rest.streams.commands import alongside
from services.machinery.clock import Clock

CHUNK_BYTES = 64 * 1024
REFUSAL_SECONDS = 10.0  # for the rest of an answer that refuses


class Refused(Exception):
    """There is no answer that could be passed on; the text is for the client."""


def is_wanted(request: web.Request) -> bool:
    return "upgrade" in ",".join(request.headers.getall("Connection", [])).lower()


async def join(
    request: web.Request,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    headers: passing.Headers,
    clock: Clock,
) -> web.StreamResponse:
    """Until either side ends. Refused, OSError before anything was passed on."""
    own = [("Host", request.host), ("Connection", "Upgrade"), ("Upgrade", request.headers.get("Upgrade", ""))]
    head = passing.head(request.method, request.rel_url.raw_path_qs, own + headers)
    return await pass_on(request, reader, writer, head, clock)


async def pass_on(
    request: web.Request,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    head: bytes,
    clock: Clock,
) -> web.StreamResponse:
    """The same with that head of the request. Refused, OSError."""
    writer.write(head)
    try:
        answer = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
        raise Refused("unexpected EOF") from error
    status = passing.status_of(answer)
    if status != 101 and status < 400:
        raise Refused(f"invalid upgrade response: status code {status}")
    wire, left = wires.leave_http(request)
    # From here on there is nobody to whom a fault could be told: either side just ends.
    with contextlib.suppress(OSError, TimeoutError):
        await wire.write(answer)
        if status == 101:
            async with alongside(_upward(wire, writer)):
                await _downward(reader, wire, None)
        else:
            async with clock.timeout(REFUSAL_SECONDS):
                await _downward(reader, wire, passing.length_of(answer))
    return left


async def _upward(wire: wires.RawWire, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await wire.read():
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()  # which ends the other direction too


async def _downward(reader: asyncio.StreamReader, wire: wires.RawWire, length: int | None) -> None:
    while length is None or length > 0:
        data = await reader.read(CHUNK_BYTES if length is None else min(CHUNK_BYTES, length))
        if not data:
            return
        await wire.write(data)
        length = None if length is None else length - len(data)
