"""A shell that somebody talks to: prompt, line, answer.

The terminal echoes and edits (terminal.py); here a line is read, run and answered. Lines that are not
yet a whole command continue with `> `. Ctrl-C drops what is typed or ends what runs.
"""

from __future__ import annotations

from services.runtime.model import SIGINT, SIGTERM
from services.runtime.processes import Exit
from services.runtime.shell.dialect import Dialect
from services.runtime.shell.interpreter import Shell
from services.runtime.shell.parser import parse
from services.runtime.shell.state import Break, Return, ShellFault
from services.runtime.shell.syntax import ScriptError
from services.runtime.streams import Sink

LINE_BYTES_MAX = 65536


async def converse(shell: Shell) -> int:
    shell.interactive = True
    waiting = False
    source = ""

    def interrupted(_: int) -> None:
        nonlocal source
        source, shell.status = "", 130
        if waiting:
            stream = shell.process.streams.get(2)
            if isinstance(stream, Sink):
                stream.deliver(stream.name, _prompt(shell, more=False))
        else:
            shell.interrupted = True

    shell.process.handlers[SIGINT] = interrupted
    shell.process.handlers[SIGTERM] = None
    try:
        while True:
            await shell.process.streams[2].write(_prompt(shell, more=bool(source)))
            waiting = True
            line = await _line(shell)
            waiting = False
            if line is None:
                return await shell.leave()
            source = source + "\n" + line if source else line
            if _incomplete(source, shell.dialect):
                continue
            whole, source = source, ""
            await _evaluate(shell, whole)
    except Exit as leaving:
        shell.status = leaving.status
        return await shell.leave()


async def _evaluate(shell: Shell, source: str) -> None:
    try:
        await shell.evaluate(source)
    except ShellFault as fault:
        if not shell.interrupted:
            await shell.complain(str(fault))
        shell.status = fault.status
    except Return as back:
        shell.status = back.status
    except Break:
        pass
    finally:
        shell.interrupted = False


def _incomplete(source: str, dialect: Dialect) -> bool:
    try:
        parse(source, dialect)
    except ScriptError as error:
        return error.incomplete
    return False


def _prompt(shell: Shell, *, more: bool) -> bytes:
    if more:
        return b"> "
    sign = "#" if shell.process.uid == 0 else "$"
    if shell.name == "bash":
        user = "root" if shell.process.uid == 0 else "I have no name!"
        return f"{user}@{shell.process.container.hostname}:{_short(shell)}{sign} ".encode()
    if shell.filesystem.exists("/etc/debian_version") or shell.filesystem.exists("/usr/bin/dash"):
        return f"{sign} ".encode()
    return f"{shell.cwd} {sign} ".encode()


def _short(shell: Shell) -> str:
    home = shell.get("HOME") or ""
    return "~" + shell.cwd[len(home) :] if home and shell.cwd.startswith(home) else shell.cwd


async def _line(shell: Shell) -> str | None:
    """One line without its end; None at the end of the input."""
    line = bytearray()
    while True:
        data = await shell.process.stdin.read(1)
        if not data and not line:
            return None
        if not data or data == b"\n" or len(line) >= LINE_BYTES_MAX:
            return line.decode("utf-8", "surrogateescape")
        line += data
