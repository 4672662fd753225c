"""Redirections: opened left to right, in force for one command, each stream held as long as it is."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from services.runtime.filesystem import FILE, normal
from services.runtime.opening import open_file
from services.runtime.shell.dialect import Dialect
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
            await shell.complain(_words(shell.dialect, redirect, target, error))
            for stream in opened.values():
                if stream is not None:
                    stream.release()
            return None
    return opened


def _words(dialect: Dialect, redirect: Redirect, target: str, error: OSError) -> str:
    words = os.strerror(error.errno or 0)
    if dialect is Dialect.BASH:
        words = "cannot overwrite existing file" if error.errno == errno.EEXIST else words
        return f"{target}: {words}"
    if error.errno == errno.EBADF:
        return f"{target}: Bad file descriptor"
    reading = redirect.operator.startswith("<")
    if error.errno == errno.ENOENT:
        dash = "No such file" if reading else "Directory nonexistent"
        words = dash if dialect is Dialect.DASH else "no such file" if reading else "nonexistent directory"
    if dialect is Dialect.ASH:
        return f"can't {'open' if reading else 'create'} {target}: {words}"
    return f"cannot {'open' if reading else 'create'} {target}: {words}"


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
        elif target.isascii() and target.isdigit():
            number = int(target[:9])
            made = opened[number] if number in opened else shell.process.streams.get(number)
            if made is None:
                raise OSError(errno.EBADF, "Bad file descriptor")
            made.retain()
        else:
            made = open_file(shell.process, target, ">")
    else:
        path = normal(target, shell.process.cwd)
        if operator == ">" and shell.noclobber and _is_file(shell, path):
            raise OSError(errno.EEXIST, "File exists")
        made = open_file(shell.process, target, operator)
    _put(opened, fd, made)


def _is_file(shell: Shell, path: str) -> bool:
    return shell.filesystem.exists(path) and shell.filesystem.lookup(path).kind == FILE


def _put(opened: Opened, fd: int, stream: Stream | None) -> None:
    old = opened.get(fd)
    opened[fd] = stream
    if old is not None:
        old.release()
