"""The shell inside containers: `sh`, `ash`, `bash`, `dash`, whatever they are called there.

Close to dash, since that is what `sh` mostly is; bash's words are understood where scripts use them.
"""

from __future__ import annotations

from collections.abc import Sequence

from services.runtime.filesystem import normal
from services.runtime.processes import Process
from services.runtime.shell.interactive import converse
from services.runtime.shell.interpreter import Shell
from services.runtime.streams import read_all

SCRIPT_BYTES_MAX = 1024 * 1024


async def shell_program(process: Process) -> int:
    """sh [-eux] [-c command [name [argument…]]] [file [argument…]]."""
    words = list(process.argv[1:])
    shell = Shell(process, process.argv[0].rpartition("/")[2], ())
    command = interactive = False
    while words and words[0][:1] in ("-", "+") and len(words[0]) > 1:
        option = words.pop(0)
        if option == "--":
            break
        if option in ("--login", "-l", "--norc", "--noprofile", "--posix"):
            continue
        if option in ("-o", "+o") and words:
            apply_options(shell, {"errexit": "-e", "nounset": "-u", "xtrace": "-x"}.get(words.pop(0), ""))
            continue
        command = command or "c" in option
        interactive = interactive or "i" in option
        apply_options(shell, option)
        if option.endswith("o") and words:
            apply_options(shell, {"errexit": "-e", "nounset": "-u", "xtrace": "-x"}.get(words.pop(0), ""))
    if command:
        if not words:
            await process.complain(f"{shell.name}: 0: -c requires an argument")
            return 2
        source, *rest = words
        if rest:
            shell.name, *shell.arguments = rest
        return await shell.run(source)
    if words:
        return await _file(process, shell, words)
    if process.stdin.terminal or interactive:
        return await converse(shell)
    data = await read_all(process.stdin, SCRIPT_BYTES_MAX)
    return await shell.run(data.decode("utf-8", "surrogateescape"))


def apply_options(shell: Shell, word: str) -> None:
    on = word[:1] == "-"
    shell.errexit = on if "e" in word else shell.errexit
    shell.nounset = on if "u" in word else shell.nounset
    shell.xtrace = on if "x" in word else shell.xtrace


async def _file(process: Process, shell: Shell, words: Sequence[str]) -> int:
    path = normal(words[0], process.cwd)
    try:
        source = process.container.filesystem.read(path).decode("utf-8", "surrogateescape")
    except OSError:
        await process.complain(f"{shell.name}: 0: cannot open {words[0]}: No such file")
        return 2
    shell.name, shell.arguments = words[0], list(words[1:])
    return await shell.run(source)


__all__ = ["shell_program"]
