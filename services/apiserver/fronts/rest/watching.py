"""Watches over HTTP: one JSON object a line, chunked, until a time limit or the client ends it.

An event is written once however many watch it as JSON. A watcher that cannot keep up, or whose version is
too old, gets an ERROR event with the Status and the end of the stream, as clients expect.
"""

from __future__ import annotations

import random

import orjson
from aiohttp import web

from services.api.errors import ApiError, is_expired
from services.apiserver.fronts import representation
from services.apiserver.fronts.grpc import WATCH_SECONDS, WATCH_SECONDS_MAX
from services.apiserver.fronts.rest import documents
from services.apiserver.fronts.rest.negotiation import Written
from services.apiserver.fronts.rest.verbs import TRUE, include_of, number_of
from services.apiserver.registry.registry import Registry
from services.apiserver.registry.request import Item, Target, WatchOptions
from services.apiserver.storage.entries import Delivery
from services.machinery.clock import Clock

SHARED = "rest"  # under which the bytes of an event are kept with it


class Watching:
    def __init__(self, registry: Registry, clock: Clock, chance: random.Random) -> None:
        self._registry, self._clock, self._random = registry, clock, chance

    async def handle(self, request: web.Request, target: Target, written: Written) -> web.StreamResponse:
        """ApiError for what is refused before the stream begins."""
        query = request.query
        options = WatchOptions(
            labels=query.get("labelSelector", ""),
            fields=query.get("fieldSelector", ""),
            resource_version=query.get("resourceVersion", ""),
            bookmarks=query.get("allowWatchBookmarks", "") in TRUE,
            timeout_seconds=number_of(request, "timeoutSeconds"),
            send_initial_events=query.get("sendInitialEvents", "") in TRUE,
        )
        view = View(target, written, request, self._clock)
        response = web.StreamResponse(
            headers={"Content-Type": written.media, "Cache-Control": "no-cache, private"}
        )
        response.enable_chunked_encoding()
        try:
            watcher = await self._registry.watch(target, options)
        except ApiError as error:
            if not is_expired(error):
                raise
            await response.prepare(request)
            await response.write(_error(error))
            return response
        own = WATCH_SECONDS * (1 + self._random.random())
        seconds = min(options.timeout_seconds, WATCH_SECONDS_MAX) if options.timeout_seconds > 0 else own
        try:
            await response.prepare(request)
            async with self._clock.timeout(seconds):
                while True:
                    await response.write(b"".join(map(view.line, await watcher.next())))
        except ApiError as error:
            await response.write(_error(error))
        except (TimeoutError, ConnectionError):
            pass
        finally:
            self._registry.leave(target, watcher)
        return response


def _error(error: ApiError) -> bytes:
    return orjson.dumps({"type": "ERROR", "object": error.status}) + b"\n"


class View:
    """How one watcher sees events."""

    def __init__(self, target: Target, written: Written, request: web.Request, clock: Clock) -> None:
        self._resource, self._written, self._clock = target.resource, written, clock
        self._include = include_of(request)
        self._columns_shown = False

    def line(self, delivery: Delivery) -> bytes:
        if delivery.entry is None:
            return self._bookmark(delivery)
        if self._written.shape:
            return self._viewed(delivery)
        event = delivery.event
        if event.wire is None:
            event.wire = {}
        key = f"{SHARED} {delivery.type}"
        line: bytes | None = event.wire.get(key)
        if line is None:
            document = documents.document(_item(delivery))
            line = event.wire[key] = b'{"type":"%s","object":%s}\n' % (delivery.type.encode(), document)
        return line

    def _viewed(self, delivery: Delivery) -> bytes:
        item = _item(delivery)
        if self._written.shape == "Table":
            body = representation.table_of_one(
                self._resource, item, self._include, self._clock.now(), columns=not self._columns_shown
            )
            self._columns_shown = True
        else:
            body = representation.partial(item)
        return b'{"type":"%s","object":%s}\n' % (delivery.type.encode(), body)

    def _bookmark(self, delivery: Delivery) -> bytes:
        meta: dict[str, object] = {"resourceVersion": str(delivery.event.revision), "creationTimestamp": None}
        if delivery.initial_events_end:
            meta["annotations"] = {"k8s.io/initial-events-end": "true"}
        named = {"kind": self._resource.kind, "apiVersion": self._resource.api_version}
        return orjson.dumps({"type": "BOOKMARK", "object": {**named, "metadata": meta}}) + b"\n"


def _item(delivery: Delivery) -> Item:
    entry = delivery.entry
    assert entry is not None
    attributes = entry.attributes
    return Item(entry.value, delivery.event.revision, attributes.namespace, attributes.name)
