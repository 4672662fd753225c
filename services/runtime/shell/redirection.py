"""Redirections: opened left to right, in force for one command, each stream held as long as it is."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from services.runtime.opening import open_file
from services.runtime.shell.syntax import Redirect
from services.runtime.streams import Bytes, Stream

if TYPE_CHECKING:
    from services.runtime.shell.interpreter import Shell

Opened = dict[int, Stream | None]  # None: closed


class Redirection:
    """Changes the process's streams for the body; the value tells whether all could be opened."""

    def __init__(self, shell: Shell, redirects: tuple[Redirect, ...]) -> None:
        self._shell, self._redirects = shell, redirects
        self._saved: Opened = {}
        self._opened: Opened = {}

    async def __aenter__(self) -> bool:
        if not self._redirects:
            return True
        opened = await open_all(self._shell, self._redirects)
        if opened is None:
            return False
        self._opened = opened
        streams = self._shell.process.streams
        for fd, stream in opened.items():
            self._saved[fd] = streams.pop(fd, None)
            if stream is not None:
                streams[fd] = stream
        return True

    async def __aexit__(self, *_: object) -> None:
        streams = self._shell.process.streams
        for fd, old in self._saved.items():
            if streams.get(fd) is self._opened[fd]:
                streams.pop(fd, None)
            if old is not None:
                streams[fd] = old
            stream = self._opened[fd]
            if stream is not None:
                stream.release()


async def open_all(shell: Shell, redirects: tuple[Redirect, ...]) -> Opened | None:
    """The streams that these redirections make, each held once; None when one failed, told."""
    opened: Opened = {}
    for redirect in redirects:
        target = await shell.word(redirect.target)
        try:
            _open_one(shell, redirect, target, opened)
        except OSError as error:
            verb = "open" if redirect.operator.startswith("<") else "create"
            words = os.strerror(error.errno or 0)
            if error.errno == errno.ENOENT:
                words = "No such file" if verb == "open" else "Directory nonexistent"
            if error.errno == errno.EBADF:
                await shell.complain(f"{target}: Bad file descriptor")
            else:
                await shell.complain(f"cannot {verb} {target}: {words}")
            for stream in opened.values():
                if stream is not None:
                    stream.release()
            return None
    return opened


def _open_one(shell: Shell, redirect: Redirect, target: str, opened: Opened) -> None:
    operator, fd = redirect.operator, redirect.fd
    if operator in ("&>", "&>>"):
        stream = open_file(shell.process, target, ">>" if operator == "&>>" else ">")
        stream.retain()
        _put(opened, 1, stream)
        _put(opened, 2, stream)
        return
    made: Stream | None
    if operator == "<<":
        made = Bytes(target.encode("utf-8", "surrogateescape"))
    elif operator in (">&", "<&"):
        if target == "-":
            made = None
        elif target.isdigit():
            number = int(target)
            made = opened[number] if number in opened else shell.process.streams.get(number)
            if made is None:
                raise OSError(errno.EBADF, "Bad file descriptor")
            made.retain()
        else:
            made = open_file(shell.process, target, ">")
    else:
        made = open_file(shell.process, target, operator)
    _put(opened, fd, made)


def _put(opened: Opened, fd: int, stream: Stream | None) -> None:
    old = opened.get(fd)
    opened[fd] = stream
    if old is not None:
        old.release()
