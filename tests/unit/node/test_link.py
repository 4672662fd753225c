"""Links without a wire: two of them, whose frames are handed over by the test."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable

import pytest

from services.node.network import link as module
from services.node.network.link import WINDOW_BYTES, Link
from services.pb.network.v1 import network_pb2 as pb
from services.process.clock import SystemClock
from services.runtime.filesystem import fault
from services.runtime.kernel import Kernel
from services.runtime.network import Connection


class Two:
    """A caller and a listener that keeps what it is given."""

    def __init__(self) -> None:
        self.kernel = Kernel(SystemClock())
        self.taken: list[Connection] = []
        self.caller, self.listener = Link(), Link(self.accept)

    def accept(self, opening: pb.Open) -> Callable[[Connection], None]:
        if opening.port == 81:
            raise fault(errno.ECONNREFUSED)
        return self.taken.append

    async def pass_on(self) -> None:
        """Until neither has anything to say."""
        for _ in range(50):
            await self.hand(self.caller, self.listener)
            await self.hand(self.listener, self.caller)

    async def hand(self, giver: Link, taker: Link) -> None:
        giving = asyncio.ensure_future(giver.frames())
        done, _ = await asyncio.wait({giving}, timeout=0)
        if not done:
            await asyncio.sleep(0)
        if giving.done():
            frames = giving.result()
            assert frames is not None
            taker.receive(pb.Frames.FromString(frames.SerializeToString()).frames)
        else:
            giving.cancel()

    async def connect(self, port: int = 80) -> tuple[int, Connection]:
        end = self.caller.open("10.244.1.5", "10.244.2.5", port)
        await self.pass_on()
        assert end.opened is not None
        assert end.opened.done
        return end.opened.value(), end.connection("there")


async def test_bytes_both_ways_then_nothing_is_left() -> None:
    two = Two()
    number, ours = await two.connect()
    assert number == 0
    theirs = two.taken[0]
    assert theirs.peer == "10.244.1.5"
    await two.kernel.call(ours.outgoing.write(b"question"))
    ours.outgoing.close_writer()
    await two.pass_on()
    assert await two.kernel.call(theirs.incoming.read(100)) == b"question"
    assert await two.kernel.call(theirs.incoming.read(100)) == b""
    await two.kernel.call(theirs.outgoing.write(b"answer"))
    theirs.close()
    await two.pass_on()
    assert await two.kernel.call(ours.incoming.read(100)) == b"answer"
    assert await two.kernel.call(ours.incoming.read(100)) == b""
    ours.close()
    await two.pass_on()
    assert (len(two.caller), len(two.listener)) == (0, 0)


async def test_who_does_not_listen_refuses() -> None:
    two = Two()
    number, ours = await two.connect(81)
    assert number == errno.ECONNREFUSED
    ours.close()
    await two.pass_on()
    assert (len(two.caller), len(two.listener)) == (0, 0)


async def test_one_that_nobody_reads_holds_back_only_its_own_writer() -> None:
    two = Two()
    _, slow = await two.connect()
    _, quick = await two.connect()
    writing = two.kernel.spawn(slow.outgoing.write(bytes(4 * WINDOW_BYTES)))
    await two.pass_on()
    assert not writing.finished.done
    await two.kernel.call(quick.outgoing.write(b"past it"))
    await two.pass_on()
    assert await two.kernel.call(two.taken[1].incoming.read(100)) == b"past it"
    got = 0
    while not writing.finished.done:
        got += len(await two.kernel.call(two.taken[0].incoming.read(65536)))
        await two.pass_on()
    assert got >= 2 * WINDOW_BYTES


async def test_a_reader_that_leaves_breaks_the_writer() -> None:
    two = Two()
    _, ours = await two.connect()
    two.taken[0].incoming.close_reader()
    await two.pass_on()
    with pytest.raises(BrokenPipeError):
        await two.kernel.call(ours.outgoing.write(b"x"))


async def test_a_link_that_breaks_breaks_all_it_carries() -> None:
    two = Two()
    _, ours = await two.connect()
    await two.kernel.call(two.taken[0].outgoing.write(b"last words"))
    await two.pass_on()
    waiting = two.caller.open("10.244.1.5", "10.244.2.5", 80)
    two.caller.break_off()
    assert waiting.opened is not None
    assert waiting.opened.value() == errno.EHOSTUNREACH
    assert await two.kernel.call(ours.incoming.read(100)) == b"last words"
    assert await two.kernel.call(ours.incoming.read(100)) == b""
    assert ours.incoming.broken
    with pytest.raises(BrokenPipeError):
        await two.kernel.call(ours.outgoing.write(b"x"))
    with pytest.raises(OSError, match="No route to host"):
        two.caller.open("10.244.1.5", "10.244.2.5", 80)
    assert await two.caller.frames() is None


async def test_nothing_grows_without_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    two = Two()
    monkeypatch.setattr(module, "CONNECTIONS_MAX", 2)
    for _ in range(2):
        two.caller.open("a", "b", 80)
    with pytest.raises(OSError, match="Cannot assign requested address"):
        two.caller.open("a", "b", 80)
    monkeypatch.setattr(module, "OUTBOX_FRAMES_MAX", 5)
    while not two.caller.broken:  # a peer that takes nothing
        two.caller.send(pb.Frame(connection=1, window=1))
    assert len(two.caller) == 0


async def test_frames_of_connections_that_are_not_there_are_dropped() -> None:
    two = Two()
    two.listener.receive([pb.Frame(connection=7, data=b"x"), pb.Frame(connection=7, end=True)])
    two.caller.receive([pb.Frame(connection=9, open=pb.Open(ip="a", port=80))])
    await two.pass_on()
    assert (len(two.caller), len(two.listener)) == (0, 0)
