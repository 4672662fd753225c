"""mktemp, mount, dd, unlink: files from below."""

from __future__ import annotations

import re

from services.runtime.opening import open_file
from services.runtime.processes import Process, Program
from services.runtime.programs.input import path_of, words_of
from services.runtime.programs.options import options, usage
from services.runtime.streams import Stream, read_all


async def mktemp(process: Process) -> int:
    found, operands = await options(process, "dp:tuq")
    template = operands[0] if operands else "/tmp/tmp.XXXXXX"
    random = process.container.machine.random
    body = template.rstrip("X")
    count = len(template) - len(body)
    path = path_of(process, body + "".join(random.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(count)))
    filesystem = process.container.filesystem
    try:
        if "d" in found:
            filesystem.make_directory(path, modified=process.container.now_seconds())
        else:
            filesystem.write(path, b"", modified=process.container.now_seconds())
    except OSError as error:
        await process.complain(f"mktemp: (null): {words_of(error)}")
        return 1
    await process.write(path + "\n")
    return 0


async def mount(process: Process) -> int:
    await process.write(process.container.filesystem.read("/proc/mounts"))
    return 0


_UNITS = {
    "": 1,
    "c": 1,
    "w": 2,
    "b": 512,
    "k": 1024,
    "K": 1024,
    "M": 1024**2,
    "G": 1024**3,
    "kB": 1000,
    "MB": 10**6,
}
_AMOUNT = re.compile(r"(\d{1,12})([cwbkKMG]B?)?")
DD_BYTES_MAX = 1 << 28


async def dd(process: Process) -> int:
    """Copies `count` blocks; big ones fail where a real one would fill the disk."""
    given = dict(word.partition("=")[::2] for word in process.argv[1:] if "=" in word)
    amounts: dict[str, int] = {}
    for name in ("bs", "ibs", "obs", "count", "skip", "seek"):
        match = _AMOUNT.fullmatch(given.get(name, "0"))
        if match is None:
            await process.complain(f"dd: invalid number '{given[name]}'")
            return 1
        amounts[name] = int(match[1]) * _UNITS.get(match[2] or "", 1024)
    size = max(amounts["bs"] or amounts["ibs"] or 512, 1)
    limit = size * amounts["count"] if "count" in given else DD_BYTES_MAX
    try:
        source = open_file(process, given["if"], "<") if "if" in given else process.stdin
        await read_all(source, size * amounts["skip"]) if amounts["skip"] else None
        target = open_file(process, given["of"], ">") if "of" in given else None
        process.hold(min(size, limit))  # a block lies in memory
        copied = await _copied(process, source, target, min(limit, DD_BYTES_MAX), size)
    except OSError as error:
        await process.complain(f"dd: can't open '{given.get('if') or given.get('of')}': {words_of(error)}")
        return 1
    full, rest = divmod(copied, size)
    summary = f"{full}+{int(rest > 0)} records in\n{full}+{int(rest > 0)} records out"
    if given.get("status") != "none":
        await process.complain(f"{summary}\n{copied} bytes copied, 0.001 s")
    return 0


async def _copied(process: Process, source: Stream, target: Stream | None, limit: int, size: int) -> int:
    copied = 0
    while copied < limit and (data := await source.read(min(1 << 20, limit - copied))):
        if target is None:
            await process.write(data)
        else:
            await target.write(data)
        copied += len(data)
        await process.container.kernel.breathe() if copied % (1 << 20) < len(data) else None
    return copied


async def unlink(process: Process) -> int:
    if len(process.argv) != 2:
        raise await usage(process, "FILE")
    try:
        process.container.filesystem.remove(path_of(process, process.argv[1]))
    except OSError as error:
        await process.complain(f"unlink: can't remove '{process.argv[1]}': {words_of(error)}")
        return 1
    return 0


PROGRAMS: dict[str, Program] = {"mktemp": mktemp, "mount": mount, "dd": dd, "unlink": unlink}
