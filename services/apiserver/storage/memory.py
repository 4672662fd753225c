"""A store in a dict, with etcd's manners: the second implementation of `Storage`, for unit tests.

Keeps its whole history, so that every revision can be read until `compact`. Leases never run out.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import AsyncIterator

from services.apiserver.storage.storage import Batch, Change, Compacted, Outcome, Page, Reading, Stored


class MemoryStorage:
    def __init__(self) -> None:
        self._values: dict[str, Stored] = {}
        self._history: list[Change] = []
        self._revision = 1  # as in etcd, whose first write is revision 2
        self._compacted = 0
        self._watches: list[tuple[str, asyncio.Queue[Batch]]] = []

    async def get(self, key: str) -> Reading:
        return Reading(self._values.get(key), self._revision)

    async def list(self, prefix: str, *, start: str = "", limit: int = 0, revision: int = 0) -> Page:
        if revision and revision < self._compacted:
            raise Compacted(self._compacted)
        values = self._at(revision) if revision else self._values
        found = [values[key] for key in sorted(values) if key.startswith(prefix) and key >= start]
        items = found[:limit] if limit else found
        return Page(items, revision or self._revision, len(found) - len(items))

    def _at(self, revision: int) -> dict[str, Stored]:
        values: dict[str, Stored] = {}
        for change in self._history:
            if change.revision > revision:
                break
            if change.value is None:
                values.pop(change.key, None)
            else:
                values[change.key] = Stored(*change)  # type: ignore[arg-type]
        return values

    async def revision(self) -> int:
        return self._revision

    async def create(self, key: str, value: bytes, *, ttl_seconds: int = 0) -> Outcome:
        return self._swap(key, 0, value)

    async def update(self, key: str, value: bytes, revision: int, *, ttl_seconds: int = 0) -> Outcome:
        return self._swap(key, revision, value)

    async def delete(self, key: str, revision: int) -> Outcome:
        return self._swap(key, revision, None)

    def _swap(self, key: str, expected: int, value: bytes | None) -> Outcome:
        current = self._values.get(key)
        if (current.revision if current else 0) != expected:
            return Outcome(False, self._revision, current)
        self._revision += 1
        if value is None:
            self._values.pop(key, None)
        else:
            self._values[key] = Stored(key, value, self._revision)
        change = Change(key, value, self._revision)
        self._history.append(change)
        for prefix, queue in self._watches:
            if key.startswith(prefix):
                queue.put_nowait(Batch([change], change.revision))
        return Outcome(True, self._revision)

    async def watch(self, prefix: str, after: int) -> AsyncIterator[Batch]:
        if after + 1 < self._compacted:
            raise Compacted(self._compacted)
        queue: asyncio.Queue[Batch] = asyncio.Queue()
        begin = bisect_right(self._history, after, key=lambda change: change.revision)
        missed = [change for change in self._history[begin:] if change.key.startswith(prefix)]
        if missed:
            queue.put_nowait(Batch(missed, missed[-1].revision))
        watch = (prefix, queue)
        self._watches.append(watch)
        try:
            while True:
                yield await queue.get()
        finally:
            self._watches.remove(watch)

    def ask_progress(self) -> None:
        for _, queue in self._watches:
            queue.put_nowait(Batch([], self._revision))

    @property
    def progress_is_exact(self) -> bool:
        return True

    def compact(self, revision: int) -> None:
        """Forgets what was before: what etcd does every five minutes."""
        self._compacted = revision
