"""Between the JSON of the wire and the typed objects of services.api.

The stored JSON lacks the resourceVersion, which travels beside it: it is put into the metadata
here, before anybody sees the object, since objects are frozen from then on. `apiVersion` and
`kind` are facts about the type and are spliced in on the way out.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, TypeVar

import msgspec
import orjson

from services.api.object import Object
from services.client.transport import RawObject

T = TypeVar("T", bound=Object)

_encoder = msgspec.json.Encoder()
# Lists that the server writes even when there are none. As text, they can be nothing but these keys:
# inside a string the quotes would be escaped.
_NO_RULES = ((b'"rules":null', b'"rules":[]'),)
_NULL_LISTS = {
    "EndpointSlice": ((b'"endpoints":null', b'"endpoints":[]'), (b'"ports":null', b'"ports":[]')),
    "ClusterRole": _NO_RULES,
    "Role": _NO_RULES,
    "CustomResourceDefinition": (
        (b'"conditions":null', b'"conditions":[]'),
        (b'"storedVersions":null', b'"storedVersions":[]'),
    ),
    "HorizontalPodAutoscaler": (
        (b'"conditions":null', b'"conditions":[]'),
        (b'"currentMetrics":null', b'"currentMetrics":[]'),
    ),
}


@lru_cache(maxsize=256)
def _decoder(kind: type[T]) -> msgspec.json.Decoder[T]:
    return msgspec.json.Decoder(kind)


def decode(kind: type[T], raw: RawObject, *, lean: bool = False) -> T:
    """`lean` drops managedFields: nothing that works from a cache reads them, and they are half of a Pod."""
    body = raw.json
    for null, empty in _NULL_LISTS.get(kind.kind, ()):
        body = body.replace(null, empty)
    try:
        obj: T = _decoder(kind).decode(body)
    except msgspec.ValidationError:
        # Servers write null for what is not there in more places than we list; only then it costs more.
        obj = _decoder(kind).decode(orjson.dumps(_without_nulls(orjson.loads(body))))
    metadata = obj.metadata
    msgspec.structs.force_setattr(metadata, "resource_version", raw.resource_version)
    if lean and metadata.managed_fields:
        msgspec.structs.force_setattr(metadata, "managed_fields", [])
    return obj


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nulls(each) for name, each in value.items() if each is not None}
    return [_without_nulls(each) for each in value] if isinstance(value, list) else value


def encode(obj: Object) -> bytes:
    """The JSON of an object, apiVersion and kind included."""
    body = _encoder.encode(obj)
    head = _head(type(obj))
    return head + body[1:] if len(body) > 2 else head[:-1] + b"}"


@lru_cache(maxsize=256)
def _head(kind: type[Object]) -> bytes:
    return f'{{"apiVersion":"{kind.api_version}","kind":"{kind.kind}",'.encode()


def to_dict(obj: object) -> Any:
    """Any typed value as plain JSON data, in JSON names: material for patches. No apiVersion or kind."""
    return msgspec.to_builtins(obj)


def dumps(value: object) -> bytes:
    """Plain JSON data, which may contain typed values, as bytes."""
    return orjson.dumps(value, default=msgspec.to_builtins)
