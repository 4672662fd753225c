"""Opening a path as a stream: devices, the first process' own streams, files."""

from __future__ import annotations

from services.runtime.filesystem import normal
from services.runtime.processes import Process
from services.runtime.streams import NULL, OpenFile, Stream, Zero


def open_file(process: Process, target: str, operator: str) -> Stream:
    """Opens for < > >> <> or >|, as the shell does. OSError."""
    path = normal(target, process.cwd)
    filesystem, now = process.container.filesystem, process.container.now_seconds
    devices = {"/dev/stdin": 0, "/dev/stdout": 1, "/dev/stderr": 2, "/proc/1/fd/1": -1, "/proc/1/fd/2": -2}
    if path == "/dev/null":
        return NULL
    if path in ("/dev/zero", "/dev/urandom", "/dev/random"):
        return Zero()
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
    if operator != ">>" or not filesystem.exists(path):
        if operator == "<>" and filesystem.exists(path):
            return OpenFile(filesystem, path, now)
        filesystem.write(path, b"", modified=now())
    return OpenFile(filesystem, path, now, append=operator == ">>")
