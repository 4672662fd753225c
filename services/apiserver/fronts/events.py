"""Watch events as bytes on the gRPC wire: encoded once, however many watch them.

A WatchResponse is its events one after the other, each behind a tag and a length; so the bytes of
an event are made once, kept with it, and put together anew for each watcher. Only a watcher that
wants Tables or metadata has its events encoded for itself.
"""

from __future__ import annotations

from services.api.kinds import Resource
from services.apiserver.fronts import representation
from services.apiserver.registry.request import Item
from services.apiserver.storage.entries import Delivery
from services.apiserver.tables import IncludeObject
from services.machinery.clock import Clock
from services.pb.resource.v1 import resource_pb2 as pb

EVENTS_BYTES_MAX = 1024 * 1024  # of one WatchResponse; what is more goes into the next
INCLUDE: dict[int, IncludeObject] = {0: "Metadata", 1: "Metadata", 2: "None", 3: "Object"}
# The tag of `WatchResponse.events`: a length-delimited field 1.
_EVENT_TAG = b"\x0a"
_TYPES = {"ADDED": 1, "MODIFIED": 2, "DELETED": 3, "BOOKMARK": 4}


class View:
    """How one watcher sees events."""

    def __init__(self, resource: Resource, request: pb.WatchRequest, clock: Clock) -> None:
        self._resource, self._clock = resource, clock
        self._plain = request.representation not in (
            pb.REPRESENTATION_TABLE,
            pb.REPRESENTATION_PARTIAL_METADATA,
        )
        self._as_table = request.representation == pb.REPRESENTATION_TABLE
        self._include = INCLUDE.get(request.include_object, "Metadata")
        self._columns_shown = False  # as upstream, only the first Table of a watch explains its columns

    def frame(self, delivery: Delivery) -> bytes:
        entry = delivery.entry
        if self._plain or entry is None:
            return _shared_frame(delivery)
        attributes = entry.attributes
        item = Item(entry.value, delivery.event.revision, attributes.namespace, attributes.name)
        if self._as_table:
            value = representation.table_of_one(
                self._resource, item, self._include, self._clock.now(), columns=not self._columns_shown
            )
            self._columns_shown = True
        else:
            value = representation.partial(item)
        event = pb.WatchEvent(
            type=_TYPES[delivery.type],  # type: ignore[arg-type]
            object=pb.Object(resource_version=str(item.revision), json=value),
            cause=delivery.event.cause,
        )
        return framed(event.SerializeToString())


def messages(deliveries: list[Delivery], view: View) -> list[bytes]:
    """The answers that carry those events, each of bounded size.

    Events of one revision stay together: whoever resumes at it has seen them all.
    """
    made: list[bytes] = []
    frames: list[bytes] = []
    size, revision = 0, 0
    for delivery in deliveries:
        frame = view.frame(delivery)
        if size + len(frame) > EVENTS_BYTES_MAX and frames and delivery.event.revision != revision:
            made.append(b"".join(frames))
            frames, size = [], 0
        frames.append(frame)
        revision = delivery.event.revision
        size += len(frame)
    made.append(b"".join(frames))
    return made


def _shared_frame(delivery: Delivery) -> bytes:
    """The event as all see it; made once and kept with the event."""
    event = delivery.event
    if event.wire is None:
        event.wire = {}
    frame: bytes | None = event.wire.get(delivery.type)
    if frame is None:
        frame = event.wire[delivery.type] = framed(_encode(delivery))
    return frame


def _encode(delivery: Delivery) -> bytes:
    entry, event = delivery.entry, delivery.event
    message = pb.WatchEvent(
        type=_TYPES[delivery.type],  # type: ignore[arg-type]
        cause=event.cause,
        initial_events_end=delivery.initial_events_end,
    )
    message.object.resource_version = str(event.revision)
    if entry is not None:
        shown, attributes = message.object, entry.attributes
        shown.namespace, shown.name, shown.uid = attributes.namespace, attributes.name, attributes.uid
        shown.json = entry.value
    return message.SerializeToString()


def framed(message: bytes) -> bytes:
    """With the tag and the length that stand before a repeated message field."""
    length, size = len(message), bytearray()
    while length > 0x7F:
        size.append(length & 0x7F | 0x80)
        length >>= 7
    size.append(length)
    return _EVENT_TAG + bytes(size) + message
