"""Tools that print what they are told: echo, printf, seq, yes."""

from __future__ import annotations

import re
from collections.abc import Sequence

from services.runtime.processes import Process, Program
from services.runtime.programs.options import options

_ESCAPE = re.compile(r"\\(0[0-7]{0,3}|x[0-9a-fA-F]{1,2}|[0-7]{1,3}|.)", re.DOTALL)
_SIMPLE = {
    "n": "\n",
    "t": "\t",
    "r": "\r",
    "a": "\a",
    "b": "\b",
    "f": "\f",
    "v": "\v",
    "\\": "\\",
    "e": "\x1b",
}
_FORMAT = re.compile(r"%([-+ 0#]*)(\*|\d+)?(?:\.(\*|\d+))?([diouxXeEfgGcsbq%])")
REPEAT_LINES = 1000
WIDTH_MAX = 10_000
NUMBERS_MAX = 100_000_000


def unescape(text: str) -> tuple[str, bool]:
    """The text with its escapes resolved, and whether `\\c` cut it short."""
    out, at = [], 0
    for match in _ESCAPE.finditer(text):
        out.append(text[at : match.start()])
        at = match.end()
        code = match[1]
        if code == "c":
            return "".join(out), True
        if code[0] == "x" and len(code) > 1:
            out.append(chr(int(code[1:], 16)))
        elif code[0] in "01234567":
            out.append(chr(int(code, 8) & 0xFF))
        else:
            out.append(_SIMPLE.get(code, match[0]))
    return "".join(out) + text[at:], False


async def echo(process: Process, words: Sequence[str], *, escapes: bool = False) -> int:
    rest, newline = list(words), True
    while rest and re.fullmatch(r"-n" if escapes else r"-[neE]+", rest[0]):
        letters = rest.pop(0)
        newline = newline and "n" not in letters
        escapes = ("e" in letters or escapes) and "E" not in letters
    text = " ".join(rest)
    if escapes:
        text, cut = unescape(text)
        newline = newline and not cut
    await process.write(text + ("\n" if newline else ""))
    return 0


async def printf(process: Process, words: Sequence[str]) -> int:
    if not words:
        await process.complain("printf: usage: printf format [arguments]")
        return 2
    template, arguments = words[0], list(words[1:])
    status = 0
    out: list[str] = []
    while True:
        before = len(arguments)
        piece, bad, stop = _format(template, arguments)
        out.append(piece)
        for word in bad:
            await process.complain(f"printf: {word}: expected numeric value")
            status = 1
        if stop or not arguments or len(arguments) == before:
            break
    await process.write("".join(out))
    return status


def _format(template: str, arguments: list[str]) -> tuple[str, list[str], bool]:
    out: list[str] = []
    bad: list[str] = []
    at = 0
    for match in _FORMAT.finditer(template):
        text, cut = unescape(template[at : match.start()])
        out.append(text)
        if cut:
            return "".join(out), bad, True
        at = match.end()
        kind = match[4]
        if kind == "%":
            out.append("%")
            continue
        width = _star(match[2], arguments)
        precision = _star(match[3], arguments)
        value = arguments.pop(0) if arguments else ""
        text, wrong, cut = _conversion(kind, match[1], width, precision, value)
        out.append(text)
        if wrong:
            bad.append(value)
        if cut:
            return "".join(out), bad, True
    text, cut = unescape(template[at:])
    return "".join(out) + text, bad, cut


def _star(text: str | None, arguments: list[str]) -> str | None:
    """A width from the arguments where the format says `*`."""
    if text != "*":
        return text
    given = arguments.pop(0) if arguments else "0"
    return given if given.isascii() and given.isdigit() else "0"


def _conversion(
    kind: str, flags: str, width: str | None, precision: str | None, value: str
) -> tuple[str, bool, bool]:
    form = "%" + flags + str(min(int(width or 0), WIDTH_MAX) or "")
    limit = f".{min(int(precision), WIDTH_MAX)}" if precision is not None else ""
    if kind in "sbqc":
        text, cut = unescape(value) if kind == "b" else (value, False)
        text = text[:1] if kind == "c" else text
        return (form + limit + "s") % text, False, cut
    wrong = False
    number: float = 0
    try:
        if value[:1] in ("'", '"'):
            number = ord(value[1:2] or "\0")
        elif kind in "eEfgG":
            number = float(value or 0)
        else:
            number = int(value or "0", 0) if not re.fullmatch(r"[-+]?0\d+", value) else int(value, 8)
    except ValueError:
        wrong = True
    if kind in "diu":
        kind = "d"
    return (form + limit + kind) % (number if kind in "eEfgG" else int(number)), wrong, False


async def echo_program(process: Process) -> int:
    return await echo(process, process.argv[1:])


async def printf_program(process: Process) -> int:
    return await printf(process, process.argv[1:])


async def seq(process: Process) -> int:
    found, operands = await options(
        process,
        "s:w",
        words=[word if not re.fullmatch(r"-\d+", word) else f"\0{word}" for word in process.argv[1:]],
    )
    try:
        numbers = [int(word.lstrip("\0")) for word in operands]
    except ValueError:
        await process.complain("seq: invalid floating point argument")
        return 1
    if not 1 <= len(numbers) <= 3:
        await process.complain("seq: missing operand")
        return 1
    first, step, last = (1, 1, numbers[0]) if len(numbers) == 1 else (
        (numbers[0], 1, numbers[1]) if len(numbers) == 2 else (numbers[0], numbers[1], numbers[2])
    )  # fmt: skip
    if step == 0:
        await process.complain("seq: zero increment")
        return 1
    count = min(max((last - first) // step + 1, 0), NUMBERS_MAX)
    values = range(first, first + count * step, step)
    separator = found.get("s", "\n")
    for start in range(0, len(values), REPEAT_LINES):
        chunk = separator.join(map(str, values[start : start + REPEAT_LINES]))
        await process.write(chunk + ("\n" if start + REPEAT_LINES >= len(values) else separator))
        if start:
            await process.container.kernel.breathe()
    return 0


async def yes(process: Process) -> int:
    line = " ".join(process.argv[1:]) or "y"
    while True:
        await process.write(f"{line}\n" * REPEAT_LINES)
        await process.container.kernel.breathe()


PROGRAMS: dict[str, Program] = {"echo": echo_program, "printf": printf_program, "seq": seq, "yes": yes}
