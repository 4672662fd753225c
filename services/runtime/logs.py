"""Container logs: files in the CRI's format, bounded, and those who follow them.

    2026-01-01T00:00:00.000000000Z stdout F You've hit kubia-x7k2p

A file exists from the first line on and is opened only to append, so that thousands of silent
containers cost nothing. The kubelet rotates files, at ten megabytes; one that grows faster than it
looks is renamed to `NAME.1` here, replacing the one before. Long lines are cut into pieces marked `P`.
Followers are told of each append; they read the file themselves.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

LINE_BYTES_MAX = 16 * 1024
UNKNOWN, REOPENED = -1, -2  # in place of a size: nothing was written yet; the file is another one now
FILE_BYTES_MAX = 16 * 1024 * 1024


def stamp(nanoseconds: int) -> str:
    """RFC 3339 with nine digits."""
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"


class ContainerLog:
    __slots__ = ("_now", "_partial", "_size", "followers", "lost_bytes", "path")

    def __init__(self, path: Path | None, now: Callable[[], int]) -> None:
        self.path = path
        self._now = now
        self._partial: dict[str, bytes] = {}
        self._size = UNKNOWN
        self.lost_bytes = 0
        self.followers: set[Callable[[], None]] = set()

    def write(self, stream: str, data: bytes) -> None:
        """Appends output; a line without its end waits for the rest of it."""
        if self.path is None:
            return
        data = self._partial.pop(stream, b"") + data
        *lines, rest = data.split(b"\n")
        moment = stamp(self._now())
        prefix = f"{moment} {stream} ".encode()
        out = bytearray()
        for line in lines:
            line = line.removesuffix(b"\r")  # as containerd: what a terminal adds
            while len(line) > LINE_BYTES_MAX:
                out += prefix + b"P " + line[:LINE_BYTES_MAX] + b"\n"
                line = line[LINE_BYTES_MAX:]
            out += prefix + b"F " + line + b"\n"
        while len(rest) > LINE_BYTES_MAX:
            out += prefix + b"P " + rest[:LINE_BYTES_MAX] + b"\n"
            rest = rest[LINE_BYTES_MAX:]
        if rest:
            self._partial[stream] = rest
        if out:
            self._append(bytes(out))

    def flush(self) -> None:
        """What is left of unfinished lines, at the end of the container."""
        for stream, rest in list(self._partial.items()):
            self._append(f"{stamp(self._now())} {stream} P ".encode() + rest + b"\n")
        self._partial.clear()

    def reopen(self) -> None:
        self._size = REOPENED

    def close(self) -> None:
        self.flush()
        for follower in list(self.followers):
            follower()

    def delete(self) -> None:
        """With the container go its files, and the folders that they leave empty."""
        if self.path is None or self._size == UNKNOWN:
            return
        for file in (self.path, f"{self.path}.1"):
            with suppress(OSError):
                os.unlink(file)
        try:
            os.rmdir(self.path.parent)
        except OSError:
            self._delete_rotated()
        for folder in (self.path.parent, self.path.parent.parent):
            with suppress(OSError):
                os.rmdir(folder)

    def _delete_rotated(self) -> None:
        """What the kubelet has put aside. A folder of other logs is left as it is."""
        assert self.path is not None
        with suppress(OSError):
            for entry in [*os.scandir(self.path.parent)]:
                if entry.name.startswith(f"{self.path.name}."):
                    os.unlink(entry)

    def _append(self, data: bytes) -> None:
        assert self.path is not None
        try:
            if self._size + len(data) > FILE_BYTES_MAX:
                os.replace(self.path, f"{self.path}.1")
                self._size = 0
            descriptor = self._open()
            try:
                if self._size < 0:
                    self._size = os.fstat(descriptor).st_size
                self._size += os.write(descriptor, data)
            finally:
                os.close(descriptor)
        except OSError:  # a full disk of the real machine costs log lines, not containers
            self.lost_bytes += len(data)
            self._size = UNKNOWN
            return
        for follower in list(self.followers):
            follower()

    def _open(self) -> int:
        assert self.path is not None
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        if self._size >= 0:
            with suppress(FileNotFoundError):
                return os.open(self.path, flags, 0o640)
        # The first line of many containers is the only one: no folder is asked for twice.
        folder = self.path.parent
        try:
            for missing in (folder.parent, folder):
                with suppress(FileExistsError):
                    os.mkdir(missing)
        except FileNotFoundError:
            folder.mkdir(parents=True, exist_ok=True)
        return os.open(self.path, flags, 0o640)
