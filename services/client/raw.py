"""The untyped client: the same verbs on plain JSON data, for those who must not lose a field.

`ok` uses it: what the user wrote goes out as written (unknown fields included, which the server
judges), and answers may be Tables. Objects are dictionaries with `apiVersion`, `kind` and
`metadata.resourceVersion` filled in.
"""

from __future__ import annotations

import builtins
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Any, NamedTuple

import orjson

from services.api.kinds import Resource
from services.client.options import PAGE_OBJECTS_MAX, Propagation, delete_options
from services.client.transport import (
    PLAIN,
    EventType,
    FieldValidation,
    ListOptions,
    PatchType,
    RawObject,
    Representation,
    Target,
    Transport,
    View,
    WatchOptions,
    WriteOptions,
)

Json = dict[str, Any]


class RawAnswer(NamedTuple):
    """`object` is the object, or the Table that was asked for."""

    object: Json
    warnings: tuple[str, ...] = ()


class RawPage(NamedTuple):
    """One page of a list: `items`, or `table` where one was asked for."""

    items: builtins.list[Json]
    resource_version: str
    continue_token: str = ""
    table: Json | None = None
    remaining_item_count: int | None = None


class RawChange(NamedTuple):
    """One watch event; `object` is a Table where one was asked for, empty for a BOOKMARK."""

    type: EventType
    object: Json
    resource_version: str
    cause: str = ""


class RawClient:
    """Shares its transport with a typed client: `RawClient(client.transport)`."""

    def __init__(self, transport: Transport, *, field_manager: str = "") -> None:
        self.transport = transport
        self._field_manager = field_manager

    async def get(
        self, resource: Resource, name: str, namespace: str = "", *, subresource: str = "", view: View = PLAIN
    ) -> Json:
        target = Target(resource, namespace, name, subresource)
        answer = await self.transport.get(target, view=view)
        return _loads(answer.object, view)

    async def list_page(
        self,
        resource: Resource,
        namespace: str = "",
        *,
        labels: str = "",
        fields: str = "",
        limit: int = PAGE_OBJECTS_MAX,
        continue_token: str = "",
        resource_version: str = "",
        view: View = PLAIN,
    ) -> RawPage:
        options = ListOptions(
            labels=labels,
            fields=fields,
            limit=limit,
            continue_token=continue_token,
            resource_version=resource_version,
            view=view,
        )
        answer = await self.transport.list(Target(resource, namespace), options)
        return RawPage(
            [_loads(raw) for raw in answer.items],
            answer.resource_version,
            answer.continue_token,
            orjson.loads(answer.json) if answer.json else None,
            answer.remaining_item_count,
        )

    async def list(
        self, resource: Resource, namespace: str = "", *, labels: str = "", fields: str = ""
    ) -> builtins.list[Json]:
        """All objects, over all pages."""
        items: builtins.list[Json] = []
        token = ""
        while True:
            page = await self.list_page(
                resource, namespace, labels=labels, fields=fields, continue_token=token
            )
            items += page.items
            token = page.continue_token
            if not token:
                return items

    async def create(
        self,
        resource: Resource,
        obj: Mapping[str, Any] | bytes,
        namespace: str = "",
        *,
        name: str = "",
        subresource: str = "",
        dry_run: bool = False,
        field_validation: FieldValidation = FieldValidation.WARN,
        field_manager: str | None = None,
    ) -> RawAnswer:
        """`obj` as data, or as the JSON text itself: duplicates of a key are seen only in the text."""
        target = Target(resource, namespace, name, subresource)
        options = self._options(dry_run, field_validation, field_manager)
        answer = await self.transport.create(target, _body(obj), options)
        return RawAnswer(_loads(answer.object), answer.warnings)

    async def update(
        self,
        resource: Resource,
        obj: Mapping[str, Any] | bytes,
        name: str,
        namespace: str = "",
        *,
        subresource: str = "",
        dry_run: bool = False,
        field_validation: FieldValidation = FieldValidation.WARN,
        field_manager: str | None = None,
    ) -> RawAnswer:
        target = Target(resource, namespace, name, subresource)
        options = self._options(dry_run, field_validation, field_manager)
        answer = await self.transport.update(target, _body(obj), options)
        return RawAnswer(_loads(answer.object), answer.warnings)

    async def patch(
        self,
        resource: Resource,
        name: str,
        namespace: str,
        patch: Mapping[str, Any] | Sequence[Any] | bytes,
        *,
        patch_type: PatchType = PatchType.MERGE,
        subresource: str = "",
        dry_run: bool = False,
        field_validation: FieldValidation = FieldValidation.WARN,
        field_manager: str | None = None,
        force: bool = False,
    ) -> RawAnswer:
        target = Target(resource, namespace, name, subresource)
        options = self._options(dry_run, field_validation, field_manager, force)
        answer = await self.transport.patch(target, _body(patch), patch_type, options)
        return RawAnswer(_loads(answer.object), answer.warnings)

    async def delete(
        self,
        resource: Resource,
        name: str,
        namespace: str = "",
        *,
        grace_seconds: int | None = None,
        uid: str = "",
        resource_version: str = "",
        propagation: Propagation = "",
        dry_run: bool = False,
    ) -> RawAnswer:
        """The object while it is terminating, or the Status of its end."""
        options = delete_options(
            grace_seconds=grace_seconds, uid=uid, resource_version=resource_version, propagation=propagation
        )
        target = Target(resource, namespace, name)
        answer = await self.transport.delete(target, orjson.dumps(options), dry_run=dry_run)
        return RawAnswer(_loads(answer.object), answer.warnings)

    async def delete_collection(
        self,
        resource: Resource,
        namespace: str = "",
        *,
        labels: str = "",
        fields: str = "",
        grace_seconds: int | None = None,
        propagation: Propagation = "",
        dry_run: bool = False,
    ) -> builtins.list[Json]:
        """What was deleted, or marked."""
        options = delete_options(grace_seconds=grace_seconds, propagation=propagation)
        answer = await self.transport.delete_collection(
            Target(resource, namespace), orjson.dumps(options), labels=labels, fields=fields, dry_run=dry_run
        )
        return [_loads(raw) for raw in answer.items]

    async def watch(
        self,
        resource: Resource,
        namespace: str = "",
        *,
        name: str = "",
        labels: str = "",
        fields: str = "",
        resource_version: str = "",
        timeout_seconds: int = 0,
        view: View = PLAIN,
    ) -> AsyncGenerator[builtins.list[RawChange], None]:
        """Batches of changes after that version; without one, of everything first."""
        options = WatchOptions(
            labels=labels,
            fields=fields,
            resource_version=resource_version,
            timeout_seconds=timeout_seconds,
            view=view,
        )
        stream = self.transport.watch(Target(resource, namespace, name), options)
        async with aclosing(stream):
            async for batch in stream:
                yield [
                    RawChange(
                        event.type,
                        {} if event.type == "BOOKMARK" else _loads(event.object, view),
                        event.object.resource_version,
                        event.cause,
                    )
                    for event in batch
                ]

    async def version(self) -> Json:
        answer: Json = orjson.loads(await self.transport.version())
        return answer

    async def resources(self) -> builtins.list[Json]:
        """One APIResourceList for each group version."""
        answer: builtins.list[Json] = orjson.loads(await self.transport.resources())
        return answer

    async def openapi(self, group: str, version: str) -> Json:
        """The OpenAPI document of a group version."""
        path = f"apis/{group}/{version}" if group else f"api/{version}"
        document: Json = orjson.loads(await self.transport.openapi(path))
        return document

    def _options(
        self,
        dry_run: bool,
        field_validation: FieldValidation,
        field_manager: str | None,
        force: bool = False,
    ) -> WriteOptions:
        return WriteOptions(
            dry_run=dry_run,
            field_validation=field_validation,
            field_manager=self._field_manager if field_manager is None else field_manager,
            force=force,
        )


def _body(value: Mapping[str, Any] | Sequence[Any] | bytes) -> bytes:
    return value if isinstance(value, bytes) else orjson.dumps(value)


def _loads(raw: RawObject, view: View = PLAIN) -> Json:
    """The data of an object, with the resourceVersion in its place in the metadata."""
    data: Json = orjson.loads(raw.json)
    metadata = data.get("metadata")
    if (
        view.representation is not Representation.TABLE
        and raw.resource_version
        and isinstance(metadata, dict)
    ):
        metadata["resourceVersion"] = raw.resource_version
    return data
