"""The front for components: ResourceService over the registry.

Requests are translated, not judged: what may be asked is the registry's to say. An event of a
watch is encoded once, however many watch it: the same bytes go into every answer.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable
from contextlib import suppress

import grpc
import grpc.aio

from services.api import errors, kinds
from services.apiserver.authorization import escalation
from services.apiserver.authorization.attributes import Attributes
from services.apiserver.fronts import representation
from services.apiserver.fronts.batch import BatchFront
from services.apiserver.fronts.calls import Caller, Calls, Context, Handle, check_size
from services.apiserver.fronts.events import INCLUDE, View, messages
from services.apiserver.fronts.reviews import Reviews
from services.apiserver.registry.catalog import Catalog
from services.apiserver.registry.registry import Registry
from services.apiserver.registry.request import (
    Answer,
    FieldValidation,
    Item,
    ListOptions,
    PatchType,
    Target,
    VersionMatch,
    WatchOptions,
    WriteOptions,
)
from services.apiserver.storage.watchers import WatchOver
from services.machinery.clock import Clock
from services.machinery.patch import APPLY
from services.pb.resource.v1 import resource_pb2 as pb

SERVICE = "resource.v1.ResourceService"
WATCH_SECONDS = 1800  # the server's own limit, up to twice that: so that watches do not all end at once
WATCH_SECONDS_MAX = 86_400
# A message costs far more than an event in it, here and where it is read. So events gather for a moment
# before each message but the first: the longer, the more of them have come in the last one.
GATHER_SECONDS, GATHER_SECONDS_MAX = 0.005, 0.040
_VALIDATION: dict[int, FieldValidation] = {0: "Warn", 1: "Ignore", 2: "Warn", 3: "Strict"}
_MATCH: dict[int, VersionMatch] = {0: "", 1: "NotOlderThan", 2: "Exact"}
PATCH_TYPES: tuple[PatchType, ...] = (
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
)

Write = pb.CreateRequest | pb.UpdateRequest | pb.PatchRequest


class ResourceFront:
    def __init__(self, registry: Registry, clock: Clock, chance: random.Random, calls: Calls) -> None:
        self._registry, self._clock, self._random = registry, clock, chance
        self._calls, self._gate = calls, calls.gate
        self._reviews = Reviews(self._gate.authorizer, self._gate.tokens, clock)

    def add_to(self, server: grpc.aio.Server) -> None:
        calls = self._calls
        verbs: dict[str, Handle] = {"create": self._create, "patch": self._patch, "delete": self._delete}
        batch = BatchFront(calls, verbs)
        handlers = {
            "Get": calls.unary(pb.GetRequest, self._get),
            "List": calls.unary(pb.ListRequest, self._list),
            "Create": calls.unary(pb.CreateRequest, self._create),
            "Update": calls.unary(pb.UpdateRequest, self._update),
            "Patch": calls.unary(pb.PatchRequest, self._patch),
            "Delete": calls.unary(pb.DeleteRequest, self._delete),
            "DeleteCollection": calls.unary(pb.DeleteCollectionRequest, self._delete_collection),
            "Watch": calls.stream(pb.WatchRequest, self._watch),
            "Batch": calls.unary(pb.BatchRequest, batch.handle),
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))

    # -- reading ---------------------------------------------------------------------------------

    def _target(self, verb: str, named: pb.Resource, caller: Caller, fields: str = "") -> Target:
        """What the caller may do that to. ApiError 403, 404."""
        self._gate.require(_asked(verb, named, caller, fields))
        return target_of(named, self._registry.catalog)

    async def _get(self, request: pb.GetRequest, caller: Caller) -> pb.ObjectResponse:
        target = self._target("get", request.resource, caller)
        found = await self._registry.get(target, request.resource_version)
        shown = self._object(target, found.item, request)
        return pb.ObjectResponse(object=shown, warnings=found.warnings)

    def _object(self, target: Target, item: Item, request: pb.GetRequest) -> pb.Object:
        if request.representation == pb.REPRESENTATION_TABLE:
            kind = "Scale" if target.subresource == "scale" else ""
            include = INCLUDE.get(request.include_object, "Metadata")
            rows = representation.table_of_one(target.resource, item, include, self._clock.now(), kind=kind)
            return pb.Object(resource_version=version(item), json=rows)
        if request.representation == pb.REPRESENTATION_PARTIAL_METADATA:
            return pb.Object(resource_version=version(item), json=representation.partial(item))
        return object_of(item)

    async def _list(self, request: pb.ListRequest, caller: Caller) -> pb.ListResponse:
        target = self._target("list", request.resource, caller, request.field_selector)
        options = ListOptions(
            labels=request.label_selector,
            fields=request.field_selector,
            resource_version=request.resource_version,
            version_match=_MATCH.get(request.resource_version_match, ""),
            limit=max(request.limit, 0),
            continue_token=getattr(request, "continue"),
        )
        listing = await self._registry.list(target, options)
        response = pb.ListResponse(resource_version=str(listing.revision), warnings=listing.warnings)
        if listing.continue_token:
            setattr(response, "continue", listing.continue_token)
        if listing.remaining is not None:
            response.remaining_item_count = listing.remaining
        if request.representation == pb.REPRESENTATION_TABLE:
            include = INCLUDE.get(request.include_object, "Metadata")
            response.json = representation.table_of_list(target.resource, listing, include, self._clock.now())
        elif request.representation == pb.REPRESENTATION_PARTIAL_METADATA:
            shown = (item._replace(value=representation.partial(item)) for item in listing.items)
            response.items.extend(object_of(item) for item in shown)
        else:
            response.items.extend(object_of(item) for item in listing.items)
        return response

    # -- writing ---------------------------------------------------------------------------------

    async def _create(self, request: pb.CreateRequest, caller: Caller) -> pb.ObjectResponse:
        named = request.resource
        if (review := kinds.review_named(named.group, named.version, named.resource)) is not None:
            return await self._review(review, request, caller)
        target = self._target("create", request.resource, caller)
        options, body = self._options(request, caller, target), check_size(request.json)
        return await self._written(target, self._registry.create(target, body, options))

    async def _update(self, request: pb.UpdateRequest, caller: Caller) -> pb.ObjectResponse:
        target = self._target("update", request.resource, caller)
        options, body = self._options(request, caller, target), check_size(request.json)
        return await self._written(target, self._registry.update(target, body, options))

    async def _patch(self, request: pb.PatchRequest, caller: Caller) -> pb.ObjectResponse:
        kind = next((t for t in PATCH_TYPES if t == request.content_type.partition(";")[0]), None)
        if kind is None:
            raise errors.failure(415, "UnsupportedMediaType", "415: Unsupported Media Type", {})
        target = self._target("patch", request.resource, caller)
        options, body = self._options(request, caller, target), check_size(request.patch)
        return await self._written(target, self._registry.patch(target, body, kind, options))

    async def _review(
        self, resource: kinds.Resource, request: pb.CreateRequest, caller: Caller
    ) -> pb.ObjectResponse:
        """A question, answered and not stored."""
        named = request.resource
        self._gate.require(_asked("create", named, caller, ""))
        body, options = check_size(request.json), write_options(request, caller)
        answered, warnings = await self._reviews.answer(resource, named.namespace, body, options)
        return pb.ObjectResponse(object=pb.Object(json=answered), warnings=warnings)

    def _options(self, request: Write, caller: Caller, target: Target) -> WriteOptions:
        guard = self._gate.guard(caller.user, target.resource, target.subresource)
        return write_options(request, caller, guard)

    async def _written(self, target: Target, writing: Awaitable[Answer]) -> pb.ObjectResponse:
        made = await writing
        if target.resource.group == escalation.GROUP:
            # Who was granted something may use it from now on: the next request already knows.
            with suppress(TimeoutError, errors.ApiError):  # the write itself is done
                await self._registry.store(target.resource).cache.catch_up()
        return answer(made)

    async def _delete(self, request: pb.DeleteRequest, caller: Caller) -> pb.DeleteResponse:
        target = self._target("delete", request.resource, caller)
        deleted = await self._registry.delete(target, check_size(request.options), request.dry_run)
        return pb.DeleteResponse(object=object_of(deleted.item), gone=deleted.gone, warnings=deleted.warnings)

    async def _delete_collection(
        self, request: pb.DeleteCollectionRequest, caller: Caller
    ) -> pb.ListResponse:
        target = self._target("deletecollection", request.resource, caller, request.field_selector)
        selection = ListOptions(labels=request.label_selector, fields=request.field_selector)
        listing = await self._registry.delete_collection(
            target, selection, check_size(request.options), request.dry_run
        )
        return pb.ListResponse(
            resource_version=str(listing.revision), items=[object_of(item) for item in listing.items]
        )

    # -- watching --------------------------------------------------------------------------------

    async def _watch(self, request: pb.WatchRequest, caller: Caller, context: Context) -> None:
        target = self._target("watch", request.resource, caller, request.field_selector)
        options = WatchOptions(
            labels=request.label_selector,
            fields=request.field_selector,
            resource_version=request.resource_version,
            bookmarks=request.allow_bookmarks,
            timeout_seconds=request.timeout_seconds,
            send_initial_events=request.send_initial_events or None,
        )
        watcher = await self._registry.watch(target, options)
        view = View(target.resource, request, self._clock)
        own = WATCH_SECONDS * (1 + self._random.random())
        seconds = min(options.timeout_seconds, WATCH_SECONDS_MAX) if options.timeout_seconds > 0 else own
        try:
            await context.write(b"")  # the headers go out now: the watch stands
            async with self._clock.timeout(seconds):
                pause = GATHER_SECONDS
                while True:
                    deliveries = await watcher.next()
                    for message in messages(deliveries, view):
                        await context.write(message)
                    pause = next_pause(pause, len(deliveries))
                    await self._clock.sleep(pause)
        except (TimeoutError, WatchOver):
            return
        finally:
            self._registry.leave(target, watcher)


def next_pause(pause: float, events: int) -> float:
    """How long to gather before the next message, when the last one carried that many events."""
    return min(2 * pause, GATHER_SECONDS_MAX) if events > 1 else max(pause / 2, GATHER_SECONDS)


def _asked(verb: str, named: pb.Resource, caller: Caller, fields: str) -> Attributes:
    name, namespace = named.name, named.namespace
    if not name and fields.startswith("metadata.name=") and "," not in fields:
        name = fields.removeprefix("metadata.name=").removeprefix("=")
    if named.resource == "namespaces" and not namespace and not named.group:
        namespace = named.name  # a role in a namespace may be about the namespace itself
    group, version, resource, part = named.group, named.version, named.resource, named.subresource
    return Attributes(caller.user, verb, namespace, group, version, resource, part, name, fields=fields)


def target_of(named: pb.Resource, catalog: Catalog) -> Target:
    """ApiError (404) for what is not served."""
    resource = catalog.named(named.group, named.version, named.resource)
    if resource is None:
        raise errors.resource_unknown()
    return Target(resource, named.namespace, named.name, named.subresource)


def is_apply(request: Write) -> bool:
    """Whoever applies must say who he is; no user agent stands in for that."""
    return isinstance(request, pb.PatchRequest) and request.content_type == APPLY


def write_options(request: Write, caller: Caller, guard: escalation.Guard | None = None) -> WriteOptions:
    return WriteOptions(
        dry_run=request.dry_run,
        field_validation=_VALIDATION.get(request.field_validation, "Warn"),
        field_manager=request.field_manager or ("" if is_apply(request) else caller.field_manager),
        force=isinstance(request, pb.PatchRequest) and request.force,
        guard=guard,
    )


def version(item: Item) -> str:
    return str(item.revision) if item.revision else ""


def object_of(item: Item) -> pb.Object:
    return pb.Object(
        resource_version=version(item),
        namespace=item.namespace,
        name=item.name,
        uid=item.uid,
        json=item.value,
    )


def answer(given: Answer) -> pb.ObjectResponse:
    return pb.ObjectResponse(object=object_of(given.item), warnings=given.warnings)
