"""What an update wants, and what became of a write."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import orjson

from services.apiserver.registry.context import RequestContext
from services.apiserver.registry.request import Answer, Item
from services.apiserver.storage.storage import Stored

Json = dict[str, Any]


@dataclass(slots=True)
class Change:
    """What an update wants: the new object, or nothing more than that the old one goes."""

    obj: Json
    delete: bool = False


@dataclass(slots=True)
class Written:
    """`stored` is what etcd has now, `shown` how that looks in the version asked for, where it is another."""

    obj: Json
    stored: Stored
    changed: bool = True
    deleted: bool = False
    created: bool = False  # by an update or an apply of what was not there
    warnings: list[str] = field(default_factory=list)
    shown: bytes | None = None

    @property
    def value(self) -> bytes:
        return self.stored.value if self.shown is None else self.shown


# What is there now, decoded for the taking; the same as stored; what the rules may ask.
Updater = Callable[[Json, Stored, RequestContext], Change | Awaitable[Change]]


def same(value: bytes, obj: Json, before: bytes) -> bool:
    """Whether writing it would change nothing; the order of fields does not count, nor change the length."""
    if len(value) != len(before):
        return False
    return value == before or bool(orjson.loads(before) == obj)


def item(written: Written) -> Item:
    meta = written.obj["metadata"]
    return Item(
        written.value,
        written.stored.revision,
        meta.get("namespace", ""),
        meta.get("name", ""),
        meta.get("uid", ""),
    )


def answer(written: Written) -> Answer:
    return Answer(item(written), tuple(written.warnings), written.created)
