"""One stored kind, several versions: what a store and its readers show of an object in theirs.

What etcd and the watch cache hold is in one version (or, of a custom resource whose storage version was
changed, in several); a `Version` turns it into the one that was asked for and back. What it made of an
entry or an event stays with that, so that each is converted and encoded once for all who ask for that
version. A conversion may ask a webhook and is therefore awaited; one that fails is the request's `ApiError`.
Upstream: the codecs of a storage, and apiextensions' conversion.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import orjson

from services.apiserver.registry.request import Item
from services.apiserver.rules.versions import ConvertedStrategy
from services.apiserver.storage.entries import Delivery, Entry, Event
from services.apiserver.storage.storage import Stored
from services.apiserver.storage.watchers import Watcher

Json = dict[str, Any]


class Version(Protocol):
    """Shapes: values are the bytes of objects, in any version that was ever stored."""

    @property
    def key(self) -> str:
        """Under which what was made is kept: another one whenever the same bytes would look different."""
        ...

    @property
    def fields(self) -> Mapping[str, str]:
        """Names of selectable fields that are others than the stored version's."""
        ...

    async def shown(self, values: Sequence[bytes]) -> list[bytes]:
        """As they look in this version, in the same order."""
        ...

    async def stored(self, obj: Json) -> Json:
        """What to store for an object of this version."""
        ...


class PureVersion:
    """A built-in kind: both directions are functions."""

    def __init__(self, strategy: ConvertedStrategy) -> None:
        self._strategy = strategy
        self.key = strategy.resource.api_version
        self.fields: Mapping[str, str] = strategy.fields

    async def shown(self, values: Sequence[bytes]) -> list[bytes]:
        return [orjson.dumps(self._strategy.from_stored(orjson.loads(value))) for value in values]

    async def stored(self, obj: Json) -> Json:
        return self._strategy.to_stored(obj)


async def shown_stored(version: Version, stored: Stored) -> Stored:
    (value,) = await version.shown([stored.value])
    return stored if value is stored.value else stored._replace(value=value)


async def shown_items(version: Version, items: Sequence[Item]) -> list[Item]:
    values = await version.shown([item.value for item in items])
    return [item._replace(value=value) for item, value in zip(items, values, strict=True)]


async def shown_entries(version: Version, entries: Sequence[Entry]) -> list[Entry]:
    """Each is converted once and kept beside the original, as long as that is there."""
    todo = [entry for entry in entries if entry.views is None or version.key not in entry.views]
    if todo:
        values = await version.shown([entry.value for entry in todo])
        for entry, value in zip(todo, values, strict=True):
            same = value is entry.value
            made = None if same else Entry(entry.key, value, entry.revision, entry.attributes)
            entry.views = {**(entry.views or {}), version.key: made}
    return [_view(entry, version.key) for entry in entries]


def _view(entry: Entry, key: str) -> Entry:
    found = entry.views[key] if entry.views is not None else None
    return found or entry


class VersionWatcher:
    """A watch whose objects are shown in a version; the rest is the watcher's own."""

    def __init__(self, watcher: Watcher, version: Version) -> None:
        self.watcher, self._version = watcher, version

    async def next(self) -> list[Delivery]:
        """As `Watcher.next`."""
        return await self._shown(await self.watcher.next())

    async def _shown(self, deliveries: list[Delivery]) -> list[Delivery]:
        key = self._version.key
        todo = {
            id(entry): entry
            for delivery in deliveries
            if not _made(delivery.event, key)
            for entry in (delivery.event.entry, delivery.event.previous)
            if entry is not None
        }
        await shown_entries(self._version, list(todo.values()))
        return [delivery._replace(event=_event(delivery.event, key)) for delivery in deliveries]


def _made(event: Event, key: str) -> bool:
    return event.wire is not None and f"as {key}" in event.wire


def _event(event: Event, key: str) -> Event:
    """The event in that version; kept with the event, and with it what fronts make of it."""
    if event.wire is None:
        event.wire = {}
    found: Event | None = event.wire.get(f"as {key}")
    if found is None:
        entry = _view(event.entry, key) if event.entry is not None else None
        previous = _view(event.previous, key) if event.previous is not None else None
        found = event.wire[f"as {key}"] = Event(entry, previous, event.revision, event.cause)
    return found
