"""Tools that signal processes and look for them: kill, killall, pkill, pgrep, pidof."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence

from services.runtime.dialect import Dialect
from services.runtime.model import SIGKILL, SIGNALS, signal_number
from services.runtime.processes import Process, Program
from services.runtime.programs.input import tool
from services.runtime.programs.options import busybox as busybox_tools
from services.runtime.programs.options import options
from services.runtime.programs.patterns import BadPattern, extended

# What each kill says: without operands and with which status, no such process, no such signal, no number.
KILL_WORDS = {
    Dialect.DASH: (
        "Usage: kill [-s sigspec | -signum | -sigspec] [pid | job]... or\nkill -l [exitstatus]", 2,
        "No such process\n", "Illegal option -{0[0]}", "Illegal number: {}", 2,
    ),
    Dialect.ASH: (
        "you need to specify whom to kill", 1, "can't kill pid {}: No such process", "bad signal name '{}'",
        "invalid number '{}'", 1,
    ),
    Dialect.BASH: (
        "usage: kill [-s sigspec | -n signum | -sigspec] pid | jobspec ... or kill -l [sigspec]", 2,
        "({}) - No such process", "{}: invalid signal specification",
        "{}: arguments must be process or job IDs", 1,
    ),
}  # fmt: skip


async def kill_processes(
    process: Process,
    words: Sequence[str],
    complain: Callable[[str], Awaitable[None]],
    wording: tuple[str, int, str, str, str, int],
) -> int:
    rest = list(words)
    if rest and rest[0] == "-l":
        return await _list_signals(process, rest[1:])
    name = "TERM"
    if rest and rest[0] in ("-s", "-n") and len(rest) > 1:
        name, rest = rest[1], rest[2:]
    elif rest and rest[0].startswith("-") and len(rest[0]) > 1 and rest[0] != "--":
        name, rest = rest[0][1:], rest[1:]
    if rest[:1] == ["--"]:
        rest.pop(0)
    number = 0 if name == "0" else signal_number(name)
    if number is None:
        await complain(wording[3].format(name))
        return wording[5]
    if not rest:
        await complain(wording[0])
        return wording[1]
    status = 0
    for word in rest:
        table = process.container.processes.alive
        if word == "-1":
            targets = [one for one in table.values() if one.pid not in (1, process.pid)]
        elif target := _named(process, word.lstrip("-")):
            targets = [target]
        else:
            await complain((wording[2] if word.lstrip("-").isdigit() else wording[4]).format(word))
            status = 1
            continue
        for target in targets:
            outside = target.container is not process.container
            # The kernel does not let process 1 be killed from inside; from outside it does.
            if number == SIGKILL and outside:
                target.end(128 + SIGKILL)
            elif not (number == SIGKILL and target.pid == 1):
                target.signal(number)
    await process.sleep(0)  # who signals itself does not go on
    return status


def _named(process: Process, digits: str) -> Process | None:
    if not digits.isdigit():
        return None
    number = int(digits[:9])
    container = process.container
    return container.processes.alive.get(number) or container.machine.beyond(number)


async def _list_signals(process: Process, words: Sequence[str]) -> int:
    names = {number: name for name, number in reversed(SIGNALS.items())}
    for word in words:
        number = int(word[:5]) if word.isdigit() else signal_number(word)
        if word.isdigit() and number is not None:
            number = number - 128 if number > 128 else number
            await process.write(f"{names.get(number, number)}\n")
        elif number is not None:
            await process.write(f"{number}\n")
        else:
            return 1
    if not words:
        listed = (f"{number:2d}) {name}" for number, name in sorted(names.items()))
        await process.write("\n".join(listed) + "\n")
    return 0


async def kill(process: Process) -> int:
    dialect = Dialect.ASH if busybox_tools(process) else Dialect.BASH
    return await kill_processes(
        process, process.argv[1:], lambda words: process.complain(f"kill: {words}"), KILL_WORDS[dialect]
    )


async def killall(process: Process) -> int:
    words = [word for word in process.argv[1:] if not word.startswith("-")]
    number = next((signal_number(word[1:]) or 15 for word in process.argv[1:] if word.startswith("-")), 15)
    hit = False
    for row in list(process.container.processes.alive.values()):
        if row is not process and row.argv[0].rpartition("/")[2] in words:
            hit = True
            row.signal(number)
    for word in words if not hit else ():
        await process.complain(f"killall: {word}: no process killed" if busybox_tools(process) else
                               f"{word}: no process found")  # fmt: skip
    return 0 if hit else 1


async def pgrep(process: Process) -> int:
    """pgrep and pkill [-flnovx] [-SIGNAL] PATTERN."""
    number, words = 15, []
    for word in process.argv[1:]:
        named = signal_number(word[1:]) if re.fullmatch(r"-([A-Z]{2,}\w*|\d+)", word) else None
        if named is not None:
            number = named
        else:
            words.append(word)
    found, operands = await options(
        process, "flnovxaP:u:", words=words, synopsis="[-flnovx] [-P PPID] PATTERN", status=2
    )
    try:
        pattern = extended(operands[0] if operands else "", whole="x" if "x" in found else "")
    except BadPattern as error:
        await process.complain(f"{tool(process)}: {error}")
        return 2
    rows = []
    for row in sorted(process.container.processes.alive.values(), key=lambda one: one.pid):
        text = " ".join(row.argv) if "f" in found else row.argv[0].rpartition("/")[2] if row.argv else ""
        if row is not process and pattern.test(text) != ("v" in found):
            rows.append(row)
    rows = rows[-1:] if "n" in found else rows[:1] if "o" in found else rows
    for row in rows:
        if tool(process) == "pkill":
            if not (number == SIGKILL and row.pid == 1):
                row.signal(number)
        else:
            shown = f"{row.pid} {' '.join(row.argv)}" if found.keys() & {"l", "a"} else str(row.pid)
            await process.write(f"{shown}\n")
    await process.sleep(0)
    return 0 if rows else 1


async def pidof(process: Process) -> int:
    found, operands = await options(process, "so:", synopsis="[OPTIONS] [NAME]...")
    rows = [
        str(row.pid) for row in process.container.processes.alive.values()
        if row.argv and row is not process and row.argv[0].rpartition("/")[2] in operands
    ]  # fmt: skip
    rows = rows[::-1][:1] if "s" in found else rows[::-1]
    if rows:
        await process.write(" ".join(rows) + "\n")
    return 0 if rows else 1


PROGRAMS: dict[str, Program] = {
    "kill": kill,
    "killall": killall,
    "pgrep": pgrep,
    "pkill": pgrep,
    "pidof": pidof,
}
