"""What the watch cache knows of one object, and of one change to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

from services.machinery import fields, labels

EventType = Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK"]


class Attributes(NamedTuple):
    """What selectors and indexes ask of an object. Shapes: labels and fields are flat maps."""

    namespace: str
    name: str
    uid: str
    labels: dict[str, str]
    fields: dict[str, str]


class Entry:
    """One object as stored: its bytes, its revision, and what was read out of it once.

    `views` keeps how it looks in other versions than the stored one; None in it: just the same.
    """

    __slots__ = ("attributes", "key", "revision", "value", "views")

    def __init__(self, key: str, value: bytes, revision: int, attributes: Attributes) -> None:
        self.key = key
        self.value = value
        self.revision = revision
        self.attributes = attributes
        self.views: dict[str, Entry | None] | None = None


class Event:
    """One change. `wire` keeps what a front made of it, so that it is encoded once for all watchers."""

    __slots__ = ("cause", "entry", "previous", "revision", "wire")

    def __init__(self, entry: Entry | None, previous: Entry | None, revision: int, cause: str) -> None:
        self.entry = entry
        self.previous = previous
        self.revision = revision
        self.cause = cause
        self.wire: dict[str, Any] | None = None


class Delivery(NamedTuple):
    """An event as one watcher is to see it: a change of what it selects may look like ADDED or DELETED."""

    type: EventType
    event: Event
    initial_events_end: bool = False

    @property
    def entry(self) -> Entry | None:
        """The object to show; the last state where it is gone."""
        return self.event.previous if self.type == "DELETED" else self.event.entry


class Selection:
    """Which objects of a kind are meant: a namespace, labels, fields."""

    __slots__ = ("fields", "hints", "labels", "namespace")

    def __init__(
        self,
        namespace: str = "",
        label_selector: labels.Selector = labels.EVERYTHING,
        field_selector: fields.FieldSelector = fields.EVERYTHING,
    ) -> None:
        self.namespace = namespace
        self.labels = label_selector
        self.fields = field_selector
        # What must hold exactly, and can therefore be looked up.
        self.hints = {r.field: r.value for r in field_selector.requirements if r.operator == "="}
        if namespace:
            self.hints["metadata.namespace"] = namespace

    def matches(self, entry: Entry) -> bool:
        attributes = entry.attributes
        if self.namespace and attributes.namespace != self.namespace:
            return False
        if not self.labels.empty and not self.labels.matches(attributes.labels):
            return False
        return self.fields.empty or self.fields.matches(attributes.fields)

    def view(self, event: Event) -> EventType | None:
        """How the event looks to somebody who sees only this selection; None: not at all."""
        now = event.entry is not None and self.matches(event.entry)
        before = event.previous is not None and self.matches(event.previous)
        if now:
            return "MODIFIED" if before else "ADDED"
        return "DELETED" if before else None


Describe = Callable[[bytes], Attributes]
