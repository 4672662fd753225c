"""Builtins about variables: export, local, declare, unset, set, shift, read, getopts, let and their kin."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from services.runtime.processes import Exit
from services.runtime.shell.builtins import reading
from services.runtime.shell.builtins.flow import number
from services.runtime.shell.dialect import Dialect
from services.runtime.shell.state import OPTIONS, SHOWN

if TYPE_CHECKING:
    from services.runtime.shell.interpreter import Shell


def _single(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


async def export(shell: Shell, words: Sequence[str]) -> int:
    """export and readonly."""
    marks = shell.exported if words[0] == "export" else shell.readonly
    rest = [word for word in words[1:] if word not in ("-p", "-n", "-a", "-f", "--")]
    if not rest:
        for name in sorted(marks):
            if name in shell.variables:
                await shell.process.write(f"{words[0]} {name}={_single(shell.variables[name])}\n")
        return 0
    for word in rest:
        name, equals, value = await _declared(shell, word)
        if not name.isidentifier():
            return await _bad_name(shell, words[0], word, name)
        if equals and value is not None:
            shell.set(name, value)
        if "-n" in words[1:]:
            marks.discard(name)
        else:
            marks.add(name)
    return 0


async def _bad_name(shell: Shell, builtin: str, word: str, name: str) -> int:
    if shell.dialect is Dialect.BASH:
        await shell.complain(f"`{word}': not a valid identifier", builtin)
        return 1
    await shell.complain(f"{name}: bad variable name", builtin)
    raise Exit(2)


async def _declared(shell: Shell, word: str) -> tuple[str, bool, str | None]:
    """Name, whether it has a value, and the value unless that has been set already."""
    if word.startswith("\0") and word[1:].isdigit() and int(word[1:]) < len(shell.declared):
        assignment = shell.declared[int(word[1:])]
        await shell.assign(assignment)
        return assignment.name, True, None
    name, equals, value = word.partition("=")
    return name, bool(equals), value


async def local(shell: Shell, words: Sequence[str]) -> int:
    """local; declare and typeset, which are the same inside functions."""
    if words[0] == "local" and not shell.locals:
        bash = shell.dialect is Dialect.BASH
        await shell.complain("can only be used in a function" if bash else "not in a function", "local")
        if bash:
            return 1
        raise Exit(2)
    flags = "".join(word[1:] for word in words[1:] if word[:1] == "-")
    rest = [word for word in words[1:] if word[:1] != "-"]
    if "p" in flags:
        return await _print(shell, rest)
    for word in rest:
        name = _name_of(shell, word)
        if shell.locals and "g" not in flags and name not in shell.locals[-1]:
            shell.locals[-1][name] = (shell.variables.get(name), shell.arrays.get(name))
            if shell.dialect is Dialect.BASH:
                shell.forget(name)
        if "A" in flags:
            shell.forget(name)
            shell.maps.add(name)
            shell.array(name)
        elif "a" in flags:
            shell.array(name)
        if "i" in flags:
            shell.integers.add(name)
        _, has_value, value = await _declared(shell, word)
        if has_value and value is not None:
            shell.set(name, str(shell.calculated(value)) if name in shell.integers else value)
        if "x" in flags:
            shell.exported.add(name)
        if "r" in flags:
            shell.readonly.add(name)
    return 0


def _name_of(shell: Shell, word: str) -> str:
    if word.startswith("\0") and word[1:].isdigit() and int(word[1:]) < len(shell.declared):
        return shell.declared[int(word[1:])].name
    return word.partition("=")[0]


async def _print(shell: Shell, names: Sequence[str]) -> int:
    for name in names or sorted(shell.variables):
        value = shell.get(name)
        if value is None:
            await shell.complain(f"{name}: not found", "declare")
            return 1
        await shell.process.write(f'declare -{"x" if name in shell.exported else "-"} {name}="{value}"\n')
    return 0


async def unset(shell: Shell, words: Sequence[str]) -> int:
    functions = "-f" in words[1:]
    for word in words[1:]:
        if word in ("-f", "-v"):
            continue
        if functions:
            shell.functions.pop(word, None)
            continue
        name, bracket, subscript = word.partition("[")
        if name in shell.readonly:
            if shell.dialect is Dialect.BASH:
                await shell.complain(f"{name}: cannot unset: readonly variable", "unset")
                return 1
            await shell.complain(f"{name}: is read only", "unset")
            raise Exit(2)
        if bracket and name in shell.arrays:
            key = subscript.rstrip("]")
            gone = shell.arrays[name].pop(key if name in shell.maps else shell.calculated(key), "")
            shell.held -= len(gone)
            continue
        if name not in shell.variables and name not in shell.arrays:
            shell.functions.pop(name, None) if shell.dialect is Dialect.BASH else None
        shell.forget(name)
        shell.exported.discard(name)
    return 0


async def set_(shell: Shell, words: Sequence[str]) -> int:
    rest = list(words[1:])
    if not rest:
        for name in sorted(shell.variables):
            await shell.process.write(f"{name}={_single(shell.variables[name])}\n")
        return 0
    while rest:
        word = rest.pop(0)
        if word in ("--", "-"):
            if word == "--" or rest:
                shell.arguments = rest
            return 0
        if word[:1] not in ("-", "+") or len(word) < 2:
            shell.arguments = [word, *rest]
            return 0
        for letter in word[1:]:
            if letter == "o":
                if not rest:
                    return await show_options(shell)
                await change_option(shell, rest.pop(0), on=word[0] == "-")
            elif letter in OPTIONS and letter not in "p ":
                switch(shell, OPTIONS[letter], on=word[0] == "-")
            elif letter not in "BEHTkptP" or shell.dialect is not Dialect.BASH:
                await _illegal(shell, f"{word[0]}{letter}")
    return 0


async def _illegal(shell: Shell, option: str) -> None:
    if shell.dialect is Dialect.ASH:
        await shell.complain(f"illegal option {option}", "set")
    elif shell.dialect is Dialect.DASH:
        await shell.complain(f"Illegal option {option}", "set")
    else:
        await shell.complain(f"{option}: invalid option", "set")
        return
    raise Exit(2)


async def change_option(shell: Shell, name: str, *, on: bool) -> None:
    known = set(OPTIONS.values()) - ({"pipefail"} if shell.is_dash else set()) | {
        "posix",
        "braceexpand",
        "history",
    }
    if name not in known:
        await _illegal(shell, f"-o {name}")
        return
    switch(shell, name, on=on)


def switch(shell: Shell, name: str, *, on: bool) -> None:
    if name == "interactive":
        return
    if hasattr(shell, name):
        setattr(shell, name, on)
    elif on:
        shell.quiet_options.add(name)
    else:
        shell.quiet_options.discard(name)


async def show_options(shell: Shell) -> int:
    lines = [] if shell.dialect is Dialect.BASH else ["Current option settings\n"]
    for name in SHOWN[shell.dialect].split():
        on = getattr(shell, name, False) is True or name in shell.quiet_options
        form = f"{name:<15}\t{'on' if on else 'off'}\n"
        lines.append(form if shell.dialect is Dialect.BASH else f"{name:<16}{'on' if on else 'off'}\n")
    await shell.process.write("".join(lines))
    return 0


async def shopt(shell: Shell, words: Sequence[str]) -> int:
    names = [word for word in words[1:] if not word.startswith("-")]
    if "-s" in words[1:]:
        shell.shopts.update(names)
    elif "-u" in words[1:]:
        shell.shopts.difference_update(names)
    else:
        return int(not all(name in shell.shopts for name in names))
    return 0


async def shift(shell: Shell, words: Sequence[str]) -> int:
    count = await number(shell, words, 1)
    if count > len(shell.arguments):
        if shell.dialect is not Dialect.DASH:
            return 1
        await shell.complain("can't shift that many", "shift")
        raise Exit(2)
    del shell.arguments[:count]
    return 0


async def let(shell: Shell, words: Sequence[str]) -> int:
    value = 0
    for word in words[1:]:
        value = shell.calculated(word)
    return int(value == 0)


# -- getopts ----------------------------------------------------------------------------------


async def getopts(shell: Shell, words: Sequence[str]) -> int:
    if len(words) < 3:
        await shell.complain("Usage: getopts optstring var [arg]", "getopts")
        return 2
    options, name = words[1], words[2]
    arguments = list(words[3:]) or shell.arguments
    given = shell.get("OPTIND") or "1"
    at = max(int(given[:9]) - 1, 0) if given.isdigit() else 0
    at = at if at <= len(arguments) else 0
    position = shell.option_position[1] if shell.option_position[0] == given else 1
    if at >= len(arguments) or not arguments[at].startswith("-") or arguments[at] in ("-", "--"):
        shell.set(name, "?")
        shell.set("OPTIND", str(at + 2 if at < len(arguments) and arguments[at] == "--" else at + 1))
        return 1
    word = arguments[at]
    position = position if position < len(word) else 1
    letter, last = word[position], position + 1 >= len(word)
    place = options.lstrip(":").find(letter) if letter != ":" else -1
    takes = place >= 0 and options.lstrip(":")[place + 1 : place + 2] == ":"
    quiet = options.startswith(":")
    missing = takes and last and at + 1 >= len(arguments)
    following = at + 2 if last else at + 1
    if takes and not missing:
        shell.set("OPTARG", word[position + 1 :] if not last else arguments[at + 1])
        following = at + 2 + last
        last = True
    elif quiet and (missing or place < 0):
        shell.set("OPTARG", letter)
    else:
        shell.forget("OPTARG")
    shell.set("OPTIND", str(following))
    shell.option_position = (str(following), 1 if last else position + 1)
    if (place < 0 or missing) and not quiet:
        await _bad_option(shell, letter, missing=missing)
    shell.set(name, (":" if quiet else "?") if missing else letter if place >= 0 else "?")
    return 0


async def _bad_option(shell: Shell, letter: str, *, missing: bool) -> None:
    if shell.dialect is Dialect.BASH:
        words = "option requires an argument" if missing else "illegal option"
        await shell.process.complain(f"{shell.name}: {words} -- {letter}")
    else:
        words = f"No arg for -{letter} option" if missing else f"Illegal option -{letter}"
        await shell.process.complain(words)


BUILTINS = {
    "export": export, "readonly": export, "local": local, "declare": local, "typeset": local, "unset": unset,
    "set": set_, "shopt": shopt, "shift": shift, "read": reading.read,
    "mapfile": reading.mapfile, "readarray": reading.mapfile,
    "let": let, "getopts": getopts,
}  # fmt: skip
