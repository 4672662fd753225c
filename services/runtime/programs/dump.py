"""Bytes made visible: od, hexdump, xxd, strings, base64, checksums."""

from __future__ import annotations

import base64 as base64_codec
import hashlib
import re

from services.runtime.processes import Process, Program
from services.runtime.programs.input import contents, lines_of, tool
from services.runtime.programs.options import busybox, numeric, options

_NAMES = {0: "\\0", 7: "\\a", 8: "\\b", 9: "\\t", 10: "\\n", 11: "\\v", 12: "\\f", 13: "\\r"}


async def _all(process: Process, operands: list[str]) -> tuple[bytes, int]:
    inputs, status = await contents(process, operands, can_not=True)
    return b"".join(data for _, data in inputs), status


async def od(process: Process) -> int:
    found, operands = await options(
        process,
        "A:t:cxbdoN:j:va",
        synopsis="[-abcdfhilovxs] [-t TYPE] [-A RADIX] [-N SIZE] [-j SKIP] [FILE]...",
    )
    data, status = await _all(process, operands)
    data = data[int(await numeric(process, found.get("j", "0"))) :]
    data = data[: int(await numeric(process, found["N"]))] if "N" in found else data
    kind = found.get("t") or next((kind for letter, kind in _OD.items() if letter in found), "o2")
    size = {"c": 1, "a": 1}.get(
        kind[0], int(kind[1:]) if kind[1:].isdigit() else 4 if kind[0] in "xdou" else 1
    )
    size = size if size in (1, 2, 4, 8) else 2
    base = {"x": "x", "d": "d", "n": ""}.get(found.get("A", "o")[:1], "o")
    out = []
    last: bytes | None = None
    starred = False
    for at in range(0, len(data), 16):
        row = data[at : at + 16]
        if row == last and len(row) == 16 and "v" not in found:
            out.append("*\n" if not starred else "")
            starred = True
            continue
        last, starred = row, False
        out.append(
            _address(at, base)
            + "".join(_unit(row[i : i + size], kind, size) for i in range(0, len(row), size))
            + "\n"
        )
    out.append(f"{_address(len(data), base)}\n" if base else "")
    await process.write("".join(out))
    return status


_OD = {"c": "c", "x": "x2", "b": "o1", "d": "u2", "o": "o2", "a": "c"}


def _address(at: int, base: str) -> str:
    return f"{at:07{base}}" if base and base != "x" else f"{at:06x}" if base else ""


def _unit(piece: bytes, kind: str, size: int) -> str:
    if kind[0] in "ca":
        code = piece[0]
        return f"{_NAMES.get(code) or (chr(code) if 32 <= code < 127 else f'{code:03o}'):>4}"
    value = int.from_bytes(piece.ljust(size, b"\0"), "little", signed=kind[0] == "d")
    digits = {"x": size * 2, "o": {1: 3, 2: 6, 4: 11, 8: 22}[size]}.get(kind[0])
    if digits is not None:
        return f" {value:0{digits}{kind[0]}}"
    return f" {value:{ {1: 4, 2: 5, 4: 11, 8: 20}[size] }d}"


async def hexdump(process: Process) -> int:
    found, operands = await options(process, "Cvn:s:bcdox", synopsis="[-bcdoxCv] [-n LEN] [-s OFS] [FILE]...")
    data, status = await _all(process, operands)
    data = data[: int(await numeric(process, found["n"]))] if "n" in found else data
    out, last, starred = list[str](), b"", False
    canonical = "C" in found or tool(process) == "hd"
    for at in range(0, len(data), 16):
        row = data[at : at + 16]
        if row == last and len(row) == 16 and "v" not in found:
            out.append("" if starred else "*\n")
            starred = True
            continue
        last, starred = row, False
        if canonical:
            halves = " ".join(f"{code:02x}" for code in row[:8]), " ".join(f"{code:02x}" for code in row[8:])
            out.append(f"{at:08x}  {halves[0]:<23}  {halves[1]:<23}  |{_printable(row)}|\n")
        else:
            pairs = [row[i : i + 2].ljust(2, b"\0") for i in range(0, len(row), 2)]
            words = " ".join(f"{int.from_bytes(pair, 'little'):04x}" for pair in pairs)
            out.append(f"{at:07x} {words:<39}\n")
    if data:
        out.append(f"{len(data):08x}\n" if canonical else f"{len(data):07x}\n")
    await process.write("".join(out))
    return status


def _printable(row: bytes) -> str:
    return "".join(chr(code) if 32 <= code < 127 else "." for code in row)


async def xxd(process: Process) -> int:
    found, operands = await options(process, "pl:c:rg:u", synopsis="[-pri] [-g N] [-c N] [-l LEN] [FILE]")
    data, status = await _all(process, operands[:1])
    if "r" in found:
        digits = re.sub(rb"[^0-9a-fA-F]", b"", data)
        await process.write(bytes.fromhex(digits[: len(digits) // 2 * 2].decode()))
        return status
    data = data[: int(await numeric(process, found["l"]))] if "l" in found else data
    if "p" in found:
        text = data.hex()
        await process.write("".join(f"{text[at : at + 60]}\n" for at in range(0, len(text), 60)))
        return status
    out = []
    for at in range(0, len(data), 16):
        row = data[at : at + 16]
        pairs = " ".join(row[i : i + 2].hex() for i in range(0, len(row), 2))
        out.append(f"{at:08x}: {pairs:<39}  {_printable(row)}\n")
    await process.write("".join(out))
    return status


async def strings(process: Process) -> int:
    found, operands = await options(process, "n:afo", synopsis="[-fo] [-t o|d|x] [-n LEN] [FILE]...")
    data, status = await _all(process, operands)
    least = min(max(int(await numeric(process, found.get("n", "4"))), 1), 1000)
    for piece in re.findall(rb"[\t -~]{%d,}" % least, data):
        await process.write(piece + b"\n")
    return status


async def base64(process: Process) -> int:
    found, operands = await options(
        process, "dDiw:", long={"decode": "d", "wrap": "w"}, synopsis="[-d] [-w COL] [FILE]"
    )
    data, status = await _all(process, operands)
    if found.keys() & {"d", "D"}:
        clean = re.sub(rb"\s", b"", data)
        try:
            await process.write(base64_codec.b64decode(clean, validate=True))
        except ValueError:
            whole = re.match(rb"[A-Za-z0-9+/]*", clean)
            good = whole[0][: len(whole[0]) // 4 * 4] if whole else b""
            await process.write(base64_codec.b64decode(good))
            await process.complain("base64: truncated input" if busybox(process) else "base64: invalid input")
            return 1
        return status
    text = base64_codec.b64encode(data).decode()
    width = int(await numeric(process, found.get("w", "76")))
    rows = [text[at : at + width] for at in range(0, len(text), width)] if width > 0 else [text]
    await process.write("\n".join(rows) + ("\n" if width and rows else ""))
    return status


async def checksum(process: Process) -> int:
    algorithm = tool(process).removesuffix("sum")
    found, operands = await options(process, "csbtw", long={"check": "c"}, synopsis="[-c[sw]] [FILE]...")
    inputs, status = await contents(process, operands, can_not=True)
    if "c" not in found:
        for name, data in inputs:
            await process.write(
                f"{hashlib.new(algorithm, data, usedforsecurity=False).hexdigest()}  {name}\n"
            )
        return status
    failed = 0
    for line in (line for _, data in inputs for line in lines_of(data)):
        wanted, _, name = line.partition(" ")
        name = name.lstrip(" *")
        found_files, missing = await contents(process, [name], can_not=True)
        good = (
            not missing
            and hashlib.new(algorithm, found_files[0][1], usedforsecurity=False).hexdigest() == wanted
        )
        failed += not good
        if "s" not in found:
            await process.write(f"{name}: {'OK' if good else 'FAILED'}\n")
    if failed:
        one = "computed checksum did NOT match" if failed == 1 else "computed checksums did NOT match"
        await process.complain(f"{tool(process)}: WARNING: {failed} {one}")
    return int(bool(failed)) or status


PROGRAMS: dict[str, Program] = {
    "od": od, "hexdump": hexdump, "hd": hexdump, "xxd": xxd, "strings": strings, "base64": base64,
    **dict.fromkeys(("md5sum", "sha1sum", "sha224sum", "sha256sum", "sha384sum", "sha512sum"), checksum),
}  # fmt: skip
