"""The watch cache of one kind: its present state, its recent past, and who wants to be told.

Fed by one watch of the store. A watcher joins at a revision: what happened since is replayed from
the ring and all that follows is delivered, without a gap, since joining and delivering both
happen between two awaits. A revision older than the ring is 410 Expired. Watchers are never
waited for: one whose backlog reaches its bound is ended, and resumes or starts over by itself.
Upstream: `storage/cacher`. If the store has forgotten our place, the state is read anew and every
watcher is ended with 410.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from collections.abc import Iterable
from itertools import count

from services.api import errors
from services.apiserver.storage.causes import CauseLedger
from services.apiserver.storage.entries import Describe, Entry, Event, Selection
from services.apiserver.storage.storage import Batch, Change, Compacted, Page, Storage
from services.apiserver.storage.watchers import Watcher, Watchers
from services.machinery.clock import Clock
from services.process.logging import Logger

RING_EVENTS_MAX = 8192
# Older events keep only the objects: whoever still needs them encodes them again.
RING_ENCODED_MAX = 512
READ_AGAIN_SECONDS = 0.5
FRESH_SECONDS = 3.0
PROGRESS_AGAIN_SECONDS = 0.1  # etcd ignores the wish while a watch lags behind
INDEXED = ("metadata.namespace", "spec.nodeName")


class WatchCache:
    """`prefix` ends with "/"; `describe` reads out of an object what selectors ask for."""

    def __init__(
        self,
        prefix: str,
        storage: Storage,
        describe: Describe,
        causes: CauseLedger,
        clock: Clock,
        log: Logger,
    ) -> None:
        self.prefix = prefix
        self._storage, self._describe, self._causes = storage, describe, causes
        self._clock, self._log = clock, log
        self.entries: dict[str, Entry] = {}
        self._index: dict[tuple[str, str], dict[str, Entry]] = {}
        self._ring: deque[Event] = deque(maxlen=RING_EVENTS_MAX)
        self._forgotten = 0  # the revision up to which the ring knows nothing
        self.revision = 0
        self.ready = asyncio.Event()
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._order = count()
        self.watchers = Watchers()
        self._closed = False

    # -- feeding ---------------------------------------------------------------------------------

    async def run(self) -> None:
        """Reads the state and follows the store until cancelled."""
        while True:
            try:
                self._restart(await self._storage.list(self.prefix))
                async for batch in self._storage.watch(self.prefix, self.revision):
                    self._apply(batch)
            except Compacted:
                self._log.info("The store has forgotten our place; reading anew", prefix=self.prefix)
            except errors.ApiError as error:
                self._log.warning("Cannot fill a cache yet", prefix=self.prefix, reason=error.message)
                await self._clock.sleep(READ_AGAIN_SECONDS)

    def _restart(self, page: Page) -> None:
        self.watchers.end_all()
        self._ring.clear()
        self.entries.clear()
        self._index.clear()
        for stored in page.items:
            entry = Entry(stored.key, stored.value, stored.revision, self._describe(stored.value))
            self.entries[stored.key] = entry
            self._index_add(entry)
        self._forgotten = page.revision
        self._advance(page.revision)
        self.ready.set()

    def _apply(self, batch: Batch) -> None:
        for change in batch.changes:
            self._apply_change(change)
        self._advance(batch.revision)

    def _apply_change(self, change: Change) -> None:
        previous = self.entries.get(change.key)
        entry = None
        write = self._causes.take(change.key, change.value)
        if change.value is not None:
            attributes = write.attributes or self._describe(change.value)
            entry = Entry(change.key, change.value, change.revision, attributes)
        elif previous is None:
            return  # deleted before we ever saw it
        event = Event(entry, previous, change.revision, write.cause)
        if previous is not None:
            self._index_remove(previous)
        if entry is None:
            del self.entries[change.key]
        else:
            self.entries[change.key] = entry
            self._index_add(entry)
        if len(self._ring) == RING_EVENTS_MAX:
            self._forgotten = self._ring[0].revision
        self._ring.append(event)
        if len(self._ring) > RING_ENCODED_MAX:
            self._ring[-RING_ENCODED_MAX - 1].wire = None
        self.watchers.deliver(event)

    def _advance(self, revision: int) -> None:
        self.revision = max(self.revision, revision)
        while self._waiting and self._waiting[0][0] <= self.revision:
            future = heapq.heappop(self._waiting)[2]
            if not future.done():
                future.set_result(None)

    def _index_add(self, entry: Entry) -> None:
        for field in INDEXED:
            value = entry.attributes.fields.get(field)
            if value is not None:
                self._index.setdefault((field, value), {})[entry.key] = entry

    def _index_remove(self, entry: Entry) -> None:
        for field in INDEXED:
            value = entry.attributes.fields.get(field)
            if value is not None and (bucket := self._index.get((field, value))) is not None:
                bucket.pop(entry.key, None)
                if not bucket:
                    del self._index[field, value]

    def close(self) -> None:
        """Another cache, or none, serves its kind: watchers get what has gathered, and the end."""
        self._closed = True
        self.watchers.close_all()

    # -- reading ---------------------------------------------------------------------------------

    def get(self, key: str) -> Entry | None:
        return self.entries.get(key)

    def select(self, selection: Selection) -> list[Entry]:
        """What is selected now, in key order."""
        candidates: Iterable[Entry] = self.entries.values()
        buckets = [
            self._index.get((field, selection.hints[field]), {})
            for field in INDEXED
            if field in selection.hints
        ]
        if buckets:
            candidates = min(buckets, key=len).values()
        return sorted((e for e in candidates if selection.matches(e)), key=lambda entry: entry.key)

    async def wait_for(self, revision: int) -> None:
        """Returns once the cache is at least that new. TimeoutError after three seconds."""
        if revision <= self.revision and self.ready.is_set():
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting = (revision, next(self._order), future)
        heapq.heappush(self._waiting, waiting)
        try:
            async with self._clock.timeout(FRESH_SECONDS):
                while not future.done():
                    if self._storage.progress_is_exact:
                        self._storage.ask_progress()
                    await self._patience(future)
        finally:
            if not future.done():  # that revision may never come
                self._waiting.remove(waiting)
                heapq.heapify(self._waiting)

    async def _patience(self, future: asyncio.Future[None]) -> None:
        try:
            async with self._clock.timeout(PROGRESS_AGAIN_SECONDS):
                await asyncio.shield(future)
        except TimeoutError:
            return

    async def catch_up(self) -> None:
        """Returns once the cache shows every write that was acknowledged before this call."""
        await self.wait_for(await self._storage.revision())

    # -- watching --------------------------------------------------------------------------------

    def watch(self, selection: Selection, after: int | None, *, bookmarks: bool = False) -> Watcher:
        """Joins at a revision, or (None) with what exists now as ADDED first. ApiError 410."""
        if after is None:
            watcher = Watcher(selection, self.revision, bookmarks)
            for entry in self.select(selection):
                watcher.add("ADDED", Event(entry, None, entry.revision, ""))
            watcher.make_room()
        else:
            if after < self._forgotten:
                raise errors.expired(f"too old resource version: {after} ({self._forgotten})")
            watcher = Watcher(selection, after, bookmarks)
            for event in self._ring:
                if event.revision > after:
                    watcher.offer(event)
        self.watchers.join(watcher)
        if self._closed:
            watcher.close()  # Who came while it ended is told as well.
        return watcher

    def bookmark(self) -> None:
        """Tells every watcher that wants to know how far it has come."""
        self.watchers.bookmark(self.revision)
