"""Commands that act on the shell itself, and those that every shell has inside for speed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

from services.runtime import launch
from services.runtime.filesystem import normal
from services.runtime.kernel import Future
from services.runtime.model import SIGNALS, signal_number
from services.runtime.processes import Exit
from services.runtime.programs.conditions import test
from services.runtime.programs.printing import echo, printf
from services.runtime.programs.process_tools import kill_processes
from services.runtime.shell.expand import split_fields
from services.runtime.shell.state import Break, Continue, Return

if TYPE_CHECKING:
    from services.runtime.shell.interpreter import Shell

Builtin = Callable[["Shell", Sequence[str]], Awaitable[int]]
READ_LINE_BYTES_MAX = 1024 * 1024


async def colon(shell: Shell, words: Sequence[str]) -> int:
    return 0


async def false(shell: Shell, words: Sequence[str]) -> int:
    return 1


async def echo_(shell: Shell, words: Sequence[str]) -> int:
    return await echo(shell.process, words[1:], escapes=shell.is_dash)


async def printf_(shell: Shell, words: Sequence[str]) -> int:
    return await printf(shell.process, words[1:])


async def test_(shell: Shell, words: Sequence[str]) -> int:
    return await test(shell.process, words)


async def pwd(shell: Shell, words: Sequence[str]) -> int:
    await shell.process.write(shell.process.cwd + "\n")
    return 0


async def cd(shell: Shell, words: Sequence[str]) -> int:
    target = words[1] if len(words) > 1 else shell.get("HOME") or "/"
    if target == "-":
        target = shell.get("OLDPWD") or shell.process.cwd
        await shell.process.write(target + "\n")
    path = normal(target, shell.process.cwd)
    if not shell.filesystem.is_directory(path):
        await shell.complain(f"cd: can't cd to {target}")
        return 2
    shell.set("OLDPWD", shell.process.cwd)
    shell.process.cwd = path
    shell.set("PWD", path)
    return 0


async def export(shell: Shell, words: Sequence[str]) -> int:
    if len(words) == 1 or words[1:] == ["-p"]:
        for name in sorted(shell.exported):
            if name in shell.variables:
                await shell.process.write(f"export {name}='{shell.variables[name]}'\n")
        return 0
    for word in words[1:]:
        name, equals, value = word.partition("=")
        if not name.isidentifier():
            await shell.complain(f"export: {name}: bad variable name")
            raise Exit(2)
        if equals:
            shell.set(name, value)
        shell.exported.add(name)
    return 0


async def readonly(shell: Shell, words: Sequence[str]) -> int:
    for word in words[1:]:
        name, equals, value = word.partition("=")
        if equals:
            shell.set(name, value)
        shell.readonly.add(name)
    return 0


async def local(shell: Shell, words: Sequence[str]) -> int:
    if not shell.locals:
        await shell.complain("local: not in a function")
        raise Exit(2)
    for word in words[1:]:
        name, equals, value = word.partition("=")
        shell.locals[-1].setdefault(name, shell.variables.get(name))
        if equals:
            shell.set(name, value)
    return 0


async def unset(shell: Shell, words: Sequence[str]) -> int:
    for word in words[1:]:
        if word == "-f":
            continue
        if word in shell.readonly:
            await shell.complain(f"unset: {word}: is read only")
            return 2
        shell.variables.pop(word, None)
        shell.exported.discard(word)
        if "-f" in words:
            shell.functions.pop(word, None)
    return 0


async def set_(shell: Shell, words: Sequence[str]) -> int:
    names = {"e": "errexit", "u": "nounset", "x": "xtrace", "f": "noglob", "n": "noexec"}
    rest = list(words[1:])
    if not rest:
        for name in sorted(shell.variables):
            await shell.process.write(f"{name}='{shell.variables[name]}'\n")
        return 0
    while rest:
        word = rest.pop(0)
        if word == "--":
            shell.arguments = rest
            return 0
        if word[:1] not in ("-", "+") or len(word) < 2:
            shell.arguments = [word, *rest]
            return 0
        on = word[0] == "-"
        if word[1:] == "o":
            option = rest.pop(0) if rest else ""
            if option in names.values():
                setattr(shell, option, on)
            continue
        for letter in word[1:]:
            if letter in names:
                setattr(shell, names[letter], on)
            elif letter not in "abhmvCo":
                await shell.complain(f"set: Illegal option -{letter}")
                raise Exit(2)
            elif letter == "o" and rest:
                option = rest.pop(0)
                if option in names.values():
                    setattr(shell, option, on)
    return 0


async def shift(shell: Shell, words: Sequence[str]) -> int:
    count = await _number(shell, words, 1)
    if count > len(shell.arguments):
        await shell.complain("shift: can't shift that many")
        raise Exit(2)
    del shell.arguments[:count]
    return 0


async def exit_(shell: Shell, words: Sequence[str]) -> int:
    raise Exit(await _number(shell, words, shell.status) & 0xFF)


async def return_(shell: Shell, words: Sequence[str]) -> int:
    raise Return(await _number(shell, words, shell.status) & 0xFF)


async def break_(shell: Shell, words: Sequence[str]) -> int:
    levels = await _number(shell, words, 1)
    if shell.loops:
        raise Break(levels) if words[0] == "break" else Continue(levels)
    return 0


async def _number(shell: Shell, words: Sequence[str], default: int) -> int:
    if len(words) < 2:
        return default
    if not words[1].isascii() or not words[1].isdigit():
        await shell.complain(f"{words[0]}: Illegal number: {words[1]}")
        raise Exit(2)
    return int(words[1][:9])


async def eval_(shell: Shell, words: Sequence[str]) -> int:
    shell.status = 0
    await shell.evaluate(" ".join(words[1:]))
    return shell.status


async def dot(shell: Shell, words: Sequence[str]) -> int:
    if len(words) < 2:
        return 0
    try:
        path = normal(words[1], shell.process.cwd)
        if "/" not in words[1] and not shell.filesystem.exists(path):
            path = launch.search(shell.process.container, words[1], shell.variables, shell.process.cwd)
        source = shell.filesystem.read(path).decode("utf-8", "surrogateescape")
    except OSError:
        await shell.complain(f".: cannot open {words[1]}: No such file")
        raise Exit(2) from None
    shell.status = 0
    try:
        await shell.evaluate(source)
    except Return as back:
        return back.status
    return shell.status


async def exec_(shell: Shell, words: Sequence[str]) -> int:
    return await shell.replace(words[1:])


async def trap(shell: Shell, words: Sequence[str]) -> int:
    if len(words) == 1:
        names = {number: name for name, number in reversed(SIGNALS.items())} | {0: "EXIT"}
        for known, text in sorted(shell.traps.items()):
            await shell.process.write(f"trap -- '{text}' {names.get(known, known)}\n")
        return 0
    rest = list(words[1:])
    if rest[0] == "--":
        rest.pop(0)
    action: str | None = None
    if (len(rest) > 1 and signal_of(rest[0]) is None) or (len(rest) > 1 and not rest[0].isdigit()):
        action = rest.pop(0)
        action = None if action == "-" else action
    status = 0
    for word in rest:
        number = signal_of(word)
        if number is None:
            await shell.complain(f"trap: {word}: bad trap")
            status = 1
        else:
            shell.trap(number, action)
    return status


def signal_of(word: str) -> int | None:
    return 0 if word in ("EXIT", "0") else signal_number(word)


async def wait(shell: Shell, words: Sequence[str]) -> int:
    """A trap ends it early, with 128 and the signal's number."""
    wanted = [shell.children.get(int(word)) for word in words[1:] if word.isdigit()]
    children = wanted if len(words) > 1 else list(shell.children.values())
    status = 0
    for child in children:
        if child is None:
            status = 127
            continue
        shell.disturbed = Future()
        if shell.pending:
            shell.disturbed.set(None)
        disturbed = shell.disturbed

        def ended(future: Future[None] = disturbed) -> None:
            future.set(None)

        child.exit.on_done(ended)
        await disturbed
        child.exit.forget(ended)
        shell.disturbed = None
        if shell.pending:
            return 128 + shell.pending[0]
        status = child.exit.value()
    return status if len(words) > 1 else 0


async def read(shell: Shell, words: Sequence[str]) -> int:
    rest, raw = list(words[1:]), False
    while rest and rest[0].startswith("-"):
        option = rest.pop(0)
        raw = raw or "r" in option
        if "p" in option and rest:
            await shell.process.streams[2].write(rest.pop(0).encode())
    data = bytearray()
    ended = False
    while not ended:
        byte = await shell.process.stdin.read(1)
        if not byte or len(data) > READ_LINE_BYTES_MAX:
            break
        if byte == b"\\" and not raw:
            following = await shell.process.stdin.read(1)
            data += b"" if following == b"\n" else following
            continue
        ended = byte == b"\n"
        data += b"" if ended else byte
    line = data.decode("utf-8", "surrogateescape")
    names = rest or ["REPLY"]
    pieces = [piece for piece, _ in split_fields(line, shell.get("IFS")) if piece is not None]
    for index, name in enumerate(names[:-1]):
        shell.set(name, pieces[index] if index < len(pieces) else "")
    shell.set(names[-1], _rest_of(line, pieces, len(names) - 1, shell.get("IFS")))
    return 0 if ended else 1


def _rest_of(line: str, pieces: Sequence[str], skipped: int, separators: str | None) -> str:
    """What the last variable of `read` gets: the line from there on, as it is."""
    white = " \t\n" if separators is None else "".join(sign for sign in separators if sign in " \t\n")
    if not skipped:
        return line.strip(white)
    at = 0
    for piece in pieces[:skipped]:
        at = line.find(piece, at) + len(piece)
    rest = line[at:].lstrip(white)
    if separators and rest[:1] in separators and rest[:1] not in white:
        rest = rest[1:].lstrip(white)
    return rest.rstrip(white)


async def type_(shell: Shell, words: Sequence[str]) -> int:
    status = 0
    for word in words[1:]:
        if word in SPECIAL:
            await shell.process.write(f"{word} is a special shell builtin\n")
        elif word in BUILTINS:
            await shell.process.write(f"{word} is a shell builtin\n")
        elif word in shell.functions:
            await shell.process.write(f"{word} is a shell function\n")
        else:
            try:
                path = launch.search(shell.process.container, word, shell.variables, shell.process.cwd)
                await shell.process.write(f"{word} is {path}\n")
            except OSError:
                await shell.process.write(f"{word}: not found\n")
                status = 127
    return status


async def command(shell: Shell, words: Sequence[str]) -> int:
    if len(words) < 2:
        return 0
    if words[1] in ("-v", "-V"):
        name = words[2] if len(words) > 2 else ""
        if words[1] == "-V":
            return await type_(shell, ["type", name])
        if name in BUILTINS or name in shell.functions:
            await shell.process.write(name + "\n")
            return 0
        try:
            path = launch.search(shell.process.container, name, shell.variables, shell.process.cwd)
        except OSError:
            return 127
        await shell.process.write(path + "\n")
        return 0
    if words[1] in BUILTINS:
        return await BUILTINS[words[1]](shell, words[1:])
    await shell.external(words[1:], {}, (), replace=False)
    return shell.status


async def kill(shell: Shell, words: Sequence[str]) -> int:
    return await kill_processes(shell.process, words[1:], shell.name)


async def jobs(shell: Shell, words: Sequence[str]) -> int:
    for number, child in enumerate(shell.children.values(), 1):
        if not child.exit.done:
            await shell.process.write(f"[{number}] + Running\n")
    return 0


async def umask(shell: Shell, words: Sequence[str]) -> int:
    if len(words) == 1:
        await shell.process.write("0022\n")
    return 0


async def getopts(shell: Shell, words: Sequence[str]) -> int:
    options, name = words[1], words[2]
    arguments = list(words[3:]) or shell.arguments
    index, _, position = (shell.get("OPTIND") or "1").partition(".")
    at, inside = int(index) - 1, int(position or 1)
    if at >= len(arguments) or not arguments[at].startswith("-") or arguments[at] in ("-", "--"):
        shell.set(name, "?")
        return 1
    word = arguments[at]
    letter = word[inside]
    found = options.lstrip(":").find(letter)
    last = inside + 1 >= len(word)
    takes = found >= 0 and options.lstrip(":")[found + 1 : found + 2] == ":"
    if takes:
        value = word[inside + 1 :] if not last else (arguments[at + 1] if at + 1 < len(arguments) else "")
        shell.set("OPTARG", value)
        shell.set("OPTIND", str(at + 2 + (1 if last else 0)))
    else:
        shell.set("OPTARG", "")
        shell.set("OPTIND", str(at + 2) if last else f"{at + 1}.{inside + 1}")
    if found < 0 and not options.startswith(":"):
        await shell.process.complain(f"Illegal option -{letter}")
    shell.set(name, letter if found >= 0 else "?")
    return 0


SPECIAL = frozenset({":", ".", "break", "continue", "eval", "exec", "exit", "export", "readonly", "return",
"set",
                     "shift", "times", "trap", "unset"})  # fmt: skip
BUILTINS: dict[str, Builtin] = {
    ":": colon, "true": colon, "false": false, "echo": echo_, "printf": printf_, "test": test_, "[": test_,
    "pwd": pwd, "cd": cd, "export": export, "readonly": readonly, "local": local, "declare": local,
    "unset": unset,
    "set": set_, "shift": shift, "exit": exit_, "return": return_, "break": break_, "continue": break_,
    "eval": eval_, ".": dot, "source": dot, "exec": exec_, "trap": trap, "wait": wait, "read": read,
    "type": type_,
    "command": command, "kill": kill, "jobs": jobs, "umask": umask, "getopts": getopts, "times": colon,
    "hash": colon, "shopt": colon, "ulimit": colon, "alias": colon,
}  # fmt: skip
