"""Real sockets on one side, connections inside the cluster on the other: carries bytes between the two.

Each direction ends on its own (half-close), each holds back the other's writer, and a side that breaks resets
the other. What waits costs a socket and one suspended coroutine. Nothing is kept but what is under way.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import cast

from services.runtime.kernel import Future, Kernel, Task
from services.runtime.network import Connection

READ_BYTES = 64 * 1024
KEEPALIVE_SECONDS = 60  # A peer that has vanished without a word is found out after some minutes.
# Zero seconds of lingering: closing resets the connection instead of ending it in order.
_RESET = struct.pack("ii", 1, 0)

Lead = Callable[[str], Awaitable[Connection]]  # from a client's address; OSError where nobody is there


class Bridge(asyncio.Protocol):
    """One accepted socket. `lead` runs on the kernel and opens the other side."""

    __slots__ = (
        "_connection",
        "_early",
        "_ended",
        "_full",
        "_kernel",
        "_lead",
        "_lost",
        "_over",
        "_task",
        "_transport",
    )

    def __init__(self, kernel: Kernel, lead: Lead, over: Callable[[Bridge], None]) -> None:
        """`over` hears when the socket is gone."""
        self._kernel, self._lead, self._over = kernel, lead, over
        self._transport: asyncio.Transport | None = None
        self._connection: Connection | None = None
        self._task: Task[None] | None = None
        self._full: Future[None] | None = None  # set while the client takes nothing more
        self._early = b""  # what it said before the other side stood
        self._ended = False  # it says no more
        self._lost = False

    # -- what the client does ------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = made = cast(asyncio.Transport, transport)  # uvloop's are none by inheritance
        _watch_over(made)
        self._task = self._kernel.spawn(self._run(made))
        self._task.finished.on_done(self._done)

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        if self._connection is None:  # nobody is there yet to read it
            self._early += data
            self._transport.pause_reading()
            return
        pushing = self._kernel.spawn(self._push(self._transport, self._connection, data))
        if not pushing.finished.done:
            self._transport.pause_reading()

    def eof_received(self) -> bool:
        self._ended = True
        if self._connection is not None:
            self._connection.outgoing.close_writer()
        return True  # what comes back is still the client's

    def pause_writing(self) -> None:
        self._full = Future()

    def resume_writing(self) -> None:
        full, self._full = self._full, None
        if full is not None:
            full.set(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True
        self.resume_writing()
        if self._task is not None:
            self._task.kill(0)
        if self._connection is not None:
            self._connection.close()
        self._over(self)

    def reset(self) -> None:
        """Refuses what has been accepted already: the client sees a reset."""
        if self._transport is not None:
            reset(self._transport)

    # -- what becomes of it --------------------------------------------------------------------

    async def _run(self, transport: asyncio.Transport) -> None:
        source = (transport.get_extra_info("peername") or ("",))[0]
        try:
            connection = self._connection = await self._lead(source)
        except OSError:
            reset(transport)
            return
        await self._begin(transport, connection)
        while data := await connection.incoming.read(READ_BYTES):
            transport.write(data)
            if self._full is not None:
                await self._full
        if connection.incoming.broken:
            reset(transport)
        elif not self._lost:
            if transport.can_write_eof():  # TLS knows no half-closed connections
                transport.write_eof()
            await connection.outgoing.over()
            transport.close()

    def _done(self) -> None:
        error = self._task.error if self._task is not None else None
        if isinstance(error, Exception):  # a fault of ours ends this connection and is told
            self._kernel.report(error)
            self.reset()

    async def _begin(self, transport: asyncio.Transport, connection: Connection) -> None:
        """Hands over what the client has said already."""
        early, self._early = self._early, b""
        await self._push(transport, connection, early)
        if self._ended:
            connection.outgoing.close_writer()

    async def _push(self, transport: asyncio.Transport, connection: Connection, data: bytes) -> None:
        try:
            await connection.outgoing.write(data)
        except BrokenPipeError:
            reset(transport)  # as a closed socket answers what nobody will read
            return
        if not transport.is_closing() and not transport.is_reading():
            transport.resume_reading()


def _watch_over(transport: asyncio.Transport) -> None:
    found = transport.get_extra_info("socket")
    if found is not None:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if hasattr(socket, "TCP_KEEPIDLE"):
            found.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_SECONDS)


def reset(transport: asyncio.Transport) -> None:
    found = transport.get_extra_info("socket")
    if found is not None and found.fileno() >= 0:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    transport.abort()
