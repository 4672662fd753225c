"""`orrery ssh NODE`: this terminal joined to a shell on an emulated node.

As ssh(1): without a command a login shell with a terminal, with one the command alone, whose exit code
becomes ours. Broken connections exit with 255.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from contextlib import ExitStack
from typing import Any, BinaryIO

from services.api.errors import ApiError
from services.kubectl import terminal
from services.launcher.home import Home
from services.launcher.machine_client import ShellStream, machine

BROKEN = 255  # ssh's own


def run(home: Home, flags: argparse.Namespace) -> int:
    words = flags.words[1:] if flags.words[:1] == ["--"] else flags.words
    tty = terminal.is_terminal(sys.stdin.buffer) and (not words or flags.t)
    try:
        return asyncio.run(_converse(home, flags.name, words, tty=tty))
    except* ApiError as group:
        print(f"orrery: {_first(group)}", file=sys.stderr)
    return BROKEN


def _first(group: BaseExceptionGroup[ApiError]) -> BaseException:
    first = group.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first


async def _converse(home: Home, name: str, words: list[str], *, tty: bool) -> int:
    code = BROKEN
    async with machine(home, name) as calls:
        stream = calls.shell()
        await stream.start(words, stdin=True, tty=tty)
        with ExitStack() as stack:
            resized = asyncio.Event()
            if tty:
                stack.enter_context(terminal.raw(sys.stdin.buffer))
                stack.enter_context(terminal.on_resize(resized))
            async with asyncio.TaskGroup() as group:
                helpers = [group.create_task(_send(sys.stdin.buffer, stream))]
                if tty:
                    helpers.append(group.create_task(_follow_size(stream, resized)))
                async for kind, data in stream.output():
                    if kind == "exit":
                        code = data
                    else:
                        _write(kind, data)
                for helper in helpers:
                    helper.cancel()
    return code


def _write(kind: str, data: Any) -> None:
    target = (sys.stdout if kind == "stdout" else sys.stderr).buffer
    target.write(data)
    target.flush()


async def _send(stdin: BinaryIO, stream: ShellStream) -> None:
    async for data in terminal.read(stdin):
        await stream.send(data)
    await stream.close_stdin()


async def _follow_size(stream: ShellStream, resized: asyncio.Event) -> None:
    while True:
        await stream.resize(*terminal.size())
        await resized.wait()
        resized.clear()
