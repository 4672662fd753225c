"""Opening a path as a stream: devices, the first process' own streams, files."""

from __future__ import annotations

import errno

from services.runtime.filesystem import fault, normal
from services.runtime.processes import Process
from services.runtime.streams import NULL, Noise, OpenFile, Stream, Zero


def open_file(process: Process, target: str, operator: str) -> Stream:
    """Opens for < > >> <> or >|, as the shell does. OSError."""
    path = normal(target, process.cwd)
    filesystem, now = process.container.filesystem, process.container.now_seconds
    devices = {"/dev/stdin": 0, "/dev/stdout": 1, "/dev/stderr": 2, "/proc/1/fd/1": -1, "/proc/1/fd/2": -2}
    if path == "/dev/null":
        return NULL
    if path == "/dev/zero":
        return Zero()
    if path in ("/dev/urandom", "/dev/random"):
        return Noise(process.container.machine.random)
    if path.startswith(("/dev/fd/", "/proc/self/fd/")):
        digits = path.rpartition("/")[2]
        opened = process.streams.get(int(digits[:6])) if digits.isascii() and digits.isdigit() else None
        if opened is None:
            raise fault(errno.ENOENT, target)
        opened.retain()
        return opened
    if path in devices:
        number = devices[path]
        first = process.container.processes.alive.get(1)
        owner = process if number >= 0 or first is None else first
        stream = owner.streams.get(abs(number), NULL)
        stream.retain()
        return stream
    if operator == "<":
        filesystem.read(path)
        return OpenFile(filesystem, path, now)
    filesystem.require_writable(path)
    if operator != ">>" or not filesystem.exists(path):
        if operator == "<>" and filesystem.exists(path):
            return OpenFile(filesystem, path, now)
        new = not filesystem.exists(path)
        filesystem.write(path, b"", modified=now())
        if new and process.umask != 0o022:
            filesystem.change(path, mode=0o666 & ~process.umask)
    return OpenFile(filesystem, path, now, append=operator == ">>")
