"""What crictl and docker have in common: finding, running in, reading the log of, and removing containers.

Refusals of the runtime become one line on stderr, in the words of whichever tool was asked.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from pathlib import Path
from typing import TypeVar

from services.node.shell.host import Host
from services.runtime.container import Container
from services.runtime.model import ContainerState, RuntimeFault
from services.runtime.processes import Exit, Process

T = TypeVar("T")

LOG_BYTES_MAX = 16 * 1024 * 1024


class Options:
    """A tool's command line: flags with and without values, in any order; the rest are `words`."""

    def __init__(self, words: Sequence[str], valued: Sequence[str], *, until_word: bool = False) -> None:
        self.values: dict[str, list[str]] = {}
        self.words: list[str] = []
        pending = list(words)
        while pending:
            word = pending.pop(0)
            if not word.startswith("-") or word == "-":
                self.words.append(word)
                if until_word:
                    self.words += pending
                    return
                continue
            if word == "--":
                self.words += pending
                return
            name, equals, value = word.lstrip("-").partition("=")
            if name in valued:
                self.values.setdefault(name, []).append(
                    value if equals else pending.pop(0) if pending else ""
                )
            else:
                for letter in [name] if word.startswith("--") else name:
                    self.values.setdefault(letter, []).append(value)

    def has(self, *names: str) -> bool:
        return any(name in self.values for name in names)

    def get(self, *names: str) -> str:
        return next((self.values[name][-1] for name in names if name in self.values), "")

    def all(self, *names: str) -> list[str]:
        return [value for name in names for value in self.values.get(name, [])]


def newest_first(host: Host) -> list[Container]:
    return sorted(host.runtime.containers.values(), key=lambda one: one.created_at, reverse=True)


async def run_in(process: Process, container: Container, argv: Sequence[str], *, tty: bool) -> int:
    """The command in the container, on this process' own streams. RuntimeFault when it cannot start."""
    child = container.exec(argv, process.streams, tty=tty)
    try:
        return await child.exit
    except BaseException:
        child.signal(9)
        raise


async def outside(process: Process, awaitable: Awaitable[T]) -> T:
    return await process.container.kernel.outside(awaitable)


def log_lines(container: Container, *, tail: str, stamps: bool) -> bytes:
    """The container's log as it was written; with `stamps` the time before each line."""
    path = container.log.path
    if path is None:
        return b""
    data = b"".join(_content(file) for file in (path.with_name(path.name + ".1"), path))
    lines = data[-LOG_BYTES_MAX:].splitlines()
    if tail.isdigit():
        lines = lines[len(lines) - int(tail) :] if int(tail) < len(lines) else lines
    shown = bytearray()
    for line in lines:
        moment, _, rest = line.partition(b" ")
        _, _, rest = rest.partition(b" ")
        tag, _, text = rest.partition(b" ")
        shown += (moment + b" " if stamps else b"") + text + (b"" if tag == b"P" else b"\n")
    return bytes(shown)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


async def follow_log(process: Process, container: Container, *, tail: str, stamps: bool) -> None:
    """The log, and what comes until the container ends. Polls twice a second, while somebody looks."""
    seen = 0
    first = True
    while True:
        over = container.state is not ContainerState.RUNNING
        data = log_lines(container, tail="", stamps=stamps)
        if first and tail.isdigit():
            seen = len(data) - len(log_lines(container, tail=tail, stamps=stamps))
        first = False
        if len(data) > seen:
            await process.write(data[seen:])
        seen = len(data)
        if over:
            return
        await process.sleep(0.5)


async def forced_removal(host: Host, container: Container) -> None:
    """Behind Kubernetes' back: the kubelet will see that it is gone."""
    await host.runtime.remove_container(container.id)


def is_running(container: Container) -> bool:
    return container.state is ContainerState.RUNNING


async def refuse(process: Process, text: str, status: int = 1) -> None:
    await process.complain(text)
    raise Exit(status)


def words_of(fault: RuntimeFault) -> str:
    code = {"NOT_FOUND": "NotFound", "UNKNOWN": "Unknown", "INVALID_ARGUMENT": "InvalidArgument"}
    return f"rpc error: code = {code.get(fault.code, fault.code.title())} desc = {fault}"
