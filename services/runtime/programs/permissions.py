"""chmod, chown, chgrp."""

from __future__ import annotations

import errno
from dataclasses import replace

from services.runtime.filesystem import DIRECTORY, Filesystem
from services.runtime.processes import Process, Program
from services.runtime.programs.input import path_of, tool, words_of
from services.runtime.programs.options import options, usage


async def chmod(process: Process) -> int:
    words = [word for word in process.argv[1:] if word not in ("-R", "-v", "-f", "-c", "--recursive", "--")]
    filesystem, status = process.container.filesystem, 0
    if len(words) < 2:
        raise await usage(process, "[-Rcvf] MODE[,MODE]... FILE...")
    operands = words[1:]
    if "-R" in process.argv or "--recursive" in process.argv:
        operands = [
            one for operand in operands for one in _tree(filesystem, path_of(process, operand))
        ] or operands
    for operand in operands:
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


def _tree(filesystem: Filesystem, path: str) -> list[str]:
    """A path and all below it; nothing when it is not there."""
    try:
        entry = filesystem.lookup(path, follow=False)
    except OSError:
        return []
    inner = (
        [f"{path.rstrip('/')}/{name}" for name in filesystem.listing(path)] if entry.kind == DIRECTORY else []
    )
    return [path, *(one for item in inner for one in _tree(filesystem, item))]


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
    """chown and chgrp: names and numbers from /etc/passwd and /etc/group; only root may."""
    found, operands = await options(process, "RhfvcLHP", synopsis="[-RhLHPcvf] USER[:[GRP]] FILE...")
    if len(operands) < 2:
        raise await usage(process, "[-RhLHPcvf] USER[:[GRP]] FILE...")
    user, _, group = operands[0].replace(".", ":", 1).partition(":")
    if tool(process) == "chgrp":
        user, group = "", operands[0]
    filesystem, status = process.container.filesystem, 0
    uid, gid = _number(process, user, "/etc/passwd"), _number(process, group, "/etc/group")
    for name, number, kind in ((user, uid, "user"), (group, gid, "group")):
        if name and number is None:
            await process.complain(f"{tool(process)}: unknown {kind} {name}")
            return 1
    targets = [path_of(process, operand) for operand in operands[1:]]
    if "R" in found:
        targets = [one for target in targets for one in _tree(filesystem, target) or [target]]
    for path in targets:
        try:
            entry = filesystem.lookup(path)
            if process.uid != 0:
                raise OSError(errno.EPERM, "Operation not permitted")
            filesystem.put(
                filesystem.resolve(path),
                replace(entry, uid=entry.uid if uid is None else uid, gid=entry.gid if gid is None else gid),
            )
        except OSError as error:
            await process.complain(f"{tool(process)}: {path}: {words_of(error)}")
            status = 1
    return status


def _number(process: Process, name: str, file: str) -> int | None:
    if name.isascii() and name.isdigit():
        return int(name[:9])
    try:
        data = process.container.filesystem.read(file).decode("utf-8", "replace")
    except OSError:
        return None
    rows = (line.split(":") for line in data.splitlines())
    return next((int(row[2]) for row in rows if len(row) > 2 and row[0] == name and row[2].isdigit()), None)


PROGRAMS: dict[str, Program] = {"chmod": chmod, "chown": chown, "chgrp": chown}
