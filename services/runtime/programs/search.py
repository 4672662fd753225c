"""grep and its sisters."""

from __future__ import annotations

import re
from collections.abc import Sequence

from services.runtime.processes import Process, Program
from services.runtime.programs.input import contents, lines_of, tool
from services.runtime.programs.options import options
from services.runtime.programs.patterns import BadPattern, basic, extended


async def grep(process: Process) -> int:
    letters = "e:f:EFGiInvclLqowxrRsHhm:A:B:C:"
    found, operands = await options(
        process, letters, long={"ignore-case": "i", "quiet": "q", "invert-match": "v"}
    )
    name = tool(process)
    if "e" in found:
        pattern = found["e"]
    elif operands:
        pattern = operands.pop(0)
    else:
        await process.complain("Usage: grep [-HhnlLoqvsrRiwFE] [-m N] PATTERN [FILE]...")
        return 2
    try:
        regex = _grep_pattern(pattern, found, name)
    except BadPattern as error:
        await process.complain(f"grep: bad regex '{pattern}': {error}")
        return 2
    if found.keys() & {"r", "R"}:
        operands = _below(process, operands or ["."])
    inputs, status = await contents(process, operands)
    prefix = len(operands) > 1 or "H" in found or bool(found.keys() & {"r", "R"})
    matched = False
    for file, data in inputs:
        hits = _hits(regex, lines_of(data), found)
        matched = matched or bool(hits)
        if "q" in found:
            continue
        label = f"{file}:" if prefix and "h" not in found else ""
        if "c" in found:
            await process.write(f"{label}{len(hits)}\n")
        elif "l" in found:
            await process.write(f"{file}\n" if hits else "")
        else:
            numbered = "n" in found
            await process.write(
                "".join(f"{label}{f'{at}:' if numbered else ''}{line}\n" for at, line in hits)
            )
    return 0 if matched else (2 if status else 1)


def _grep_pattern(pattern: str, found: dict[str, str], name: str) -> re.Pattern[str]:
    ignore = "i" in found
    if "F" in found or name == "fgrep":
        text = "|".join(re.escape(line) for line in pattern.split("\n"))
        regex = re.compile(text, re.IGNORECASE if ignore else 0)
    elif "E" in found or name == "egrep":
        regex = extended("|".join(pattern.split("\n")), ignore_case=ignore)
    else:
        regex = basic("\\|".join(pattern.split("\n")), ignore_case=ignore)
    if "w" in found:
        regex = re.compile(rf"(?<!\w)(?:{regex.pattern})(?!\w)", regex.flags)
    return re.compile(rf"^(?:{regex.pattern})$", regex.flags) if "x" in found else regex


def _hits(regex: re.Pattern[str], lines: list[str], found: dict[str, str]) -> list[tuple[int, str]]:
    hits: list[tuple[int, str]] = []
    limit = int(found["m"]) if found.get("m", "").isdigit() else len(lines) + 1
    for number, line in enumerate(lines, 1):
        if len(hits) >= limit:
            break
        if "o" in found and "v" not in found:
            hits += [(number, match[0]) for match in regex.finditer(line) if match[0]]
        elif (regex.search(line) is None) == ("v" in found):
            hits.append((number, line))
    after, before = (_context(found.get(letter, found.get("C", "0"))) for letter in "AB")
    if after or before:
        wanted = {at for number, _ in hits for at in range(number - before, number + after + 1)}
        hits = [(at, lines[at - 1]) for at in sorted(wanted) if 0 < at <= len(lines)]
    return hits


def _context(text: str) -> int:
    return min(int(text), 10_000) if text.isascii() and text.isdigit() else 0


def _below(process: Process, operands: Sequence[str]) -> list[str]:
    filesystem, found = process.container.filesystem, []
    for operand in operands:
        path = operand if operand.startswith("/") else f"{process.cwd}/{operand}"
        if not filesystem.is_directory(path):
            found.append(operand)
            continue
        found += _below(process, [f"{operand.rstrip('/')}/{name}" for name in filesystem.listing(path)])
    return found


PROGRAMS: dict[str, Program] = {"grep": grep, "egrep": grep, "fgrep": grep}
