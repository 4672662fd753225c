"""A shell that somebody talks to: prompt, line, answer.

Behind a terminal it is also the terminal: it echoes what is typed, edits with backspace, Ctrl-U and
Ctrl-W, ends at Ctrl-D, drops the line at Ctrl-C. Lines that are not yet a whole command continue
with `> `.
"""

from __future__ import annotations

from services.runtime.processes import Exit
from services.runtime.shell.interpreter import Shell
from services.runtime.shell.parser import parse
from services.runtime.shell.state import Break, Return, ShellFault
from services.runtime.shell.syntax import ScriptError

LINE_CHARACTERS_MAX = 4096


async def converse(shell: Shell) -> int:
    shell.interactive = True
    source = ""
    try:
        while True:
            await shell.process.streams[2].write(_prompt(shell, more=bool(source)))
            line = await _line(shell)
            if line is None:
                return await shell.leave()
            if line == "\x03":
                source, shell.status = "", 130
                continue
            source = source + "\n" + line if source else line
            if _incomplete(source):
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
        await shell.complain(str(fault))
        shell.status = fault.status
    except Return as back:
        shell.status = back.status
    except Break:
        pass


def _incomplete(source: str) -> bool:
    try:
        parse(source)
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
    stdin, out = shell.process.stdin, shell.process.streams[1]
    echo = stdin.terminal
    typed = ""
    while True:
        data = await stdin.read(1)
        if not data:
            return typed or None
        sign = data.decode("latin-1")
        if sign in "\r\n":
            if echo:
                await out.write(b"\r\n")
            return typed.encode("latin-1").decode("utf-8", "surrogateescape")
        if not echo:
            typed += sign
        elif sign == "\x04":
            if not typed:
                return None
        elif sign == "\x03":
            await out.write(b"^C\r\n")
            return "\x03"
        elif sign in "\x7f\b":
            if typed:
                typed = typed[:-1]
                await out.write(b"\b \b")
        elif sign in "\x15\x17":
            kept = "" if sign == "\x15" else typed.rstrip().rpartition(" ")[0]
            await out.write(b"\b \b" * (len(typed) - len(kept)))
            typed = kept
        elif sign >= " " and len(typed) < LINE_CHARACTERS_MAX:
            typed += sign
            await out.write(data)
