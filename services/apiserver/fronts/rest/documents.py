"""Stored objects as the documents that REST clients read. Pure.

What is stored lacks the resourceVersion and, in a list, is not to say its kind: both are changed in the
bytes, without decoding, wherever the stored form begins as ours does. Anything else takes the long way.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson

from services.api.kinds import Resource
from services.apiserver.fronts import representation
from services.apiserver.registry.request import Item, Listing

Json = dict[str, Any]

_STATUS = b'{"kind":"Status"'  # what became of a request: no version of an object
_METADATA = b'"metadata":{'
PIECE_BYTES = 128 * 1024
_HEAD_BYTES_MAX = 200  # kind and apiVersion stand before the metadata, and nothing else


def document(item: Item) -> bytes:
    """The whole object."""
    if not item.revision or item.value.startswith(_STATUS):
        return item.value
    at = item.value.find(_METADATA, 0, _HEAD_BYTES_MAX)
    if at < 0 or item.value.find(b"{", 1, at) > 0:  # further in, other things have metadata too
        return orjson.dumps(representation.full(item))
    return _with_version(item.value, 0, at, item.revision)


def _with_version(value: bytes, start: int, at: int, revision: int) -> bytes:
    at += len(_METADATA)
    comma = b"" if value[at : at + 1] == b"}" else b","
    return b'%s"resourceVersion":"%d"%s%s' % (value[start:at], revision, comma, value[at:])


def list_entry(item: Item, heads: tuple[bytes, ...]) -> tuple[bytes | memoryview, ...]:
    """The object as an entry of a list, without kind and apiVersion: what is to stand one after another.

    Nothing of what is stored is copied here: who writes the list out copies it once.
    """
    for head in heads if item.revision else ():
        if item.value.startswith(head) and item.value.startswith(_METADATA, len(head)):
            at = len(head) + len(_METADATA)
            comma = b"" if item.value[at : at + 1] == b"}" else b","
            start = b'{"metadata":{"resourceVersion":"%d"%s' % (item.revision, comma)
            return start, memoryview(item.value)[at:]
    obj = representation.full(item)
    return (orjson.dumps({name: value for name, value in obj.items() if name not in ("kind", "apiVersion")}),)


def heads_of(resource: Resource) -> tuple[bytes, ...]:
    """How a stored object of the kind begins."""
    kind, version = f'"kind":"{resource.kind}"', f'"apiVersion":"{resource.api_version}"'
    return (f"{{{kind},{version},".encode(), f"{{{version},{kind},".encode())


def list_document(resource: Resource, listing: Listing) -> bytes:
    return b"".join(list_pieces(resource, listing))


def list_pieces(resource: Resource, listing: Listing) -> list[bytes]:
    """The list as pieces of bounded size.

    One piece of megabytes would cost more to find memory for than to fill.
    """
    heads = heads_of(resource)
    kind = f'"kind":"{resource.list_kind}","apiVersion":"{resource.api_version}"'.encode()
    meta = orjson.dumps(list_meta(listing))
    pieces: list[bytes] = []
    parts: list[bytes | memoryview] = [b'{%s,"metadata":%s,"items":[' % (kind, meta)]
    size = 0
    for index, item in enumerate(listing.items):
        if index:
            parts.append(b",")
        parts += list_entry(item, heads)
        size += len(item.value)
        if size >= PIECE_BYTES:
            pieces.append(b"".join(parts))
            parts, size = [], 0
    parts.append(b"]}\n")
    pieces.append(b"".join(parts))
    return pieces


def list_meta(listing: Listing) -> Json:
    meta: Json = {"resourceVersion": str(listing.revision)} if listing.revision else {}
    if listing.continue_token:
        meta["continue"] = listing.continue_token
    if listing.remaining is not None:
        meta["remainingItemCount"] = listing.remaining
    return meta


def partial_list(items: Iterable[Item], listing: Listing, version: str) -> bytes:
    entries = [orjson.loads(representation.partial(item)) for item in items]
    made = {
        "kind": "PartialObjectMetadataList",
        "apiVersion": f"meta.k8s.io/{version}",
        "metadata": list_meta(listing),
        "items": entries or None,
    }
    return orjson.dumps(made)
