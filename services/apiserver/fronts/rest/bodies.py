"""Request bodies: bounded, and YAML and protobuf turned into the JSON that the registry reads."""

from __future__ import annotations

import orjson
from aiohttp import web

from services.api import errors
from services.apiserver.fronts.calls import BODY_BYTES_MAX
from services.apiserver.fronts.rest.negotiation import PROTOBUF, YAML, body_media


async def read(request: web.Request) -> bytes:
    """ApiError (413)."""
    length = request.content_length
    if length is not None and length > BODY_BYTES_MAX:
        raise errors.too_large(f"Request entity too large: limit is {BODY_BYTES_MAX}")
    body = bytearray()
    async for chunk in request.content.iter_chunked(64 * 1024):
        body += chunk
        if len(body) > BODY_BYTES_MAX:
            raise errors.too_large(f"Request entity too large: limit is {BODY_BYTES_MAX}")
    return bytes(body)


async def read_object(request: web.Request, kind: str) -> bytes:
    """As JSON. ApiError (400, 413, 415)."""
    media = body_media(request.headers.get("Content-Type", ""))
    body = await read(request)
    if media == YAML:
        return from_yaml(body, kind)
    return from_protobuf(body, kind) if media == PROTOBUF else body


def from_protobuf(body: bytes, kind: str) -> bytes:
    """The object as JSON; nothing stays nothing, which a deletion may send."""
    from services.machinery.schema import wire_format

    if not body:
        return body
    try:
        return orjson.dumps(wire_format.to_json(body))
    except wire_format.NotWireFormat as error:
        raise errors.bad_request(
            f"the object provided is unrecognized (must be of type {kind}): {error}"
        ) from None


def from_yaml(body: bytes, kind: str) -> bytes:
    """The first document, as JSON."""
    import yaml

    try:
        value = next(iter(yaml.safe_load_all(body)), None)
        return orjson.dumps(value)
    except yaml.YAMLError as error:
        problem = getattr(error, "problem", None) or str(error)
        what = f"yaml: {problem} ({body[:16].hex()})"
    except (TypeError, ValueError, RecursionError) as error:
        what = f"yaml: {error}"
    raise errors.bad_request(f"the object provided is unrecognized (must be of type {kind}): {what}")
