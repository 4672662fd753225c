"""Request bodies: bounded, and YAML turned into the JSON that the registry reads."""

from __future__ import annotations

import orjson
from aiohttp import web

from services.api import errors
from services.apiserver.fronts.calls import BODY_BYTES_MAX
from services.apiserver.fronts.rest.negotiation import YAML, body_media


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
    return from_yaml(body, kind) if media == YAML else body


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
