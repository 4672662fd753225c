"""Tools that print what they are told: echo, printf, seq, yes."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from decimal import Decimal

from services.runtime.bytes_in_text import byte_sign, code_sign, first_byte, rejoined
from services.runtime.dialect import Dialect
from services.runtime.processes import Process, Program
from services.runtime.programs.options import busybox, options, usage

_ESCAPE = re.compile(r"\\(0[0-7]{0,3}|u[0-9a-fA-F]{1,4}|x[0-9a-fA-F]{1,2}|[0-7]{1,3}|.)", re.DOTALL)
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
_FORMAT = re.compile(r"%([-+ 0#]*)(\*|\d{1,9})?(?:\.(\*|\d{1,9}))?([diouxXeEfFgGaAcsbq%])")
REPEAT_LINES = 1000
YES_CHARACTERS = 64 * 1024  # between two breaths
WIDTH_MAX = 10_000
OUTPUT_CHARACTERS_MAX = 16_000_000
_INTEGER = re.compile(r"\s*[-+]?(0[xX][0-9a-fA-F]+|\d{1,40})")
_FLOAT = re.compile(r"\s*[-+]?(\d{1,40}(\.\d{0,40})?|\.\d{1,40})([eE][-+]?\d{1,3})?")
NUMBERS_MAX = 100_000_000


def unescape(text: str, *, hexadecimal: bool = True, octal_only: bool = False) -> tuple[str, bool]:
    """The text with its escapes resolved, and whether `\\c` cut it short."""
    out, at = [], 0
    for match in _ESCAPE.finditer(text):
        out.append(text[at : match.start()])
        at = match.end()
        code = match[1]
        if code == "c":
            return "".join(out), True
        if code[0] in "xu" and len(code) > 1 and hexadecimal:
            value = int(code[1:], 16)
            out.append(byte_sign(value) if code[0] == "x" else code_sign(value))
        elif code[0] in "01234567":
            out.append(byte_sign(int(code, 8) & 0xFF))
        else:
            out.append(_SIMPLE.get(code, match[0]))
    return rejoined("".join(out) + text[at:]), False


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


# What each shell's printf says: without operands, no number at all, a number with something behind it,
# a conversion that it has not. busybox and bash stop short of the directive that they do not know.
WORDS_OF_PRINTF = {
    Dialect.DASH: (
        "usage: printf format [arg ...]", "{}: expected numeric value", "{}: not completely converted",
        "{}: invalid directive",
    ),
    Dialect.ASH: (
        "usage: printf FORMAT [ARG]...", "invalid number '{}'", "invalid number '{}'", "{}: invalid format",
    ),
    Dialect.BASH: (
        "usage: printf [-v var] format [arguments]", "{}: invalid number", "{}: invalid number",
        "`{}': invalid format character",
    ),
}  # fmt: skip


class BadDirective(Exception):
    pass


async def printf(
    process: Process,
    words: Sequence[str],
    complain: Callable[[str], Awaitable[None]],
    dialect: Dialect,
    into: list[str] | None = None,
) -> int:
    """To stdout, or into a list if there is one."""
    wording = WORDS_OF_PRINTF[dialect]
    rest = list(words)
    if rest[:1] == ["--"]:
        rest.pop(0)
    if not rest:
        if dialect is Dialect.BASH:
            await process.complain(f"printf: {wording[0]}")
        else:
            await complain(wording[0])
        return 2 if dialect is not Dialect.ASH else 1
    template, arguments = rest[0], rest[1:]
    formatter = Formatter(wording, hexadecimal=dialect is not Dialect.DASH)
    size, status = 0, 0
    out = [] if into is None else into
    while True:
        before = len(arguments)
        try:
            stop = formatter.once(template, arguments, out)
        except BadDirective as error:
            formatter.bad.append(wording[3].format(error))
            status, stop = (1 if dialect is not Dialect.DASH else 2), True
        size += sum(map(len, out)) if into is None else 0
        if into is None:
            await process.write("".join(out))
            out.clear()
        for message in formatter.bad:
            await complain(message)
            status = status or 1
        formatter.bad.clear()
        if stop or not arguments or len(arguments) == before or size > OUTPUT_CHARACTERS_MAX:
            return status


class Formatter:
    def __init__(self, wording: Sequence[str], *, hexadecimal: bool) -> None:
        self._wording, self._hexadecimal = wording, hexadecimal
        self.bad: list[str] = []

    def once(self, template: str, arguments: list[str], out: list[str]) -> bool:
        """One pass through the format; true when `\\c` ends it all."""
        at = 0
        while at < len(template):
            start = template.find("%", at)
            text, cut = unescape(template[at : start if start >= 0 else None], hexadecimal=self._hexadecimal)
            out.append(text)
            if cut:
                return True
            if start < 0:
                return False
            match = _FORMAT.match(template, start)
            if match is None:
                end = start + 1
                while end < len(template) and template[end] in "-+ 0#123456789.*":
                    end += 1
                raise BadDirective(template[start : end + 1])
            at = match.end()
            if match[4] == "%":
                if match[0] != "%%":
                    raise BadDirective(match[0])
                out.append("%")
                continue
            width, precision = _star(match[2], arguments), _star(match[3], arguments)
            value = arguments.pop(0) if arguments else None
            text, cut = self._conversion(match[4], match[1], width, precision, value)
            out.append(text)
            if cut:
                return True
        return False

    def _conversion(
        self, kind: str, flags: str, width: str | None, precision: str | None, value: str | None
    ) -> tuple[str, bool]:
        if width and width.startswith("-"):
            flags, width = flags + "-", width[1:]
        form = "%" + flags + str(min(int(width or 0), WIDTH_MAX) or "")
        limit = f".{min(int(precision), WIDTH_MAX)}" if precision is not None else ""
        if kind in "sbqc":
            text, cut = unescape(value or "", octal_only=True) if kind == "b" else (value or "", False)
            text = first_byte(text) if kind == "c" else text
            text = _quoted(text) if kind == "q" else text
            return _padded(form, limit, text), cut
        number = self._number(kind, value)
        if kind in "diu":
            kind = "d"
            number = int(number) % 2**64 if value is not None and number < 0 and kind == "u" else int(number)
        if kind in "eEfFgGaA":
            return (form + limit + kind) % float(number), False
        if kind in "xXo" and number < 0:
            number = int(number) % 2**64
        text = (form + limit + kind) % int(number)
        return (text.replace("0o", "0") if kind == "o" else text), False

    def _number(self, kind: str, value: str | None) -> float:
        if value is None:
            return 0
        if value[:1] in ("'", '"'):
            return ord(value[1:2] or "\0")
        if value == "":
            return 0
        form = _FLOAT if kind in "eEfFgGaA" else _INTEGER
        match = form.match(value)
        if match is None:
            self.bad.append(self._wording[1].format(value))
            return 0
        if match.end() < len(value):
            self.bad.append(self._wording[2].format(value))
        text = match[0].strip()
        if kind in "eEfFgGaA":
            return float(text)
        digits = text.lstrip("+-")
        base = 16 if digits[:2].lower() == "0x" else 8 if digits[0] == "0" and len(digits) > 1 else 10
        number = int(digits, base) * (-1 if text[0] == "-" else 1)
        return min(max(number, -(2**63)), 2**64 - 1 if kind in "uxXo" else 2**63 - 1)


def _padded(form: str, limit: str, text: str) -> str:
    return (form.replace("#", "") + limit + "s") % text


def _quoted(text: str) -> str:
    return re.sub(r"([^A-Za-z0-9_@%+=:,./-])", r"\\\1", text) or "''"


def _star(text: str | None, arguments: list[str]) -> str | None:
    """A width from the arguments where the format says `*`."""
    if text != "*":
        return text
    given = arguments.pop(0) if arguments else "0"
    return given if re.fullmatch(r"-?\d{1,9}", given) else "0"


async def echo_program(process: Process) -> int:
    return await echo(process, process.argv[1:])


async def printf_program(process: Process) -> int:
    dialect = Dialect.ASH if busybox(process) else Dialect.DASH
    return await printf(
        process, process.argv[1:], lambda words: process.complain(f"printf: {words}"), dialect
    )


SEQ = "[-w] [-s SEP] [FIRST [INC]] LAST"


async def seq(process: Process) -> int:
    words = [word if not re.match(r"-[\d.]", word) else f"\0{word}" for word in process.argv[1:]]
    found, operands = await options(process, "s:wf:", words=words, synopsis=SEQ)
    operands = [word.lstrip("\0") for word in operands]
    if not 1 <= len(operands) <= 3:
        raise await usage(process, SEQ)
    for word in operands:
        if not re.fullmatch(r"[-+]?(\d{1,15}(\.\d{0,9})?|\.\d{1,9})", word):
            quoted = (
                f"invalid number '{word}'"
                if busybox(process)
                else f"invalid floating point argument: ‘{word}’"
            )
            await process.complain(f"seq: {quoted}")
            return 1
    places = max(len(word.partition(".")[2]) for word in operands)
    numbers = [int(Decimal(word) * 10**places) for word in operands]
    one = 10**places
    first, step, last = {
        1: (one, one, numbers[0]), 2: (numbers[0], one, numbers[-1]),
        3: (numbers[0], numbers[len(numbers) // 2], numbers[-1]),
    }[len(numbers)]  # fmt: skip
    if step == 0:
        await process.complain("seq: zero increment" if not busybox(process) else "seq: increment is zero")
        return 1
    count = min(max((last - first) // step + 1, 0), NUMBERS_MAX)
    width = (
        max(len(_shown(first, places)), len(_shown(first + (count - 1) * step, places)))
        if "w" in found
        else 0
    )
    separator = found.get("s", "\n")
    for start in range(0, count, REPEAT_LINES):
        chunk = [
            _shown(first + at * step, places).zfill(width)
            for at in range(start, min(start + REPEAT_LINES, count))
        ]
        ends = start + REPEAT_LINES >= count
        await process.write(separator.join(chunk) + ("\n" if ends else separator))
        if start and start % (REPEAT_LINES * 20) == 0:
            await process.container.kernel.breathe()
    return 0


def _shown(number: int, places: int) -> str:
    if not places:
        return str(number)
    sign, digits = "-" if number < 0 else "", str(abs(number)).zfill(places + 1)
    return f"{sign}{digits[:-places]}.{digits[-places:]}"


async def yes(process: Process) -> int:
    line = " ".join(process.argv[1:]) or "y"
    block = f"{line}\n" * max(YES_CHARACTERS // (len(line) + 1), 1)
    while True:
        await process.write(block)
        await process.container.kernel.breathe()


PROGRAMS: dict[str, Program] = {"echo": echo_program, "printf": printf_program, "seq": seq, "yes": yes}
