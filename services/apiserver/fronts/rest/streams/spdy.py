"""The server's side of a SPDY/3.1 connection: streams that a client opens, over any wire.

A stream holds a bounded amount; where its reader is slow, the connection is read no further, as upstream's
library does it. Clients of Kubernetes know no flow-control windows, so none is enforced on them; those that
do know them are told of each window that has been read, and what we send is bounded by the wire.
A peer that breaks the rules gets a GOAWAY and the end of its connection, and of nothing else.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from services.apiserver.fronts.rest.streams import spdy_frames as frames
from services.apiserver.fronts.rest.streams.spdy_headers import ProtocolError
from services.apiserver.fronts.rest.streams.wires import Wire
from services.machinery.clock import Clock

STREAMS_MAX = 2048  # two for each forwarded connection
QUEUE_BYTES_MAX = 512 * 1024
FRAME_BYTES_MAX = 256 * 1024
PING_SECONDS = 30.0  # so that a peer that has silently gone is found out
CLOSE_SECONDS = 5.0


class StreamReset(ConnectionError):
    """The peer wants nothing more of the stream."""


class Stream:
    def __init__(self, session: Session, number: int, headers: dict[str, str]) -> None:
        self._session = session
        self.number, self.headers = number, headers
        self._chunks: deque[bytes] = deque()
        self._bytes, self._unread_window = 0, 0
        self.ended_by_peer = self.ended_here = self.was_reset = False
        self._arrived, self.room = asyncio.Event(), asyncio.Event()
        self.room.set()

    async def read(self) -> bytes:
        """All that has come, at least one byte; none at the end. StreamReset."""
        while not self._chunks:
            if self.was_reset:
                raise StreamReset("the stream was reset")
            if self.ended_by_peer:
                return b""
            self._arrived.clear()
            await self._arrived.wait()
        data = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        self._chunks.clear()
        self._bytes = 0
        self.room.set()
        self._unread_window += len(data)
        if self._unread_window >= frames.WINDOW_BYTES // 2 and not self.ended_by_peer:
            await self._session.send(frames.WindowUpdate(self.number, self._unread_window))
            self._unread_window = 0
        return data

    async def write(self, data: bytes) -> None:
        """ConnectionError where nobody reads any more."""
        for start in range(0, len(data), FRAME_BYTES_MAX):
            if self.was_reset or self.ended_here:
                raise StreamReset("the stream is closed")
            await self._session.send(frames.Data(self.number, data[start : start + FRAME_BYTES_MAX]))

    async def end(self) -> None:
        """Nothing more from this side."""
        if not self.ended_here and not self.was_reset:
            self.ended_here = True
            await self._session.send(frames.Data(self.number, fin=True))
            self._session.forget_if_over(self)

    async def reset(self, status: int = frames.CANCEL) -> None:
        if not self.was_reset:
            self.break_off()
            await self._session.send(frames.Reset(self.number, status))
            self._session.forget_if_over(self)

    # -- what the session has to tell --------------------------------------------------------------

    def feed(self, data: bytes, fin: bool) -> None:
        if self.ended_by_peer or self.was_reset:
            return  # it crossed the end on the wire
        if data:
            self._chunks.append(data)
            self._bytes += len(data)
        if self._bytes > QUEUE_BYTES_MAX:
            self.room.clear()
        self.ended_by_peer = fin
        self._arrived.set()

    def break_off(self) -> None:
        self.was_reset = True
        self._chunks.clear()
        self._arrived.set()
        self.room.set()


Accept = Callable[[Stream], Awaitable[None]]


class Session:
    """`accept` is told of each stream, and may end it; it must not wait for its data."""

    def __init__(self, wire: Wire, clock: Clock, accept: Accept) -> None:
        self._wire, self._clock, self._accept = wire, clock, accept
        self._reader, self._writer = frames.Reader(), frames.Writer()
        self._streams: dict[int, Stream] = {}
        self._last_stream = self._pings = 0
        self._read_window = 0

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[asyncio.Task[None]]:
        """Reads frames while the block runs; the task ends when the peer does, and its streams with it."""
        reading = asyncio.ensure_future(self._read())
        pinging = asyncio.ensure_future(self._ping())
        try:
            yield reading
        finally:
            pinging.cancel()
            reading.cancel()
            await asyncio.gather(pinging, reading, return_exceptions=True)

    async def send(self, frame: frames.Frame) -> None:
        await self._wire.write(self._writer.write(frame))

    async def close(self, reading: asyncio.Task[None]) -> None:
        """Says that this was all, and lets the peer hang up: what it has not read yet is not lost so."""
        try:
            await self.send(frames.GoAway(self._last_stream))
            for stream in self._streams.values():
                stream.break_off()
            await self._within_reason(reading)
        except ConnectionError:
            return

    async def _within_reason(self, reading: asyncio.Task[None]) -> None:
        try:
            async with self._clock.timeout(CLOSE_SECONDS):
                await asyncio.wait((reading,))
        except TimeoutError:
            return

    def forget_if_over(self, stream: Stream) -> None:
        if stream.was_reset or (stream.ended_here and stream.ended_by_peer):
            self._streams.pop(stream.number, None)

    # -- the peer ----------------------------------------------------------------------------------

    async def _read(self) -> None:
        try:
            while data := await self._wire.read():
                for frame in self._reader.feed(data):
                    await self._take(frame)
                await self._tell_window(len(data))
        except ProtocolError:
            await self.send(frames.GoAway(self._last_stream, frames.PROTOCOL_ERROR))
        except ConnectionError:
            pass
        finally:
            for stream in self._streams.values():
                stream.break_off()
            self._streams.clear()

    async def _tell_window(self, read_bytes: int) -> None:
        """The connection's own window, for a peer that counts."""
        self._read_window += read_bytes
        if self._read_window >= frames.WINDOW_BYTES // 2:
            await self.send(frames.WindowUpdate(0, self._read_window))
            self._read_window = 0

    async def _take(self, frame: frames.Frame) -> None:
        match frame:
            case frames.Data(number, data, fin):
                await self._data(number, data, fin)
            case frames.SynStream():
                await self._open(frame)
            case frames.Reset(number):
                if stream := self._streams.pop(number, None):
                    stream.break_off()
            case frames.Ping(number) if number % 2:  # ours are even
                await self.send(frame)
            case frames.Headers(number, _, True):
                await self._data(number, b"", True)

    async def _data(self, number: int, data: bytes, fin: bool) -> None:
        stream = self._streams.get(number)
        if stream is None:
            if number > self._last_stream:
                raise ProtocolError(f"data for stream {number}, which was never opened")
            return  # it was closed while this was under way
        stream.feed(data, fin)
        self.forget_if_over(stream)
        await stream.room.wait()

    async def _open(self, frame: frames.SynStream) -> None:
        if frame.stream <= self._last_stream or not frame.stream % 2:
            raise ProtocolError(f"stream {frame.stream} cannot be opened after {self._last_stream}")
        self._last_stream = frame.stream
        if len(self._streams) >= STREAMS_MAX:
            await self.send(frames.Reset(frame.stream, frames.REFUSED_STREAM))
            return
        stream = Stream(self, frame.stream, frame.headers)
        stream.ended_by_peer = frame.fin
        self._streams[frame.stream] = stream
        await self.send(frames.SynReply(frame.stream))
        await self._accept(stream)

    async def _ping(self) -> None:
        try:
            while True:
                await self._clock.sleep(PING_SECONDS)
                self._pings = self._pings % 1_000_000_000 + 2
                await self.send(frames.Ping(self._pings))
        except ConnectionError:
            return
