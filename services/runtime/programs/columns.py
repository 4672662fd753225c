"""Tools that rearrange lines and characters: cut, tr, nl, fold, paste, join, comm, rev, tac, expand."""

from __future__ import annotations

import re

from services.runtime.bytes_in_text import as_byte
from services.runtime.processes import Process, Program
from services.runtime.programs.input import Lines, Pace, contents, joined, lines_of
from services.runtime.programs.options import busybox, numeric, options, usage
from services.runtime.programs.printing import unescape

TR = "[-cds] STRING1 [STRING2]"
COLUMNS_MAX = 10_000


async def cut(process: Process) -> int:
    found, operands = await options(
        process, "d:f:c:b:sn", synopsis="[-b LIST|-c LIST|-f LIST] [-d SEP] [-s] [FILE]...",
        long={"delimiter": "d", "fields": "f", "characters": "c", "bytes": "b", "only-delimited": "s"},
    )  # fmt: skip
    chosen = found.get("f") or found.get("c") or found.get("b")
    if chosen is None:
        few = "expected a list of bytes, characters, or fields"
        gnu = (
            "you must specify a list of bytes, characters, or fields\nTry 'cut --help' for more information."
        )
        await process.complain(f"cut: {few if busybox(process) else gnu}")
        return 1
    ranges = _ranges(chosen)
    if not ranges:
        bad = next((piece for piece in re.split(r"[,-]", chosen) if not piece.isdigit()), chosen)
        await process.complain(
            f"cut: invalid number '{bad}'" if busybox(process) else f"cut: invalid field value ‘{bad}’"
        )
        return 1
    delimiter = found.get("d", "\t")
    lines, pace = Lines(process, operands), Pace(process)
    while (line := await lines.next()) is not None:
        await pace.spend(len(line))
        if "f" not in found:
            await process.write("".join(_pick(list(line), ranges)) + "\n")
        elif delimiter and delimiter in line:
            await process.write(delimiter.join(_pick(line.split(delimiter), ranges)) + "\n")
        elif "s" not in found:
            await process.write(line + "\n")
    return int(lines.failed)


def _ranges(text: str) -> list[tuple[int, float]]:
    ranges: list[tuple[int, float]] = []
    for piece in text.split(","):
        match = re.fullmatch(r"(\d{0,9})(-?)(\d{0,9})", piece.strip())
        if match is None or not (match[1] or match[3]):
            return []
        first = int(match[1] or 1)
        ranges.append((first, float(match[3]) if match[3] else (float("inf") if match[2] else first)))
    return ranges


def _pick(pieces: list[str], ranges: list[tuple[int, float]]) -> list[str]:
    return [piece for at, piece in enumerate(pieces, 1) if any(first <= at <= last for first, last in ranges)]


async def tr(process: Process) -> int:
    found, operands = await options(process, "dscCt", synopsis=TR)
    if not operands:
        raise await usage(process, TR)
    first = _set(operands[0])
    complement = bool(found.keys() & {"c", "C"})
    second = _set(operands[1]) if len(operands) > 1 else ""
    table: dict[int, str | None] = {}
    squeezed = frozenset(second or first)
    if not complement:
        filled = second + (second[-1:] * (len(first) - len(second)))
        table = {
            ord(sign): None if "d" in found else filled[at] if second else sign
            for at, sign in enumerate(first)
        }
    members, last = frozenset(first), ""
    while data := await process.stdin.read(65536):
        text = (
            data.decode("latin-1")
            if all(ord(sign) < 128 for sign in operands[0])
            else data.decode("utf-8", "replace")
        )
        if complement:
            text = "".join(
                sign if sign in members else "" if "d" in found else (second[-1:] or sign) for sign in text
            )
        else:
            text = text.translate(table)
        if "s" in found:
            text, last = _squeezed(text, squeezed, last, complement=complement and not second)
        await process.write(text.encode("latin-1" if all(ord(sign) < 256 for sign in text) else "utf-8"))
    return 0


def _squeezed(text: str, members: frozenset[str], last: str, *, complement: bool) -> tuple[str, str]:
    out = []
    for sign in text:
        if sign != last or (sign in members) == complement:
            out.append(sign)
        last = sign
    return "".join(out), last


_NAMED = {
    "upper": "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "lower": "abcdefghijklmnopqrstuvwxyz", "digit": "0123456789",
    "space": "\t\n\v\f\r ", "blank": " \t", "punct": "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~",
    "xdigit": "0123456789ABCDEFabcdef", "cntrl": "".join(map(chr, [*range(32), 127])),
}  # fmt: skip
_NAMED["alpha"] = _NAMED["upper"] + _NAMED["lower"]
_NAMED["alnum"] = _NAMED["digit"] + _NAMED["alpha"]
_NAMED["print"] = "".join(map(chr, range(32, 127)))
_NAMED["graph"] = _NAMED["print"][1:]


def _set(text: str) -> str:
    """What a string of tr stands for: classes, ranges, escapes."""
    out: list[str] = []
    at = 0

    def sign() -> str:
        nonlocal at
        if text[at] == "\\" and at + 1 < len(text):
            match = re.compile(r"\\([0-7]{1,3}|.)", re.DOTALL).match(text, at)
            assert match is not None
            at = match.end()
            return as_byte(unescape(match[0])[0][:1]) or match[1][:1]
        at += 1
        return text[at - 1]

    while at < len(text):
        match = re.compile(r"\[:(\w+):\]").match(text, at)
        if match and match[1] in _NAMED:
            out.append(_NAMED[match[1]])
            at = match.end()
            continue
        first = sign()
        if text[at : at + 1] == "-" and at + 1 < len(text):
            at += 1
            last = sign()
            out.append("".join(map(chr, range(ord(first), min(ord(last), ord(first) + 70_000) + 1))))
        else:
            out.append(first)
    return "".join(out)


async def nl(process: Process) -> int:
    found, operands = await options(
        process, "b:w:s:v:i:n:", synopsis="[-b STYLE] [-n FORMAT] [-s SEP] [-w WIDTH] [FILE]..."
    )
    inputs, status = await contents(process, operands)
    number, step = [int(await numeric(process, found.get(letter, "1"))) for letter in "vi"]
    width, separator = min(int(await numeric(process, found.get("w", "6"))), 100), found.get("s", "\t")
    out = []
    for line in (line for _, data in inputs for line in lines_of(data)):
        if line or found.get("b") == "a":
            out.append(f"{number:{width}d}{separator}{line}")
            number += step
        else:
            out.append(" " * (width + len(separator)) + line)
    await process.write(joined(out))
    return status


async def fold(process: Process) -> int:
    words = [f"-w{word[1:]}" if re.fullmatch(r"-\d+", word) else word for word in process.argv[1:]]
    found, operands = await options(process, "bsw:", words=words, synopsis="[-bs] [-w WIDTH] [FILE]...")
    width = max(int(await numeric(process, found.get("w", "80"))), 1)
    inputs, status = await contents(process, operands)
    out = []
    for line in (line for _, data in inputs for line in lines_of(data)):
        while len(line) > width:
            space = line.rfind(" ", 0, width) + 1 if "s" in found else 0
            end = space or width
            out.append(line[:end])
            line = line[end:]
        out.append(line)
    await process.write(joined(out))
    return status


async def paste(process: Process) -> int:
    found, operands = await options(
        process, "sd:z", synopsis="[-d LIST] [-sz] [FILE]...", long={"serial": "s", "delimiters": "d"}
    )
    inputs, status = await contents(process, operands)
    signs = unescape(found.get("d", "\t"))[0] or "\0"
    columns = [lines_of(data) for _, data in inputs]
    if len(columns) > 1 and operands.count("-") == len(columns):  # the same lines in turn
        whole = columns[0]
        columns = [whole[at :: len(columns)] for at in range(len(columns))]
    rows = columns if "s" in found else [
        [column[at] if at < len(column) else "" for column in columns]
        for at in range(max(map(len, columns), default=0))
    ]  # fmt: skip
    out = []
    for row in rows:
        pieces = [
            piece
            for at, item in enumerate(row)
            for piece in ((signs[(at - 1) % len(signs)] if at else ""), item)
        ]
        out.append("".join(pieces).replace("\0", ""))
    await process.write(joined(out))
    return status


async def comm(process: Process) -> int:
    found, operands = await options(process, "123", synopsis="[-123] FILE1 FILE2")
    if len(operands) != 2:
        raise await usage(process, "[-123] FILE1 FILE2")
    inputs, status = await contents(process, operands)
    if status:
        return 1
    first, second = (lines_of(data) for _, data in inputs)
    out, one, two = list[str](), 0, 0
    pads = ("", "" if "1" in found else "\t", ("" if "1" in found else "\t") + ("" if "2" in found else "\t"))
    while one < len(first) or two < len(second):
        if two >= len(second) or (one < len(first) and first[one] < second[two]):
            column, line, one = 0, first[one], one + 1
        elif one >= len(first) or second[two] < first[one]:
            column, line, two = 1, second[two], two + 1
        else:
            column, line, one, two = 2, first[one], one + 1, two + 1
        if str(column + 1) not in found:
            out.append(pads[column] + line)
    await process.write(joined(out))
    return 0


async def join(process: Process) -> int:
    found, operands = await options(process, "t:1:2:a:j:", synopsis="[-t CHAR] [-1 N] [-2 N] FILE1 FILE2")
    if len(operands) != 2:
        raise await usage(process, "[-t CHAR] [-1 N] [-2 N] FILE1 FILE2")
    inputs, status = await contents(process, operands)
    if status:
        return 1
    separator = found.get("t")
    place = [int(await numeric(process, found.get(letter, found.get("j", "1")))) - 1 for letter in "12"]
    first, second = ([line.split(separator) for line in lines_of(data)] for _, data in inputs)
    by_key: dict[str, list[list[str]]] = {}
    for row in second:
        if place[1] < len(row):
            by_key.setdefault(row[place[1]], []).append(row)
    out = []
    glue = separator or " "
    for row in first:
        if place[0] >= len(row):
            continue
        key = row[place[0]]
        rest = row[: place[0]] + row[place[0] + 1 :]
        matching = by_key.get(key, [])
        out += [glue.join([key, *rest, *other[: place[1]], *other[place[1] + 1 :]]) for other in matching]
        if not matching and found.get("a") == "1":
            out.append(glue.join([key, *rest]))
        if len(out) > 100_000:
            break
    await process.write(joined(out))
    return 0


async def tac(process: Process) -> int:
    _, operands = await options(process, "")
    inputs, status = await contents(process, operands)
    await process.write(joined([line for _, data in inputs for line in lines_of(data)[::-1]]))
    return status


async def rev(process: Process) -> int:
    lines = Lines(process, process.argv[1:], can_not=True)
    while (line := await lines.next()) is not None:
        await process.write(line[::-1] + "\n")
    return int(lines.failed)


async def expand(process: Process) -> int:
    found, operands = await options(process, "it:a", synopsis="[-i] [-t N] [FILE]...")
    size = min(max(int(await numeric(process, found.get("t", "8"))), 1), 100)
    inputs, status = await contents(process, operands)
    lines = [line for _, data in inputs for line in lines_of(data)]
    if process.argv[0].endswith("unexpand"):
        lines = [
            re.sub(rf"^(?: {{{size}}})+", lambda match: "\t" * (len(match[0]) // size), line)
            for line in lines
        ]
    else:
        lines = [line.expandtabs(size) for line in lines]
    await process.write(joined(lines))
    return status


async def line_ends(process: Process) -> int:
    """dos2unix and unix2dos."""
    _, operands = await options(process, "ud")
    to_unix = process.argv[0].endswith("dos2unix")
    inputs, status = await contents(process, operands)
    for name, data in inputs:
        changed = data.replace(b"\r\n", b"\n") if to_unix else data.replace(b"\n", b"\r\n")
        if name == "-":
            await process.write(changed)
        else:
            process.container.filesystem.write(
                name if name.startswith("/") else f"{process.cwd}/{name}", changed
            )
    return status


PROGRAMS: dict[str, Program] = {
    "cut": cut,
    "tr": tr,
    "nl": nl,
    "fold": fold,
    "paste": paste,
    "comm": comm,
    "join": join,
    "tac": tac,
    "rev": rev,
    "expand": expand,
    "unexpand": expand,
    "dos2unix": line_ends,
    "unix2dos": line_ends,
}
