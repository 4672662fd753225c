"""The transport over gRPC: the only module of the client, with `grpc_writes`, that knows services.pb.

One channel carries everything. It reconnects by itself; a dead peer is noticed by keepalive.
Every request carries the running task's cause. A refusal arrives as a gRPC code with the whole
`Status` in the trailing metadata and is raised as ApiError; a failure without one was not an
answer of the server, and is raised as Unavailable.
"""

from __future__ import annotations

import asyncio
import builtins
import zlib
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import grpc
import grpc.aio

from services.client.credentials import Credentials, open_channel
from services.client.grpc_writes import GrpcWrites, call, metadata_of, translate
from services.client.token_bucket import RateLimiter
from services.client.transport import (
    PLAIN,
    Answer,
    DeleteAnswer,
    EventType,
    FieldValidation,
    IncludeObject,
    ListAnswer,
    ListOptions,
    PatchType,
    RawEvent,
    RawObject,
    Representation,
    Target,
    VersionMatch,
    View,
    WatchOptions,
    WriteOptions,
)
from services.machinery import trace
from services.pb.resource.v1 import resource_pb2 as pb
from services.pb.resource.v1 import resource_pb2_grpc as pb_grpc

R = TypeVar("R")

MESSAGE_BYTES_MAX = 64 * 1024 * 1024

CHANNEL_OPTIONS: tuple[tuple[str, Any], ...] = (
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.http2.max_pings_without_data", 0),
    # A restarted API server should be found at once, not after gRPC's two minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1_000),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    ("grpc.enable_retries", 0),  # What may be tried again is the caller's to know.
    ("grpc.use_local_subchannel_pool", 1),
)

USER_AGENT_VERSION = "v1.36.2"  # of the components that we model

_EVENT_TYPES: dict[int, EventType] = {
    pb.EVENT_TYPE_ADDED: "ADDED",
    pb.EVENT_TYPE_MODIFIED: "MODIFIED",
    pb.EVENT_TYPE_DELETED: "DELETED",
    pb.EVENT_TYPE_BOOKMARK: "BOOKMARK",
}
_REPRESENTATIONS = {
    Representation.OBJECT: pb.REPRESENTATION_UNSPECIFIED,
    Representation.TABLE: pb.REPRESENTATION_TABLE,
    Representation.PARTIAL_METADATA: pb.REPRESENTATION_PARTIAL_METADATA,
}
_INCLUDES = {
    IncludeObject.METADATA: pb.INCLUDE_OBJECT_UNSPECIFIED,
    IncludeObject.NONE: pb.INCLUDE_OBJECT_NONE,
    IncludeObject.OBJECT: pb.INCLUDE_OBJECT_OBJECT,
}
_VALIDATIONS = {
    FieldValidation.WARN: pb.FIELD_VALIDATION_UNSPECIFIED,
    FieldValidation.IGNORE: pb.FIELD_VALIDATION_IGNORE,
    FieldValidation.STRICT: pb.FIELD_VALIDATION_STRICT,
}
_VERSION_MATCHES = {
    VersionMatch.UNSET: pb.RESOURCE_VERSION_MATCH_UNSPECIFIED,
    VersionMatch.NOT_OLDER_THAN: pb.RESOURCE_VERSION_MATCH_NOT_OLDER_THAN,
    VersionMatch.EXACT: pb.RESOURCE_VERSION_MATCH_EXACT,
}


class GrpcTransport:
    """Made by `open`, which closes the channel again. Safe to share between tasks."""

    def __init__(self, channel: grpc.aio.Channel, limiter: RateLimiter | None = None) -> None:
        self._limiter = limiter
        self._writes = GrpcWrites(channel)
        self._stub: Any = pb_grpc.ResourceServiceStub(channel)
        self._discovery: Any = pb_grpc.DiscoveryServiceStub(channel)

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        address: str,
        *,
        user_agent: str,
        limiter: RateLimiter | None = None,
        credentials: Credentials | None = None,
    ) -> AsyncIterator[GrpcTransport]:
        # The part before the slash is the field manager of writes that name none; gRPC adds words of its own.
        agent = user_agent if "/" in user_agent else f"{user_agent}/{USER_AGENT_VERSION}"
        options = (*CHANNEL_OPTIONS, ("grpc.primary_user_agent", agent))
        async with open_channel(address, credentials, options) as channel:
            transport = cls(channel, limiter)
            gathering = asyncio.ensure_future(transport._writes.run())
            try:
                yield transport
            finally:
                gathering.cancel()
                await asyncio.wait((gathering,))

    async def get(self, target: Target, *, resource_version: str = "", view: View = PLAIN) -> Answer:
        request = pb.GetRequest(
            resource=_resource(target),
            resource_version=resource_version,
            representation=_REPRESENTATIONS[view.representation],
            include_object=_INCLUDES[view.include_object],
        )
        return _answer(await self._call(self._stub.Get, request))

    async def list(self, target: Target, options: ListOptions) -> ListAnswer:
        request = pb.ListRequest(
            resource=_resource(target),
            label_selector=options.labels,
            field_selector=options.fields,
            resource_version=options.resource_version,
            resource_version_match=_VERSION_MATCHES[options.version_match],
            limit=options.limit,
            representation=_REPRESENTATIONS[options.view.representation],
            include_object=_INCLUDES[options.view.include_object],
            **{"continue": options.continue_token},
        )
        return _list_answer(await self._call(self._stub.List, request))

    async def create(self, target: Target, body: bytes, options: WriteOptions) -> Answer:
        request = pb.CreateRequest(
            resource=_resource(target),
            json=body,
            dry_run=options.dry_run,
            field_validation=_VALIDATIONS[options.field_validation],
            field_manager=options.field_manager,
        )
        return _answer(await self._write(pb.Operation(create=request)))

    async def update(self, target: Target, body: bytes, options: WriteOptions) -> Answer:
        request = pb.UpdateRequest(
            resource=_resource(target),
            json=body,
            dry_run=options.dry_run,
            field_validation=_VALIDATIONS[options.field_validation],
            field_manager=options.field_manager,
        )
        return _answer(await self._call(self._stub.Update, request))

    async def patch(
        self, target: Target, body: bytes, patch_type: PatchType, options: WriteOptions
    ) -> Answer:
        request = pb.PatchRequest(
            resource=_resource(target),
            patch=body,
            content_type=patch_type.value,
            dry_run=options.dry_run,
            field_validation=_VALIDATIONS[options.field_validation],
            field_manager=options.field_manager,
            force=options.force,
        )
        return _answer(await self._write(pb.Operation(patch=request)))

    async def delete(self, target: Target, delete_options: bytes, *, dry_run: bool = False) -> DeleteAnswer:
        request = pb.DeleteRequest(resource=_resource(target), options=delete_options, dry_run=dry_run)
        answer = await self._write(pb.Operation(delete=request))
        return DeleteAnswer(_object(answer.object), answer.gone, tuple(answer.warnings))

    async def delete_collection(
        self,
        target: Target,
        delete_options: bytes,
        *,
        labels: str = "",
        fields: str = "",
        dry_run: bool = False,
    ) -> ListAnswer:
        request = pb.DeleteCollectionRequest(
            resource=_resource(target),
            label_selector=labels,
            field_selector=fields,
            options=delete_options,
            dry_run=dry_run,
        )
        return _list_answer(await self._call(self._stub.DeleteCollection, request))

    async def watch(
        self, target: Target, options: WatchOptions
    ) -> AsyncGenerator[builtins.list[RawEvent], None]:
        request = pb.WatchRequest(
            resource=_resource(target),
            label_selector=options.labels,
            field_selector=options.fields,
            resource_version=options.resource_version,
            allow_bookmarks=options.allow_bookmarks,
            timeout_seconds=options.timeout_seconds,
            send_initial_events=options.send_initial_events,
            representation=_REPRESENTATIONS[options.view.representation],
            include_object=_INCLUDES[options.view.include_object],
        )
        if self._limiter is not None:
            await self._limiter.wait("WatchRequest")
        call = self._stub.Watch(request, metadata=metadata_of(trace.current()))
        try:
            async for response in call:
                yield [
                    RawEvent(
                        _EVENT_TYPES[event.type], _object(event.object), event.cause, event.initial_events_end
                    )
                    for event in response.events
                ]
        except grpc.aio.AioRpcError as error:
            raise translate(error) from error
        finally:
            call.cancel()

    async def version(self) -> bytes:
        answer = await self._call(self._discovery.Version, pb.VersionRequest())
        return bytes(answer.json)

    async def resources(self) -> bytes:
        answer = await self._call(self._discovery.Resources, pb.ResourcesRequest())
        return bytes(answer.json)

    async def openapi(self, path: str) -> bytes:
        answer = await self._call(self._discovery.OpenAPI, pb.OpenAPIRequest(path=path))
        return zlib.decompress(answer.packed, zlib.MAX_WBITS | 16)  # as gzip writes it

    async def _call(self, method: Any, request: Any) -> Any:
        if self._limiter is not None:
            await self._limiter.wait(type(request).__name__)
        return await call(method, request, trace.current())

    async def _write(self, operation: pb.Operation) -> Any:
        if self._limiter is not None:
            await self._limiter.wait(f"{(operation.WhichOneof('request') or '').capitalize()}Request")
        operation.traceparent = trace.current()
        return await self._writes.ask(operation)


def _resource(target: Target) -> Any:
    resource = target.resource
    return pb.Resource(
        group=resource.group,
        version=resource.version,
        resource=resource.plural,
        namespace=target.namespace,
        name=target.name,
        subresource=target.subresource,
    )


def _object(message: Any) -> RawObject:
    """Namespace, name and uid, which stand beside the JSON, stand in it as well: they stay unread."""
    return RawObject(message.json, message.resource_version)


def _answer(message: Any) -> Answer:
    return Answer(_object(message.object), tuple(message.warnings))


def _list_answer(message: Any) -> ListAnswer:
    remaining = message.remaining_item_count if message.HasField("remaining_item_count") else None
    return ListAnswer(
        items=[_object(item) for item in message.items],
        resource_version=message.resource_version,
        continue_token=getattr(message, "continue"),
        remaining_item_count=remaining,
        json=message.json,
        warnings=tuple(message.warnings),
    )
