"""Between a client's stream and a process: what is typed on the way in, what is printed on the way out.

Both ways are bounded. Input waits in a pipe of 64 KiB or in the terminal's line; output in an `Outbox` that
makes the process wait when its client is slow, as a full socket would.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any

from services.pb.runtime.v1 import streaming_pb2 as pb
from services.runtime.container import Container
from services.runtime.kernel import Future
from services.runtime.streams import Counted, Null, Pipe, PipeReader, Stream
from services.runtime.terminal import Terminal, cooked

OUTBOX_BYTES_MAX = 1024 * 1024


class Outbox:
    """Messages for one client. `write` is for the kernel and waits for room; `put` is for what is small."""

    def __init__(self) -> None:
        self._messages: deque[pb.StreamResponse | None] = deque()
        self._arrived = asyncio.Event()
        self._room: Future[None] | None = None
        self._bytes = 0
        self._gone = False

    @property
    def full(self) -> bool:
        return self._bytes >= OUTBOX_BYTES_MAX

    def put(self, message: pb.StreamResponse | None) -> None:
        """None ends the reading."""
        if not self._gone:
            self._messages.append(message)
            self._bytes += _size(message)
            self._arrived.set()

    async def write(self, message: pb.StreamResponse) -> None:
        while self.full and not self._gone:
            self._room = self._room or Future()
            await self._room
        self.put(message)

    async def get(self) -> pb.StreamResponse | None:
        while not self._messages:
            self._arrived.clear()
            await self._arrived.wait()
        message = self._messages.popleft()
        self._bytes -= _size(message)
        if not self.full:
            self._make_room()
        return message

    def close(self) -> None:
        """The client has gone; nobody waits for it any more."""
        self._gone = True
        self._messages.clear()
        self._bytes = 0
        self._make_room()

    def _make_room(self) -> None:
        room, self._room = self._room, None
        if room is not None:
            room.set(None)


def _size(message: pb.StreamResponse | None) -> int:
    return 0 if message is None else len(message.stdout) + len(message.stderr)


def chunk(name: str, data: bytes) -> pb.StreamResponse:
    return pb.StreamResponse(stderr=data) if name == "stderr" else pb.StreamResponse(stdout=data)


class _Printed(Counted):
    """What a command writes, on its way to the client."""

    def __init__(self, name: str, outbox: Outbox, *, terminal: bool) -> None:
        super().__init__()
        self._name, self._outbox = name, outbox
        self.terminal = terminal

    async def write(self, data: bytes) -> None:
        await self._outbox.write(chunk(self._name, cooked(data) if self.terminal else data))


def outputs(stdin: Stream, outbox: Outbox, *, tty: bool) -> dict[int, Stream]:
    """The first three streams of a command. A terminal has no stderr of its own."""
    out = _Printed("stdout", outbox, terminal=tty)
    return {0: stdin, 1: out, 2: _Printed("stdout" if tty else "stderr", outbox, terminal=tty)}


class PipeKeyboard:
    """Input as it comes: no terminal. `close`: whether the end of the client's input is the process' too."""

    def __init__(self, pipe: Pipe | None, *, close: bool = True) -> None:
        self._pipe, self._close = pipe, close
        self.stream: Stream = PipeReader(pipe) if pipe is not None else Null()

    async def feed(self, requests: AsyncIterator[pb.StreamRequest], call: Callable[..., Any]) -> None:
        """Input from the client to the command, until either ends."""
        if self._pipe is None:
            return
        try:
            async for request in requests:
                kind = request.WhichOneof("message")
                if kind == "stdin":
                    await call(self._pipe.write(request.stdin))
                elif kind == "stdin_closed":
                    break
        except BrokenPipeError:
            return
        finally:
            if self._close:
                self._pipe.close_writer()


class TerminalKeyboard:
    """Input through a terminal, which echoes it and makes signals of some keys."""

    def __init__(self, terminal: Terminal, *, close: bool = True) -> None:
        self._terminal, self._close = terminal, close
        self.stream: Stream = terminal

    async def feed(self, requests: AsyncIterator[pb.StreamRequest], call: Callable[..., Any]) -> None:
        try:
            async for request in requests:
                kind = request.WhichOneof("message")
                if kind == "stdin":
                    self._terminal.type(request.stdin)
                elif kind == "resize":
                    self._terminal.resize(request.resize.columns, request.resize.rows)
                elif kind == "stdin_closed":
                    break
        finally:
            if self._close:
                self._terminal.hang_up()


Keyboard = PipeKeyboard | TerminalKeyboard


def of_container(container: Container) -> Keyboard | None:
    """For who attaches: the input that the container was made with, which outlives most of its clients."""
    once = container.config.stdin_once
    if container.terminal is not None:
        return TerminalKeyboard(container.terminal, close=once)
    if container.stdin is not None:
        return PipeKeyboard(container.stdin, close=once)
    return None
