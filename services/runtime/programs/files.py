"""Tools that change files, and those that take paths apart."""

from __future__ import annotations

import errno
import re
import stat as mode_bits
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from services.runtime.filesystem import DIRECTORY, LINK, Filesystem, normal
from services.runtime.processes import Process, Program
from services.runtime.programs.input import path_of, tool, words_of
from services.runtime.programs.options import busybox, options, usage
from services.runtime.programs.permissions import changed_mode

KINDS = {"d": mode_bits.S_IFDIR, "l": mode_bits.S_IFLNK, "c": mode_bits.S_IFCHR, "-": mode_bits.S_IFREG}


async def mkdir(process: Process) -> int:
    found, operands = await options(process, "pm:v", long={"parents": "p", "mode": "m"})
    filesystem, now, status = process.container.filesystem, process.container.now_seconds(), 0
    if not operands:
        raise await usage(process, "[-m MODE] [-p] DIRECTORY...")
    for operand in operands:
        path = path_of(process, operand)
        try:
            if "p" in found:
                filesystem.make_directories(path, modified=now)
            else:
                filesystem.make_directory(path, modified=now, mode=0o777 & ~process.umask)
            if "m" in found:
                filesystem.change(path, mode=changed_mode(found["m"], 0o755))
            if "v" in found:
                await process.write(f"created directory: '{operand}'\n")
        except OSError as error:
            named = _said(
                process, f"can't create directory '{operand}'", f"cannot create directory ‘{operand}’"
            )
            await process.complain(f"mkdir: {named}: {words_of(error)}")
            status = 1
    return status


def _said(process: Process, by_busybox: str, by_gnu: str) -> str:
    return by_busybox if busybox(process) else by_gnu


async def rm(process: Process) -> int:
    found, operands = await options(
        process, "rRfiv", long={"recursive": "r", "force": "f"}, synopsis="[-irf] FILE..."
    )
    filesystem, status = process.container.filesystem, 0
    if not operands and "f" not in found:
        raise await usage(process, "[-irf] FILE...")
    for operand in operands:
        path = path_of(process, operand)
        try:
            entry = filesystem.lookup(path, follow=False)
            if entry.kind == DIRECTORY and not found.keys() & {"r", "R"}:
                gnu = f"cannot remove '{operand}': Is a directory"
                await process.complain("rm: " + _said(process, f"'{operand}' is a directory", gnu))
                status = 1
                continue
            await remove_tree(process, path)
        except OSError as error:
            if "f" in found and error.errno == errno.ENOENT:
                continue
            cannot = _said(process, "can't", "cannot")
            await process.complain(f"rm: {cannot} remove '{operand}': {words_of(error)}")
            status = 1
    return status


async def remove_tree(process: Process, path: str) -> None:
    filesystem = process.container.filesystem
    if filesystem.lookup(path, follow=False).kind == DIRECTORY:
        for name in filesystem.listing(path):
            await remove_tree(process, f"{path.rstrip('/')}/{name}")
    filesystem.remove(path)


async def rmdir(process: Process) -> int:
    found, operands = await options(process, "p")
    filesystem, status = process.container.filesystem, 0
    for operand in operands:
        path = path_of(process, operand)
        try:
            if filesystem.lookup(path, follow=False).kind != DIRECTORY:
                raise OSError(errno.ENOTDIR, "Not a directory")
            filesystem.remove(path)
            above = operand.rstrip("/").rpartition("/")[0]
            while "p" in found and above:
                filesystem.remove(path_of(process, above))
                above = above.rpartition("/")[0]
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
        raise await usage(process, "[-finT] SOURCE DEST" if move else "[-arPLHpfinlsTu] SOURCE DEST")
    target = path_of(process, operands[-1])
    into = filesystem.is_directory(target)
    cannot = "can't rename" if move else "can't stat"
    status = 0
    if len(operands) > 2 and not into:
        for operand in operands[:-1] if busybox(process) else ():
            await process.complain(f"{name}: can't stat '{operands[-1]}/{operand}': Not a directory")
        if not busybox(process):
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
            kind = filesystem.lookup(source, follow=not move).kind
            if not filesystem.is_directory(end.rpartition("/")[0] or "/"):
                named = _said(
                    process,
                    f"can't {'rename' if move else 'create'} '{operand if move else operands[-1]}'",
                    f"cannot {'move' if move else 'create regular file'} '{operands[-1]}'",
                )
                await process.complain(f"{name}: {named}: No such file or directory")
                status = 1
                continue
            if kind == DIRECTORY and not deep:
                await process.complain(f"{name}: omitting directory '{operand}'")
                status = 1
                continue
            _copy(filesystem, source, end, process.container.now_seconds(), follow=not move)
            if move:
                await remove_tree(process, source)
        except OSError as error:
            await process.complain(
                f"{name}: {_said(process, cannot, 'cannot stat')} '{operand}': {words_of(error)}"
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
    synopsis = "[-cham] [-d DATE] [-t DATE] [-r FILE] FILE..."
    found, operands = await options(process, "cd:t:r:amh", synopsis=synopsis)
    filesystem, now, status = process.container.filesystem, process.container.now_seconds(), 0
    if not operands:
        raise await usage(process, synopsis)
    stamp = re.fullmatch(r"(\d{4}|)(\d{8})(?:\.(\d\d))?", found.get("t", ""))
    if stamp:
        year = stamp[1] or f"{datetime.fromtimestamp(now, UTC):%Y}"
        try:
            now = (
                datetime.strptime(year + stamp[2] + (stamp[3] or "00"), "%Y%m%d%H%M%S")
                .replace(tzinfo=UTC)
                .timestamp()
            )
        except ValueError:
            await process.complain(f"touch: invalid date '{found['t']}'")
            return 1
    if "r" in found:
        try:
            now = filesystem.lookup(path_of(process, found["r"])).modified
        except OSError as error:
            await process.complain(f"touch: {found['r']}: {words_of(error)}")
            return 1
    for operand in operands:
        path = path_of(process, operand)
        try:
            if filesystem.exists(path):
                filesystem.change(path, modified=now)
            elif "c" not in found:
                filesystem.write(path, b"", modified=now)
                filesystem.change(path, mode=0o666 & ~process.umask)
        except OSError as error:
            named = operand if busybox(process) else f"cannot touch '{operand}'"
            await process.complain(f"touch: {named}: {words_of(error)}")
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


async def basename(process: Process) -> int:
    if len(process.argv) < 2:
        raise await usage(process, "FILE [SUFFIX] | -a FILE... | -s SUFFIX FILE...")
    name = process.argv[1].rstrip("/").rpartition("/")[2] or "/"
    if len(process.argv) > 2 and name != process.argv[2]:
        name = name.removesuffix(process.argv[2])
    await process.write(name + "\n")
    return 0


async def dirname(process: Process) -> int:
    if len(process.argv) < 2:
        raise await usage(process, "FILENAME")
    for word in process.argv[1:]:
        head, slash, _ = word.rstrip("/").rpartition("/")
        await process.write((head or ("/" if slash or word.startswith("/") else ".")) + "\n")
    return 0


async def readlink(process: Process) -> int:
    found, operands = await options(process, "fenmsqvz")
    filesystem, status = process.container.filesystem, 0
    for operand in operands:
        try:
            path = path_of(process, operand)
            if found.keys() & {"f", "e", "m"} or tool(process) == "realpath":
                real = filesystem.resolve(path)
                if tool(process) == "realpath" or not busybox(process) or "e" in found:
                    must = "e" in found or (tool(process) == "realpath" and busybox(process))
                    if must and not filesystem.exists(real):
                        raise OSError(errno.ENOENT, "No such file or directory")
                elif not filesystem.exists(real):
                    raise OSError(errno.ENOENT, "No such file or directory")
                await process.write(real + "\n")
                continue
            entry = filesystem.lookup(path, follow=False)
        except OSError as error:
            if tool(process) == "realpath":
                await process.complain(f"realpath: {operand}: {words_of(error)}")
                status = 1
                continue
            return 1
        if entry.kind != LINK:
            return 1
        await process.write(entry.target + "\n")
    return status


PROGRAMS: dict[str, Program] = {
    "mkdir": mkdir, "rm": rm, "rmdir": rmdir, "cp": cp, "mv": mv, "touch": touch, "ln": ln,
    "basename": basename, "dirname": dirname, "readlink": readlink, "realpath": readlink,
}  # fmt: skip
