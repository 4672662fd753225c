"""Mounts: where a container's tree meets the node.

`FolderMount` shows a real folder or file that the kubelet prepared under the node's root directory
(volumes of every type, /etc/hosts, the termination log). Links are followed here, one part at a
time, and never lead out of that root: a `..` or an absolute target that would is ENOENT. What a
container may add is bounded per mount. `MemoryMount` is a table of entries: /proc, /dev and the
files that the runtime makes itself.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import stat
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from services.runtime.filesystem import DEVICE, DIRECTORY, FILE, LINK, Entry, fault, parent_of

MOUNT_BYTES_MAX = 256 * 1024 * 1024
READ_BYTES_MAX = 16 * 1024 * 1024
MEMORY_MOUNTS = "io.kubernetes.container.memoryMounts"  # an annotation: the CRI has no field for it


def memory_mounts(annotations: Mapping[str, str]) -> dict[str, int]:
    """Where a container has memory-backed volumes, and how big each may get, as the kubelet says."""
    try:
        found = json.loads(annotations.get(MEMORY_MOUNTS, "{}"))
        return {str(path): max(int(limit), 0) for path, limit in found.items()}
    except (ValueError, TypeError, AttributeError):
        return {}


class Memory:
    """What lies in a memory-backed volume counts as memory of the container that wrote it, up to a limit."""

    __slots__ = ("_charge", "_limit")

    def __init__(self, limit_bytes: int, charge: Callable[[int], None]) -> None:
        self._limit, self._charge = min(limit_bytes or MOUNT_BYTES_MAX, MOUNT_BYTES_MAX), charge

    def take(self, base: Path, change: int, path: str) -> None:
        """ENOSPC when the volume, whoever filled it, would hold more than it may."""
        if change > 0 and _size(base) + change > self._limit:
            raise fault(errno.ENOSPC, path)
        self._charge(change)


def _size(real: Path) -> int:
    """Bytes in a file, or in all files of a folder."""
    try:
        status = real.lstat()
    except OSError:
        return 0
    if not stat.S_ISDIR(status.st_mode):
        return status.st_size if stat.S_ISREG(status.st_mode) else 0
    return sum(_size(Path(entry.path)) for entry in os.scandir(real))


class FolderMount:
    __slots__ = ("_base", "_memory", "_written", "readonly")

    def __init__(self, base: Path, *, readonly: bool, memory: Memory | None = None) -> None:
        """`base` is a path without links. `memory`: to the container it is a tmpfs."""
        self._base = base
        self._written = 0
        self._memory = memory
        self.readonly = readonly

    def entry(self, path: str) -> Entry | None:
        real = self._real(path)
        if real is None:
            return None
        try:
            status = real.lstat()
        except OSError:
            return None
        common = {"mode": stat.S_IMODE(status.st_mode), "modified": status.st_mtime}
        if stat.S_ISLNK(status.st_mode):
            return Entry(LINK, target=os.readlink(real), **common)  # type: ignore[arg-type]
        if stat.S_ISDIR(status.st_mode):
            return Entry(DIRECTORY, **common)  # type: ignore[arg-type]
        if not stat.S_ISREG(status.st_mode):
            return Entry(DEVICE, **common)  # type: ignore[arg-type]
        return Entry(FILE, data=_content(real), **common)  # type: ignore[arg-type]

    def names(self, path: str) -> Iterable[str]:
        real = self._real(path)
        return os.listdir(real) if real is not None and real.is_dir() else ()

    def write(self, path: str, entry: Entry) -> None:
        real = self._real(path)
        if real is None:
            raise fault(errno.ENOENT, path)
        if self._memory is None:
            self._written += entry.size
            if self._written > MOUNT_BYTES_MAX:
                raise fault(errno.ENOSPC, path)
        else:
            self._memory.take(self._base, entry.size - _size(real), path)
        if entry.kind == DIRECTORY:
            real.mkdir(exist_ok=True)
        elif entry.kind == LINK:
            real.symlink_to(entry.target)
            return
        else:
            real.write_bytes(entry.data)
        real.chmod(entry.mode | 0o600)

    def remove(self, path: str) -> None:
        real = self._real(path)
        if real is None:
            raise fault(errno.ENOENT, path)
        if self._memory is not None:
            self._memory.take(self._base, -_size(real), path)
        if real.is_dir() and not real.is_symlink():
            shutil.rmtree(real)
        else:
            real.unlink()

    def _real(self, path: str) -> Path | None:
        """The real path. `Filesystem` follows links itself, so none may be left on the way here."""
        real = self._base / path if path else self._base
        folder = real.parent
        if path and folder != self._base and folder.resolve() != folder:
            return None
        return real


def _content(real: Path) -> bytes:
    with real.open("rb") as file:
        return file.read(READ_BYTES_MAX)


class MemoryMount:
    """A fixed table; `writable` entries may be replaced, nothing else."""

    __slots__ = ("_children", "_entries", "readonly")

    def __init__(self, entries: Mapping[str, Entry], *, readonly: bool = True) -> None:
        self._entries = {"": Entry(DIRECTORY, 0o755), **entries}
        self._children: dict[str, list[str]] = {}
        for path in [path for path in self._entries if path]:
            folder = parent_of("/" + path)[1:]
            self._entries.setdefault(folder, Entry(DIRECTORY, 0o755))
            self._children.setdefault(folder, []).append(path.rpartition("/")[2])
        self.readonly = readonly

    def entry(self, path: str) -> Entry | None:
        return self._entries.get(path)

    def names(self, path: str) -> Iterable[str]:
        return self._children.get(path, ())

    def write(self, path: str, entry: Entry) -> None:
        if path not in self._entries:
            raise fault(errno.EACCES, path)

    def remove(self, path: str) -> None:
        raise fault(errno.EPERM, path)


class FileMount:
    """One file that the runtime makes itself."""

    __slots__ = ("_entry", "readonly")

    def __init__(self, data: bytes) -> None:
        self._entry = Entry(data=data)
        self.readonly = True

    def entry(self, path: str) -> Entry | None:
        return None if path else self._entry

    def names(self, path: str) -> Iterable[str]:
        return ()

    def write(self, path: str, entry: Entry) -> None:
        raise fault(errno.EROFS, path)

    def remove(self, path: str) -> None:
        raise fault(errno.EBUSY, path)
