"""The typed client: every verb, on the types of services.api.

`connect` is how a process gets one. A client holds no state but its transport, so that any number
of tasks may share it. Requests carry the cause of the running task (`machinery.trace`). Errors
are ApiError; `Unavailable` means that nobody knows whether the server acted.
"""

from __future__ import annotations

import builtins
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any, Generic, NamedTuple, TypeVar

from services.api.core_v1 import Binding, ObjectReference, Pod
from services.api.kinds import resource_of
from services.api.meta_v1 import DeleteOptions, ObjectMeta
from services.api.object import Object
from services.api.policy_v1 import Eviction
from services.client import codec
from services.client.credentials import Credentials
from services.client.log import Logger, default_logger
from services.client.options import PAGE_OBJECTS_MAX, Propagation, delete_options
from services.client.outage import Outage
from services.client.token_bucket import RateLimiter
from services.client.transport import (
    EventType,
    ListOptions,
    PatchType,
    RawObject,
    Target,
    Transport,
    WatchOptions,
    WriteOptions,
)

T = TypeVar("T", bound=Object)


class WatchEvent(NamedTuple, Generic[T]):
    """One change. A BOOKMARK has no object. `cause` is the traceparent of the write behind it."""

    type: EventType
    object: T | None
    resource_version: str
    cause: str = ""


class Page(NamedTuple, Generic[T]):
    items: builtins.list[T]
    resource_version: str
    continue_token: str


@asynccontextmanager
async def connect(
    address: str,
    *,
    user_agent: str,
    field_manager: str = "",
    log: Logger | None = None,
    limiter: RateLimiter | None = None,
    credentials: Credentials | None = None,
) -> AsyncIterator[Client]:
    """A client for the API server at `host:port`; the connection closes with the block.

    Does not wait for the server: requests raise Unavailable until it answers. With a `limiter`,
    each request (a watch is one) waits for its turn.
    """
    from services.client.grpc_transport import (
        GrpcTransport,
    )  # Loads gRPC: not every user of the types needs it.

    opening = GrpcTransport.open(address, user_agent=user_agent, limiter=limiter, credentials=credentials)
    async with opening as transport:
        yield Client(transport, field_manager=field_manager, component=user_agent.partition("/")[0], log=log)


class Client:
    def __init__(
        self,
        transport: Transport,
        *,
        field_manager: str = "",
        component: str = "client",
        log: Logger | None = None,
    ) -> None:
        self.transport = transport
        self.component = component
        self.log = log or default_logger(component)
        self.outage = Outage()
        self._write = WriteOptions(field_manager=field_manager)

    async def get(self, kind: type[T], name: str, namespace: str = "", *, resource_version: str = "") -> T:
        """ApiError 404 when it does not exist. `resource_version="0"`: the server's cache will do."""
        target = Target(resource_of(kind), namespace, name)
        answer = await self.transport.get(target, resource_version=resource_version)
        return codec.decode(kind, answer.object)

    async def list(
        self, kind: type[T], namespace: str = "", *, labels: str = "", fields: str = ""
    ) -> builtins.list[T]:
        """All objects that match, over all pages."""
        items: builtins.list[T] = []
        token = ""
        while True:
            page = await self.list_page(kind, namespace, labels=labels, fields=fields, continue_token=token)
            items += page.items
            token = page.continue_token
            if not token:
                return items

    async def list_page(
        self,
        kind: type[T],
        namespace: str = "",
        *,
        labels: str = "",
        fields: str = "",
        resource_version: str = "",
        limit: int = PAGE_OBJECTS_MAX,
        continue_token: str = "",
        lean: bool = False,
    ) -> Page[T]:
        """One page; `continue_token` of an answer asks for the next one. ApiError 410 when it expired."""
        options = ListOptions(
            labels=labels,
            fields=fields,
            resource_version=resource_version,
            limit=limit,
            continue_token=continue_token,
        )
        answer = await self.transport.list(Target(resource_of(kind), namespace), options)
        items = [codec.decode(kind, raw, lean=lean) for raw in answer.items]
        return Page(items, answer.resource_version, answer.continue_token)

    async def create(self, obj: T, *, subresource: str = "", name: str = "") -> T:
        """The object as the server made it. `name` is the parent's where a subresource is posted to."""
        if subresource:
            await self._post(Pod, obj, subresource, name or obj.metadata.name or "")
            return obj
        resource = resource_of(type(obj))
        target = Target(resource, _namespace(obj), "")
        answer = await self.transport.create(target, codec.encode(obj), self._write)
        return codec.decode(type(obj), answer.object)

    async def _post(self, parent: type[Object], obj: Object, subresource: str, name: str) -> None:
        target = Target(resource_of(parent), _namespace(obj), name, subresource)
        await self.transport.create(target, codec.encode(obj), self._write)

    async def ask(self, parent: type[Object], name: str, namespace: str, subresource: str, obj: T) -> T:
        """Posts to a subresource that answers with its own object: a TokenRequest, with the token."""
        target = Target(resource_of(parent), namespace, name, subresource)
        answer = await self.transport.create(target, codec.encode(obj), self._write)
        return codec.decode(type(obj), answer.object)

    async def update(self, obj: T, *, subresource: str = "") -> T:
        """Replaces it. 409 unless `metadata.resourceVersion` is still current."""
        target = Target(resource_of(type(obj)), _namespace(obj), obj.metadata.name or "", subresource)
        answer = await self.transport.update(target, codec.encode(obj), self._write)
        return codec.decode(type(obj), answer.object)

    async def patch(
        self,
        kind: type[T],
        name: str,
        namespace: str,
        patch: Mapping[str, Any] | Sequence[Any],
        *,
        patch_type: PatchType = PatchType.MERGE,
        subresource: str = "",
    ) -> T:
        """Changes part of it. The patch is plain data in JSON names; typed values inside it are encoded."""
        target = Target(resource_of(kind), namespace, name, subresource)
        answer = await self.transport.patch(target, codec.dumps(patch), patch_type, self._write)
        return codec.decode(kind, answer.object)

    async def delete(
        self,
        kind: type[Object],
        name: str,
        namespace: str = "",
        *,
        grace_seconds: int | None = None,
        uid: str = "",
        resource_version: str = "",
        propagation: Propagation = "",
    ) -> None:
        """404 when it does not exist, 409 when `uid` or `resource_version` is not its own."""
        options = delete_options(
            grace_seconds=grace_seconds, uid=uid, resource_version=resource_version, propagation=propagation
        )
        await self.transport.delete(Target(resource_of(kind), namespace, name), codec.dumps(options))

    async def delete_collection(
        self, kind: type[Object], namespace: str, *, labels: str = "", fields: str = ""
    ) -> None:
        target = Target(resource_of(kind), namespace)
        await self.transport.delete_collection(target, b"", labels=labels, fields=fields)

    async def watch(
        self,
        kind: type[T],
        namespace: str = "",
        *,
        labels: str = "",
        fields: str = "",
        resource_version: str = "",
        allow_bookmarks: bool = True,
        lean: bool = False,
    ) -> AsyncGenerator[builtins.list[WatchEvent[T]], None]:
        """Batches of changes after that version, in order, each object decoded once.

        Ends when the server ends the stream. ApiError 410: the version is too old, list again.
        """
        options = WatchOptions(
            labels=labels, fields=fields, resource_version=resource_version, allow_bookmarks=allow_bookmarks
        )
        stream = self.transport.watch(Target(resource_of(kind), namespace), options)
        async with aclosing(stream):
            async for batch in stream:
                yield [
                    WatchEvent(
                        event.type,
                        None if event.type == "BOOKMARK" else codec.decode(kind, event.object, lean=lean),
                        event.object.resource_version,
                        event.cause,
                    )
                    for event in batch
                ]

    async def bind(self, pod: Pod, node_name: str) -> None:
        """Assigns a Pod to a node; 409 when it has one already or is another Pod of that name."""
        metadata = ObjectMeta(name=pod.metadata.name, namespace=pod.metadata.namespace, uid=pod.metadata.uid)
        target = ObjectReference(kind="Node", name=node_name)
        await self._post(Pod, Binding(metadata=metadata, target=target), "binding", pod.metadata.name or "")

    async def evict(self, pod: Pod, grace_seconds: int | None = None) -> None:
        """Deletes a Pod unless a disruption budget forbids it (429)."""
        metadata = ObjectMeta(name=pod.metadata.name, namespace=pod.metadata.namespace)
        options = None if grace_seconds is None else DeleteOptions(grace_period_seconds=grace_seconds)
        eviction = Eviction(metadata=metadata, delete_options=options)
        await self._post(Pod, eviction, "eviction", pod.metadata.name or "")


def _namespace(obj: Object) -> str:
    return obj.metadata.namespace or ""


def raw_of(obj: Object) -> RawObject:
    """A typed object in the form in which a server would hand it out."""
    metadata = obj.metadata
    return RawObject(
        codec.encode(obj),
        metadata.resource_version or "",
        metadata.namespace or "",
        metadata.name or "",
        metadata.uid or "",
    )
