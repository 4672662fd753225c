"""Builtins about what is around the shell: folders, programs, jobs, limits, aliases."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

from services.runtime import launch
from services.runtime.filesystem import normal
from services.runtime.programs.signals import KILL_WORDS, kill_processes
from services.runtime.shell.dialect import Dialect
from services.runtime.shell.parser import RESERVED

if TYPE_CHECKING:
    from services.runtime.shell.interpreter import Shell

Builtin = Callable[["Shell", Sequence[str]], Awaitable[int]]
# The table of all builtins; the package sets it once it is made.
find_builtin: Callable[[Dialect, str], Builtin | None] = lambda _, __: None  # noqa: E731
special: frozenset[str] = frozenset()
FOLDERS_MAX = 100
LIMITS = {
    "c": ("core file size (blocks)", "0"), "f": ("file size (blocks)", "unlimited"),
    "n": ("open files", "1048576"), "s": ("stack size (kb)", "8192"),
    "t": ("cpu time (seconds)", "unlimited"),
    "u": ("processes", "unlimited"), "v": ("virtual memory (kb)", "unlimited"),
}  # fmt: skip


async def pwd(shell: Shell, words: Sequence[str]) -> int:
    physical = shell.filesystem.resolve(shell.process.cwd) if "-P" in words[1:] else shell.process.cwd
    await shell.process.write(physical + "\n")
    return 0


async def cd(shell: Shell, words: Sequence[str]) -> int:
    operands = [word for word in words[1:] if word not in ("-L", "-P", "--", "-e")]
    target = operands[0] if operands else shell.get("HOME") or ""
    if not target:
        return 0
    told = target == "-"
    if told:
        target = shell.get("OLDPWD") or ""
        if not target:
            await shell.complain("OLDPWD not set", "cd")
            return 2 if shell.is_dash else 1
    path = normal(target, shell.process.cwd)
    if target[0] not in "/.":
        for folder in (shell.get("CDPATH") or "").split(":"):
            found = normal(f"{folder}/{target}", shell.process.cwd)
            if folder and shell.filesystem.is_directory(found):
                path, told = found, True
                break
    if not shell.filesystem.is_directory(path):
        await shell.complain(_no_folder(shell, path, target), "cd")
        return 1 if shell.dialect is Dialect.BASH else 2
    if "-P" in words[1:]:
        path = shell.filesystem.resolve(path)
    shell.set("OLDPWD", shell.process.cwd)
    shell.process.cwd = path
    shell.set("PWD", path)
    if told:
        await shell.process.write(path + "\n")
    return 0


def _no_folder(shell: Shell, path: str, target: str) -> str:
    if shell.is_dash:
        return f"can't cd to {target}"
    why = "Not a directory" if shell.filesystem.exists(path) else "No such file or directory"
    return f"{target}: {why}" if shell.dialect is Dialect.BASH else f"can't cd to {target}: {why}"


async def pushd(shell: Shell, words: Sequence[str]) -> int:
    if words[0] == "popd":
        if not shell.folders:
            await shell.complain("directory stack empty", "popd")
            return 1
        return await cd(shell, ["cd", shell.folders.pop()]) or await dirs(shell, words)
    before = shell.process.cwd
    target = words[1] if len(words) > 1 else (shell.folders.pop() if shell.folders else before)
    status = await cd(shell, ["cd", target])
    if status == 0 and len(shell.folders) < FOLDERS_MAX:
        shell.folders.append(before)
        await dirs(shell, words)
    return status


async def dirs(shell: Shell, words: Sequence[str]) -> int:
    await shell.process.write(" ".join([shell.process.cwd, *reversed(shell.folders)]) + "\n")
    return 0


# -- programs ---------------------------------------------------------------------------------


async def type_(shell: Shell, words: Sequence[str]) -> int:
    status = 0
    brief = words[1:2] == ["-t"] and shell.dialect is Dialect.BASH
    for word in words[1 + brief :]:
        kind, text = _what(shell, word)
        if not kind:
            status = 1 if shell.dialect is Dialect.BASH else 127
            if shell.dialect is Dialect.BASH:
                if not brief:
                    await shell.complain(f"{word}: not found", "type")
                continue
        await shell.process.write(f"{kind if brief else text}\n")
    return status


def _what(shell: Shell, word: str) -> tuple[str, str]:
    """bash's name for the kind of thing that a name is, and what `type` prints."""
    dash = shell.dialect is Dialect.DASH
    if word in shell.aliases:
        return "alias", f"{word} is an alias for {shell.aliases[word]}"
    if word in RESERVED or (word in ("[[", "function", "time", "select") and shell.dialect is Dialect.BASH):
        return "keyword", f"{word} is a shell keyword"
    if word in shell.functions:
        return "function", f"{word} is a {'shell ' if dash else ''}function"
    if find_builtin(shell.dialect, word) is not None:
        named = (
            "special shell builtin"
            if word in special and shell.dialect is not Dialect.BASH
            else "shell builtin"
        )
        return "builtin", f"{word} is a {named}"
    try:
        path = launch.search(shell.process.container, word, shell.variables, shell.process.cwd)
    except OSError:
        return "", f"{word}: not found"
    return "file", f"{word} is {path}"


async def command(shell: Shell, words: Sequence[str]) -> int:
    rest = list(words[1:])
    while rest and rest[0] in ("-p", "--"):
        rest.pop(0)
    if not rest:
        return 0
    if rest[0] == "-V":
        return await type_(shell, ["type", *rest[1:]])
    if rest[0] == "-v":
        return await _which(shell, rest[1:])
    run = find_builtin(shell.dialect, rest[0])
    if run is not None:
        return await run(shell, rest)
    await shell.external(rest, {}, (), replace=False)
    return shell.status


async def _which(shell: Shell, names: Sequence[str]) -> int:
    status = 0
    for name in names if shell.dialect is Dialect.BASH else names[:1]:
        kind, text = _what(shell, name)
        if not kind:
            status = 127 if shell.dialect is not Dialect.BASH else 1
        elif kind == "alias":
            await shell.process.write(f"alias {name}='{shell.aliases[name]}'\n")
        else:
            await shell.process.write(f"{text.partition(' is ')[2] if kind == 'file' else name}\n")
    return status


async def alias(shell: Shell, words: Sequence[str]) -> int:
    prefix = "alias " if shell.dialect is Dialect.BASH else ""
    status = 0
    for word in words[1:] or sorted(shell.aliases):
        name, equals, value = word.partition("=")
        if equals and words[1:]:
            if len(shell.aliases) < 1000:
                shell.aliases = {**shell.aliases, name: value}
                shell.alias_lines = {**shell.alias_lines, name: 0 if shell.interactive else shell.line}
        elif name in shell.aliases:
            await shell.process.write(f"{prefix}{name}='{shell.aliases[name]}'\n")
        else:
            told = f"{shell.name}: {'alias: ' if shell.dialect is Dialect.ASH else ''}"
            dash = shell.dialect is Dialect.DASH
            await shell.process.complain(f"alias: {name} not found" if dash else f"{told}{name}: not found")
            status = 1
    return status


async def unalias(shell: Shell, words: Sequence[str]) -> int:
    if "-a" in words[1:]:
        shell.aliases = {}
        return 0
    missing = [word for word in words[1:] if word not in shell.aliases]
    shell.aliases = {name: text for name, text in shell.aliases.items() if name not in words[1:]}
    for name in missing:
        await shell.process.complain(f"unalias: {name} not found")
    return int(bool(missing))


async def hash_(shell: Shell, words: Sequence[str]) -> int:
    return 0


# -- processes and limits ---------------------------------------------------------------------


async def kill(shell: Shell, words: Sequence[str]) -> int:
    rest = list(words[1:])
    jobs_ = list(shell.children)
    for at, word in enumerate(rest):
        if word.startswith("%") and at:
            wanted = word[1:]
            place = len(jobs_) if wanted in ("", "+", "%") else int(wanted[:9]) if wanted.isdigit() else 0
            rest[at] = str(jobs_[place - 1]) if 0 < place <= len(jobs_) else word
        elif word.startswith("%") and jobs_:
            place = int(word[1:][:9]) if word[1:].isdigit() else len(jobs_)
            rest[at] = str(jobs_[place - 1]) if 0 < place <= len(jobs_) else word

    async def complain(message: str) -> None:
        if shell.dialect is Dialect.ASH:
            await shell.process.complain(f"{shell.name}: {message}")
        else:
            await shell.complain(message, "kill")

    return await kill_processes(shell.process, rest, complain, KILL_WORDS[shell.dialect])


async def jobs(shell: Shell, words: Sequence[str]) -> int:
    running = [child for child in shell.children.values() if not child.exit.done]
    for number, child in enumerate(running, 1):
        mark = "+" if number == len(running) else "-" if number == len(running) - 1 else " "
        if "-p" in words[1:]:
            await shell.process.write(f"{child.pid}\n")
        else:
            await shell.process.write(
                f"[{number}] {mark} Running                    {' '.join(child.argv)}\n"
            )
    return 0


async def foreground(shell: Shell, words: Sequence[str]) -> int:
    running = [child for child in shell.children.values() if not child.exit.done]
    if not running:
        await shell.complain("No current job" if shell.is_dash else "no current job", words[0])
        return 2 if shell.is_dash else 1
    return await running[-1].exit if words[0] == "fg" else 0


async def umask(shell: Shell, words: Sequence[str]) -> int:
    operands = [word for word in words[1:] if word not in ("-S", "-p", "--")]
    mask = shell.process.umask
    if not operands:
        if "-S" in words[1:]:
            parts = (("u", 6), ("g", 3), ("o", 0))
            kept = ~mask & 0o777
            letters = (("r", 4), ("w", 2), ("x", 1))
            text = ",".join(
                f"{who}={''.join(letter for letter, bit in letters if kept >> shift & bit)}"
                for who, shift in parts
            )
        else:
            text = f"{mask:04o}"
        await shell.process.write(f"{text}\n")
        return 0
    if not operands[0].isdigit() or set(operands[0]) - set("01234567"):
        await shell.complain(f"Illegal mode: {operands[0]}", "umask")
        return 2
    shell.process.umask = int(operands[0][-4:], 8) & 0o777
    return 0


async def ulimit(shell: Shell, words: Sequence[str]) -> int:
    letters = (
        "".join(word[1:] for word in words[1:] if word.startswith("-")).replace("H", "").replace("S", "")
    )
    if any(not word.startswith("-") for word in words[1:]):
        return 0
    if "a" in letters:
        for letter, (title, value) in LIMITS.items():
            await shell.process.write(f"{title:<22}(-{letter}) {value}\n")
        return 0
    for letter in letters or "f":
        await shell.process.write(f"{LIMITS.get(letter, ('', 'unlimited'))[1]}\n")
    return 0


async def builtin(shell: Shell, words: Sequence[str]) -> int:
    run = find_builtin(shell.dialect, words[1]) if len(words) > 1 else None
    if run is None:
        await shell.complain(f"{words[1] if len(words) > 1 else ''}: not a shell builtin", "builtin")
        return 1
    return await run(shell, words[1:])


async def history(shell: Shell, words: Sequence[str]) -> int:
    for number, line in enumerate(shell.history, 1):
        await shell.process.write(f"{number:5d}  {line}\n")
    return 0


BUILTINS: dict[str, Builtin] = {
    "pwd": pwd, "cd": cd, "pushd": pushd, "popd": pushd, "dirs": dirs, "type": type_, "command": command,
    "alias": alias, "unalias": unalias, "hash": hash_, "kill": kill, "jobs": jobs, "fg": foreground,
    "bg": foreground, "umask": umask, "ulimit": ulimit, "builtin": builtin, "history": history,
    "disown": hash_, "enable": hash_, "complete": hash_, "help": hash_, "caller": hash_,
}  # fmt: skip
