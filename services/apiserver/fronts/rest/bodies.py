"""Request bodies: bounded, and YAML and protobuf turned into the JSON that the registry reads."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

import aiohttp
import orjson
from aiohttp import web

from services.api import errors
from services.api.kinds import Resource
from services.apiserver.fronts.calls import BODY_BYTES_MAX
from services.apiserver.fronts.rest.negotiation import PROTOBUF, YAML, body_media
from services.apiserver.registry.request import FieldValidation

_READ = "body"
BODY_SECONDS = 60.0  # for a whole body; upstream ends requests after as long


class Body(NamedTuple):
    """`repeated`: a notice for each key that YAML has twice in one map."""

    json: bytes
    repeated: tuple[str, ...] = ()


async def read_ahead(request: web.Request) -> None:
    """Reads a body before its request has a seat: who sends slowly keeps nobody from one.

    What cannot be read is refused where the body is asked for, after what is to be said first.
    """
    if request.method in ("GET", "HEAD"):
        return
    try:
        request[_READ] = await _read(request)
    except errors.ApiError as error:
        request[_READ] = error


async def read(request: web.Request) -> bytes:
    """ApiError (400, 413, 504)."""
    found: bytes | errors.ApiError | None = request.get(_READ)
    if found is None:
        return await _read(request)
    if isinstance(found, errors.ApiError):
        raise found
    return found


def as_read(request: web.Request) -> bytes:
    """What was read ahead; empty where nothing was, or could not be."""
    found = request.get(_READ)
    return found if isinstance(found, bytes) else b""


async def _read(request: web.Request) -> bytes:
    length = request.content_length
    if length is not None and length > BODY_BYTES_MAX:
        raise errors.too_large(f"Request entity too large: limit is {BODY_BYTES_MAX}")
    if not request.can_read_body:
        return b""
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await _bounded(request)
    except TimeoutError:
        raise errors.timeout("the request did not complete within the allotted timeout") from None
    except aiohttp.ClientError as error:  # its own form is broken: a chunk that is none
        raise errors.bad_request(f"the body of the request cannot be read: {error}") from None


async def _bounded(request: web.Request) -> bytes:
    body = bytearray()
    async for chunk in request.content.iter_chunked(64 * 1024):
        body += chunk
        if len(body) > BODY_BYTES_MAX:
            raise errors.too_large(f"Request entity too large: limit is {BODY_BYTES_MAX}")
    return bytes(body)


async def read_object(request: web.Request, kind: str) -> Body:
    """As JSON. ApiError (400, 413, 415)."""
    media = body_media(request.headers.get("Content-Type", ""))
    body = await read(request)
    if media == YAML:
        return from_yaml(body, kind)
    return Body(from_protobuf(body, kind) if media == PROTOBUF else body)


def check_repeated(body: Body, validation: FieldValidation, resource: Resource) -> None:
    """ApiError (400) where keys stand twice and that is not to be."""
    if body.repeated and validation == "Strict":
        named = f'{resource.kind} in version "{resource.version}" cannot be handled as a {resource.kind}'
        raise errors.bad_request(f"{named}: strict decoding error: {', '.join(body.repeated)}")


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


def from_yaml(body: bytes, kind: str) -> Body:
    """The first document, as JSON."""
    from services.machinery import yaml_documents

    try:
        value, repeated = yaml_documents.read(body)
        return Body(orjson.dumps(value), tuple(repeated))
    except yaml_documents.Unreadable as error:
        what = f"yaml: {error} ({body[:16].hex()})"
    except (TypeError, ValueError) as error:
        what = f"yaml: {error}"
    raise errors.bad_request(f"the object provided is unrecognized (must be of type {kind}): {what}")
