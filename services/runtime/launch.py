"""From a command line to a program: PATH, permissions, scripts, and what stands in for a binary.

A file that may be executed is, in this order: the program whose behaviour the image describes, a
script (its `#!` line names a shell), or a tool that we have under that file name. Anything else is
a binary of somebody's that we cannot run: it says so and exits with 126.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from services.runtime import behaviour
from services.runtime.filesystem import DIRECTORY, Entry, fault, normal
from services.runtime.processes import Process, Program

if TYPE_CHECKING:
    from services.runtime.container import Container


SEARCHED_WITHOUT_PATH = "/usr/local/bin:/bin:/usr/bin"


def find(container: Container, argv: tuple[str, ...], env: Mapping[str, str], cwd: str) -> Program:
    """The program that this command line starts. OSError as execve(2); no filename when PATH has none."""
    path = search(container, argv[0], env, cwd)
    entry = container.filesystem.lookup(path)
    spec = container.image.behaviour
    if spec and behaviour.applies(spec, path, argv):
        return behaviour.program(spec)
    data = entry.content()
    if data.startswith(b"#!"):
        return _script(container, path, data, argv)
    real = container.filesystem.resolve(path)
    for name in (path.rpartition("/")[2], real.rpartition("/")[2]):
        if name in container.machine.programs:
            return container.machine.programs[name]
    return _foreign


def find_for_shell(container: Container, argv: tuple[str, ...], env: Mapping[str, str], cwd: str) -> Program:
    """As a shell starts it: what the system refuses as no program at all, it reads as a script of its own."""
    program = find(container, argv, env, cwd)
    if program is not _foreign:
        return program
    path = search(container, argv[0], env, cwd)
    data = container.filesystem.lookup(path).content()
    shell = container.machine.programs.get("sh")
    if shell is None or not data or data.startswith(b"#!") or b"\0" in data[:128] or data[:1] == b"\x7f":
        return program
    plain = shell

    async def run(process: Process) -> int:
        process.argv = ("sh", path, *argv[1:])
        return await plain(process)

    return run


def search(container: Container, name: str, env: Mapping[str, str], cwd: str) -> str:
    """The absolute path of an executable, as execvp(3) finds it."""
    if "/" in name:
        path = normal(name, cwd)
        _require_executable(container.filesystem.lookup(path), name)
        return path
    for folder in (env.get("PATH") or SEARCHED_WITHOUT_PATH).split(":"):
        path = normal(f"{folder}/{name}", cwd)
        try:
            entry = container.filesystem.lookup(path)
        except OSError:
            continue
        if entry.kind != DIRECTORY and entry.mode & 0o111:
            return path
    raise OSError(errno.ENOENT, "executable file not found in $PATH")


def runc_words(name: str, error: OSError) -> str:
    quoted = '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if error.filename is None:
        return f"exec: {quoted}: {error.strerror}"
    if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
        return f"exec: {quoted}: stat {name}: {os.strerror(error.errno).lower()}"
    return f"exec: {quoted}: {os.strerror(error.errno or 0).lower()}"


def _require_executable(entry: Entry, name: str) -> None:
    if entry.kind == DIRECTORY:
        raise fault(errno.EISDIR, name)
    if not entry.mode & 0o111:
        raise fault(errno.EACCES, name)


def _script(container: Container, path: str, data: bytes, argv: tuple[str, ...]) -> Program:
    """As execve(2) does it: the interpreter runs, with the script as its first argument."""
    first, _, _ = data.partition(b"\n")
    interpreter = first[2:].decode("utf-8", "replace").split()
    if interpreter and interpreter[0].rpartition("/")[2] == "env":
        interpreter = interpreter[1:]
    shell = container.machine.programs.get(interpreter[0].rpartition("/")[2]) if interpreter else None
    if shell is None:
        return _foreign

    async def run(process: Process) -> int:
        process.argv = (*interpreter, path, *argv[1:])
        return await shell(process)

    return run


async def _foreign(process: Process) -> int:
    await process.complain(f"{process.argv[0]}: this program is not emulated")
    return 126
