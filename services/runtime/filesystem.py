"""The files a container sees: image layers shared by all, changes of its own, mounts from the node.

A tree is flat: absolute path to `Entry`. An image's tree is built once per process and never
changes; a container holds only what it wrote or removed. Faults are `OSError` with the errno that
Linux gives, so that programs print what a real one prints. Everything is bounded: what would
grow past the limit fails with ENOSPC. Real folders of the node appear through `Mount`
(volumes.py); no other path ever leads to the machine.

Whoever is not root meets the permission bits of the image's files and its own: EACCES, and EPERM where
only an owner may. The runtime itself, and mounts, whose real owners are not known here, are exempt.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

FILE_BYTES_MAX = 16 * 1024 * 1024
WRITABLE_BYTES_MAX = 64 * 1024 * 1024
ENTRIES_MAX = 10_000
LINKS_MAX = 40

FILE, DIRECTORY, LINK, DEVICE = "-", "d", "l", "c"


def fault(code: int, path: str = "") -> OSError:
    return OSError(code, os.strerror(code), path or None)


@dataclass(frozen=True, slots=True)
class Entry:
    kind: str = FILE
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    modified: float = 0.0  # seconds since 1970
    data: bytes = b""
    target: str = ""  # of a link
    read: Callable[[], bytes] | None = None  # content made when read: /proc

    def content(self) -> bytes:
        return self.data if self.read is None else self.read()

    @property
    def size(self) -> int:
        return len(self.target) if self.kind == LINK else len(self.data)


ROOT = Entry(DIRECTORY, 0o755)
ANYBODYS = ("/tmp", "/var/tmp", "/run/lock", "/var/lock")
READ, WRITE, SEARCH = 4, 2, 1
STICKY = 0o1000


@dataclass(frozen=True, slots=True)
class Who:
    """On whose behalf a file is touched."""

    uid: int
    groups: tuple[int, ...]
    homes: tuple[str, ...] = ()  # folders that an image made for this user, whatever their bits here


def parent_of(path: str) -> str:
    return path.rpartition("/")[0] or "/"


def normal(path: str, cwd: str = "/") -> str:
    """Absolute and without `.`, `..` or doubled slashes."""
    full = os.path.normpath(path if path.startswith("/") else f"{cwd}/{path}")
    return "/" + full.lstrip("/")


class Tree:
    """What an image holds. Immutable once made."""

    __slots__ = ("children", "entries")

    def __init__(self, entries: Mapping[str, Entry]) -> None:
        self.entries: dict[str, Entry] = {"/": ROOT}
        for path, entry in entries.items():
            while path not in self.entries or self.entries[path] != entry:
                self.entries[path] = entry
                path, entry = parent_of(path), ROOT
                if path in self.entries:
                    break
        for path in ANYBODYS:
            if path in self.entries and self.entries[path].kind == DIRECTORY:
                self.entries[path] = replace(self.entries[path], mode=0o1777)
        children: dict[str, list[str]] = {}
        for path in self.entries:
            if path != "/":
                children.setdefault(parent_of(path), []).append(path.rpartition("/")[2])
        self.children = {folder: tuple(sorted(names)) for folder, names in children.items()}


EMPTY = Tree({})


class Mount(Protocol):
    """A piece of another tree, seen at some path; paths given are relative, "" is its root."""

    readonly: bool

    def entry(self, path: str) -> Entry | None: ...
    def names(self, path: str) -> Iterable[str]: ...
    def write(self, path: str, entry: Entry) -> None: ...
    def remove(self, path: str) -> None: ...


@dataclass(slots=True)
class Filesystem:
    """The view from inside one container."""

    lower: Tree
    readonly: bool = False
    mounts: dict[str, Mount] = field(default_factory=dict)
    upper: dict[str, Entry | None] = field(default_factory=dict)  # None: removed
    written_bytes: int = 0
    who: Callable[[], Who | None] | None = None  # None, or None from it: the runtime itself

    # -- looking ------------------------------------------------------------------------------

    def lookup(self, path: str, *, follow: bool = True) -> Entry:
        """The entry at an absolute path; ENOENT, ENOTDIR, ELOOP as Linux."""
        return self._get(self.resolve(path, follow=follow), path)

    def exists(self, path: str) -> bool:
        try:
            self.lookup(path)
        except OSError:
            return False
        return True

    def is_directory(self, path: str) -> bool:
        try:
            return self.lookup(path).kind == DIRECTORY
        except OSError:
            return False

    def read(self, path: str) -> bytes:
        real = self.resolve(path)
        entry = self._get(real, path)
        if entry.kind == DIRECTORY:
            raise fault(errno.EISDIR, path)
        self._permit(real, entry, READ, path)
        return entry.content()

    def listing(self, path: str) -> list[str]:
        """Names in a directory, sorted."""
        real = self.resolve(path)
        folder = self._get(real, path)
        if folder.kind != DIRECTORY:
            raise fault(errno.ENOTDIR, path)
        self._permit(real, folder, READ, path)
        base = "" if real == "/" else real
        mount = self._mount(real)
        if mount is not None:
            names = set(mount[0].names(mount[1]))
        else:
            names = set(self.lower.children.get(real, ()))
            for changed, entry in self.upper.items():
                if changed != "/" and parent_of(changed) == real:
                    name = changed.rpartition("/")[2]
                    names.discard(name) if entry is None else names.add(name)
        for point in self.mounts:
            if point != "/" and point.startswith(base + "/"):
                names.add(point[len(base) + 1 :].partition("/")[0])
        return sorted(names)

    def resolve(self, path: str, *, follow: bool = True) -> str:
        """The path with its links followed; the last part need not exist."""
        pending = [part for part in path.split("/") if part and part != "."][::-1]
        done, links = "", 0
        while pending:
            part = pending.pop()
            if part == "..":
                done = done.rpartition("/")[0]
                continue
            here = f"{done}/{part}"
            entry = self._find(here)
            if entry is None:
                if pending:
                    raise fault(errno.ENOENT, path)
                return here
            if entry.kind == LINK and (pending or follow):
                links += 1
                if links > LINKS_MAX:
                    raise fault(errno.ELOOP, path)
                if entry.target.startswith("/"):
                    done = ""
                pending.extend([step for step in entry.target.split("/") if step and step != "."][::-1])
                continue
            if pending and entry.kind != DIRECTORY:
                raise fault(errno.ENOTDIR, path)
            if pending:
                self._permit(here, entry, SEARCH, path)
            done = here
        return done or "/"

    def _find(self, path: str) -> Entry | None:
        mount = self._mount(path)
        if mount is not None:
            return mount[0].entry(mount[1])
        if path in self.upper:
            return self.upper[path]
        entry = self.lower.entries.get(path)
        if entry is None and self.mounts:
            base = "" if path == "/" else path
            if any(point.startswith(base + "/") for point in self.mounts):
                return ROOT
        return entry

    def _get(self, real: str, path: str) -> Entry:
        entry = self._find(real)
        if entry is None:
            raise fault(errno.ENOENT, path)
        return entry

    def _mount(self, path: str) -> tuple[Mount, str] | None:
        """The innermost mount that holds this path, and the path inside it."""
        if not self.mounts:
            return None
        point = path
        while True:
            if point in self.mounts:
                return self.mounts[point], path[len(point) :].lstrip("/") if point != "/" else path[1:]
            if point == "/":
                return None
            point = parent_of(point)

    # -- changing -----------------------------------------------------------------------------

    def write(self, path: str, data: bytes, *, append: bool = False, modified: float = 0.0) -> None:
        real = self.resolve(path)
        old = self.require_writable(path)
        if old is not None and old.kind == DEVICE:
            return
        if append and old is not None:
            data = old.content() + data
        if len(data) > FILE_BYTES_MAX:
            raise fault(errno.EFBIG, path)
        self._put(real, replace(old or self._new(), data=data, modified=modified), path)

    def require_writable(self, path: str) -> Entry | None:
        """That it can be opened for writing: what is there now, None where it would be made. OSError."""
        real = self.resolve(path)
        old = self._find(real)
        if old is None:
            self._require_directory(parent_of(real), path)
        elif old.kind == DIRECTORY:
            raise fault(errno.EISDIR, path)
        elif old.read is not None:
            raise fault(errno.EACCES, path)
        else:
            self._permit(real, old, WRITE, path)
        if old is None or old.kind != DEVICE:
            self._require_writable(self._mount(real), path)
        return old

    def make_directory(self, path: str, *, modified: float = 0.0, mode: int = 0o755) -> None:
        real = self.resolve(path)
        if self._find(real) is not None:
            raise fault(errno.EEXIST, path)
        self._require_directory(parent_of(real), path)
        self._put(real, replace(self._new(), kind=DIRECTORY, mode=mode, modified=modified), path)

    def make_directories(self, path: str, *, modified: float = 0.0) -> None:
        for folder in reversed([path, *_ancestors(path)]):
            if not self.exists(folder):
                self.make_directory(folder, modified=modified)
        if not self.is_directory(path):
            raise fault(errno.EEXIST, path)

    def make_link(self, path: str, target: str, *, modified: float = 0.0) -> None:
        real = self.resolve(path, follow=False)
        if self._find(real) is not None:
            raise fault(errno.EEXIST, path)
        self._require_directory(parent_of(real), path)
        self._put(real, Entry(LINK, 0o777, target=target, modified=modified), path)

    def change(self, path: str, *, mode: int | None = None, modified: float | None = None) -> None:
        real = self.resolve(path)
        old = self._get(real, path)
        who = self._ruled(real)
        if mode is not None and who is not None and who.uid != old.uid:
            raise fault(errno.EPERM, path)
        new = replace(old, mode=old.mode if mode is None else mode)
        self._put(real, replace(new, modified=new.modified if modified is None else modified), path)

    def put(self, path: str, entry: Entry) -> None:
        """Sets a whole entry: what cp -p and mv need."""
        real = self.resolve(path, follow=False)
        self._require_directory(parent_of(real), path)
        self._put(real, entry, path)

    def remove(self, path: str) -> None:
        """One file, link or empty directory."""
        real = self.resolve(path, follow=False)
        entry = self._get(real, path)
        if real in self.mounts or real == "/":
            raise fault(errno.EBUSY, path)
        if entry.kind == DIRECTORY and self.listing(real):
            raise fault(errno.ENOTEMPTY, path)
        mount = self._mount(real)
        self._require_writable(mount, path)
        self._permit_removal(real, entry, path)
        if mount is not None:
            mount[0].remove(mount[1])
            return
        gone = self.upper.pop(real, None)
        self.written_bytes -= gone.size if gone is not None else 0
        if real in self.lower.entries:
            self.upper[real] = None

    def _require_directory(self, real: str, path: str) -> None:
        """That something new may be put there."""
        folder = self._get(real, path)
        if folder.kind != DIRECTORY:
            raise fault(errno.ENOTDIR, path)
        self._permit(real, folder, WRITE | SEARCH, path)

    # -- permissions --------------------------------------------------------------------------

    def _ruled(self, real: str) -> Who | None:
        """Whose rights count at this place; None where everything is allowed."""
        who = self.who() if self.who is not None else None
        if who is None or who.uid == 0 or self._mount(real) is not None:
            return None
        if any(real == home or real.startswith(home + "/") for home in who.homes):
            return None
        return who

    def _permit(self, real: str, entry: Entry, wanted: int, path: str) -> None:
        who = self._ruled(real)
        if who is None:
            return
        shift = 6 if entry.uid == who.uid else 3 if entry.gid in who.groups else 0
        if entry.mode >> shift & wanted != wanted:
            raise fault(errno.EACCES, path)

    def _permit_removal(self, real: str, entry: Entry, path: str) -> None:
        folder = self._get(parent_of(real), path)
        self._permit(parent_of(real), folder, WRITE | SEARCH, path)
        who = self._ruled(real)
        if who is not None and folder.mode & STICKY and who.uid not in (entry.uid, folder.uid):
            raise fault(errno.EPERM, path)

    def _new(self) -> Entry:
        """An empty file, of whoever makes it."""
        who = self.who() if self.who is not None else None
        return Entry(uid=who.uid, gid=who.groups[0]) if who is not None else Entry()

    def _require_writable(self, mount: tuple[Mount, str] | None, path: str) -> None:
        if mount[0].readonly if mount is not None else self.readonly:
            raise fault(errno.EROFS, path)

    def _put(self, real: str, entry: Entry, path: str) -> None:
        mount = self._mount(real)
        self._require_writable(mount, path)
        if mount is not None:
            mount[0].write(mount[1], entry)
            return
        old = self.upper.get(real)
        grown = self.written_bytes + entry.size - (old.size if old is not None else 0)
        if grown > WRITABLE_BYTES_MAX or (real not in self.upper and len(self.upper) >= ENTRIES_MAX):
            raise fault(errno.ENOSPC, path)
        self.upper[real] = entry
        self.written_bytes = grown


def _ancestors(path: str) -> list[str]:
    found = []
    while path not in ("/", ""):
        path = parent_of(path)
        found.append(path)
    return found
