"""Tells when something in a folder changes: inotify(7) on Linux, elsewhere nobody does.

A folder that is not there yet is asked for by its parent; whoever uses this looks at the folder from time to
time anyway, so that a lost event costs time and never truth.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_IN_CLOSE_WRITE, _IN_MOVED_FROM, _IN_MOVED_TO, _IN_DELETE = 0x8, 0x40, 0x80, 0x200
_EVENTS = _IN_CLOSE_WRITE | _IN_MOVED_FROM | _IN_MOVED_TO | _IN_DELETE
_NONBLOCK_CLOEXEC = os.O_NONBLOCK | os.O_CLOEXEC
READ_BYTES = 64 * 1024


@contextmanager
def watching(folder: Path, changed: Callable[[], None]) -> Iterator[bool]:
    """Calls `changed` on the event loop while the block runs. Yields False where nobody can tell."""
    descriptor = _open(folder)
    if descriptor < 0:
        yield False
        return
    loop = asyncio.get_running_loop()

    def readable() -> None:
        try:
            os.read(descriptor, READ_BYTES)
        except BlockingIOError:
            return
        changed()

    loop.add_reader(descriptor, readable)
    try:
        yield True
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


def _open(folder: Path) -> int:
    if sys.platform != "linux":
        return -1
    library = ctypes.CDLL(None, use_errno=True)
    descriptor = int(library.inotify_init1(_NONBLOCK_CLOEXEC))
    if descriptor < 0:
        return -1
    if library.inotify_add_watch(descriptor, os.fsencode(folder), _EVENTS) < 0:
        os.close(descriptor)
        return -1
    return descriptor
