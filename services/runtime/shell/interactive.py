"""A shell that somebody talks to: prompt, line, answer.

The line is edited at the terminal (line_editing.py); here it is read, run and answered. Lines that are not
yet a whole command continue with `> `. Ctrl-C drops what is typed or ends what runs.
"""

from __future__ import annotations

from services.runtime.filesystem import normal
from services.runtime.line_editing import HISTORY_MAX
from services.runtime.model import SIGINT, SIGTERM, SIGWINCH
from services.runtime.processes import Exit
from services.runtime.shell import builtins
from services.runtime.shell.dialect import Dialect
from services.runtime.shell.interpreter import Shell
from services.runtime.shell.piped import parse_lines
from services.runtime.shell.state import Break, Return, ShellFault
from services.runtime.shell.syntax import ScriptError
from services.runtime.streams import Sink
from services.runtime.terminal import Terminal

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
            shell.disturb()

    shell.process.handlers[SIGINT] = interrupted
    if shell.dialect is Dialect.BASH:
        shell.process.handlers[SIGWINCH] = lambda _: _measure(shell)
        _measure(shell)
    shell.process.handlers[SIGTERM] = None
    try:
        while True:
            prompt = _prompt(shell, more=bool(source))
            await shell.process.streams[2].write(prompt)
            waiting = True
            stream = shell.process.stdin
            if isinstance(stream, Terminal):
                stream.edit(prompt, shell.history, lambda before: candidates(shell, before))
            line = await _line(shell)
            waiting = False
            if line is None:
                if isinstance(stream, Terminal) and shell.dialect is Dialect.BASH:
                    await shell.process.streams[2].write(b"exit\n")
                return await shell.leave()
            if line.strip() and (not shell.history or shell.history[-1] != line):
                shell.history = [*shell.history[-HISTORY_MAX:], line]
            source = source + "\n" + line if source else line
            if _incomplete(source, shell.dialect):
                continue
            whole, source = source, ""
            await _evaluate(shell, whole)
    except Exit as leaving:
        shell.status = leaving.status
        return await shell.leave()


def _measure(shell: Shell) -> None:
    """bash keeps the size of its window in variables."""
    stream = shell.process.stdin
    if isinstance(stream, Terminal):
        shell.set("COLUMNS", str(stream.columns))
        shell.set("LINES", str(stream.rows))


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
        return bool(parse_lines(source, dialect).rest)
    except ScriptError:
        return False


def candidates(shell: Shell, before: str) -> tuple[int, list[str]]:
    """What the word before the cursor may become: commands in the first place, names of files elsewhere."""
    start = max(before.rfind(sign) for sign in " \t;|&(<>") + 1
    word = before[start:]
    head = before[:start].rstrip()
    if "/" not in word and (not head or head[-1] in ";|&("):
        return start, sorted(name for name in _commands(shell) if name.startswith(word))
    folder, slash, name = word.rpartition("/")
    path = normal(folder + slash or ".", shell.process.cwd)
    try:
        names = shell.filesystem.listing(path)
    except OSError:
        return start, []
    found = [one for one in names if one.startswith(name) and (name or not one.startswith("."))]
    return start, [
        f"{folder}{slash}{one}{'/' if shell.filesystem.is_directory(f'{path}/{one}') else ''}"
        for one in found
    ]


def _commands(shell: Shell) -> set[str]:
    found = {*builtins.names(shell.dialect), *shell.functions, *shell.aliases}
    for folder in (shell.get("PATH") or "").split(":"):
        try:
            found.update(shell.filesystem.listing(folder or "/"))
        except OSError:
            continue
    return found


def _prompt(shell: Shell, *, more: bool) -> bytes:
    if more:
        return b"> "
    sign = "#" if shell.process.uid == 0 else "$"
    custom = shell.get("PS1")
    if custom is not None and "\\" not in custom:
        return custom.encode("utf-8", "surrogateescape")
    if shell.dialect is Dialect.BASH:
        user = "root" if shell.process.uid == 0 else "I have no name!"
        return f"{user}@{shell.process.container.hostname}:{_short(shell)}{sign} ".encode()
    if shell.is_dash:
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
