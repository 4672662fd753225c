"""Informers: a local copy of a collection that keeps itself current, and tells who wants to know.

For each change the store and its indexes come first, then the handlers, in the order in which
they were added. After a gap the new list is compared with the store, and the deletions that
nobody saw are handed out too. One informer per kind and selector in a process: ask the factory.
Handlers are plain functions that must be quick, such as adding a key to a queue; what one raises
ends the process, since a store that only half of the handlers know of would lie.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from random import Random
from typing import Any, Generic, NamedTuple, TypeVar

from services.api.object import Object
from services.client.client import Client, WatchEvent
from services.client.log import Logger
from services.client.reflector import Reflector
from services.client.store import Change, Store
from services.machinery.clock import Clock

T = TypeVar("T", bound=Object)

OnAdd = Callable[[T, str], None]  # (object, cause)
OnUpdate = Callable[[T, T, str], None]  # (old, new, cause)
OnDelete = Callable[[T, str], None]  # (last known state, cause)


def _ignore(*_: Any) -> None:
    pass


class _Handler(NamedTuple, Generic[T]):
    on_add: OnAdd[T]
    on_update: OnUpdate[T]
    on_delete: OnDelete[T]

    def handle(self, change: Change[T]) -> None:
        if change.new is None:
            if change.old is not None:
                self.on_delete(change.old, change.cause)
        elif change.old is None:
            self.on_add(change.new, change.cause)
        else:
            self.on_update(change.old, change.new, change.cause)


class Informer(Generic[T]):
    """`run` is the factory's to call. `store` is ready to read once `wait_synced` returns."""

    def __init__(self, reflector: Reflector[T], transform: Callable[[T], T] | None = None) -> None:
        self.store: Store[T] = Store()
        self._reflector = reflector
        self._transform = transform
        self._handlers: list[_Handler[T]] = []
        self._synced = asyncio.Event()
        self.task: asyncio.Task[None] | None = None  # the factory's

    @property
    def has_synced(self) -> bool:
        """The first list is in the store, and every handler has seen it."""
        return self._synced.is_set()

    async def wait_synced(self) -> None:
        await self._synced.wait()

    def add_handler(
        self,
        on_add: OnAdd[T] = _ignore,
        on_update: OnUpdate[T] = _ignore,
        on_delete: OnDelete[T] = _ignore,
    ) -> None:
        """Who comes late is told of everything that is known as added."""
        handler = _Handler(on_add, on_update, on_delete)
        self._handlers.append(handler)
        for obj in self.store.list():
            on_add(obj, "")

    async def run(self) -> None:
        await self._reflector.run(self._replace, self._apply)

    def empty(self) -> None:
        """Nothing of that kind exists any more: the handlers hear that all of it is deleted."""
        self._tell(self.store.replace([]))

    def _replace(self, items: Sequence[T]) -> None:
        if self._transform:
            items = [self._transform(obj) for obj in items]
        self._tell(self.store.replace(items))
        self._synced.set()

    def _apply(self, events: Sequence[WatchEvent[T]]) -> None:
        for event in events:
            obj = event.object
            if obj is None:
                continue
            if self._transform:
                obj = self._transform(obj)
            if event.type == "DELETED":
                change = self.store.remove(obj.key, obj, event.cause)
            else:
                change = self.store.put(obj, event.cause)
            if change is not None:
                self._tell((change,))

    def _tell(self, changes: Iterable[Change[T]]) -> None:
        for change in changes:
            for handler in self._handlers:
                handler.handle(change)


class _Selection(NamedTuple):
    kind: type[Any]
    namespace: str
    labels: str
    fields: str


class InformerFactory:
    """Makes each informer once and runs them all. Without `random`, retries carry no jitter."""

    def __init__(
        self, client: Client, clock: Clock, random: Random | None = None, log: Logger | None = None
    ) -> None:
        self._client, self._clock, self._random = client, clock, random
        self._log = log or client.log
        self._informers: dict[_Selection, Informer[Any]] = {}
        self._group: asyncio.TaskGroup | None = None

    def informer(
        self,
        kind: type[T],
        *,
        namespace: str = "",
        labels: str = "",
        fields: str = "",
        transform: Callable[[T], T] | None = None,
    ) -> Informer[T]:
        """The process's informer for that selection. `transform` counts for the first who asks.

        managedFields never reach the store. After `run` has started, a new one starts at once.
        """
        selection = _Selection(kind, namespace, labels, fields)
        informer = self._informers.get(selection)
        if informer is None:
            reflector = Reflector(
                self._client,
                kind,
                self._clock,
                self._random,
                self._log,
                namespace=namespace,
                labels=labels,
                fields=fields,
            )
            informer = self._informers[selection] = Informer(reflector, transform)
            if self._group is not None:
                self._start(self._group, selection, informer)
        return informer

    def _start(self, group: asyncio.TaskGroup, selection: _Selection, informer: Informer[Any]) -> None:
        informer.task = group.create_task(informer.run(), name=f"informer {selection.kind.kind}")

    def stop(self, kind: type[Any]) -> None:
        """For a kind that is served no longer. What its informer still knows is told as deleted."""
        for selection in [each for each in self._informers if each.kind is kind]:
            informer = self._informers.pop(selection)
            if informer.task is not None:
                informer.task.cancel()
            informer.empty()

    def store(self, kind: type[T]) -> Store[T]:
        """Of the informer over all objects of that kind."""
        return self.informer(kind).store

    async def wait_synced(self) -> None:
        """Until every informer that was asked for so far has seen its first list."""
        for informer in [*self._informers.values()]:
            await informer.wait_synced()

    async def run(self) -> None:
        """Until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                for selection, informer in [*self._informers.items()]:
                    self._start(group, selection, informer)
                await asyncio.Event().wait()
        finally:
            self._group = None
