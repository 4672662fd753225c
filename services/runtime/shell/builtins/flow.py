"""Builtins that change what runs next: exit, loops, eval, `.`, exec, traps, waiting; tests and printing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

from services.runtime import launch
from services.runtime.filesystem import normal
from services.runtime.globs import matches
from services.runtime.kernel import Future
from services.runtime.model import SIGNALS, signal_number
from services.runtime.processes import Exit
from services.runtime.programs.conditions import WORDS_OF_TEST, test
from services.runtime.programs.printing import echo, printf
from services.runtime.shell.dialect import Dialect
from services.runtime.shell.parameters import quoted
from services.runtime.shell.state import Break, Continue, Return

if TYPE_CHECKING:
    from services.runtime.shell.interpreter import Shell


async def colon(shell: Shell, words: Sequence[str]) -> int:
    return 0


async def false(shell: Shell, words: Sequence[str]) -> int:
    return 1


async def echo_(shell: Shell, words: Sequence[str]) -> int:
    return await echo(shell.process, words[1:], escapes=shell.is_dash or "xpg_echo" in shell.shopts)


async def printf_(shell: Shell, words: Sequence[str]) -> int:
    arguments = list(words[1:])
    if shell.dialect is Dialect.BASH and arguments[:1] == ["-v"] and len(arguments) > 2:
        text: list[str] = []
        status = await printf(shell.process, arguments[2:], _complainer(shell, words[0]), shell.dialect, text)
        shell.set(arguments[1], "".join(text))
        return status
    return await printf(shell.process, arguments, _complainer(shell, words[0]), shell.dialect)


def _complainer(shell: Shell, name: str) -> Callable[[str], Awaitable[None]]:
    if shell.dialect is Dialect.ASH:
        return lambda message: shell.process.complain(f"{shell.name}: {message}")
    return lambda message: shell.complain(message, name)


async def test_(shell: Shell, words: Sequence[str]) -> int:
    return await test(shell.process, words, _complainer(shell, words[0]), WORDS_OF_TEST[shell.dialect])


async def double_bracket(shell: Shell, words: Sequence[str]) -> int:
    """ash's [[: as [, but that == and != match patterns."""
    if len(words) == 5 and words[2] in ("=", "==", "!=") and words[-1] == "]]":
        return int(matches(words[1], words[3]) == (words[2] == "!="))
    rest = ["-a" if word == "&&" else "-o" if word == "||" else word for word in words[1:-1]]
    return await test(shell.process, ["[", *rest, "]"], _complainer(shell, "[["), WORDS_OF_TEST[Dialect.ASH])


async def exit_(shell: Shell, words: Sequence[str]) -> int:
    raise Exit(await number(shell, words, shell.status) & 0xFF)


async def return_(shell: Shell, words: Sequence[str]) -> int:
    if shell.dialect is Dialect.BASH and not shell.depth and not shell.sourcing:
        await shell.complain("can only `return' from a function or sourced script", "return")
        return 2
    status = await number(shell, words, shell.status)
    raise Return(status if shell.is_dash else status & 0xFF)


async def break_(shell: Shell, words: Sequence[str]) -> int:
    levels = await number(shell, words, 1)
    if shell.loops:
        raise Break(levels) if words[0] == "break" else Continue(levels)
    return 0


async def number(shell: Shell, words: Sequence[str], default: int) -> int:
    if len(words) < 2:
        return default
    if not words[1].isascii() or not words[1].isdigit():
        wording = "numeric argument required" if shell.dialect is Dialect.BASH else "Illegal number"
        bash = shell.dialect is Dialect.BASH
        await shell.complain(f"{words[1]}: {wording}" if bash else f"{wording}: {words[1]}", words[0])
        raise Exit(2)
    return int(words[1][:9])


async def eval_(shell: Shell, words: Sequence[str]) -> int:
    shell.status = 0
    await shell.evaluate(" ".join(words[1:]), "eval")
    return shell.status


async def dot(shell: Shell, words: Sequence[str]) -> int:
    if len(words) < 2:
        return 0
    try:
        path = normal(words[1], shell.process.cwd)
        bash_finds = shell.dialect is not Dialect.DASH and shell.filesystem.exists(path)
        if "/" not in words[1] and not bash_finds:
            path = launch.search(shell.process.container, words[1], shell.variables, shell.process.cwd)
        source = shell.filesystem.read(path).decode("utf-8", "surrogateescape")
    except OSError:
        return await _no_script(shell, words[0], words[1])
    shell.status = 0
    saved, name, in_file = shell.arguments, shell.name, shell.in_file
    if len(words) > 2 and not shell.is_dash:
        shell.arguments = list(words[2:])
    shell.in_file = True
    if shell.dialect is Dialect.ASH:
        shell.name = f"{name}: {words[1]}"
    shell.sourcing += 1
    try:
        await shell.evaluate(source)
    except Return as back:
        return back.status
    finally:
        shell.sourcing -= 1
        shell.name, shell.in_file = name, in_file
        if len(words) > 2:
            shell.arguments = saved
    return shell.status


async def _no_script(shell: Shell, called: str, name: str) -> int:
    if shell.dialect is Dialect.BASH:
        await shell.process.complain(f"{shell.name}: line {shell.line}: {name}: No such file or directory")
        return 1
    if shell.dialect is Dialect.ASH:
        await shell.complain(f"can't open '{name}': No such file or directory", called)
    else:
        missing = f"cannot open {name}: No such file" if "/" in name else f"{name}: not found"
        await shell.complain(missing, called)
    raise Exit(2)


async def exec_(shell: Shell, words: Sequence[str]) -> int:
    rest = list(words[1:])
    if rest[:1] == ["-a"] and len(rest) > 2:
        rest = rest[2:]
    return await shell.replace(rest) if rest else 0


# -- traps ------------------------------------------------------------------------------------


async def trap(shell: Shell, words: Sequence[str]) -> int:
    rest = list(words[1:])
    if not rest or rest == ["-p"]:
        names = {number: name for name, number in reversed(SIGNALS.items())} | {0: "EXIT"}
        prefix = "SIG" if shell.dialect is Dialect.BASH else ""
        for known, text in sorted(shell.traps.items()):
            name = names.get(known, str(known))
            shown = "'" + text.replace("'", "'\\''") + "'"
            await shell.process.write(f"trap -- {shown} {prefix if known else ''}{name}\n")
        return 0
    if rest == ["-l"]:
        await shell.process.write(" ".join(SIGNALS) + "\n")
        return 0
    if rest[0] == "--":
        rest.pop(0)
    action: str | None = None
    if len(rest) > 1 and not rest[0].isdigit():
        action = rest.pop(0)
        action = None if action == "-" else action
    status = 0
    for word in rest:
        if word in ("ERR", "DEBUG", "RETURN") and shell.dialect is Dialect.BASH:
            shell.error_trap = (action or "") if word == "ERR" else shell.error_trap
            continue
        found = 0 if word in ("EXIT", "0") else signal_number(word)
        if found is None:
            await _bad_trap(shell, word)
            status = 1
        else:
            shell.trap(found, action)
    return status


async def _bad_trap(shell: Shell, word: str) -> None:
    if shell.dialect is Dialect.DASH:
        await shell.process.complain(f"trap: {word}: bad trap")
    elif shell.dialect is Dialect.ASH:
        await shell.complain(f"{word}: invalid signal specification", "trap")
    else:
        await shell.complain(f"{word}: invalid signal specification", "trap")


async def wait(shell: Shell, words: Sequence[str]) -> int:
    """A trap ends it early, with 128 and the signal's number."""
    named = [word.lstrip("%") for word in words[1:] if word != "-n"]
    jobs = list(shell.children.values())
    wanted = [
        shell.children.get(int(word[:9])) if not words[1:][0].startswith("%")
        else (jobs[int(word[:9]) - 1] if 0 < int(word[:9]) <= len(jobs) else None)
        for word in named if word.isdigit()
    ]  # fmt: skip
    children = wanted if named else jobs
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
        if child.pid not in shell.mourned:
            shell.mourned.add(child.pid)
            await shell.mourn(child)
    return status if named else 0


async def times(shell: Shell, words: Sequence[str]) -> int:
    await shell.process.write("0m0.000000s 0m0.000000s\n0m0.000000s 0m0.000000s\n")
    return 0


BUILTINS = {
    ":": colon, "true": colon, "false": false, "echo": echo_, "printf": printf_, "test": test_, "[": test_,
    "[[": double_bracket, "exit": exit_, "return": return_, "break": break_, "continue": break_,
    "eval": eval_,    ".": dot, "source": dot, "exec": exec_, "trap": trap, "wait": wait, "times": times,
}  # fmt: skip

__all__ = ["BUILTINS", "number", "quoted"]
