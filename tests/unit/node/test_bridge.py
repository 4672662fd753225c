"""Real sockets in front of connections inside the cluster: order, half-close, back pressure, resets."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import cast

import pytest

from services.node.network.bridge import Bridge, Lead, reset
from services.process.clock import SystemClock
from services.runtime.filesystem import fault
from services.runtime.kernel import Future, Kernel
from services.runtime.network import Connection
from services.runtime.streams import Pipe

BIG = 4 * 1024 * 1024


class Door:
    """A listening port; what it accepts is led to pipes of ours."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.theirs = Connection("pod", Pipe(), Pipe())  # as the Pod holds it
        self.gate: Future[None] = Future()
        self.refuses = False
        self.bridges: set[Bridge] = set()
        self.empty = asyncio.Event()
        self.port = 0

    async def lead(self, source: str) -> Connection:
        await self.gate
        if self.refuses:
            raise fault(errno.ECONNREFUSED)
        return Connection("pod", self.theirs.outgoing, self.theirs.incoming)

    def make(self, lead: Lead) -> Bridge:
        bridge = Bridge(self.kernel, lead, self.over)
        self.bridges.add(bridge)
        return bridge

    def over(self, bridge: Bridge) -> None:
        self.bridges.discard(bridge)
        self.empty.set()

    async def read(self) -> bytes:
        got = bytearray()
        while data := await self.kernel.call(self.theirs.incoming.read(65536)):
            got += data
        return bytes(got)

    async def gone(self) -> None:
        await self.empty.wait()


@asynccontextmanager
async def opened() -> AsyncIterator[Door]:
    kernel = Kernel(SystemClock(), lambda error: pytest.fail(str(error)))
    door = Door(kernel)
    running = asyncio.ensure_future(kernel.run())
    loop = asyncio.get_running_loop()
    server = await loop.create_server(partial(door.make, door.lead), "127.0.0.1", 0)
    door.port = server.sockets[0].getsockname()[1]
    try:
        yield door
    finally:
        server.close()
        for bridge in list(door.bridges):
            bridge.reset()
        running.cancel()
        await asyncio.wait({running})


async def test_what_is_said_early_arrives_and_half_closes() -> None:
    async with opened() as door:
        reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
        writer.write(b"early")
        writer.write_eof()
        await asyncio.sleep(0.05)  # lets it come before the other side stands; either order must work
        door.gate.set(None)
        assert await door.read() == b"early"
        await door.kernel.call(door.theirs.outgoing.write(b"late"))
        door.theirs.close()
        assert await reader.read() == b"late"
        writer.close()
        await door.gone()


async def test_both_directions_carry_much_in_order() -> None:
    async with opened() as door:
        door.gate.set(None)
        reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
        sent = bytes(range(256)) * (BIG // 256)

        async def back() -> None:
            await door.kernel.call(door.theirs.outgoing.write(sent))
            door.theirs.outgoing.close_writer()

        async def send() -> None:
            writer.write(sent)
            await writer.drain()
            writer.write_eof()

        _, _, there, here = await asyncio.gather(send(), back(), door.read(), reader.read())
        assert there == sent
        assert here == sent
        writer.close()
        door.theirs.close()
        await door.gone()


async def test_a_client_that_reads_nothing_holds_the_pod_back() -> None:
    async with opened() as door:
        door.gate.set(None)
        with socket.create_connection(("127.0.0.1", door.port)):
            writing = asyncio.ensure_future(door.kernel.call(door.theirs.outgoing.write(bytes(64 * BIG))))
            done, _ = await asyncio.wait({writing}, timeout=0.5)
            assert not done, "nothing holds that much"
        with pytest.raises(BrokenPipeError):
            await writing
        await door.gone()


@pytest.mark.parametrize("how", ["refused", "broken", "unread"])
async def test_what_goes_wrong_behind_is_a_reset(how: str) -> None:
    async with opened() as door:
        door.refuses = how == "refused"
        door.gate.set(None)
        reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
        if how == "broken":
            door.theirs.outgoing.broken = True
            door.theirs.outgoing.close_writer()
        if how == "unread":
            door.theirs.incoming.close_reader()
            writer.write(b"to nobody")
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()
        await door.gone()


async def test_a_client_that_resets_ends_both_directions() -> None:
    async with opened() as door:
        door.gate.set(None)
        _, writer = await asyncio.open_connection("127.0.0.1", door.port)
        writer.write(b"x")
        assert await door.kernel.call(door.theirs.incoming.read(10)) == b"x"
        reset(cast(asyncio.Transport, writer.transport))
        assert await door.read() == b""
        with pytest.raises(BrokenPipeError):
            await door.kernel.call(door.theirs.outgoing.write(b"y"))
        await door.gone()
