"""Reading operands: files by name, `-` and nothing for stdin, with the complaints that tools make."""

from __future__ import annotations

import errno
import os
import re
from collections import deque
from collections.abc import Sequence

from services.runtime.filesystem import normal
from services.runtime.opening import open_file
from services.runtime.processes import Exit, Process
from services.runtime.programs.options import busybox
from services.runtime.streams import Null, Stream, Zero, read_all

HELD_STEP_PIECES = 16
INPUT_BYTES_MAX = 16 * 1024 * 1024
BREATH_CHARACTERS = 200_000
_SIZE = re.compile(r"([-+]?)(\d{1,12})([kKmMgG]?)[bB]?")
_UNITS = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3}


class Pace:
    """Lets others run after every so many characters that a tool works through."""

    def __init__(self, process: Process) -> None:
        self._kernel, self._spent = process.container.kernel, 0

    async def spend(self, characters: int) -> None:
        self._spent += characters + 20
        if self._spent > BREATH_CHARACTERS:
            self._spent = 0
            await self._kernel.breathe()


def tool(process: Process) -> str:
    return process.argv[0].rpartition("/")[2]


def words_of(error: OSError) -> str:
    return os.strerror(error.errno or 0)


def path_of(process: Process, operand: str) -> str:
    return normal(operand, process.cwd)


async def contents(
    process: Process, operands: Sequence[str], *, quiet: bool = False, can_not: bool | None = None
) -> tuple[list[tuple[str, bytes]], int]:
    """(name, content) of each operand that can be read, and 1 if one cannot.

    `can_not`: whether the complaint begins with "can't open", as busybox has it for some tools.
    """
    found: list[tuple[str, bytes]] = []
    status = 0
    worded = busybox(process) and can_not
    for operand in operands or ("-",):
        if operand == "-":
            found.append(("-", await read_all(process.stdin, INPUT_BYTES_MAX)))
            process.hold(process.held + len(found[-1][1]))
            continue
        try:
            found.append((operand, await read_file(process, operand)))
            process.hold(process.held + len(found[-1][1]))
        except OSError as error:
            if not quiet:
                named = f"can't open '{operand}'" if worded else operand
                await process.complain(f"{tool(process)}: {named}: {words_of(error)}")
            status = 1
    return found, status


async def read_file(process: Process, operand: str) -> bytes:
    path = path_of(process, operand)
    if path.startswith("/dev/"):
        stream = open_file(process, operand, "<")
        data = bytes(65536) if isinstance(stream, Zero) else await read_all(stream, INPUT_BYTES_MAX)
        stream.release() if not isinstance(stream, Null) else None
        return data
    return process.container.filesystem.read(path)


def let_go(process: Process, stream: Stream) -> None:
    if stream is not process.stdin and not isinstance(stream, Null):
        stream.release()


async def size_of_option(process: Process, text: str) -> tuple[str, int]:
    """The sign and the amount of -n and -c."""
    match = _SIZE.fullmatch(text)
    if match is None:
        gnu = f"invalid number of lines: ‘{text}’"
        await process.complain(
            f"{process.argv[0]}: " + (f"invalid number '{text}'" if busybox(process) else gnu)
        )
        raise Exit(1)
    return match[1], int(match[2]) * _UNITS[match[3].lower()]


def numbered_words(words: list[str]) -> list[str]:
    """-5 is -n 5."""
    out: list[str] = []
    for at, word in enumerate(words):
        value = at > 0 and words[at - 1] in ("-n", "-c")
        out.append(f"-n{word[1:]}" if re.fullmatch(r"-\d+", word) and not value else word)
    return out


def lines_of(data: bytes) -> list[str]:
    """Text lines without their ends."""
    text = data.decode("utf-8", "surrogateescape")
    lines = text.split("\n")
    if lines and lines[-1] == "":
        lines.pop()
    return lines


def joined(lines: Sequence[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


class Lines:
    """Lines of operands one after another, read as they are asked for; `last` looks one ahead."""

    def __init__(self, process: Process, operands: Sequence[str], *, can_not: bool | None = None) -> None:
        self._process, self._operands = process, list(operands or ("-",))
        self._can_not = can_not
        self._stream: Stream | None = None
        self._rest = b""
        self._ready: deque[str] = deque()
        self._pieces: list[bytes] = []
        self.complete = True  # whether the last line had an end
        self.failed = False
        self.file = ""

    async def next(self) -> str | None:
        """The next line without its end, None where there is none."""
        while not self._ready and await self._fill():
            pass
        return self._ready.popleft() if self._ready else None

    async def last(self) -> bool:
        while not self._ready and await self._fill():
            pass
        return not self._ready

    async def _fill(self) -> bool:
        """Reads a piece; false at the end of everything."""
        if self._stream is None and not await self._open():
            return False
        assert self._stream is not None
        data = await self._stream.read(65536)
        if not data:
            if self._pieces:
                self._ready.append(_text(b"".join(self._pieces)))
                self._pieces.clear()
                self.complete = False
            self._close()
            return True
        *whole, rest = data.split(b"\n")
        if whole:
            whole[0] = b"".join([*self._pieces, whole[0]])
            self._pieces = []
            self._ready.extend(_text(line) for line in whole)
            self.complete = True
        if rest:
            self._pieces.append(rest)
            if len(self._pieces) % HELD_STEP_PIECES == 0:  # a line without end, as of /dev/zero
                self._process.hold(self._process.held + HELD_STEP_PIECES * len(rest))
            if sum(map(len, self._pieces)) > INPUT_BYTES_MAX:
                raise OSError(errno.ENOMEM, "Cannot allocate memory")
        return True

    async def _open(self) -> bool:
        while self._operands:
            operand = self._operands.pop(0)
            self.file = operand
            try:
                if operand == "-":
                    self._stream = self._process.stdin
                else:
                    self._stream = open_file(self._process, operand, "<")
                return True
            except OSError as error:
                worded = busybox(self._process) and self._can_not
                named = f"can't open '{operand}'" if worded else operand
                await self._process.complain(f"{tool(self._process)}: {named}: {words_of(error)}")
                self.failed = True
        return False

    def _close(self) -> None:
        stream = self._stream
        if stream is not None:
            let_go(self._process, stream)
        self._stream = None


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")
