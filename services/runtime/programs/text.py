"""Tools that pass text on: cat, head, wc, tee, split, truncate. All but split read as they go."""

from __future__ import annotations

from services.runtime.opening import open_file
from services.runtime.processes import Process, Program
from services.runtime.programs.input import (
    Lines,
    Pace,
    contents,
    let_go,
    numbered_words,
    path_of,
    size_of_option,
    words_of,
)
from services.runtime.programs.options import busybox, numeric, options, usage
from services.runtime.streams import Stream, Zero, read_all

TAIL_BYTES_MAX = 16 * 1024 * 1024
_FIRST_BYTES = bytes(code for code in range(256) if code & 0xC0 != 0x80)  # those that begin a character


async def cat(process: Process) -> int:
    found, operands = await options(process, "nuvetAbsETu", synopsis="[-nbvteA] [FILE]...")
    if found.keys() & {"n", "b", "e", "E", "A", "t", "v", "T", "s"}:
        return await _decorated(process, found, operands)
    status = 0
    for operand in operands or ["-"]:
        try:
            stream = process.stdin if operand == "-" else open_file(process, operand, "<")
            if operand != "-" and process.container.filesystem.is_directory(path_of(process, operand)):
                raise IsADirectoryError(21, "Is a directory")
            endless = isinstance(stream, Zero)
            while data := await stream.read(65536):
                await process.write(data)
                if endless:
                    await process.container.kernel.breathe()
            let_go(process, stream)
        except BrokenPipeError:
            raise
        except OSError as error:
            worded = busybox(process) and error.errno != 21
            named = f"can't open '{operand}'" if worded else f"read error" if busybox(process) else operand  # noqa: F541
            await process.complain(f"cat: {named}: {words_of(error)}")
            status = 1
    return status


async def _decorated(process: Process, found: dict[str, str], operands: list[str]) -> int:
    lines = Lines(process, operands, can_not=True)
    number, blank = 0, False
    visible = bool(found.keys() & {"v", "e", "A", "t"})
    while (line := await lines.next()) is not None:
        if "s" in found and blank and not line:
            continue
        blank = not line
        if visible:
            line = "".join(_visible(sign) for sign in line)
        if found.keys() & {"t", "A", "T"}:
            line = line.replace("\t", "^I")
        ending = "$\n" if found.keys() & {"e", "E", "A"} else "\n"
        numbered = ("b" in found and line) or ("n" in found and "b" not in found)
        number += bool(numbered)
        await process.write(f"{number:6d}\t{line}{ending}" if numbered else f"{line}{ending}")
    return int(lines.failed)


def _visible(sign: str) -> str:
    code = ord(sign)
    return "^" + chr(code + 64) if code < 32 and sign != "\t" else "^?" if code == 127 else sign


async def head(process: Process) -> int:
    found, operands = await options(
        process,
        "n:c:qv",
        words=numbered_words(list(process.argv[1:])),
        synopsis="[OPTIONS] [FILE]...",
        long={"lines": "n", "bytes": "c", "quiet": "q", "verbose": "v"},
    )
    by_bytes = "c" in found
    sign, count = await size_of_option(process, found.get("c") or found.get("n") or "10")
    status, shown = 0, False
    for operand in operands or ["-"]:
        try:
            stream = process.stdin if operand == "-" else open_file(process, operand, "<")
        except OSError as error:
            named = operand if busybox(process) else f"cannot open '{operand}' for reading"
            await process.complain(f"head: {named}: {words_of(error)}")
            status = 1
            continue
        if "v" in found or (len(operands) > 1 and "q" not in found):
            name = "standard input" if operand == "-" else operand
            await process.write(("\n" if shown else "") + f"==> {name} <==\n")
        shown = True
        if sign == "-":
            data = await read_all(stream, TAIL_BYTES_MAX)
            lines = data.splitlines(keepends=True)
            await process.write(
                data[: len(data) - count] if by_bytes else b"".join(lines[: max(len(lines) - count, 0)])
            )
        else:
            await _first(process, stream, count, by_bytes=by_bytes)
        let_go(process, stream)
    return status


async def _first(process: Process, stream: Stream, count: int, *, by_bytes: bool) -> None:
    """Stops reading when it has enough, so that the writer learns of it."""
    while count > 0:
        data = await stream.read(min(65536, count) if by_bytes else 65536)
        if not data:
            return
        if by_bytes:
            count -= len(data)
            await process.write(data)
            continue
        lines = data.split(b"\n")
        if len(lines) > count:
            await process.write(b"\n".join(lines[:count]) + b"\n")
            return
        count -= len(lines) - 1
        await process.write(data)


async def wc(process: Process) -> int:
    found, operands = await options(
        process,
        "lwcmL",
        synopsis="[-cmlwL] [FILE]...",
        long={"lines": "l", "words": "w", "bytes": "c", "chars": "m"},
    )
    chosen = [letter for letter in "lwmcL" if letter in found] or ["l", "w", "c"]
    rows: list[tuple[list[int], str]] = []
    status = 0
    for operand in operands or ["-"]:
        try:
            stream = process.stdin if operand == "-" else open_file(process, operand, "<")
        except OSError as error:
            await process.complain(f"wc: {operand}: {words_of(error)}")
            status = 1
            continue
        counts = await _counted(process, stream)
        let_go(process, stream)
        rows.append(([counts[letter] for letter in chosen], operand if operands else ""))
    if len(operands) > 1:
        sums = [sum(row[0][at] for row in rows) for at in range(len(chosen))]
        if "L" in chosen:
            sums[chosen.index("L")] = max((row[0][chosen.index("L")] for row in rows), default=0)
        rows.append((sums, "total"))
    width = 9 if busybox(process) else max((len(str(count)) for row in rows for count in row[0]), default=1)
    if not busybox(process) and (not operands or "-" in operands):
        width = max(width, 7)
    for row, name in rows:
        alone = len(chosen) == 1 and len(rows) == 1
        text = str(row[0]) if alone else " ".join(f"{count:{width}d}" for count in row)
        await process.write(f"{text} {name}".rstrip() + "\n" if name else f"{text}\n")
    return status


async def _counted(process: Process, stream: Stream) -> dict[str, int]:
    counts = {"l": 0, "w": 0, "c": 0, "m": 0, "L": 0}
    pace, inside, column = Pace(process), False, 0
    while data := await stream.read(65536):
        await pace.spend(len(data) // 4)
        counts["c"] += len(data)
        counts["l"] += data.count(b"\n")
        counts["m"] += len(data) - len(data.translate(None, _FIRST_BYTES))
        words = data.split()
        counts["w"] += len(words) - (1 if inside and words and not data[:1].isspace() else 0)
        inside = not data[-1:].isspace()
        for index, line in enumerate(data.split(b"\n")):
            column = len(line) + (column if index == 0 else 0)
            counts["L"] = max(counts["L"], column)
    return counts


async def tee(process: Process) -> int:
    found, operands = await options(process, "ai", synopsis="[-ai] [FILE]...", long={"append": "a"})
    streams: list[Stream] = []
    status = 0
    for operand in operands:
        try:
            streams.append(open_file(process, operand, ">>" if "a" in found else ">"))
        except OSError as error:
            await process.complain(f"tee: {operand}: {words_of(error)}")
            status = 1
    try:
        while data := await process.stdin.read(65536):
            await process.write(data)
            for stream in streams:
                await stream.write(data)
    finally:
        for stream in streams:
            let_go(process, stream)
    return status


async def split(process: Process) -> int:
    synopsis = "[OPTIONS] [INPUT [PREFIX]]"
    found, operands = await options(process, "l:b:a:d", synopsis=synopsis)
    inputs, status = await contents(process, operands[:1])
    data = inputs[0][1] if inputs else b""
    prefix = operands[1] if len(operands) > 1 else "x"
    if "b" in found:
        size = max((await size_of_option(process, found["b"]))[1], 1)
        pieces = [data[at : at + size] for at in range(0, len(data), size)]
    else:
        count = max(int(await numeric(process, found.get("l", "1000"))), 1)
        lines = data.splitlines(keepends=True)
        pieces = [b"".join(lines[at : at + count]) for at in range(0, len(lines), count)]
    if len(pieces) > 26 * 26:
        await process.complain("split: output file suffixes exhausted")
        return 1
    for at, piece in enumerate(pieces):
        suffix = f"{at:02d}" if "d" in found else chr(97 + at // 26) + chr(97 + at % 26)
        process.container.filesystem.write(
            path_of(process, prefix + suffix), piece, modified=process.container.now_seconds()
        )
    return status


async def truncate(process: Process) -> int:
    found, operands = await options(process, "s:c", synopsis="[-c] -s SIZE FILE...", long={"size": "s"})
    if "s" not in found or not operands:
        raise await usage(process, "[-c] -s SIZE FILE...")
    sign, size = await size_of_option(process, found["s"])
    filesystem = process.container.filesystem
    for operand in operands:
        path = path_of(process, operand)
        old = filesystem.read(path) if filesystem.exists(path) else b""
        wanted = size if not sign else len(old) + size if sign == "+" else max(len(old) - size, 0)
        try:
            if wanted > TAIL_BYTES_MAX:
                raise OSError(27, "File too large")
            filesystem.write(
                path, old[:wanted].ljust(wanted, b"\0"), modified=process.container.now_seconds()
            )
        except OSError as error:
            await process.complain(f"truncate: {operand}: {words_of(error)}")
            return 1
    return 0


PROGRAMS: dict[str, Program] = {
    "cat": cat, "head": head, "wc": wc, "tee": tee, "split": split, "truncate": truncate,
}  # fmt: skip
