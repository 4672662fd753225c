"""The shell inside containers: `sh`, `ash`, `bash`, `dash`, whatever they are called there.

Close to dash, since that is what `sh` mostly is; bash's words are understood where scripts use them.
"""

from __future__ import annotations

from collections.abc import Sequence

from services.runtime.filesystem import normal
from services.runtime.processes import Process
from services.runtime.shell.builtins.values import change_option, switch
from services.runtime.shell.dialect import Dialect
from services.runtime.shell.interactive import converse
from services.runtime.shell.interpreter import Shell
from services.runtime.shell.piped import run_piped
from services.runtime.shell.state import OPTIONS

_LONG = ("--login", "--norc", "--noprofile", "--posix", "--noediting")
_BASH_ONLY = "lBEHTkptP"


async def shell_program(process: Process) -> int:
    """sh [-eux] [-o option] [-c command [name [argument…]]] [-s] [file [argument…]]."""
    words = list(process.argv[1:])
    called = process.argv[0].rpartition("/")[2] or "sh"
    shell = Shell(process, called.lstrip("-") if called.startswith("-") else process.argv[0], ())
    flags = ""
    while words and words[0][:1] in ("-", "+") and len(words[0]) > 1:
        option = words.pop(0)
        if option == "--":
            break
        if option in _LONG and shell.dialect is Dialect.BASH:
            continue
        for letter in option[1:]:
            if letter == "o" and words:
                await change_option(shell, words.pop(0), on=option[0] == "-")
            elif letter in OPTIONS and letter not in "is ":
                switch(shell, OPTIONS[letter], on=option[0] == "-")
            elif letter in "cisl" or (letter in _BASH_ONLY and shell.dialect is Dialect.BASH):
                flags += letter
            else:
                await process.complain(_illegal(shell, letter))
                return 2
    if "c" in flags:
        return await _command(process, shell, words)
    if words and "s" not in flags:
        return await _file(process, shell, words)
    shell.arguments = words
    if "s" not in flags and (process.stdin.terminal or "i" in flags):
        return await converse(shell)
    return await run_piped(shell)


def _illegal(shell: Shell, letter: str) -> str:
    if shell.dialect is Dialect.DASH:
        return f"{shell.name}: 0: Illegal option -{letter}"
    if shell.dialect is Dialect.ASH:
        return f"{shell.name}: illegal option -{letter}"
    return f"{shell.name}: -{letter}: invalid option"


async def _command(process: Process, shell: Shell, words: list[str]) -> int:
    if not words:
        head = f"{shell.name}: 0: " if shell.dialect is Dialect.DASH else f"{shell.name}: "
        bash = shell.dialect is Dialect.BASH
        await process.complain(f"{head}-c{': option' if bash else ''} requires an argument")
        return 2
    source, *rest = words
    if rest:
        shell.name, *shell.arguments = rest
    return await shell.run(source)


async def _file(process: Process, shell: Shell, words: Sequence[str]) -> int:
    path = normal(words[0], process.cwd)
    try:
        if process.container.filesystem.is_directory(path):
            raise IsADirectoryError
        source = process.container.filesystem.read(path).decode("utf-8", "surrogateescape")
    except OSError:
        missing = {
            Dialect.DASH: f"{shell.name}: 0: cannot open {words[0]}: No such file",
            Dialect.ASH: f"{shell.name}: can't open '{words[0]}': No such file or directory",
            Dialect.BASH: f"{shell.name}: {words[0]}: No such file or directory",
        }[shell.dialect]
        await process.complain(missing)
        return 127 if shell.dialect is Dialect.BASH else 2
    shell.name, shell.arguments, shell.in_file = words[0], list(words[1:]), True
    return await shell.run(source)


__all__ = ["shell_program"]


PROGRAMS = dict.fromkeys(("sh", "ash", "bash", "dash"), shell_program)
