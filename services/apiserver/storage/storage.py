"""The seam between the API server and what keeps its data: revisions, compare-and-swap, watch.

`EtcdStorage` is the real one; `MemoryStorage` serves unit tests; one contract suite runs against
both. A revision counts changes of the whole store; a value's revision is that of its last change.
A store that cannot be reached raises `ApiError` (503, or 500 when it is full).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import NamedTuple, Protocol


class Stored(NamedTuple):
    key: str
    value: bytes
    revision: int


class Reading(NamedTuple):
    """What one key held (None: nothing) when the store was at `revision`."""

    stored: Stored | None
    revision: int


class Page(NamedTuple):
    """Part of a range in key order; `remaining` counts the keys after it."""

    items: list[Stored]
    revision: int
    remaining: int


class Outcome(NamedTuple):
    """Of a compare-and-swap: done at `revision`, or not, and then `current` is what stands in the way."""

    done: bool
    revision: int
    current: Stored | None = None


class Change(NamedTuple):
    """A key written, or (`value` None) deleted."""

    key: str
    value: bytes | None
    revision: int


class Batch(NamedTuple):
    """All changes of a watched prefix up to `revision`; none where it only tells of progress."""

    changes: list[Change]
    revision: int


class Compacted(Exception):
    """The revision asked for has been forgotten. The one cure is to read anew."""

    def __init__(self, revision: int = 0) -> None:
        super().__init__(f"compacted at revision {revision}")
        self.revision = revision


class Storage(Protocol):
    async def get(self, key: str) -> Reading: ...

    async def list(self, prefix: str, *, start: str = "", limit: int = 0, revision: int = 0) -> Page:
        """Keys under `prefix`, from `start` on. Compacted when `revision` is too old."""
        ...

    async def revision(self) -> int:
        """Of the store, now: every write acknowledged before the call is counted."""
        ...

    async def create(self, key: str, value: bytes, *, ttl_seconds: int = 0) -> Outcome:
        """Writes where nothing was."""
        ...

    async def update(self, key: str, value: bytes, revision: int, *, ttl_seconds: int = 0) -> Outcome:
        """Replaces the value of that revision."""
        ...

    async def delete(self, key: str, revision: int) -> Outcome:
        """Removes the value of that revision."""
        ...

    def watch(self, prefix: str, after: int) -> AsyncIterator[Batch]:
        """Follows a prefix from the change after that revision on, across reconnects. Compacted."""
        ...

    def ask_progress(self) -> None:
        """Wishes for a batch on every watch that tells how far it is."""
        ...

    @property
    def progress_is_exact(self) -> bool:
        """Whether what came before a batch is all there was up to its revision."""
        ...
