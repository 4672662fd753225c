"""tail: the end of files, kept as they are read, and what is added to them.

What a real one holds counts as memory of the container, so that `tail /dev/zero` ends as it does
there; what is really stored is bounded.
"""

from __future__ import annotations

import re
from collections import deque

from services.runtime.opening import open_file
from services.runtime.processes import Process, Program
from services.runtime.programs.input import Pace, numbered_words, size_of_option, words_of
from services.runtime.programs.options import busybox, options
from services.runtime.streams import Stream

TAIL_BYTES_MAX = 16 * 1024 * 1024
HELD_STEP_BYTES = 256 * 1024


async def tail(process: Process) -> int:
    words = numbered_words(list(process.argv[1:]))
    words = [
        f"-n{word}" if re.fullmatch(r"\+\d+", word) and at == 0 else word for at, word in enumerate(words)
    ]
    found, operands = await options(
        process,
        "n:c:fFqvs:",
        words=words,
        synopsis="[-fFqv] [-c [+]N[bkm]] [-n [+]N] [FILE]...",
        long={"lines": "n", "follow": "f", "bytes": "c", "retry": "F"},
    )
    sign, count = await size_of_option(process, found.get("c") or found.get("n") or "10")
    status, shown, followed = 0, False, None
    for operand in operands or ["-"]:
        try:
            stream = process.stdin if operand == "-" else open_file(process, operand, "<")
        except OSError as error:
            named = f"can't open '{operand}'" if busybox(process) else f"cannot open '{operand}' for reading"
            await process.complain(f"tail: {named}: {words_of(error)}")
            status = 1
            continue
        if "v" in found or (len(operands) > 1 and "q" not in found):
            name = "standard input" if operand == "-" else operand
            await process.write(("\n" if shown else "") + f"==> {name} <==\n")
        shown = True
        await _last(process, stream, sign, count, by_bytes="c" in found)
        followed = stream
    if not shown:
        await process.complain("tail: no files" if busybox(process) else "tail: no files remaining") if (
            busybox(process) or found.keys() & {"f", "F"}
        ) else None
        return 1
    if found.keys() & {"f", "F"} and operands and followed is not None:
        while True:
            await process.sleep(1.0)
            if data := await followed.read(65536):
                await process.write(data)
    return status


async def _last(process: Process, stream: Stream, sign: str, count: int, *, by_bytes: bool) -> None:
    """The end of a stream, of which no more is kept than that."""
    pace, skipped = Pace(process), 0
    kept = _Bytes(count) if by_bytes else _Lines(count)
    before = process.held
    while data := await stream.read(65536):
        await pace.spend(len(data) // 4)
        if sign == "+":
            skipped = await _after(process, data, max(count - 1, 0), skipped, by_bytes=by_bytes)
            continue
        kept.add(data)
        if abs(before + kept.size - process.held) > HELD_STEP_BYTES:
            process.hold(before + kept.size)
    if sign != "+":
        await process.write(kept.end())


class _Bytes:
    """The last `count` bytes. `size` is what a real tail holds; here it is no more than a bound."""

    def __init__(self, count: int) -> None:
        self._count, self._pieces, self._stored = count, deque[bytes](), 0
        self.size = 0

    def add(self, data: bytes) -> None:
        self._pieces.append(data)
        self._stored += len(data)
        self.size = min(self.size + len(data), self._count)
        while self._stored - len(self._pieces[0]) >= min(self._count, TAIL_BYTES_MAX):
            self._stored -= len(self._pieces.popleft())
            if not self._pieces:
                return

    def end(self) -> bytes:
        return b"".join(self._pieces)[-self._count :] if self._count else b""


class _Lines:
    """The last `count` lines, the last of which may be without an end, and without end."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._lines: deque[bytes] = deque()
        self._lines_bytes = 0
        self._rest: list[bytes] = []
        self._rest_bytes = 0

    @property
    def size(self) -> int:
        return self._lines_bytes + self._rest_bytes

    def add(self, data: bytes) -> None:
        first, *others = data.split(b"\n")
        self._continue(first)
        if not others:
            return
        self._finish()
        *whole, rest = others
        if self._count:
            self._lines.extend(whole[-self._count :])
            self._lines_bytes += sum(map(len, whole[-self._count :]))
        self._continue(rest)
        while len(self._lines) > self._count or (self._lines and self._lines_bytes > TAIL_BYTES_MAX):
            self._lines_bytes -= len(self._lines.popleft())

    def _continue(self, piece: bytes) -> None:
        if piece and self._rest_bytes < TAIL_BYTES_MAX:
            self._rest.append(piece)
        self._rest_bytes += len(piece)

    def _finish(self) -> None:
        line = b"".join(self._rest)
        self._rest, self._rest_bytes = [], 0
        if self._count:
            self._lines.append(line)
            self._lines_bytes += len(line)

    def end(self) -> bytes:
        lines = [line + b"\n" for line in self._lines] + ([b"".join(self._rest)] if self._rest else [])
        return b"".join(lines[len(lines) - min(self._count, len(lines)) :])


async def _after(process: Process, data: bytes, wanted: int, skipped: int, *, by_bytes: bool) -> int:
    """Writes what stands behind so many lines or bytes; the answer is how many have been passed."""
    if skipped >= wanted:
        await process.write(data)
        return skipped
    if by_bytes:
        await process.write(data[wanted - skipped :])
        return skipped + len(data)
    at = 0
    while skipped < wanted:
        end = data.find(b"\n", at)
        if end < 0:
            return skipped
        at, skipped = end + 1, skipped + 1
    await process.write(data[at:])
    return skipped


PROGRAMS: dict[str, Program] = {"tail": tail}
