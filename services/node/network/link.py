"""A link between two nodes: every connection that the Pods of one open to those of the other, in frames.

Each connection has a window of its own: what was sent and not read yet is bounded, so that one which nobody
reads holds back its own writer and no other. One that waits costs its two ends and nothing that runs. It
does no I/O: `frames` is what goes out, `receive` takes what came in. Frames of connections that are over are
dropped. A link that breaks ends all of its connections at once: they are marked `broken`, and what was
received until then can still be read.
"""

from __future__ import annotations

import asyncio
import errno
from collections import deque
from collections.abc import Callable, Iterable

from services.pb.network.v1 import network_pb2 as pb
from services.runtime.filesystem import fault
from services.runtime.kernel import Future
from services.runtime.network import Connection
from services.runtime.streams import Pipe

WINDOW_BYTES = 256 * 1024  # of each direction of a connection
FRAME_BYTES_MAX = 64 * 1024
MESSAGE_BYTES_MAX = 256 * 1024  # of frames that travel together
CONNECTIONS_MAX = 50_000  # of a link; further ones find no port left
OUTBOX_FRAMES_MAX = 200_000  # A peer that takes nothing for so long is gone.

# Raises OSError as connect(2) gives it; what it returns is called once the caller has been told.
Accept = Callable[[pb.Open], Callable[[Connection], None]]


class Incoming(Pipe):
    """What the other side sends. Reading it lets more come."""

    __slots__ = ("_end", "_owed")

    def __init__(self, end: End) -> None:
        super().__init__()
        self._end, self._owed = end, 0

    def put(self, data: bytes) -> None:
        """The window has kept it within bounds."""
        if not self.reader_gone:
            self._buffer += data
            self._notify()

    async def read(self, size: int) -> bytes:
        data = await super().read(size)
        self._owed += len(data)
        if self._owed >= WINDOW_BYTES // 2 and not self.writer_gone:
            self._end.send(window=self._owed)
            self._owed = 0
        return data

    def close_reader(self) -> None:
        if self.reader_gone:
            return
        super().close_reader()
        if not self.writer_gone:
            self._end.send(stop=True)
        self._end.settle()


class Outgoing(Pipe):
    """What goes to the other side, as far as its window is open."""

    __slots__ = ("_end", "_room")

    def __init__(self, end: End) -> None:
        super().__init__()
        self._end, self._room = end, WINDOW_BYTES

    def widen(self, count: int) -> None:
        self._room += count
        self._notify()

    async def write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            if self.reader_gone or self.writer_gone:
                raise BrokenPipeError(errno.EPIPE, "Broken pipe")
            count = min(self._room, FRAME_BYTES_MAX, len(view))
            if not count:
                await self._change()
                continue
            self._room -= count
            self._end.send(data=bytes(view[:count]))
            view = view[count:]

    def close_writer(self) -> None:
        if self.writer_gone:
            return
        super().close_writer()
        if not self.reader_gone:
            self._end.send(end=True)
        self._end.settle()


class End:
    """A connection as one of the two nodes holds it."""

    __slots__ = ("_link", "_number", "incoming", "opened", "outgoing")

    def __init__(self, link: Link, number: int) -> None:
        self._link, self._number = link, number
        self.incoming, self.outgoing = Incoming(self), Outgoing(self)
        self.opened: Future[int] | None = None  # 0 or an errno; None where it came from the other side

    def connection(self, peer: str) -> Connection:
        return Connection(peer, self.incoming, self.outgoing)

    def send(self, **content: object) -> None:
        self._link.send(pb.Frame(connection=self._number, **content))  # type: ignore[arg-type]

    def take(self, frame: pb.Frame) -> None:
        match frame.WhichOneof("content"):
            case "data":
                self.incoming.put(frame.data)
            case "window":
                self.outgoing.widen(frame.window)
            case "end":
                self.incoming.close_writer()
                self.settle()
            case "stop":
                self.outgoing.close_reader()
                self.settle()
            case "opened" if self.opened is not None:
                self.opened.set(frame.opened.errno)

    def settle(self) -> None:
        """Forgets it once both directions are over."""
        sent = self.outgoing.writer_gone or self.outgoing.reader_gone
        if sent and (self.incoming.writer_gone or self.incoming.reader_gone):
            self._link.forget(self._number)

    def break_off(self, number: int) -> None:
        self.incoming.broken = True
        self.incoming.close_writer()
        self.outgoing.close_reader()
        if self.opened is not None:
            self.opened.set(number)


class Link:
    """`accept` takes what the other side opens; without it nothing may be opened from there."""

    def __init__(self, accept: Accept | None = None) -> None:
        self._accept = accept
        self._ends: dict[int, End] = {}
        self._last = 0
        self._outbox: deque[pb.Frame] = deque()
        self._filled = asyncio.Event()
        self.broken = False

    def __len__(self) -> int:
        return len(self._ends)

    def open(self, source_ip: str, ip: str, port: int) -> End:
        """Asks for a connection; `opened` tells when it stands. OSError where the link has no more room."""
        if self.broken:
            raise fault(errno.EHOSTUNREACH)
        if len(self._ends) >= CONNECTIONS_MAX:
            raise fault(errno.EADDRNOTAVAIL)
        while True:
            self._last = self._last % 0xFFFFFFFF + 1
            if self._last not in self._ends:
                break
        end = self._ends[self._last] = End(self, self._last)
        end.opened = Future()
        end.send(open=pb.Open(source_ip=source_ip, ip=ip, port=port))
        return end

    def send(self, frame: pb.Frame) -> None:
        if self.broken:
            return
        self._outbox.append(frame)
        self._filled.set()
        if len(self._outbox) > OUTBOX_FRAMES_MAX:
            self.break_off()

    def forget(self, number: int) -> None:
        self._ends.pop(number, None)

    async def frames(self) -> pb.Frames | None:
        """The next message, once there is something to send; None when the link is broken."""
        await self._filled.wait()
        if self.broken:
            return None
        taken, size = [], 0
        while self._outbox and size < MESSAGE_BYTES_MAX:
            frame = self._outbox.popleft()
            size += len(frame.data) + 16
            taken.append(frame)
        if not self._outbox:
            self._filled.clear()
        return pb.Frames(frames=taken)

    def receive(self, frames: Iterable[pb.Frame]) -> None:
        for frame in frames:
            end = self._ends.get(frame.connection)
            if end is not None:
                end.take(frame)
            elif frame.WhichOneof("content") == "open":
                self._take(frame.connection, frame.open)

    def _take(self, number: int, opening: pb.Open) -> None:
        """A connection that the other side opens."""
        end = End(self, number)
        try:
            if self._accept is None or len(self._ends) >= CONNECTIONS_MAX:
                raise fault(errno.ECONNREFUSED)
            start = self._accept(opening)
        except OSError as error:
            end.send(opened=pb.Opened(errno=error.errno or errno.ECONNREFUSED))
            return
        self._ends[number] = end
        end.send(opened=pb.Opened())
        start(end.connection(opening.source_ip))

    def break_off(self, number: int = errno.EHOSTUNREACH) -> None:
        """Ends the link and all that it carries; whoever waits for a connection to stand gets this errno."""
        self.broken = True
        self._outbox.clear()
        self._filled.set()
        ends, self._ends = self._ends, {}
        for end in ends.values():
            end.break_off(number)
