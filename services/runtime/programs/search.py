"""grep and its sisters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from services.runtime.filesystem import LINK
from services.runtime.processes import Exit, Process, Program
from services.runtime.programs.input import Pace, lines_of, path_of, read_file, tool, words_of
from services.runtime.programs.options import busybox, options, usage
from services.runtime.programs.patterns import BadPattern, Pattern, basic, extended, fixed
from services.runtime.streams import read_all

SYNOPSIS = "[-HhnlLoqvsrRiwFEz] [-m N] [-A|B|C N] { PATTERN | -e PATTERN... | -f FILE... } [FILE]..."
INPUT_BYTES_MAX = 16 * 1024 * 1024
FILES_MAX = 10_000
LONG = {
    "ignore-case": "i", "quiet": "q", "silent": "q", "invert-match": "v", "count": "c", "only-matching": "o",
    "extended-regexp": "E", "fixed-strings": "F", "line-number": "n", "recursive": "r", "word-regexp": "w",
    "line-regexp": "x", "files-with-matches": "l", "files-without-match": "L", "regexp": "e", "file": "f",
    "max-count": "m", "after-context": "A", "before-context": "B", "context": "C", "no-filename": "h",
    "with-filename": "H", "no-messages": "s", "color": "G", "colour": "G", "include": "Y", "text": "a",
    "perl-regexp": "P", "null-data": "z",
}  # fmt: skip


@dataclass(slots=True)
class Search:
    """What to look for and how to tell of it."""

    process: Process
    pattern: Pattern
    found: dict[str, str]
    prefix: bool
    pace: Pace
    matched: bool = False
    failed: bool = False

    def has(self, letter: str) -> bool:
        return letter in self.found


async def grep(process: Process) -> int:
    found, operands = await options(
        process, "e:f:EFGPiInvclLqoywxrRsHhm:A:B:C:zaUY:", long=LONG, synopsis=SYNOPSIS, status=2
    )
    pattern = await _pattern_text(process, found, operands)
    try:
        regex = _compiled(pattern, found, tool(process))
    except BadPattern as error:
        busy = busybox(process)
        await process.complain(f"grep: bad regex '{pattern}'" if busy else f"grep: {error}")
        return 2
    recursive = bool(found.keys() & {"r", "R"})
    if recursive:
        operands = _below(process, operands or ["."])
    prefix = (len(operands) > 1 or recursive or "H" in found) and "h" not in found
    search = Search(process, regex, found, prefix, Pace(process))
    try:
        for operand in operands or (["-"] if not recursive else []):
            if await _file(search, operand):
                break
    except BadPattern as error:
        await process.complain(f"grep: {error}")
        return 2
    if search.failed and not (search.matched and search.has("q")):
        return 2
    return 0 if search.matched else 1


async def _pattern_text(process: Process, found: dict[str, str], operands: list[str]) -> str:
    if "f" in found:
        try:
            lines = lines_of(await read_file(process, found["f"]))
        except OSError as error:
            await process.complain(f"grep: {found['f']}: {words_of(error)}")
            raise Exit(2) from error
        return (
            "\n".join(lines + ([found["e"]] if "e" in found else []))
            if lines or "e" in found
            else "[^\\s\\S]"
        )
    if "e" in found:
        return found["e"]
    if not operands:
        if busybox(process):
            raise await usage(process, SYNOPSIS, 2)
        await process.complain(
            "Usage: grep [OPTION]... PATTERNS [FILE]...\nTry 'grep --help' for more information."
        )
        raise Exit(2)
    return operands.pop(0)


def _compiled(pattern: str, found: dict[str, str], name: str) -> Pattern:
    ignore = bool(found.keys() & {"i", "y"})
    whole = "x" if "x" in found else "w" if "w" in found else ""
    if "F" in found or name == "fgrep":
        return fixed(pattern, ignore_case=ignore, whole=whole)
    if found.keys() & {"E", "P"} or name == "egrep":
        text = pattern.replace("\\d", "[0-9]") if "P" in found else pattern
        return extended("|".join(text.split("\n")), ignore_case=ignore, whole=whole)
    return basic("\\|".join(pattern.split("\n")), ignore_case=ignore, whole=whole)


async def _file(search: Search, operand: str) -> bool:
    """Looks through one file; true when no other need be looked at."""
    process = search.process
    name = "(standard input)" if operand == "-" else operand
    try:
        if operand == "-":
            data = await read_all(process.stdin, INPUT_BYTES_MAX)
        elif process.container.filesystem.is_directory(path_of(process, operand)):
            if not busybox(process):
                await process.complain(f"grep: {operand}: Is a directory")
            return False
        else:
            data = await read_file(process, operand)
    except OSError as error:
        if not search.has("s"):
            await process.complain(f"grep: {operand}: {words_of(error)}")
        search.failed = True
        return False
    lines = data.decode("utf-8", "surrogateescape").split("\0") if search.has("z") else lines_of(data)
    if search.has("z") and lines and not lines[-1]:
        lines.pop()
    chosen = await _chosen(search, lines)
    search.matched = search.matched or bool(chosen)
    if search.has("q"):
        return bool(chosen)
    label = f"{name}:" if search.prefix else ""
    if search.has("L"):
        await process.write("" if chosen else f"{name}\n")
    elif search.has("l"):
        await process.write(f"{name}\n" if chosen else "")
    elif search.has("c"):
        await process.write(f"{label}{len(chosen)}\n")
    else:
        await _show(search, name, lines, chosen)
    return False


async def _chosen(search: Search, lines: list[str]) -> list[int]:
    """Numbers of the lines that match, from 0."""
    limit = int(search.found["m"][:9]) if search.found.get("m", "").isdigit() else len(lines) + 1
    if search.found.keys() & {"q", "l", "L"}:
        limit = min(limit, 1)
    chosen: list[int] = []
    inverted = search.has("v")
    for number, line in enumerate(lines):
        if len(chosen) >= limit:
            break
        await search.pace.spend(len(line))
        if search.pattern.test(line) != inverted:
            chosen.append(number)
    return chosen


async def _show(search: Search, name: str, lines: list[str], chosen: list[int]) -> None:
    after, before = (_context(search.found.get(letter, search.found.get("C", "0"))) for letter in "AB")
    hits, last = set(chosen), -1
    shown = sorted(
        {at for hit in chosen for at in range(hit - before, hit + after + 1) if 0 <= at < len(lines)}
    )
    out: list[str] = []
    ending = "\0" if search.has("z") else "\n"
    for at in shown:
        if (after or before) and last >= 0 and at > last + 1:
            out.append("--\n")
        last = at
        sign = ":" if at in hits else "-"
        head = (f"{name}{sign}" if search.prefix else "") + (f"{at + 1}{sign}" if search.has("n") else "")
        if search.has("o") and at in hits:
            await search.pace.spend(len(lines[at]))
            if not search.has("v"):
                pieces = (match.group() for match in search.pattern.finditer(lines[at]))
                out.extend(f"{head}{piece}{ending}" for piece in pieces if piece)
        else:
            out.append(f"{head}{lines[at]}{ending}")
    await search.process.write("".join(out))


def _context(text: str) -> int:
    return min(int(text), 10_000) if text.isascii() and text.isdigit() else 0


def _below(process: Process, operands: Sequence[str], depth: int = 0) -> list[str]:
    filesystem, found = process.container.filesystem, list[str]()
    for operand in operands:
        path = path_of(process, operand)
        try:
            is_link = filesystem.lookup(path, follow=False).kind == LINK and depth > 0
        except OSError:
            is_link = False
        if is_link:
            continue
        if not filesystem.is_directory(path) or depth > 40:
            found.append(operand)
            continue
        inner = [f"{operand.rstrip('/')}/{name}" for name in filesystem.listing(path)]
        found += _below(process, inner, depth + 1)
    return found[:FILES_MAX]


PROGRAMS: dict[str, Program] = {"grep": grep, "egrep": grep, "fgrep": grep}
