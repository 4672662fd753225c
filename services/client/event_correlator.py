"""Decides what becomes of an event: a new Event, a count on an old one, or nothing. Pure.

Three rules keep a failing object from flooding the store, with upstream's numbers
(`client-go/tools/record.EventCorrelator`): the same event again raises `count`; more than ten
different messages for one reason become one "(combined from similar events)"; and an object
may have 25 events at once from one source, then one every five minutes.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, NamedTuple, TypeVar

from services.client.token_bucket import TokenBucket

Json = dict[str, Any]
V = TypeVar("V")

SIMILAR_MAX = 10
SIMILAR_WINDOW_SECONDS = 600.0
SPAM_BURST = 25
SPAM_PER_SECOND = 1 / 300
REMEMBERED_MAX = 4096  # of each of the three memories; the least recently used goes
SERIES_WRITE_SECONDS = 360.0
COMBINED = "(combined from similar events): "


class Occurrence(NamedTuple):
    """Something happened to an object. `involved` is an ObjectReference as plain data."""

    involved: tuple[tuple[str, str], ...]
    type: str
    reason: str
    message: str
    component: str
    host: str
    action: str = ""  # not empty: an event of the newer kind (events.k8s.io), with a series


@dataclass(slots=True)
class Known:
    """An Event that was written."""

    name: str
    count: int
    first_seen: datetime
    written_at: float


class Verdict(NamedTuple):
    """`times` 1: create it; more: patch `known`. `message` may be the combined one."""

    known: Known
    message: str
    times: int


@dataclass(slots=True)
class _Similar:
    messages: set[str] = field(default_factory=set)
    at: float = 0.0


class _Memory(Generic[V]):
    """The most recently used entries, bounded."""

    def __init__(self) -> None:
        self._entries: OrderedDict[Any, V] = OrderedDict()

    def get(self, key: Any) -> V | None:
        value = self._entries.get(key)
        if value is not None:
            self._entries.move_to_end(key)
        return value

    def put(self, key: Any, value: V) -> V:
        self._entries[key] = value
        self._entries.move_to_end(key)
        if len(self._entries) > REMEMBERED_MAX:
            self._entries.popitem(last=False)
        return value


class Correlator:
    def __init__(self) -> None:
        self._similar: _Memory[_Similar] = _Memory()
        self._known: _Memory[Known] = _Memory()
        self._buckets: _Memory[TokenBucket] = _Memory()

    def judge(self, event: Occurrence, now: float, moment: datetime, name: str) -> Verdict | None:
        """What to write, under `name` if it is new; None: nothing. `now` is monotonic."""
        if event.action:
            return self._judge_series(event, now, moment, name)
        key, message = self._combine(event, now)
        known = self._known.get(key)
        if known is None:
            known = self._known.put(key, Known(name, 0, moment, now))
        known.count += 1
        if self._is_spam(event, now):
            return None
        return Verdict(known, message, known.count)

    def _judge_series(self, event: Occurrence, now: float, moment: datetime, name: str) -> Verdict | None:
        """The first and the second are written; later ones are counted, and written now and then."""
        key = event._replace(message="")
        known = self._known.get(key)
        if known is None or now - known.written_at > SERIES_WRITE_SECONDS:
            known = self._known.put(key, Known(name, 0, moment, now))
        known.count += 1
        return Verdict(known, event.message, known.count) if known.count <= 2 else None

    def _combine(self, event: Occurrence, now: float) -> tuple[Any, str]:
        group = event._replace(message="", involved=_without_place(event.involved))
        similar = self._similar.get(group)
        if similar is None or now - similar.at > SIMILAR_WINDOW_SECONDS:
            similar = self._similar.put(group, _Similar())
        similar.at = now
        similar.messages.add(event.message)
        if len(similar.messages) < SIMILAR_MAX:
            return event._replace(involved=_without_revision(event.involved)), event.message
        similar.messages.pop()  # Keeps the set at its bound.
        return group, COMBINED + event.message

    def _is_spam(self, event: Occurrence, now: float) -> bool:
        key = (event.component, event.host, _without_place(event.involved))
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets.put(key, TokenBucket(SPAM_PER_SECOND, SPAM_BURST, now))
        return not bucket.try_take(now)


def _without_revision(involved: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    """An object that has changed meanwhile is still the same object."""
    return tuple(pair for pair in involved if pair[0] != "resourceVersion")


def _without_place(involved: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    """Which object, whatever its revision and whichever part of it."""
    return tuple(pair for pair in involved if pair[0] not in ("resourceVersion", "fieldPath"))
