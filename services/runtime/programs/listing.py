"""Tools that show what files there are: ls, stat, du, df."""

from __future__ import annotations

import stat as mode_bits
from datetime import UTC, datetime

from services.runtime.filesystem import DIRECTORY, LINK, Entry, Filesystem, parent_of
from services.runtime.processes import Process, Program
from services.runtime.programs.input import path_of, words_of
from services.runtime.programs.options import options

KINDS = {"d": mode_bits.S_IFDIR, "l": mode_bits.S_IFLNK, "c": mode_bits.S_IFCHR, "-": mode_bits.S_IFREG}


def owner(process: Process, uid: int, file: str = "/etc/passwd") -> str:
    try:
        data = process.container.filesystem.read(file)
    except OSError:
        return str(uid)
    for line in data.decode("utf-8", "replace").splitlines():
        parts = line.split(":")
        if len(parts) > 2 and parts[2] == str(uid):
            return parts[0]
    return str(uid)


async def ls(process: Process) -> int:
    found, operands = await options(process, "1aAlhdRtrSFiCLGnpxscuX", long={"all": "a", "color": "G"})
    filesystem = process.container.filesystem
    files: list[tuple[str, Entry]] = []
    folders: list[str] = []
    status = 0
    for operand in operands or ["."]:
        try:
            entry = filesystem.lookup(path_of(process, operand), follow="l" not in found or "L" in found)
        except OSError as error:
            words = words_of(error)
            await process.complain(
                f"ls: {operand}: {words}"
                if _busybox(filesystem)
                else f"ls: cannot access '{operand}': {words}"
            )
            status = 1 if _busybox(filesystem) else 2
            continue
        if entry.kind == DIRECTORY and "d" not in found:
            folders.append(operand)
        else:
            files.append((operand, entry))
    await _show(process, files, found)
    for index, folder in enumerate(folders):
        if len(folders) + len(files) > 1 or "R" in found:
            await process.write(("\n" if index or files else "") + f"{folder}:\n")
        try:
            await _folder(process, folder, found)
        except OSError as error:
            how = "can't open" if _busybox(filesystem) else "cannot open directory"
            await process.complain(f"ls: {how} '{folder}': {words_of(error)}")
            status = 1 if _busybox(filesystem) else 2
    return status


def _busybox(filesystem: Filesystem) -> bool:
    return filesystem.exists("/bin/busybox")


async def _folder(process: Process, folder: str, found: dict[str, str]) -> None:
    filesystem = process.container.filesystem
    path = path_of(process, folder)
    names = [
        name for name in filesystem.listing(path) if found.keys() & {"a", "A"} or not name.startswith(".")
    ]
    rows = []
    for name in names:
        try:
            rows.append((name, filesystem.lookup(f"{path}/{name}", follow=False)))
        except OSError:
            continue
    if "a" in found:
        rows = [(".", filesystem.lookup(path)), ("..", filesystem.lookup(parent_of(path))), *rows]
    if "l" in found:
        await process.write(f"total {sum((entry.size + 1023) // 1024 for _, entry in rows)}\n")
    await _show(process, rows, found)
    if "R" in found:
        for name, entry in rows:
            if entry.kind == DIRECTORY and name not in (".", ".."):
                inner = f"{folder.rstrip('/')}/{name}"
                await process.write(f"\n{inner}:\n")
                await _folder(process, inner, found)


async def _show(process: Process, rows: list[tuple[str, Entry]], found: dict[str, str]) -> None:
    if "t" in found:
        rows.sort(key=lambda row: -row[1].modified)
    if "S" in found:
        rows.sort(key=lambda row: -row[1].size)
    if "r" in found:
        rows.reverse()
    if "l" in found:
        await process.write("".join(_long(process, name, entry, found) for name, entry in rows))
        return
    await process.write("".join(f"{name}{_mark(entry, found)}\n" for name, entry in rows))


def _mark(entry: Entry, found: dict[str, str]) -> str:
    """What -F and -p put behind a name."""
    if entry.kind == DIRECTORY:
        return "/" if found.keys() & {"F", "p"} else ""
    if "F" in found:
        return "@" if entry.kind == LINK else "*" if entry.mode & 0o111 and entry.kind == "-" else ""
    return ""


def _long(process: Process, name: str, entry: Entry, found: dict[str, str]) -> str:
    moment = datetime.fromtimestamp(entry.modified or process.container.created_at / 1e9, UTC)
    links = 2 if entry.kind == DIRECTORY else 1
    size = 4096 if entry.kind == DIRECTORY else len(entry.content()) if entry.read else entry.size
    shown = human(size) if "h" in found else str(size)
    target = f" -> {entry.target}" if entry.kind == LINK else ""
    user, group = owner(process, entry.uid), owner(process, entry.gid, "/etc/group")
    bits = mode_bits.filemode(KINDS[entry.kind] | entry.mode)
    when = f"{moment:%b} {moment.day:2d} {moment:%H:%M}"
    return f"{bits} {links:4d} {user:<8} {group:<8} {shown:>9} {when} {name}{target}\n"


def human(size: float) -> str:
    for unit in ("", "K", "M"):
        if size < 1024:
            return f"{size:.0f}{unit}" if not unit else f"{size:.1f}{unit}"
        size /= 1024
    return f"{size:.1f}G"


_STAT = (
    "  File: %n\n  Size: %s\t\tBlocks: %b          IO Block: %o   %F\n"
    "Device: 1h/1d\tInode: %i           Links: %h\n"
    "Access: (0%a/%A)  Uid: (%u/%U)   Gid: (%g/%G)\nAccess: %x\nModify: %y\nChange: %z"
)


def _bytes(entry: Entry) -> int:
    return 4096 if entry.kind == DIRECTORY else entry.size


def _kind(entry: Entry) -> str:
    if entry.kind == "-":
        return "regular file" if entry.size else "regular empty file"
    return {DIRECTORY: "directory", LINK: "symbolic link", "c": "character special file"}.get(
        entry.kind, "fifo"
    )


def _moment(entry: Entry) -> str:
    return f"{datetime.fromtimestamp(entry.modified, UTC):%Y-%m-%d %H:%M:%S}.000000000 +0000"


async def stat(process: Process) -> int:
    found, operands = await options(process, "c:Lf", long={"format": "c"})
    status = 0
    for operand in operands:
        try:
            entry = process.container.filesystem.lookup(path_of(process, operand), follow="L" in found)
        except OSError as error:
            await process.complain(f"stat: can't stat '{operand}': {words_of(error)}")
            status = 1
            continue
        bits = mode_bits.filemode(KINDS[entry.kind] | entry.mode)
        values = {
            "%s": str(_bytes(entry)),
            "%a": f"{entry.mode:o}",
            "%n": operand,
            "%A": bits,
            "%u": str(entry.uid),
            "%F": _kind(entry),
            "%N": operand,
            "%h": "2" if entry.kind == DIRECTORY else "1",
            "%i": "1",
            "%b": str((_bytes(entry) + 511) // 512),
            "%B": "512",
            "%f": f"{KINDS[entry.kind] | entry.mode:x}",
            "%x": _moment(entry),
            "%y": _moment(entry),
            "%z": _moment(entry),
            "%X": str(int(entry.modified)),
            "%Z": str(int(entry.modified)),
            "%o": "4096",
            "%d": "1",
            "%g": str(entry.gid),
            "%Y": str(int(entry.modified)),
            "%U": owner(process, entry.uid),
            "%G": owner(process, entry.gid, "/etc/group"),
        }
        text = found.get("c", _STAT)
        for key, value in values.items():
            text = text.replace(key, value)
        await process.write(text + "\n")
    return status


async def du(process: Process) -> int:
    found, operands = await options(process, "shkxamd:c")
    filesystem = process.container.filesystem

    def size(path: str) -> int:
        entry = filesystem.lookup(path, follow=False)
        if entry.kind != DIRECTORY:
            return entry.size
        return 4096 + sum(size(f"{path.rstrip('/')}/{name}") for name in filesystem.listing(path))

    status = 0
    for operand in operands or ["."]:
        try:
            total = size(path_of(process, operand))
        except OSError as error:
            await process.complain(f"du: {operand}: {words_of(error)}")
            status = 1
            continue
        shown = human(total) if "h" in found else str((total + 1023) // 1024)
        await process.write(f"{shown}\t{operand}\n")
    return status


async def df(process: Process) -> int:
    rows = [("overlay", "/"), ("tmpfs", "/dev"), ("shm", "/dev/shm")]
    rows += [
        ("/dev/vda1", path)
        for path in sorted(process.container.filesystem.mounts)
        if path not in ("/proc", "/dev", "/sys")
    ]
    await process.write("Filesystem           1K-blocks      Used Available Use% Mounted on\n")
    for source, path in rows:
        await process.write(f"{source:<20} {61255492:>9} {18376648:>9} {39734836:>9}  32% {path}\n")
    return 0


PROGRAMS: dict[str, Program] = {"ls": ls, "stat": stat, "du": du, "df": df}
