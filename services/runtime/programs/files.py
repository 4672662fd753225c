"""Tools that look at files and change them."""

from __future__ import annotations

import errno
import stat as mode_bits
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from services.runtime.filesystem import DIRECTORY, LINK, Entry, Filesystem, normal, parent_of
from services.runtime.processes import Process, Program
from services.runtime.programs.input import path_of, tool, words_of
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
    found, operands = await options(process, "1aAlhdRtrSFiCLGn", long={"all": "a", "color": "G"})
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
        await _folder(process, folder, found)
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
    marks = {DIRECTORY: "/", LINK: "@"}
    await process.write(
        "".join(f"{name}{marks.get(entry.kind, '') if 'F' in found else ''}\n" for name, entry in rows)
    )


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


async def mkdir(process: Process) -> int:
    found, operands = await options(process, "pm:v", long={"parents": "p", "mode": "m"})
    filesystem, now, status = process.container.filesystem, process.container.now_seconds(), 0
    for operand in operands:
        path = path_of(process, operand)
        try:
            if "p" in found:
                filesystem.make_directories(path, modified=now)
            else:
                filesystem.make_directory(path, modified=now)
        except OSError as error:
            await process.complain(f"mkdir: can't create directory '{operand}': {words_of(error)}")
            status = 1
    return status


async def rm(process: Process) -> int:
    found, operands = await options(process, "rRfiv", long={"recursive": "r", "force": "f"})
    filesystem, status = process.container.filesystem, 0
    for operand in operands:
        path = path_of(process, operand)
        try:
            entry = filesystem.lookup(path, follow=False)
            if entry.kind == DIRECTORY and not found.keys() & {"r", "R"}:
                await process.complain(f"rm: '{operand}' is a directory")
                status = 1
                continue
            await remove_tree(process, path)
        except OSError as error:
            if "f" in found and error.errno == errno.ENOENT:
                continue
            await process.complain(f"rm: can't remove '{operand}': {words_of(error)}")
            status = 1
    return status


async def remove_tree(process: Process, path: str) -> None:
    filesystem = process.container.filesystem
    if filesystem.lookup(path, follow=False).kind == DIRECTORY:
        for name in filesystem.listing(path):
            await remove_tree(process, f"{path.rstrip('/')}/{name}")
    filesystem.remove(path)


async def rmdir(process: Process) -> int:
    _, operands = await options(process, "p")
    filesystem, status = process.container.filesystem, 0
    for operand in operands:
        path = path_of(process, operand)
        try:
            if filesystem.lookup(path, follow=False).kind != DIRECTORY:
                raise OSError(errno.ENOTDIR, "Not a directory")
            filesystem.remove(path)
        except OSError as error:
            await process.complain(f"rmdir: '{operand}': {words_of(error)}")
            status = 1
    return status


async def cp(process: Process) -> int:
    _, operands = await options(process, "rRapfdLv", long={"recursive": "r"})
    return await _transfer(
        process, operands, move=False, deep=any(word[:2] in ("-r", "-R", "-a") for word in process.argv)
    )


async def mv(process: Process) -> int:
    _, operands = await options(process, "finv")
    return await _transfer(process, operands, move=True, deep=True)


async def _transfer(process: Process, operands: Sequence[str], *, move: bool, deep: bool) -> int:
    name, filesystem = tool(process), process.container.filesystem
    if len(operands) < 2:
        await process.complain(f"{name}: missing file operand")
        return 1
    target = path_of(process, operands[-1])
    into = filesystem.is_directory(target)
    status = 0
    if len(operands) > 2 and not into:
        await process.complain(f"{name}: target '{operands[-1]}' is not a directory")
        return 1
    for operand in operands[:-1]:
        source = path_of(process, operand)
        end = normal(f"{target}/{source.rpartition('/')[2]}") if into else target
        try:
            if f"{end}/".startswith(f"{source.rstrip('/')}/"):
                await process.complain(f"{name}: '{operand}' and '{operands[-1]}' are the same file")
                status = 1
                continue
            if filesystem.lookup(source).kind == DIRECTORY and not deep:
                await process.complain(f"{name}: omitting directory '{operand}'")
                status = 1
                continue
            _copy(filesystem, source, end, process.container.now_seconds(), follow=not move)
            if move:
                await remove_tree(process, source)
        except OSError as error:
            await process.complain(
                f"{name}: can't {'rename' if move else 'stat'} '{operand}': {words_of(error)}"
            )
            status = 1
    return status


def _copy(filesystem: Filesystem, source: str, target: str, now: float, *, follow: bool) -> None:
    entry = filesystem.lookup(source, follow=follow)
    if entry.kind == DIRECTORY:
        if not filesystem.exists(target):
            filesystem.make_directory(target, modified=now)
        for name in filesystem.listing(source):
            _copy(filesystem, f"{source}/{name}", f"{target}/{name}", now, follow=False)
        return
    filesystem.put(target, replace(entry, data=entry.content(), read=None, modified=now))


async def touch(process: Process) -> int:
    found, operands = await options(process, "cd:t:r:am")
    filesystem, now, status = process.container.filesystem, process.container.now_seconds(), 0
    for operand in operands:
        path = path_of(process, operand)
        try:
            if filesystem.exists(path):
                filesystem.change(path, modified=now)
            elif "c" not in found:
                filesystem.write(path, b"", modified=now)
        except OSError as error:
            await process.complain(f"touch: {operand}: {words_of(error)}")
            status = 1
    return status


async def ln(process: Process) -> int:
    found, operands = await options(process, "sfnvT")
    filesystem, now = process.container.filesystem, process.container.now_seconds()
    if len(operands) != 2:
        await process.complain("ln: missing file operand")
        return 1
    target, link = operands[0], path_of(process, operands[1])
    try:
        if filesystem.is_directory(link) and "n" not in found:
            link = f"{link}/{target.rpartition('/')[2]}"
        if "f" in found and filesystem.exists(link):
            filesystem.remove(link)
        if "s" in found:
            filesystem.make_link(link, target, modified=now)
        else:
            filesystem.put(link, filesystem.lookup(path_of(process, target)))
    except OSError as error:
        await process.complain(f"ln: {operands[1]}: {words_of(error)}")
        return 1
    return 0


async def chmod(process: Process) -> int:
    words = [word for word in process.argv[1:] if word not in ("-R", "-v", "-f")]
    filesystem, status = process.container.filesystem, 0
    if len(words) < 2:
        await process.complain("chmod: missing operand")
        return 1
    for operand in words[1:]:
        path = path_of(process, operand)
        try:
            mode = changed_mode(words[0], filesystem.lookup(path).mode)
            if mode is None:
                await process.complain(f"chmod: invalid mode '{words[0]}'")
                return 1
            filesystem.change(path, mode=mode)
        except OSError as error:
            await process.complain(f"chmod: {operand}: {words_of(error)}")
            status = 1
    return status


def changed_mode(text: str, mode: int) -> int | None:
    """0755, u+x, go-w, a=r and lists of them."""
    if text.isdigit():
        return int(text, 8) & 0o7777 if set(text) <= set("01234567") else None
    shifts = {"u": (6,), "g": (3,), "o": (0,), "a": (6, 3, 0)}
    for clause in text.split(","):
        at = next((index for index, sign in enumerate(clause) if sign in "+-="), -1)
        if at < 0 or set(clause[:at]) - set("ugoa") or set(clause[at + 1 :]) - set("rwxXst"):
            return None
        bits = sum({"r": 4, "w": 2, "x": 1, "X": 1}.get(sign, 0) for sign in set(clause[at + 1 :]))
        for shift in {shift for who in clause[:at] or "a" for shift in shifts[who]}:
            if clause[at] == "=":
                mode &= ~(7 << shift)
            mode = mode & ~(bits << shift) if clause[at] == "-" else mode | bits << shift
    return mode


async def chown(process: Process) -> int:
    return 0


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
        values = {"%s": str(entry.size), "%a": f"{entry.mode:o}", "%n": operand, "%A": bits,
        "%u": str(entry.uid),
                  "%g": str(entry.gid), "%Y": str(int(entry.modified)), "%U": owner(process, entry.uid),
                  "%G": owner(process, entry.gid, "/etc/group")}  # fmt: skip
        text = found.get("c", "  File: %n\n  Size: %s\nAccess: (0%a/%A)  Uid: (%u/%U)   Gid: (%g/%G)")
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


async def basename(process: Process) -> int:
    if len(process.argv) < 2:
        await process.complain("basename: missing operand")
        return 1
    name = process.argv[1].rstrip("/").rpartition("/")[2] or "/"
    if len(process.argv) > 2 and name != process.argv[2]:
        name = name.removesuffix(process.argv[2])
    await process.write(name + "\n")
    return 0


async def dirname(process: Process) -> int:
    if len(process.argv) < 2:
        await process.complain("dirname: missing operand")
        return 1
    for word in process.argv[1:]:
        head, slash, _ = word.rstrip("/").rpartition("/")
        await process.write((head or ("/" if slash or word.startswith("/") else ".")) + "\n")
    return 0


async def readlink(process: Process) -> int:
    found, operands = await options(process, "fenm")
    filesystem = process.container.filesystem
    for operand in operands:
        try:
            path = path_of(process, operand)
            if found.keys() & {"f", "e", "m"} or tool(process) == "realpath":
                await process.write(filesystem.resolve(path) + "\n")
                continue
            entry = filesystem.lookup(path, follow=False)
        except OSError as error:
            if tool(process) == "realpath":
                await process.complain(f"realpath: {operand}: {words_of(error)}")
            return 1
        if entry.kind != LINK:
            return 1
        await process.write(entry.target + "\n")
    return 0


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


async def dd(process: Process) -> int:
    """Copies `count` blocks; big ones fail where a real one would fill the disk."""
    given = dict(word.partition("=")[::2] for word in process.argv[1:] if "=" in word)
    units = {"k": 1024, "K": 1024, "M": 1024**2, "G": 1024**3}
    block = given.get("bs", "512")
    size = (
        int(block[:-1]) * units[block[-1]]
        if block[-1:] in units and block[:-1].isdigit()
        else int(block)
        if block.isdigit()
        else 512
    )
    count = int(given["count"]) if given.get("count", "").isdigit() else 1
    total = size * count
    filesystem = process.container.filesystem
    try:
        if "of" in given:
            filesystem.write(
                path_of(process, given["of"]),
                bytes(min(total, 1 << 28)),
                modified=process.container.now_seconds(),
            )
    except OSError as error:
        await process.complain(f"dd: error writing '{given['of']}': {words_of(error)}")
        return 1
    await process.complain(f"{count}+0 records in\n{count}+0 records out")
    return 0


PROGRAMS: dict[str, Program] = {
    "ls": ls, "mkdir": mkdir, "rm": rm, "rmdir": rmdir, "cp": cp, "mv": mv, "touch": touch, "ln": ln,
    "chmod": chmod,
    "chown": chown, "stat": stat, "du": du, "df": df, "basename": basename, "dirname": dirname,
    "readlink": readlink, "realpath": readlink, "mktemp": mktemp, "mount": mount, "dd": dd,
}  # fmt: skip
