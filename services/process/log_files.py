"""Reading a container's log file while somebody writes and rotates it.

Reading begins `tail` lines before the end, which is looked for from the end, so that a log of a gigabyte
costs what is shown of it. A rotation renames the file: what is left of it is read first, then the new
one from its start; a file that shrank is read anew. Only whole lines are handed out. A file
that is not there yet has nothing to say. Upstream: `pkg/kubelet/kuberuntime/logs`.
"""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType

PIECE_BYTES = 256 * 1024  # many times the longest line of CRI's format
_BLOCK_BYTES = 64 * 1024


class LogCursor:
    """A place in one log. Holds its file open, so it is used in a `with` block."""

    def __init__(self, path: Path, tail_lines: int | None = None) -> None:
        self._path, self._tail = path, tail_lines
        self._file = -1
        self._at = 0

    def __enter__(self) -> LogCursor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._close()

    def read(self) -> bytes:
        """The next whole lines, at most PIECE_BYTES of them; empty when there are none now."""
        while self._file >= 0 or self._open():
            data = os.pread(self._file, PIECE_BYTES, self._at)
            whole = data[: data.rfind(b"\n") + 1] or (data if len(data) == PIECE_BYTES else b"")
            if whole:
                self._at += len(whole)
                return whole
            if not self._moved():
                return b""
        return b""

    def _open(self) -> bool:
        try:
            self._file = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        self._at = 0 if self._tail is None else tail_offset(self._file, self._tail)
        self._tail = None
        return True

    def _moved(self) -> bool:
        """Whether there may be more elsewhere: another file of that name, or the same begun anew."""
        own = os.fstat(self._file)
        try:
            current = os.stat(self._path)
        except FileNotFoundError:
            return False  # between the renaming and the first line after it
        if (own.st_dev, own.st_ino) != (current.st_dev, current.st_ino):
            self._close()
            return True
        if own.st_size < self._at:
            self._at = 0
            return True
        return False

    def _close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def tail_offset(file: int, lines: int) -> int:
    """Where the last `lines` lines of an open file begin. What has no end yet is not counted."""
    end = os.fstat(file).st_size
    wanted, at = lines + 1, end  # the end of the line before the first of them
    while at > 0:
        start = max(0, at - _BLOCK_BYTES)
        block = os.pread(file, at - start, start)
        found = block.count(b"\n")
        if found < wanted:
            wanted -= found
            at = start
            continue
        place = len(block)
        for _ in range(wanted):
            place = block.rfind(b"\n", 0, place)
        return start + place + 1
    return 0
