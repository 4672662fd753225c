"""find and xargs."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from services.runtime import launch
from services.runtime.filesystem import Entry
from services.runtime.globs import matches
from services.runtime.processes import Process, Program
from services.runtime.programs.input import path_of, words_of
from services.runtime.programs.options import numeric, options
from services.runtime.streams import read_all

FOUND_MAX = 100_000


async def run(process: Process, words: Sequence[str]) -> int:
    """A child in the foreground, as execvp would start it; 127 or 126 where it cannot."""
    container = process.container
    try:
        program = launch.find(container, tuple(words), process.env, process.cwd)
    except OSError as error:
        missing = error.errno == 2
        await process.complain(
            f"{process.argv[0]}: {words[0]}: {'No such file or directory' if missing else words_of(error)}"
        )
        return 127 if missing else 126
    child = container.start_process(tuple(words), program, process, process.env, process.cwd, process.streams)
    return await child.exit


async def find(process: Process) -> int:
    words = list(process.argv[1:])
    starts = []
    while words and words[0][:1] not in ("-", "(", "!"):
        starts.append(words.pop(0))
    status = 0
    for start in starts or ["."]:
        try:
            rows = _walk(process, start)
        except OSError as error:
            await process.complain(f"find: {start}: {words_of(error)}")
            status = 1
            continue
        for shown, entry, depth in rows:
            status = max(status, await _tell(process, words, shown, entry, depth))
    return status


def _walk(process: Process, start: str) -> list[tuple[str, Entry, int]]:
    filesystem = process.container.filesystem
    found: list[tuple[str, Entry, int]] = []

    def visit(shown: str, path: str, depth: int) -> None:
        entry = filesystem.lookup(path, follow=False)
        found.append((shown, entry, depth))
        if entry.kind == "d" and len(found) < FOUND_MAX:
            for name in filesystem.listing(path):
                visit(f"{shown.rstrip('/')}/{name}", f"{path.rstrip('/')}/{name}", depth + 1)

    visit(start, path_of(process, start), 0)
    return found


async def _tell(process: Process, words: list[str], shown: str, entry: Entry, depth: int) -> int:
    at, negated, printed = 0, False, False
    while at < len(words):
        word, value = words[at], words[at + 1] if at + 1 < len(words) else ""
        name = shown.rstrip("/").rpartition("/")[2] or shown
        at += 2
        if word in ("-name", "-iname"):
            held = matches(name.lower(), value.lower()) if word == "-iname" else matches(name, value)
        elif word == "-path":
            held = matches(shown, value)
        elif word == "-type":
            held = entry.kind == {"f": "-"}.get(value, value)
        elif word == "-maxdepth":
            held = depth <= int(await numeric(process, value))
        elif word == "-mindepth":
            held = depth >= int(await numeric(process, value))
        elif word == "-empty":
            held, at = entry.size == 0 and entry.kind == "-", at - 1
        elif word in ("!", "-not"):
            negated, at = True, at - 1
            continue
        elif word == "-print":
            held, at, printed = True, at - 1, True
            await process.write(shown + "\n")
        elif word == "-delete":
            held, at, printed = True, at - 1, True
            process.container.filesystem.remove(path_of(process, shown))
        elif word == "-exec":
            end = next(
                (index for index in range(at - 1, len(words)) if words[index] in (";", "+")), len(words)
            )
            await run(process, [shown if item == "{}" else item for item in words[at - 1 : end]])
            held, at, printed = True, end + 1, True
        else:
            await process.complain(f"find: unrecognized: {word}")
            return 1
        if held == negated:
            return 0
        negated = False
    if not printed:
        await process.write(shown + "\n")
    return 0


async def xargs(process: Process) -> int:
    found, command = await _xargs_options(process)
    data = (await read_all(process.stdin, 1 << 24)).decode("utf-8", "surrogateescape")
    if "0" in found:
        items = [item for item in data.split("\0") if item]
    elif "I" in found:
        items = [line.strip() for line in data.splitlines() if line.strip()]
    else:
        try:
            items = shlex.split(data)
        except ValueError:
            items = data.split()
    command = command or ["echo"]
    if not items and "r" in found:
        return 0
    if "I" in found:
        groups = [[word.replace(found["I"], item) for word in command] for item in items]
    else:
        size = int(found["n"]) if found.get("n", "").isdigit() else max(len(items), 1)
        groups = [command + items[at : at + size] for at in range(0, len(items), size)] or [command]
    status = 0
    for group in groups:
        if await run(process, group):
            status = 123
    return status


async def _xargs_options(process: Process) -> tuple[dict[str, str], list[str]]:
    """Options end at the command, whose own options are not ours."""
    words = list(process.argv[1:])
    at = 0
    while at < len(words) and words[at].startswith("-"):
        at += 2 if words[at] in ("-n", "-I", "-P", "-L") else 1
    found, _ = await options(process, "0rn:I:P:L:t", words=words[:at])
    return found, words[at:]


PROGRAMS: dict[str, Program] = {"find": find, "xargs": xargs}
