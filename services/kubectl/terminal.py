"""The terminal of the person at it: raw while a container's shell has it, its size, its keystrokes."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import termios
import tty
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import BinaryIO

CHUNK_BYTES = 4096


def is_terminal(stream: BinaryIO) -> bool:
    try:
        return os.isatty(stream.fileno())
    except (OSError, ValueError, AttributeError):
        return False


@contextmanager
def raw(stream: BinaryIO) -> Iterator[None]:
    """Keys arrive one by one and unechoed; as before, whatever happens, afterwards."""
    before = termios.tcgetattr(stream.fileno())
    try:
        tty.setraw(stream.fileno(), termios.TCSANOW)  # keeps what was typed ahead
        yield
    finally:
        termios.tcsetattr(stream.fileno(), termios.TCSADRAIN, before)


def size() -> tuple[int, int]:
    try:
        columns, rows = os.get_terminal_size(sys.stdout.fileno())
    except (OSError, ValueError):
        return 80, 24
    return columns, rows


@contextmanager
def on_resize(act: asyncio.Event) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGWINCH, act.set)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGWINCH)


async def read(stream: BinaryIO) -> AsyncIterator[bytes]:
    """What is typed or piped in, until it ends. Cancelling it leaves nothing waiting for a key."""
    loop = asyncio.get_running_loop()
    try:
        descriptor = stream.fileno()
    except (OSError, ValueError):
        data = stream.read()
        if data:
            yield data
        return
    ready = asyncio.Event()
    try:
        loop.add_reader(descriptor, ready.set)
    except (OSError, PermissionError):  # A plain file cannot be watched; it is always ready.
        while data := stream.read(CHUNK_BYTES):
            yield data
        return
    try:
        while True:
            ready.clear()
            await ready.wait()
            data = os.read(descriptor, CHUNK_BYTES)
            if not data:
                return
            yield data
    finally:
        loop.remove_reader(descriptor)
