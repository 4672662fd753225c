"""Command lines: letters with and without values, in any order; and how a wrong one is refused."""

from __future__ import annotations

import re
from collections.abc import Sequence

from services.runtime.processes import Exit, Process

BANNER = "BusyBox v1.37.0 (2025-04-04 00:00:00 UTC) multi-call binary."


def busybox(process: Process) -> bool:
    """Whether the tools of this image are busybox' own, and not GNU's."""
    return process.container.filesystem.exists("/bin/busybox")


def called(process: Process) -> str:
    return process.argv[0].rpartition("/")[2]


async def usage(process: Process, synopsis: str, status: int = 1) -> Exit:
    """Tells how a tool is called, as a tool without operands does. Raise what it returns."""
    name = called(process)
    if busybox(process):
        await process.complain(f"{BANNER}\n\nUsage: {name} {synopsis}".rstrip())
    else:
        await process.complain(f"{name}: missing operand\nTry '{name} --help' for more information.")
    return Exit(status)


async def options(
    process: Process,
    letters: str,
    *,
    words: Sequence[str] | None = None,
    long: dict[str, str] | None = None,
    synopsis: str = "[OPTION]... [FILE]...",
    status: int = 1,
) -> tuple[dict[str, str], list[str]]:
    """`letters` as for getopt: `n:r` is -n VALUE and -r. Raises Exit for others, after saying so."""
    found: dict[str, str] = {}
    rest: list[str] = []
    pending = list(process.argv[1:] if words is None else words)
    while pending:
        word = pending.pop(0)
        if word == "--":
            rest += pending
            break
        if word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            if name == "help":
                banner = f"{BANNER}\n\n" if busybox(process) else ""
                await process.write(f"{banner}Usage: {called(process)} {synopsis}\n")
                raise Exit(0)
            letter = (long or {}).get(name)
            if letter is None:
                await refuse(process, f"unrecognized option '--{name}'", synopsis, status)
                return found, rest
            takes = f"{letter}:" in letters
            _keep(found, letter, value if equals or not takes else (pending.pop(0) if pending else ""))
            continue
        if not word.startswith("-") or word == "-":
            rest.append(word)
            continue
        at = 1
        while at < len(word):
            letter = word[at]
            at += 1
            place = letters.find(letter)
            if place < 0 or letter == ":":
                await refuse(process, f"invalid option -- '{letter}'", synopsis, status)
            if letters[place + 1 : place + 2] == ":":
                value = word[at:]
                if not value:
                    if not pending:
                        await refuse(process, f"option requires an argument -- '{letter}'", synopsis, status)
                    value = pending.pop(0)
                _keep(found, letter, value)
                break
            found[letter] = ""
    return found, rest


def _keep(found: dict[str, str], letter: str, value: str) -> None:
    # What may be given again adds up, a line each: -e of sed and grep, -k of sort.
    again = letter in "ek" and letter in found
    found[letter] = f"{found[letter]}\n{value}" if again else value


async def refuse(process: Process, words: str, synopsis: str, status: int) -> None:
    """Says what is wrong with the command line, in the words of the image's tools, and ends the program."""
    name = called(process)
    await process.complain(f"{name}: {words}")
    if busybox(process):
        await process.complain(f"{BANNER}\n\nUsage: {name} {synopsis}")
    else:
        await process.complain(f"Try '{name} --help' for more information.")
    raise Exit(status)


async def numeric(process: Process, text: str) -> float:
    """An option's number. Raises Exit(1), after saying so, when it is none."""
    if re.fullmatch(r"[-+]?\d{1,15}(\.\d{0,9})?", text):
        return float(text)
    await process.complain(f"{called(process)}: invalid number '{text}'")
    raise Exit(1)
