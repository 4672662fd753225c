"""What a front asks of the registry, and what it gets back, free of any protocol."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from services.api.kinds import Resource

Json = dict[str, Any]
FieldValidation = Literal["Ignore", "Warn", "Strict"]
VersionMatch = Literal["", "NotOlderThan", "Exact"]
PatchType = Literal[
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
]


@dataclass(frozen=True, slots=True)
class Target:
    """A collection, an object in it, or a subresource of that object."""

    resource: Resource
    namespace: str = ""
    name: str = ""
    subresource: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteOptions:
    dry_run: bool = False
    field_validation: FieldValidation = "Warn"
    field_manager: str = "unknown"
    force: bool = False
    # Whether the caller may write this object over that one (None: a creation). ApiError where he may not.
    guard: Callable[[Json, Json | None], None] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListOptions:
    labels: str = ""
    fields: str = ""
    resource_version: str = ""
    version_match: VersionMatch = ""
    limit: int = 0
    continue_token: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchOptions:
    labels: str = ""
    fields: str = ""
    resource_version: str = ""
    bookmarks: bool = False
    timeout_seconds: int = 0
    send_initial_events: bool | None = None  # False: nothing that is there already, only what changes


class Item(NamedTuple):
    """An object as it is answered. Revision 0: it was never stored (dry run, subresource)."""

    value: bytes
    revision: int
    namespace: str = ""
    name: str = ""
    uid: str = ""


class Answer(NamedTuple):
    item: Item
    warnings: tuple[str, ...] = ()
    created: bool = False  # by an update or an apply of what was not there


class Deleted(NamedTuple):
    """The object while it terminates; what upstream answers (a Status, or the object) once it is `gone`."""

    item: Item
    gone: bool
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Listing:
    """A page of a collection. `remaining` None: nobody counted."""

    items: list[Item]
    revision: int
    continue_token: str = ""
    remaining: int | None = None
    warnings: tuple[str, ...] = field(default=())
