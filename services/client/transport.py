"""The seam below the client: what can be asked of an API server, free of any wire format.

`Transport` is the one interface; `GrpcTransport` speaks it over gRPC, tests keep objects in
memory. Objects travel as JSON bytes with their resourceVersion beside them. Refusals are raised
as `ApiError`, faults of the connection as `Unavailable`: whether the server acted is then unknown.
"""

from __future__ import annotations

import builtins
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, NamedTuple, Protocol

from services.api.errors import ApiError, failure
from services.api.kinds import Resource

EventType = Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK"]


class Unavailable(ApiError):
    """The server could not be reached, or the connection broke. Always worth trying again."""

    def __init__(self, message: str) -> None:
        super().__init__(failure(503, "ServiceUnavailable", message).status)


class PatchType(StrEnum):
    JSON = "application/json-patch+json"
    MERGE = "application/merge-patch+json"
    STRATEGIC = "application/strategic-merge-patch+json"
    APPLY = "application/apply-patch+yaml"


class Representation(StrEnum):
    OBJECT = "Object"
    TABLE = "Table"
    PARTIAL_METADATA = "PartialObjectMetadata"


class IncludeObject(StrEnum):
    METADATA = "Metadata"
    NONE = "None"
    OBJECT = "Object"


class FieldValidation(StrEnum):
    IGNORE = "Ignore"
    WARN = "Warn"
    STRICT = "Strict"


class VersionMatch(StrEnum):
    UNSET = ""
    NOT_OLDER_THAN = "NotOlderThan"
    EXACT = "Exact"


class Target(NamedTuple):
    """A collection, an object in it, or a subresource of that object."""

    resource: Resource
    namespace: str = ""
    name: str = ""
    subresource: str = ""


class RawObject(NamedTuple):
    """An object as the server holds it. `json` lacks the resourceVersion; the rest may be empty."""

    json: bytes
    resource_version: str
    namespace: str = ""
    name: str = ""
    uid: str = ""


class RawEvent(NamedTuple):
    """One change. A BOOKMARK has only a resource version in `object`."""

    type: EventType
    object: RawObject
    cause: str = ""
    initial_events_end: bool = False


class Answer(NamedTuple):
    object: RawObject
    warnings: tuple[str, ...] = ()


class ListAnswer(NamedTuple):
    """A page. `json` is the Table where one was asked for, and `items` is then empty."""

    items: list[RawObject]
    resource_version: str
    continue_token: str = ""
    remaining_item_count: int | None = None
    json: bytes = b""
    warnings: tuple[str, ...] = ()


class DeleteAnswer(NamedTuple):
    """The object while it is terminating, or the Status that says it is `gone`."""

    object: RawObject
    gone: bool
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """How an answer is to be written (upstream: `Accept: …;as=Table`, `includeObject`)."""

    representation: Representation = Representation.OBJECT
    include_object: IncludeObject = IncludeObject.METADATA


PLAIN = View()


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteOptions:
    """`field_manager` empty: the server takes the user agent up to its first "/"."""

    dry_run: bool = False
    field_validation: FieldValidation = FieldValidation.WARN
    field_manager: str = ""
    force: bool = False  # apply patches only


@dataclass(frozen=True, slots=True, kw_only=True)
class ListOptions:
    labels: str = ""
    fields: str = ""
    resource_version: str = ""
    version_match: VersionMatch = VersionMatch.UNSET
    limit: int = 0
    continue_token: str = ""
    view: View = field(default=PLAIN)


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchOptions:
    labels: str = ""
    fields: str = ""
    resource_version: str = ""
    allow_bookmarks: bool = True
    timeout_seconds: int = 0  # 0: the server's own limit
    send_initial_events: bool = False
    view: View = field(default=PLAIN)


class Transport(Protocol):
    """Every verb of the API server. Bodies are JSON bytes."""

    async def get(self, target: Target, *, resource_version: str = "", view: View = PLAIN) -> Answer: ...

    async def list(self, target: Target, options: ListOptions) -> ListAnswer: ...

    async def create(self, target: Target, body: bytes, options: WriteOptions) -> Answer: ...

    async def update(self, target: Target, body: bytes, options: WriteOptions) -> Answer: ...

    async def patch(
        self, target: Target, body: bytes, patch_type: PatchType, options: WriteOptions
    ) -> Answer: ...

    async def delete(
        self, target: Target, delete_options: bytes, *, dry_run: bool = False
    ) -> DeleteAnswer: ...

    async def delete_collection(
        self,
        target: Target,
        delete_options: bytes,
        *,
        labels: str = "",
        fields: str = "",
        dry_run: bool = False,
    ) -> ListAnswer: ...

    def watch(self, target: Target, options: WatchOptions) -> AsyncGenerator[builtins.list[RawEvent], None]:
        """Batches of events in order. Ends when the server ends it; raises ApiError(410) when too old."""
        ...

    async def version(self) -> bytes: ...

    async def resources(self) -> bytes:
        """A JSON list of APIResourceList, one per group version."""
        ...

    async def openapi(self, path: str) -> bytes:
        """The OpenAPI document (third edition) of a group version: `api/v1`, `apis/apps/v1`."""
        ...
