"""read and mapfile: lines of input into variables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from services.runtime.kernel import Future, Unless
from services.runtime.programs.process_tools import seconds_of
from services.runtime.shell.dialect import Dialect
from services.runtime.shell.expand import split_fields
from services.runtime.shell.state import ShellFault
from services.runtime.streams import read_all

if TYPE_CHECKING:
    from services.runtime.shell.interpreter import Shell

READ_LINE_BYTES_MAX = 1024 * 1024
LINES_MAX = 50_000


async def read(shell: Shell, words: Sequence[str]) -> int:
    rest, flags = list(words[1:]), dict[str, str]()
    while rest and rest[0].startswith("-") and len(rest[0]) > 1:
        option = rest.pop(0)
        for at, letter in enumerate(option[1:], 2):
            takes = letter in "pntduNai" and not (letter == "a" and shell.dialect is not Dialect.BASH)
            flags[letter] = option[at:] or (rest.pop(0) if rest else "") if takes else ""
            if takes:
                break
    if "p" in flags and shell.process.stdin.terminal:
        await shell.process.streams[2].write(flags["p"].encode("utf-8", "surrogateescape"))
    if "t" in flags and seconds_of(flags["t"]) == 0:
        return 0
    data, status = await _undisturbed(shell, flags)
    line = data.decode("utf-8", "surrogateescape").replace("\0", "")
    separators = shell.get("IFS")
    if "a" in flags:
        pieces = [piece for piece, _ in split_fields(line, separators) if piece is not None]
        shell.empty(shell.array(flags["a"]))
        for at, piece in enumerate(pieces):
            shell.put(flags["a"], at, piece)
        return status
    if not rest:
        shell.set("REPLY", line)
        return status
    for name, value in zip(rest, _assigned(line, len(rest), separators), strict=True):
        shell.set(name, value)
    return status


async def _undisturbed(shell: Shell, flags: dict[str, str]) -> tuple[bytes, int]:
    """Input, unless a signal or the end of -t comes first. bash runs its trap and reads on."""
    data, late = bytearray(), False

    def too_late() -> None:
        nonlocal late
        late = True
        shell.disturb()

    seconds = seconds_of(flags["t"]) if "t" in flags else None
    timer = shell.process.container.kernel.timer(seconds) if seconds is not None else None
    if timer is not None:
        timer.future.on_done(too_late)
    try:
        while True:
            shell.disturbed = Future()
            status = await Unless(_read_data(shell, flags, data), shell.disturbed)
            if shell.interrupted:
                raise ShellFault("interrupted", 130)
            if status is not None:
                return bytes(data), status
            if late:
                return bytes(data), 142 if shell.dialect is Dialect.BASH else 1
            if shell.dialect is not Dialect.BASH:
                return b"", 1
            await shell.run_traps()
    finally:
        shell.disturbed = None
        if timer is not None:
            timer.cancel()


async def _read_data(shell: Shell, flags: dict[str, str], data: bytearray) -> int:
    """Adds what comes to `data`; the answer is the status."""
    ending = (flags["d"][:1].encode("utf-8", "surrogateescape") or b"\0") if "d" in flags else b"\n"
    wanted = (
        int(flags.get("n") or flags.get("N") or 0)
        if (flags.get("n") or flags.get("N") or "0").isdigit()
        else 0
    )
    stream = shell.process.stdin
    while len(data) <= READ_LINE_BYTES_MAX:
        byte = await stream.read(1)
        if not byte:
            return 1
        if byte == ending and "N" not in flags:
            return 0
        if byte == b"\\" and "r" not in flags:
            following = await stream.read(1)
            # What a backslash quotes is not a separator: it is hidden until the line is split.
            data += b"" if following == b"\n" else b"\\" + following
            continue
        data += b"\\\\" if byte == b"\\" else byte
        if wanted and len(data) >= wanted:
            return 0
    return 0


def _assigned(line: str, count: int, separators: str | None) -> list[str]:
    """What each variable gets: fields, and for the last one the rest of the line as it is."""
    separators = " \t\n" if separators is None else separators
    white = "".join(sign for sign in separators if sign in " \t\n")
    signs = _signs(line)
    at = 0
    found: list[str] = []

    def skip_white() -> None:
        nonlocal at
        while at < len(signs) and signs[at][0] in white and not signs[at][1]:
            at += 1

    skip_white()
    while len(found) < count - 1:
        start = at
        while at < len(signs) and (signs[at][1] or signs[at][0] not in separators):
            at += 1
        found.append("".join(sign for sign, _ in signs[start:at]))
        skip_white()
        if at < len(signs) and signs[at][0] in separators and signs[at][0] not in white and not signs[at][1]:
            at += 1
            skip_white()
    rest = signs[at:]
    while rest and rest[-1][0] in white and not rest[-1][1]:
        rest.pop()
    black = [
        place
        for place, (sign, quoted) in enumerate(rest)
        if sign in separators and not quoted and sign not in white
    ]
    if black and black == [len(rest) - 1]:  # a lone separator at the end ends the last field
        rest.pop()
    found.append("".join(sign for sign, _ in rest))
    return found


def _signs(line: str) -> list[tuple[str, bool]]:
    """Characters, and whether a backslash stood before each."""
    signs: list[tuple[str, bool]] = []
    at = 0
    while at < len(line):
        quoted = line[at] == "\\" and at + 1 < len(line)
        at += quoted
        signs.append((line[at], quoted))
        at += 1
    return signs


async def mapfile(shell: Shell, words: Sequence[str]) -> int:
    name = next((word for word in words[1:] if not word.startswith("-")), "MAPFILE")
    text = (await read_all(shell.process.stdin, READ_LINE_BYTES_MAX)).decode("utf-8", "surrogateescape")
    lines = text.splitlines(keepends=True)[:LINES_MAX]
    shell.empty(shell.array(name))
    for at, line in enumerate(lines):
        shell.put(name, at, line.rstrip("\n") if "-t" in words else line)
    return 0
