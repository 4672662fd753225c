"""SPDY/3.1: what kubectl really sends, anything that can be sent, and what nobody should."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from struct import pack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.apiserver.fronts.rest.streams import spdy_frames as frames
from services.apiserver.fronts.rest.streams.spdy import QUEUE_BYTES_MAX, Session, Stream
from services.apiserver.fronts.rest.streams.spdy_headers import DICTIONARY, ProtocolError
from services.process.clock import SystemClock

# kubectl 1.27: `echo hello | kubectl exec -i p -c c -- cat`, from the upgrade on.
RECORDED = bytes.fromhex(
    "80030001000000290000000100000000000078f9e3c6a7c26260606004a7b392a2d4c45c6851c29a0a0a6800000000ffff"
    "800300010000001700000003000000000000c22e555c92929907000000ffff"
    "800300010000001900000005000000000000c22ac5565c92925f5a02000000ffff"
    "800300010000001500000007000000000000c229975a5404000000ffff"
    "000000030000000668656c6c6f0a0000000301000000"
)
HEARD: list[frames.Frame] = [
    frames.SynStream(1, {"streamtype": "error"}),
    frames.SynStream(3, {"streamtype": "stdin"}),
    frames.SynStream(5, {"streamtype": "stdout"}),
    frames.SynStream(7, {"streamtype": "stderr"}),
    frames.Data(3, b"hello\n"),
    frames.Data(3, b"", fin=True),
]


def read(raw: bytes) -> list[frames.Frame]:
    return list(frames.Reader().feed(raw))


def test_the_dictionary_is_the_protocols() -> None:
    assert zlib.adler32(DICTIONARY) == 0xE3C6A7C2


def test_what_kubectl_sends_is_understood() -> None:
    assert read(RECORDED) == HEARD


def joined(found: list[frames.Frame]) -> list[frames.Frame]:
    """Parts of one data frame as one."""
    whole: list[frames.Frame] = []
    for frame in found:
        match whole[-1:], frame:
            case [frames.Data(before, begun, False)], frames.Data(stream, data, fin) if before == stream:
                whole[-1] = frames.Data(stream, begun + data, fin)
            case _:
                whole.append(frame)
    return whole


numbers = st.integers(1, frames.ID_MAX)
words = st.integers(0, 0xFFFFFFFF)
headers = st.dictionaries(
    st.text(st.characters(codec="latin-1"), min_size=1).map(str.lower),
    st.text(st.characters(codec="latin-1")),
    max_size=5,
)
any_frame = st.one_of(
    st.builds(frames.SynStream, numbers, headers, st.booleans()),
    st.builds(frames.SynReply, numbers, headers, st.booleans()),
    st.builds(frames.Headers, numbers, headers, st.booleans()),
    st.builds(frames.Reset, numbers, words),
    st.builds(frames.Settings, st.dictionaries(st.integers(0, 0xFFFFFF), words, max_size=4)),
    st.builds(frames.Ping, words),
    st.builds(frames.GoAway, numbers, words),
    st.builds(frames.WindowUpdate, numbers, st.integers(0, frames.ID_MAX)),
    st.builds(frames.Data, numbers, st.binary(max_size=200), st.booleans()),
)


@given(st.lists(any_frame, max_size=8), st.integers(1, 50))
def test_however_it_is_cut_it_is_the_same(sent: list[frames.Frame], step: int) -> None:
    try:
        writer = frames.Writer()
        raw = b"".join(map(writer.write, sent))
    except UnicodeEncodeError:
        return
    reader, found = frames.Reader(), list[frames.Frame]()
    for at in range(0, len(raw), step):
        found += reader.feed(raw[at : at + step])
    assert joined(found) == joined(sent)


@given(st.lists(st.binary(max_size=300), max_size=5))
def test_anything_is_frames_or_refused(parts: list[bytes]) -> None:
    reader = frames.Reader()
    for part in parts:
        try:
            list(reader.feed(part))
        except ProtocolError:
            return


def control(kind: int, body: bytes) -> bytes:
    return pack(">II", 0x80000000 | frames.VERSION << 16 | kind, len(body)) + body


def block(raw: bytes) -> bytes:
    packer = zlib.compressobj(zdict=DICTIONARY)
    return packer.compress(raw) + packer.flush(zlib.Z_SYNC_FLUSH)


def opening(raw: bytes) -> bytes:
    return control(frames.SYN_STREAM, pack(">IIH", 1, 0, 0) + block(raw))


BOMB = pack(">II", 1, 1) + b"a" + pack(">I", 50_000_000) + bytes(50_000_000)
HOSTILE = {
    "a bomb": opening(BOMB),
    "many headers": opening(pack(">I", 1_000_000)),
    "a header that is not there": opening(pack(">II", 1, 100) + b"a"),
    "twice the same": opening(pack(">I", 2) + 2 * (pack(">I", 1) + b"a" + pack(">I", 0))),
    "no zlib": control(frames.SYN_STREAM, pack(">IIH", 1, 0, 0) + b"garbage"),
    "SPDY/2": pack(">II", 0x80020001, 0),
    "a huge control frame": pack(">II", 0x80030001, 0xFFFFFF),
    "a short control frame": control(frames.RST_STREAM, b"\0"),
    "settings that lie": control(frames.SETTINGS, pack(">I", 0xFFFFFFFF)),
    "stream 0": control(frames.SYN_REPLY, bytes(4) + block(bytes(4))),
    "data for stream 0": pack(">II", 0, 1) + b"x",
}


@pytest.mark.parametrize("raw", HOSTILE.values(), ids=HOSTILE.keys())
def test_what_breaks_the_rules_is_refused(raw: bytes) -> None:
    with pytest.raises(ProtocolError):
        read(raw)


def test_unknown_frames_are_passed_over_however_many() -> None:
    assert read(control(99, b"?") * 5000 + pack(">II", 0x80030006, 4) + pack(">I", 7)) == [frames.Ping(7)]


# -- sessions --------------------------------------------------------------------------------------


class Pipe:
    """A wire whose other end is the test."""

    def __init__(self) -> None:
        self.to_session: asyncio.Queue[bytes] = asyncio.Queue()
        self.heard = asyncio.Queue[frames.Frame]()
        self._reader = frames.Reader()

    async def read(self) -> bytes:
        return await self.to_session.get()

    async def write(self, data: bytes) -> None:
        for frame in self._reader.feed(data):
            self.heard.put_nowait(frame)


@asynccontextmanager
async def session_over(pipe: Pipe) -> AsyncIterator[tuple[asyncio.Queue[Stream], asyncio.Task[None]]]:
    streams = asyncio.Queue[Stream]()

    async def accept(stream: Stream) -> None:
        streams.put_nowait(stream)

    async with asyncio.timeout(60), Session(pipe, SystemClock(), accept).serving() as reading:
        yield streams, reading


async def test_streams_are_opened_read_and_ended() -> None:
    pipe = Pipe()
    async with session_over(pipe) as (streams, _):
        pipe.to_session.put_nowait(RECORDED)
        opened = [await streams.get() for _ in range(4)]
        assert [each.headers["streamtype"] for each in opened] == ["error", "stdin", "stdout", "stderr"]
        assert [await pipe.heard.get() for _ in range(4)] == [frames.SynReply(n) for n in (1, 3, 5, 7)]
        assert await opened[1].read() == b"hello\n"
        assert await opened[1].read() == b""
        await opened[2].write(b"out")
        await opened[2].end()
        assert await pipe.heard.get() == frames.Data(5, b"out")
        assert await pipe.heard.get() == frames.Data(5, b"", fin=True)
        with pytest.raises(ConnectionError):
            await opened[2].write(b"more")


async def test_a_ping_is_answered_and_the_end_ends_all() -> None:
    pipe = Pipe()
    async with session_over(pipe) as (streams, reading):
        writer = frames.Writer()
        pipe.to_session.put_nowait(writer.write(frames.Ping(1)) + writer.write(frames.SynStream(1)))
        assert await pipe.heard.get() == frames.Ping(1)
        stream = await streams.get()
        pipe.to_session.put_nowait(b"")
        await asyncio.wait((reading,))
        with pytest.raises(ConnectionError):
            await stream.read()


async def test_a_stream_that_is_not_read_stops_the_peer() -> None:
    pipe, writer = Pipe(), frames.Writer()
    async with session_over(pipe) as (streams, reading):
        pipe.to_session.put_nowait(writer.write(frames.SynStream(1)))
        stream = await streams.get()
        piece = writer.write(frames.Data(1, bytes(QUEUE_BYTES_MAX // 2)))
        for _ in range(10):
            pipe.to_session.put_nowait(piece)
        while stream.room.is_set():  # noqa: ASYNC110
            await asyncio.sleep(0)
        assert not pipe.to_session.empty()
        got = 0
        while got < 10 * (QUEUE_BYTES_MAX // 2):
            got += len(await stream.read())
        assert not reading.done()


@pytest.mark.parametrize(
    "raw",
    [
        *HOSTILE.values(),
        frames.Writer().write(frames.Data(9, b"x")),
        frames.Writer().write(frames.SynStream(2)),
    ],
    ids=[*HOSTILE.keys(), "data for no stream", "a stream that is ours to open"],
)
async def test_breaking_the_rules_ends_the_connection(raw: bytes) -> None:
    pipe = Pipe()
    async with session_over(pipe) as (_, reading):
        pipe.to_session.put_nowait(raw)
        await asyncio.wait((reading,))
        assert await pipe.heard.get() == frames.GoAway(0, frames.PROTOCOL_ERROR)
