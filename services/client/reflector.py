"""Follows one collection: list it, then watch from there, for ever.

The state machine is pure and explicit; `Reflector.run` performs what it asks for:

    Empty ──page──▶ InitPage ──last page──▶ InitListed ──stream──▶ Watching
      ▲  └───────── last page ─────────────────▲                     │
      └──────────────────────── 410 Expired ─────────────────────────┘

Any other break resumes where it was: the same page, or the same revision. Bookmarks move the
revision on, so that a quiet kind does not expire. What is seen is a subsequence of what was true;
order holds per object. Upstream: `cache.Reflector`; the states are kube-rs's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from random import Random
from typing import Any, Generic, TypeVar

from services.api.errors import ApiError, is_expired
from services.api.object import Object
from services.client.client import Client, Page, WatchEvent
from services.client.log import Logger
from services.client.transport import Unavailable
from services.machinery.backoff import Backoff, jitter
from services.machinery.clock import Clock

T = TypeVar("T", bound=Object)

RETRY_BASE_SECONDS = 0.2  # A restarted API server is back within a second: do not make its clients wait.
RETRY_MAX_SECONDS = 2.0
JITTER = 0.5


@dataclass(frozen=True, slots=True)
class Empty:
    """Nothing is known."""


@dataclass(frozen=True, slots=True)
class InitPage(Generic[T]):
    """Some pages of the first list are here."""

    items: tuple[T, ...]
    continue_token: str


@dataclass(frozen=True, slots=True)
class InitListed:
    """The whole list was handed on; the watch has not answered yet."""

    resource_version: str


@dataclass(frozen=True, slots=True)
class Watching:
    """Everything up to that revision was handed on."""

    resource_version: str


State = Empty | InitPage[Any] | InitListed | Watching


@dataclass(frozen=True, slots=True)
class ListFrom:
    """To do: ask for the page after that token."""

    continue_token: str = ""


@dataclass(frozen=True, slots=True)
class WatchFrom:
    """To do: watch from that revision."""

    resource_version: str


@dataclass(slots=True)
class Machine(Generic[T]):
    """The decisions: what to ask next, and what an answer means."""

    state: State = field(default_factory=Empty)

    def todo(self) -> ListFrom | WatchFrom:
        match self.state:
            case InitListed(version) | Watching(version):
                return WatchFrom(version)
            case InitPage(continue_token=token):
                return ListFrom(token)
        return ListFrom()

    def on_page(self, page: Page[T]) -> Sequence[T] | None:
        """Takes a page. The whole list once the last one is in, else None."""
        items = page.items
        if isinstance(self.state, InitPage):
            items = [*self.state.items, *page.items]
        if page.continue_token:
            self.state = InitPage(tuple(items), page.continue_token)
            return None
        self.state = InitListed(page.resource_version)
        return items

    def on_events(self, batch: Sequence[WatchEvent[T]]) -> Sequence[WatchEvent[T]]:
        """Takes what the watch sent; the changes in it, without the bookmarks."""
        if isinstance(self.state, InitListed | Watching):
            version = batch[-1].resource_version if batch else self.state.resource_version
            self.state = Watching(version)
        return [event for event in batch if event.object is not None]

    def on_failure(self, error: ApiError) -> None:
        """Only an expired revision loses the place."""
        if is_expired(error):
            self.state = Empty()


class Reflector(Generic[T]):
    """Runs the machine for one kind and selector. `on_replace` gets whole lists, `on_events` changes."""

    def __init__(
        self,
        client: Client,
        kind: type[T],
        clock: Clock,
        random: Random | None,
        log: Logger,
        *,
        namespace: str = "",
        labels: str = "",
        fields: str = "",
        lean: bool = True,
    ) -> None:
        self._client, self._kind, self._clock, self._random, self._log = client, kind, clock, random, log
        self._namespace, self._labels, self._fields, self._lean = namespace, labels, fields, lean
        self._backoff = Backoff(RETRY_BASE_SECONDS, RETRY_MAX_SECONDS)
        self._complained = False
        self.machine: Machine[T] = Machine()

    async def run(
        self,
        on_replace: Callable[[Sequence[T]], None],
        on_events: Callable[[Sequence[WatchEvent[T]]], None],
    ) -> None:
        """Until cancelled. Faults of the server are retried for ever; those of a handler rise."""
        while True:
            try:
                match self.machine.todo():
                    case ListFrom(token):
                        await self._list(token, on_replace)
                    case WatchFrom(version):
                        await self._watch(version, on_events)
            except ApiError as error:
                self.machine.on_failure(error)
                self._say(error)
                if not is_expired(error) or self._backoff.failures():
                    await self._pause()
                else:
                    self._backoff.next()  # The first new list starts at once, further ones wait.

    async def _list(self, token: str, on_replace: Callable[[Sequence[T]], None]) -> None:
        page = await self._client.list_page(
            self._kind,
            self._namespace,
            labels=self._labels,
            fields=self._fields,
            continue_token=token,
            lean=self._lean,
        )
        items = self.machine.on_page(page)
        if items is not None:
            on_replace(items)

    async def _watch(self, version: str, on_events: Callable[[Sequence[WatchEvent[T]]], None]) -> None:
        stream = self._client.watch(
            self._kind,
            self._namespace,
            labels=self._labels,
            fields=self._fields,
            resource_version=version,
            lean=self._lean,
        )
        answered = False
        async with aclosing(stream):
            async for batch in stream:
                if not answered:
                    answered = True
                    self._recovered()
                changes = self.machine.on_events(batch)
                if changes:
                    on_events(changes)
        if not answered:
            await self._pause()  # A server that ends each watch at once must not be hammered.

    def _recovered(self) -> None:
        self._backoff.forget()
        if self._client.outage.over(self):
            self._log.info("The API server can be reached again")
        if self._complained:
            self._complained = False
            self._log.info("Watching again", watched=self._kind.kind)

    def _say(self, error: ApiError) -> None:
        """One line for an outage, not one for each attempt, nor for each kind that is watched."""
        if isinstance(error, Unavailable):
            if self._client.outage.met(self):
                self._log.warning("Cannot reach the API server; trying again", reason=error.message)
            return
        if is_expired(error) or self._complained:
            self._log.debug("Lost the watch", watched=self._kind.kind, reason=error.message)
            return
        self._complained = True
        self._log.warning(
            "The API server refused a watch; trying again", watched=self._kind.kind, reason=error.message
        )

    async def _pause(self) -> None:
        seconds = self._backoff.next()
        await self._clock.sleep(jitter(seconds, JITTER, self._random) if self._random else seconds)
