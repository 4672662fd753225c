"""diff and cmp. Lines are compared by difflib; what is too long to compare is only called different."""

from __future__ import annotations

from difflib import SequenceMatcher

from services.runtime.processes import Process, Program
from services.runtime.programs.input import lines_of, path_of, read_file, words_of
from services.runtime.programs.options import busybox, options, usage
from services.runtime.streams import read_all

DIFF = "[-abBdiNqrTstw] [-L LABEL] [-S FILE] [-U LINES] FILE1 FILE2"
LINES_MAX = 5_000
INPUT_BYTES_MAX = 4 * 1024 * 1024


async def _read(process: Process, operand: str) -> bytes:
    if operand == "-":
        return await read_all(process.stdin, INPUT_BYTES_MAX)
    return await read_file(process, operand)


async def diff(process: Process) -> int:
    found, operands = await options(
        process,
        "abBdiNqrsTtwuU:L:",
        synopsis=DIFF,
        status=2,
        long={"unified": "u", "brief": "q", "recursive": "r", "color": "T"},
    )
    if len(operands) != 2:
        raise await usage(process, DIFF, 2)
    return await _compare(process, operands[0], operands[1], found)


async def _compare(process: Process, first: str, second: str, found: dict[str, str], depth: int = 0) -> int:
    filesystem = process.container.filesystem
    folders = [filesystem.is_directory(path_of(process, one)) for one in (first, second)]
    if all(folders) and depth < 30:
        return await _folders(process, first, second, found, depth)
    if any(folders):
        named = (second if folders[0] else first).rpartition("/")[2]
        first, second = (f"{first}/{named}", second) if folders[0] else (first, f"{second}/{named}")
    texts = []
    for operand in (first, second):
        try:
            texts.append(await _read(process, operand))
        except OSError as error:
            named = f"can't stat '{operand}'" if busybox(process) else operand
            await process.complain(f"diff: {named}: {words_of(error)}")
            return 2
    if texts[0] == texts[1]:
        if "s" in found:
            await process.write(f"Files {first} and {second} are identical\n")
        return 0
    lines = [lines_of(text) for text in texts]
    if "i" in found or "w" in found or "b" in found:
        shaped = [[_shaped(line, found) for line in one] for one in lines]
        if shaped[0] == shaped[1]:
            return 0
    if "q" in found or max(map(len, lines)) > LINES_MAX:
        await process.write(f"Files {first} and {second} differ\n")
        return 1
    matcher = SequenceMatcher(None, lines[0], lines[1], autojunk=True)
    unified = busybox(process) or found.keys() & {"u", "U"}
    context = int(found["U"][:3]) if found.get("U", "").isdigit() else 3
    out = _unified(matcher, first, second, lines, context) if unified else _normal(matcher, lines)
    await process.write(out)
    return 1


def _shaped(line: str, found: dict[str, str]) -> str:
    line = "".join(line.split()) if "w" in found else " ".join(line.split()) if "b" in found else line
    return line.lower() if "i" in found else line


async def _folders(process: Process, first: str, second: str, found: dict[str, str], depth: int) -> int:
    filesystem, status = process.container.filesystem, 0
    names = [set(filesystem.listing(path_of(process, one))) for one in (first, second)]
    for name in sorted(names[0] | names[1]):
        if name not in names[0] or name not in names[1]:
            await process.write(f"Only in {first if name in names[0] else second}: {name}\n")
            status = max(status, 1)
        elif filesystem.is_directory(path_of(process, f"{first}/{name}")) and "r" not in found:
            await process.write(f"Common subdirectories: {first}/{name} and {second}/{name}\n")
        else:
            status = max(
                status, await _compare(process, f"{first}/{name}", f"{second}/{name}", found, depth + 1)
            )
    return status


def _span(start: int, end: int) -> str:
    count = end - start
    return f"{start + 1 if count else start}" if count == 1 else f"{start + 1 if count else start},{count}"


def _unified(
    matcher: SequenceMatcher[str], first: str, second: str, lines: list[list[str]], context: int
) -> str:
    out = [f"--- {first}\n+++ {second}\n"]
    for group in matcher.get_grouped_opcodes(context):
        before, after = (group[0][1], group[-1][2]), (group[0][3], group[-1][4])
        out.append(f"@@ -{_span(*before)} +{_span(*after)} @@\n")
        for kind, a, b, c, d in group:
            if kind == "equal":
                out += [f" {line}\n" for line in lines[0][a:b]]
                continue
            out += [f"-{line}\n" for line in lines[0][a:b]]
            out += [f"+{line}\n" for line in lines[1][c:d]]
    return "".join(out)


def _normal(matcher: SequenceMatcher[str], lines: list[list[str]]) -> str:
    def span(start: int, end: int) -> str:
        return f"{start + 1},{end}" if end - start > 1 else f"{start + 1}"

    out = []
    for kind, a, b, c, d in matcher.get_opcodes():
        if kind == "equal":
            continue
        left = span(a, b) if b > a else str(a)
        right = span(c, d) if d > c else str(c)
        out.append(f"{left}{ {'replace': 'c', 'delete': 'd', 'insert': 'a'}[kind] }{right}\n")
        out += [f"< {line}\n" for line in lines[0][a:b]]
        out += ["---\n"] if kind == "replace" else []
        out += [f"> {line}\n" for line in lines[1][c:d]]
    return "".join(out)


async def cmp(process: Process) -> int:
    found, operands = await options(process, "lsn:", synopsis="[-ls] [-n NUM] FILE1 [FILE2]", status=2)
    if not operands:
        raise await usage(process, "[-ls] [-n NUM] FILE1 [FILE2]", 2)
    first, second = operands[0], operands[1] if len(operands) > 1 else "-"
    texts = []
    for operand in (first, second):
        try:
            texts.append(await _read(process, operand))
        except OSError as error:
            named = f"can't open '{operand}'" if busybox(process) else operand
            await process.complain(f"cmp: {named}: {words_of(error)}")
            return 2
    one, two = texts
    if one == two:
        return 0
    at = next((at for at, (a, b) in enumerate(zip(one, two, strict=False)) if a != b), -1)
    if "s" in found:
        return 1
    if at < 0:
        short = first if len(one) < len(two) else second
        await process.complain(
            f"cmp: EOF on {short}" + ("" if busybox(process) else f" after byte {min(len(one), len(two))}")
        )
        return 1
    line = one[:at].count(b"\n") + 1
    await process.write(
        f"{first} {second} differ: {'char' if busybox(process) else 'byte'} {at + 1}, line {line}\n"
    )
    return 1


PROGRAMS: dict[str, Program] = {"diff": diff, "cmp": cmp}
