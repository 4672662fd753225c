"""The watchers of one kind, found by what they select: an event is tried only on those it may concern.

A hundred kubelets that watch the Pods of their own node are not each asked about each Pod.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from services.api import errors
from services.api.errors import ApiError
from services.apiserver.storage.entries import Delivery, Entry, Event, EventType, Selection

BACKLOG_EVENTS_MAX = 10_000
# The most selective first: a watcher stands in one place only.
PLACES = ("metadata.name", "spec.nodeName", "metadata.namespace")


class WatchOver(Exception):
    """The watch has come to its end, and nothing is wrong: what it watched is served no longer."""


class Watcher:
    """One watch: a bounded backlog that the store fills and a front empties."""

    def __init__(self, selection: Selection, after: int, bookmarks: bool) -> None:
        self.selection = selection
        self._joined = after  # events up to here were known to the watcher when it came
        self.after = after  # how far it has come; writes of one moment share a revision
        self.bookmarks = bookmarks
        self.place = next(((f, selection.hints[f]) for f in PLACES if f in selection.hints), None)
        self.ended: ApiError | None = None
        self._closed = False
        self._backlog: list[Delivery] = []
        self._backlog_max = BACKLOG_EVENTS_MAX
        self._wake = asyncio.Event()

    def make_room(self) -> None:
        """What has gathered is where it begins, however much: not what it did not keep up with."""
        self._backlog_max = BACKLOG_EVENTS_MAX + len(self._backlog)

    def offer(self, event: Event) -> None:
        """Takes the event if it is new and shows in the selection."""
        if event.revision <= self._joined:
            return
        kind = self.selection.view(event)
        if kind is not None:
            self.after = event.revision
            if len(self._backlog) >= self._backlog_max:
                self.end(errors.expired("the watcher did not keep up with the events"))
                return
            self.add(kind, event)

    def add(self, kind: EventType, event: Event, *, initial_events_end: bool = False) -> None:
        self._backlog.append(Delivery(kind, event, initial_events_end))
        self._wake.set()

    def mark(self, revision: int, *, initial_events_end: bool = False) -> None:
        """Adds a bookmark: the watcher has seen all up to here."""
        self.after = max(self.after, revision)
        self.add("BOOKMARK", Event(None, None, self.after, ""), initial_events_end=initial_events_end)

    def end(self, error: ApiError) -> None:
        self.ended = error
        self._backlog.clear()
        self._wake.set()

    def close(self) -> None:
        """What has gathered is still handed out, and then no more comes."""
        self._closed = True
        self._wake.set()

    def take(self) -> list[Delivery]:
        """All that has gathered, without waiting; for who looks only when somebody asks."""
        gathered, self._backlog = self._backlog, []
        return gathered

    async def next(self) -> list[Delivery]:
        """All that has gathered, waiting for the first. ApiError when the watch has been ended; WatchOver."""
        if not self._backlog and self.ended is None and not self._closed:
            self._wake.clear()
            await self._wake.wait()
        if self.ended is not None:
            raise self.ended
        if self._closed and not self._backlog:
            raise WatchOver
        gathered, self._backlog = self._backlog, []
        return gathered


class Watchers:
    def __init__(self) -> None:
        self._everywhere: dict[Watcher, None] = {}
        self._placed: dict[tuple[str, str], dict[Watcher, None]] = {}
        self._fields: dict[str, int] = {}  # how many watchers stand at a value of the field

    def __len__(self) -> int:
        return len(self._everywhere) + sum(len(watchers) for watchers in self._placed.values())

    def __iter__(self) -> Iterator[Watcher]:
        yield from self._everywhere
        for watchers in self._placed.values():
            yield from watchers

    def join(self, watcher: Watcher) -> None:
        if watcher.place is None:
            self._everywhere[watcher] = None
            return
        self._placed.setdefault(watcher.place, {})[watcher] = None
        self._fields[watcher.place[0]] = self._fields.get(watcher.place[0], 0) + 1

    def leave(self, watcher: Watcher) -> None:
        """Fine for one that has left already."""
        if watcher.place is None:
            self._everywhere.pop(watcher, None)
            return
        watchers = self._placed.get(watcher.place, {})
        if watcher not in watchers:
            return
        del watchers[watcher]
        if not watchers:
            del self._placed[watcher.place]
        self._fields[watcher.place[0]] -= 1
        if not self._fields[watcher.place[0]]:
            del self._fields[watcher.place[0]]

    def deliver(self, event: Event) -> None:
        for watcher in self._everywhere:
            watcher.offer(event)
        for field in self._fields:
            values = {_value(event.entry, field), _value(event.previous, field)}
            for value in values:
                for watcher in self._placed.get((field, value), ()):
                    watcher.offer(event)

    def bookmark(self, revision: int) -> None:
        for watcher in self:
            if watcher.bookmarks:
                watcher.mark(revision)

    def close_all(self) -> None:
        """What is watched is served no longer."""
        for watcher in self:
            watcher.close()

    def end_all(self) -> None:
        """The past is lost: everybody has to start over."""
        for watcher in list(self):
            watcher.end(errors.expired("The resourceVersion for the provided watch is too old."))
        self._everywhere.clear()
        self._placed.clear()
        self._fields.clear()


def _value(entry: Entry | None, field: str) -> str:
    return entry.attributes.fields.get(field, "") if entry is not None else ""
