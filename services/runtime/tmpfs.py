"""Files that lie in memory: /dev/shm and memory-backed volumes. What is written there is charged.

A `Tmpfs` starts empty and costs nothing until something is written; past its size limit, or past what
one emulated file may be, a write fails with ENOSPC. `charge` is told of each change in bytes.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable

from services.runtime.filesystem import DIRECTORY, Entry, fault, parent_of

ENTRIES_MAX = 1_000


class Tmpfs:
    __slots__ = ("_charge", "_entries", "_limit", "_used", "readonly")

    def __init__(self, limit_bytes: int, charge: Callable[[int], None], *, readonly: bool = False) -> None:
        self._limit, self._charge = limit_bytes, charge
        self._entries: dict[str, Entry] | None = None
        self._used = 0
        self.readonly = readonly

    def entry(self, path: str) -> Entry | None:
        if not path:
            return Entry(DIRECTORY, 0o1777)
        return self._entries.get(path) if self._entries else None

    def names(self, path: str) -> Iterable[str]:
        wanted = f"/{path}" if path else "/"
        return [name.rpartition("/")[2] for name in self._entries or () if parent_of(f"/{name}") == wanted]

    def write(self, path: str, entry: Entry) -> None:
        entries = self._entries or {}
        old = entries.get(path)
        change = entry.size - (old.size if old is not None else 0)
        if self._used + change > self._limit or (old is None and len(entries) >= ENTRIES_MAX):
            raise fault(errno.ENOSPC, path)
        entries[path] = entry
        self._entries = entries
        self._account(change)

    def remove(self, path: str) -> None:
        gone = self._entries.pop(path, None) if self._entries else None
        if gone is None:
            raise fault(errno.ENOENT, path)
        self._account(-gone.size)

    def _account(self, change: int) -> None:
        self._used += change
        self._charge(change)
