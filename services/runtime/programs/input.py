"""Reading operands: files by name, `-` and nothing for stdin, with the complaints that tools make."""

from __future__ import annotations

import os
from collections.abc import Sequence

from services.runtime.filesystem import normal
from services.runtime.opening import open_file
from services.runtime.processes import Process
from services.runtime.streams import Zero, read_all

INPUT_BYTES_MAX = 16 * 1024 * 1024


def tool(process: Process) -> str:
    return process.argv[0].rpartition("/")[2]


def words_of(error: OSError) -> str:
    return os.strerror(error.errno or 0)


def path_of(process: Process, operand: str) -> str:
    return normal(operand, process.cwd)


async def contents(process: Process, operands: Sequence[str]) -> tuple[list[tuple[str, bytes]], int]:
    """(name, content) of each operand that can be read, and 1 if one cannot."""
    found: list[tuple[str, bytes]] = []
    status = 0
    for operand in operands or ("-",):
        if operand == "-":
            found.append(("-", await read_all(process.stdin, INPUT_BYTES_MAX)))
            continue
        try:
            found.append((operand, await read_file(process, operand)))
        except OSError as error:
            await process.complain(f"{tool(process)}: {operand}: {words_of(error)}")
            status = 1
    return found, status


async def read_file(process: Process, operand: str) -> bytes:
    path = path_of(process, operand)
    if path.startswith("/dev/"):
        stream = open_file(process, operand, "<")
        return bytes(65536) if isinstance(stream, Zero) else await read_all(stream, INPUT_BYTES_MAX)
    return process.container.filesystem.read(path)


def lines_of(data: bytes) -> list[str]:
    """Text lines without their ends."""
    text = data.decode("utf-8", "surrogateescape")
    lines = text.split("\n")
    if lines and lines[-1] == "":
        lines.pop()
    return lines


def joined(lines: Sequence[str]) -> str:
    return "".join(f"{line}\n" for line in lines)
