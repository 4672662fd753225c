"""Watches over HTTP: one JSON object a line, chunked, until a time limit or the client ends it.

An event is written once however many watch it as JSON. A watcher that cannot keep up, or whose version is
too old, gets an ERROR event with the Status and the end of the stream, as clients expect.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

import orjson
from aiohttp import web

from services.api.errors import ApiError, is_expired
from services.apiserver.fronts import representation
from services.apiserver.fronts.grpc import GATHER_SECONDS, WATCH_SECONDS, WATCH_SECONDS_MAX, next_pause
from services.apiserver.fronts.rest import documents
from services.apiserver.fronts.rest.negotiation import YAML, Written, not_a_stream
from services.apiserver.fronts.rest.options import include_of, watch_options
from services.apiserver.fronts.rest.verbs import at_version
from services.apiserver.registry.registry import Registry
from services.apiserver.registry.request import Item, Target
from services.apiserver.storage.entries import Delivery
from services.apiserver.storage.watchers import WatchOver
from services.machinery.clock import Clock

PIECE_BYTES_MAX = 1024 * 1024
SHARED = "rest"  # under which the bytes of an event are kept with it


class Watching:
    def __init__(self, registry: Registry, clock: Clock, chance: random.Random) -> None:
        self._registry, self._clock, self._random = registry, clock, chance

    async def handle(self, request: web.Request, target: Target, written: Written) -> web.StreamResponse:
        """ApiError for what is refused before the stream begins."""
        if written.media == YAML:
            raise not_a_stream()
        options = watch_options(request)
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
                pause = GATHER_SECONDS
                while True:
                    deliveries = await watcher.next()
                    for piece in pieces(deliveries, view):
                        await response.write(piece)
                    pause = next_pause(pause, len(deliveries))
                    await self._clock.sleep(pause)
        except ApiError as error:
            await response.write(_error(error))
        except (TimeoutError, ConnectionError, WatchOver):
            pass
        finally:
            self._registry.leave(target, watcher)
        return response


def pieces(deliveries: list[Delivery], view: View) -> Iterator[bytes]:
    """What is written at once, of bounded size; events of one revision stay together.

    Whoever resumes at a revision has seen all of its events.
    """
    lines: list[bytes] = []
    size, revision = 0, 0
    for delivery in deliveries:
        line = view.line(delivery)
        if size + len(line) > PIECE_BYTES_MAX and lines and delivery.event.revision != revision:
            yield b"".join(lines)
            lines, size = [], 0
        lines.append(line)
        size += len(line)
        revision = delivery.event.revision
    yield b"".join(lines)


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
        body = self._shaped(_item(delivery))
        return b'{"type":"%s","object":%s}\n' % (delivery.type.encode(), body)

    def _shaped(self, item: Item) -> bytes:
        if self._written.shape == "Table":
            body = representation.table_of_one(
                self._resource, item, self._include, self._clock.now(), columns=not self._columns_shown
            )
            self._columns_shown = True
        else:
            body = representation.partial(item)
        return at_version(body, self._written)

    def _bookmark(self, delivery: Delivery) -> bytes:
        meta: dict[str, object] = {"resourceVersion": str(delivery.event.revision)}
        if delivery.initial_events_end:
            meta["annotations"] = {"k8s.io/initial-events-end": "true"}
        named = {"kind": self._resource.kind, "apiVersion": self._resource.api_version}
        body = orjson.dumps({**named, "metadata": meta})
        if self._written.shape:
            body = self._shaped(Item(body, delivery.event.revision))
        return b'{"type":"BOOKMARK","object":%s}\n' % body


def _item(delivery: Delivery) -> Item:
    entry = delivery.entry
    assert entry is not None
    attributes = entry.attributes
    return Item(entry.value, delivery.event.revision, attributes.namespace, attributes.name)
