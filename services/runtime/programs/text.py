"""Tools that turn text into text."""

from __future__ import annotations

import base64 as base64_codec
import hashlib
import re

from services.runtime.opening import open_file
from services.runtime.processes import Process, Program
from services.runtime.programs.input import contents, joined, lines_of, tool, words_of
from services.runtime.programs.options import numeric, options
from services.runtime.programs.printing import unescape
from services.runtime.streams import read_all


async def cat(process: Process) -> int:
    found, operands = await options(process, "nuvetAbsE")
    if found.keys() & {"n", "b"}:
        inputs, status = await contents(process, operands)
        lines = [line for _, data in inputs for line in lines_of(data)]
        await process.write(joined([f"{number:6d}\t{line}" for number, line in enumerate(lines, 1)]))
        return status
    status = 0
    for operand in operands or ["-"]:
        try:
            stream = process.stdin if operand == "-" else open_file(process, operand, "<")
            while data := await stream.read(65536):
                await process.write(data)
        except BrokenPipeError:
            raise
        except OSError as error:
            await process.complain(f"cat: {_named(process, operand)}: {words_of(error)}")
            status = 1
    return status


def _named(process: Process, operand: str) -> str:
    """busybox says "can't open 'x'", the GNU tools only name it."""
    return operand if process.container.filesystem.exists("/usr/bin/bash") else f"can't open '{operand}'"


async def head(process: Process) -> int:
    words = [f"-n{word[1:]}" if re.fullmatch(r"-\d+", word) else word for word in process.argv[1:]]
    found, operands = await options(process, "n:c:qv", words=words, long={"lines": "n", "bytes": "c"})
    if not operands and "c" not in found and not found.get("n", "10").startswith("-"):
        return await _head_of_stream(process, int(await numeric(process, found.get("n", "10"))))
    inputs, status = await contents(process, operands)
    for index, (name, data) in enumerate(inputs):
        if len(inputs) > 1:
            await process.write(("\n" if index else "") + f"==> {name} <==\n")
        if "c" in found:
            await process.write(data[: int(await numeric(process, found["c"]))])
        else:
            count = int(await numeric(process, found.get("n", "10")))
            lines = data.splitlines(keepends=True)
            await process.write(b"".join(lines[:count]))
    return status


async def _head_of_stream(process: Process, count: int) -> int:
    """Stops reading when it has enough, so that the writer learns of it."""
    while count > 0:
        data = await process.stdin.read(65536)
        if not data:
            break
        lines = data.split(b"\n")
        if len(lines) > count:
            await process.write(b"\n".join(lines[:count]) + b"\n")
            break
        count -= len(lines) - 1
        await process.write(data)
    return 0


async def tail(process: Process) -> int:
    words = [f"-n{word[1:]}" if re.fullmatch(r"-\d+", word) else word for word in process.argv[1:]]
    found, operands = await options(process, "n:c:fFqv", words=words, long={"lines": "n", "follow": "f"})
    inputs, status = await contents(process, operands)
    for index, (name, data) in enumerate(inputs):
        if len(inputs) > 1:
            await process.write(("\n" if index else "") + f"==> {name} <==\n")
        if "c" in found:
            size = int(await numeric(process, found["c"]))
            await process.write(data[-size:] if size else b"")
            continue
        count = found.get("n", "10")
        await numeric(process, count)
        lines = data.splitlines(keepends=True)
        chosen = (
            lines[max(int(count) - 1, 0) :]
            if count.startswith("+")
            else lines[len(lines) - min(abs(int(count)), len(lines)) :]
        )
        await process.write(b"".join(chosen))
    if found.keys() & {"f", "F"} and operands:
        await _follow(process, operands[-1])
    return status


async def _follow(process: Process, operand: str) -> None:
    stream = None if operand == "/dev/null" else open_file(process, operand, "<")
    if stream is not None:
        await read_all(stream, 1 << 24)
    while True:
        await process.sleep(1.0)
        if stream is not None and (data := await stream.read(65536)):
            await process.write(data)


async def wc(process: Process) -> int:
    found, operands = await options(process, "lwcmL")
    inputs, status = await contents(process, operands)
    chosen = [letter for letter in "lwcm" if letter in found] or ["l", "w", "c"]
    totals = dict.fromkeys(chosen, 0)
    rows = []
    for name, data in inputs:
        text = data.decode("utf-8", "surrogateescape")
        counts = {"l": data.count(b"\n"), "w": len(text.split()), "c": len(data), "m": len(text)}
        rows.append(([counts[letter] for letter in chosen], name if operands else ""))
        for letter in chosen:
            totals[letter] += counts[letter]
    if len(rows) > 1:
        rows.append((list(totals.values()), "total"))
    for counts_row, name in rows:
        if len(chosen) == 1 and len(rows) == 1:
            line = f"{counts_row[0]} {name}".rstrip()
        else:
            line = " ".join(f"{count:7d}" for count in counts_row) + (f" {name}" if name else "")
        await process.write(line + "\n")
    return status


async def sort(process: Process) -> int:
    found, operands = await options(process, "nrufk:t:hbo:VgsM")
    inputs, status = await contents(process, operands)
    lines = [line for _, data in inputs for line in lines_of(data)]
    column = re.match(r"(\d+)", found.get("k", ""))
    numeric = bool(found.keys() & {"n", "h", "g"}) or "n" in found.get("k", "")

    def key(line: str) -> tuple[float, str]:
        text = line
        if column is not None:
            fields = line.split(found["t"]) if "t" in found else line.split()
            index = int(column[1]) - 1
            text = (
                (fields[index] if index < len(fields) else "")
                if "," in found["k"]
                else " ".join(fields[index:])
            )
        if numeric:
            match = re.match(r"\s*(-?\d+(?:\.\d+)?)", text)
            return float(match[1]) if match else 0.0, line
        return 0.0, text.lower() if "f" in found else text

    lines.sort(key=key, reverse="r" in found)
    if "u" in found:
        lines = list(dict.fromkeys(lines))
    await process.write(joined(lines))
    return status


async def uniq(process: Process) -> int:
    found, operands = await options(process, "cdui")
    inputs, status = await contents(process, operands[:1])
    groups: list[tuple[str, int]] = []
    for line in lines_of(inputs[0][1] if inputs else b""):
        same = groups and (groups[-1][0].lower() == line.lower() if "i" in found else groups[-1][0] == line)
        if same:
            groups[-1] = (groups[-1][0], groups[-1][1] + 1)
        else:
            groups.append((line, 1))
    if "d" in found:
        groups = [group for group in groups if group[1] > 1]
    if "u" in found:
        groups = [group for group in groups if group[1] == 1]
    await process.write(joined([f"{count:7d} {line}" if "c" in found else line for line, count in groups]))
    return status


async def cut(process: Process) -> int:
    found, operands = await options(process, "d:f:c:b:s", long={"delimiter": "d", "fields": "f"})
    inputs, status = await contents(process, operands)
    chosen = _ranges(found.get("f") or found.get("c") or found.get("b") or "")
    if not chosen:
        await process.complain("cut: expected a list of bytes, characters, or fields")
        return 1
    delimiter = found.get("d", "\t")
    out = []
    for _, data in inputs:
        for line in lines_of(data):
            if "f" not in found:
                out.append("".join(sign for at, sign in enumerate(line, 1) if _in(chosen, at)))
            elif delimiter in line:
                fields = line.split(delimiter)
                out.append(delimiter.join(field for at, field in enumerate(fields, 1) if _in(chosen, at)))
            elif "s" not in found:
                out.append(line)
    await process.write(joined(out))
    return status


def _ranges(text: str) -> list[tuple[int, float]]:
    ranges: list[tuple[int, float]] = []
    for piece in text.split(","):
        match = re.fullmatch(r"(\d*)(-?)(\d*)", piece.strip())
        if match is None or not (match[1] or match[3]):
            return []
        first = int(match[1] or 1)
        ranges.append((first, float(match[3]) if match[3] else (float("inf") if match[2] else first)))
    return ranges


def _in(ranges: list[tuple[int, float]], number: int) -> bool:
    return any(first <= number <= last for first, last in ranges)


async def tr(process: Process) -> int:
    found, operands = await options(process, "dsc")
    if not operands:
        await process.complain("tr: missing operand")
        return 1
    data = (await read_all(process.stdin, 1 << 24)).decode("utf-8", "surrogateescape")
    first = _set(operands[0])
    if "c" in found:
        first = "".join(chr(code) for code in range(256) if chr(code) not in first)
    second = _set(operands[1]) if len(operands) > 1 else ""
    if "d" in found:
        data = data.translate({ord(sign): None for sign in first})
    elif second:
        second = second + second[-1] * (len(first) - len(second))
        data = data.translate({ord(a): b for a, b in zip(first, second)})
    squeezed = second or first
    if "s" in found and squeezed:
        data = re.sub(f"([{re.escape(squeezed)}])\\1+", r"\1", data)
    await process.write(data)
    return 0


def _set(text: str) -> str:
    names = {
        "[:upper:]": "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "[:lower:]": "abcdefghijklmnopqrstuvwxyz",
        "[:digit:]": "0123456789", "[:space:]": " \t\n\r\v\f",
        "[:punct:]": "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~",
    }  # fmt: skip
    names["[:alpha:]"] = names["[:upper:]"] + names["[:lower:]"]
    names["[:alnum:]"] = names["[:digit:]"] + names["[:alpha:]"]
    for name, signs in names.items():
        text = text.replace(name, signs.replace("\\", "\\\\").replace("-", "\\055"))
    text = unescape(text)[0] if "\\" in text else text
    return re.sub(
        r"(.)-(.)",
        lambda m: "".join(chr(c) for c in range(ord(m[1]), ord(m[2]) + 1)) or m[0],
        text,
        flags=re.DOTALL,
    )


async def tee(process: Process) -> int:
    found, operands = await options(process, "ai")
    streams, status = [], 0
    for operand in operands:
        try:
            streams.append(open_file(process, operand, ">>" if "a" in found else ">"))
        except OSError as error:
            await process.complain(f"tee: {operand}: {words_of(error)}")
            status = 1
    while data := await process.stdin.read(65536):
        await process.write(data)
        for stream in streams:
            await stream.write(data)
    return status


async def tac(process: Process) -> int:
    inputs, status = await contents(process, process.argv[1:])
    await process.write(joined([line for _, data in inputs for line in lines_of(data)][::-1]))
    return status


async def rev(process: Process) -> int:
    inputs, status = await contents(process, process.argv[1:])
    await process.write(joined([line[::-1] for _, data in inputs for line in lines_of(data)]))
    return status


async def base64(process: Process) -> int:
    found, operands = await options(process, "dDiw:", long={"decode": "d", "wrap": "w"})
    inputs, status = await contents(process, operands)
    data = b"".join(piece for _, piece in inputs)
    if found.keys() & {"d", "D"}:
        try:
            await process.write(base64_codec.b64decode(data))
        except ValueError:
            await process.complain("base64: invalid input")
            return 1
        return status
    text = base64_codec.b64encode(data).decode()
    width = int(await numeric(process, found.get("w", "76")))
    rows = [text[at : at + width] for at in range(0, len(text), width)] if width else [text]
    await process.write("\n".join(rows) + ("\n" if width else ""))
    return status


async def checksum(process: Process) -> int:
    algorithm = tool(process).removesuffix("sum")
    inputs, status = await contents(process, process.argv[1:])
    for name, data in inputs:
        digest = hashlib.new(algorithm, data, usedforsecurity=False).hexdigest()
        await process.write(f"{digest}  {name}\n")
    return status


PROGRAMS: dict[str, Program] = {
    "cat": cat, "head": head, "tail": tail,
    "wc": wc, "sort": sort, "uniq": uniq, "cut": cut, "tr": tr, "tee": tee,
    "tac": tac, "rev": rev, "base64": base64, "md5sum": checksum, "sha1sum": checksum,
    "sha256sum": checksum,
}  # fmt: skip
