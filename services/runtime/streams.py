"""Byte streams between emulated processes: pipes, files, the container's log, a caller's terminal.

A `Stream` is an open file description: processes share it by reference count, and it closes with its
last holder, which is what makes `yes | head -1` end. Pipes hold 64 KiB and make writers wait.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from random import Random
from typing import Protocol

from services.runtime.filesystem import Filesystem, fault
from services.runtime.kernel import Future

PIPE_BYTES_MAX = 64 * 1024
NOISE_BYTES_MAX = 4096  # at a time, as of /dev/random


class Stream(Protocol):
    terminal: bool

    async def read(self, size: int) -> bytes:
        """At least one byte; empty at the end."""
        ...

    async def write(self, data: bytes) -> None:
        """BrokenPipeError when nobody will read it."""
        ...

    def retain(self) -> None: ...
    def release(self) -> None: ...


class Pipe:
    """A bounded buffer between one reading and one writing side."""

    __slots__ = ("_buffer", "_changed", "broken", "reader_gone", "writer_gone")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._changed: Future[None] | None = None
        self.reader_gone = self.writer_gone = False
        self.broken = False  # its end is none in order: for whoever can tell a reset from an end

    async def read(self, size: int) -> bytes:
        while not self._buffer:
            if self.writer_gone or self.reader_gone:
                return b""
            await self._change()
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        self._notify()
        return data

    async def write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            if self.reader_gone:
                raise BrokenPipeError(errno.EPIPE, "Broken pipe")
            room = PIPE_BYTES_MAX - len(self._buffer)
            if room <= 0:
                await self._change()
                continue
            self._buffer += view[:room]
            view = view[room:]
            self._notify()

    async def over(self) -> None:
        """Until one of its sides is gone."""
        while not (self.reader_gone or self.writer_gone):
            await self._change()

    def close_reader(self) -> None:
        self.reader_gone = True
        self._buffer.clear()
        self._notify()

    def close_writer(self) -> None:
        self.writer_gone = True
        self._notify()

    def _change(self) -> Future[None]:
        if self._changed is None:
            self._changed = Future()
        return self._changed

    def _notify(self) -> None:
        changed, self._changed = self._changed, None
        if changed is not None:
            changed.set(None)


class Counted:
    """Closes with its last holder; by itself it can be neither read nor written."""

    terminal = False

    def __init__(self) -> None:
        self._holders = 1

    def retain(self) -> None:
        self._holders += 1

    def release(self) -> None:
        self._holders -= 1
        if self._holders == 0:
            self.close()

    def close(self) -> None:
        """The last holder has gone."""

    async def read(self, size: int) -> bytes:
        raise fault(errno.EBADF)

    async def write(self, data: bytes) -> None:
        raise fault(errno.EBADF)


class PipeReader(Counted):
    def __init__(self, pipe: Pipe, *, terminal: bool = False) -> None:
        super().__init__()
        self.pipe = pipe
        self.terminal = terminal

    async def read(self, size: int) -> bytes:
        return await self.pipe.read(size)

    def close(self) -> None:
        self.pipe.close_reader()


class PipeWriter(Counted):
    def __init__(self, pipe: Pipe) -> None:
        super().__init__()
        self.pipe = pipe

    async def write(self, data: bytes) -> None:
        await self.pipe.write(data)

    def close(self) -> None:
        self.pipe.close_writer()


class Null(Counted):
    """/dev/null; all may share one."""

    async def read(self, size: int) -> bytes:
        return b""

    async def write(self, data: bytes) -> None:
        return


class Zero(Null):
    async def read(self, size: int) -> bytes:
        return bytes(size)


class Noise(Zero):
    def __init__(self, random: Random) -> None:
        super().__init__()
        self._random = random

    async def read(self, size: int) -> bytes:
        return self._random.randbytes(min(size, NOISE_BYTES_MAX))


NULL = Null()


class Bytes(Counted):
    """Input that is all there: a here-document."""

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self._data = data
        self._at = 0

    async def read(self, size: int) -> bytes:
        piece = self._data[self._at : self._at + size]
        self._at += len(piece)
        return piece


class Sink(Counted):
    """Output handed to a function at once, with the stream's name: a log, a terminal, `$(…)`."""

    def __init__(self, name: str, deliver: Callable[[str, bytes], None], *, terminal: bool = False) -> None:
        super().__init__()
        self.name = name
        self.deliver = deliver
        self.terminal = terminal

    async def write(self, data: bytes) -> None:
        self.deliver(self.name, data)


class OpenFile(Counted):
    """A file opened for reading or writing."""

    def __init__(
        self, filesystem: Filesystem, path: str, now: Callable[[], float], *, append: bool = False
    ) -> None:
        super().__init__()
        self._filesystem, self._path, self._now = filesystem, path, now
        self._append = append
        self._at = 0

    async def read(self, size: int) -> bytes:
        data = self._filesystem.read(self._path)[self._at : self._at + size]
        self._at += len(data)
        return data

    async def write(self, data: bytes) -> None:
        if self._append:
            self._filesystem.write(self._path, data, append=True, modified=self._now())
            return
        old = self._filesystem.read(self._path) if self._at else b""
        content = old[: self._at].ljust(self._at, b"\0") + data + old[self._at + len(data) :]
        self._filesystem.write(self._path, content, modified=self._now())
        self._at += len(data)


async def read_all(stream: Stream, limit: int) -> bytes:
    """Everything up to the end, at most `limit` bytes."""
    data = bytearray()
    while len(data) < limit:
        piece = await stream.read(min(65536, limit - len(data)))
        if not piece:
            break
        data += piece
    return bytes(data)
