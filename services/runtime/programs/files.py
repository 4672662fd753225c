"""Tools that change files, and those that take paths apart."""

from __future__ import annotations

import errno
import stat as mode_bits
from collections.abc import Sequence
from dataclasses import replace

from services.runtime.filesystem import DIRECTORY, LINK, Filesystem, normal
from services.runtime.processes import Process, Program
from services.runtime.programs.input import path_of, tool, words_of
from services.runtime.programs.options import options

KINDS = {"d": mode_bits.S_IFDIR, "l": mode_bits.S_IFLNK, "c": mode_bits.S_IFCHR, "-": mode_bits.S_IFREG}


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
    "mkdir": mkdir, "rm": rm, "rmdir": rmdir, "cp": cp, "mv": mv, "touch": touch, "ln": ln,
    "chmod": chmod,
    "chown": chown, "basename": basename, "dirname": dirname,
    "readlink": readlink, "realpath": readlink, "mktemp": mktemp, "mount": mount, "dd": dd,
}  # fmt: skip
