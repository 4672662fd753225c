"""Requests for resources, translated: path and query in, the registry's answer out.

The same options mean the same as over gRPC; what is allowed, and the words of refusals, are the registry's.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import orjson
from aiohttp import web

from services.api import errors
from services.apiserver.fronts import representation
from services.apiserver.fronts.grpc import PATCH_TYPES
from services.apiserver.fronts.rest import bodies, documents
from services.apiserver.fronts.rest.negotiation import JSON, YAML, Written, negotiate
from services.apiserver.fronts.rest.options import (
    TRUE,
    delete_options,
    dry_run_of,
    include_of,
    list_options,
    write_options,
)
from services.apiserver.fronts.rest.paths import Path
from services.apiserver.fronts.rest.pieces import Pieces, gzipped
from services.apiserver.fronts.rest.warning_headers import headers_of
from services.apiserver.registry.registry import Registry
from services.apiserver.registry.request import Answer, Item, Target, WriteOptions
from services.machinery.clock import Clock
from services.machinery.patch import APPLY

Json = dict[str, Any]
GZIP_BYTES_MIN = 128 * 1024  # as upstream: what is shorter costs more to compress than to send


class Verbs:
    def __init__(self, registry: Registry, clock: Clock) -> None:
        self._registry, self._clock = registry, clock

    async def handle(self, request: web.Request, path: Path, target: Target) -> web.Response:
        """ApiError for what is refused."""
        method, named = request.method, bool(target.name)
        if path.watches:  # what is to be watched is got
            raise errors.method_not_allowed()
        match method:
            case "GET":
                written = negotiate(request.headers.get("Accept", ""))
                if named:
                    return await self._get(request, target, written)
                return await self._list(request, target, written)
            case "POST":
                return await self._create(request, target)
            case "PUT" if named:
                return await self._update(request, target)
            case "PATCH" if named:
                return await self._patch(request, target)
            case "DELETE":
                if named:
                    return await self._delete(request, target)
                return await self._delete_collection(request, target)
        raise errors.method_not_allowed()

    # -- reading ---------------------------------------------------------------------------------

    async def _get(self, request: web.Request, target: Target, written: Written) -> web.Response:
        found = await self._registry.get(target, request.query.get("resourceVersion", ""))
        kind = "Scale" if target.subresource == "scale" else ""
        body = self._one(request, target, found.item, written, kind)
        return respond(body, written, warnings=found.warnings)

    def _one(
        self, request: web.Request, target: Target, item: Item, written: Written, kind: str = ""
    ) -> bytes:
        match written.shape:
            case "Table":
                rows = representation.table_of_one(
                    target.resource, item, include_of(request), self._clock.now(), kind=kind
                )
                return at_version(rows, written)
            case "PartialObjectMetadata":
                return at_version(representation.partial(item), written)
            case "PartialObjectMetadataList":
                raise not_a_list(target.resource.kind)
        return documents.document(item)

    async def _list(self, request: web.Request, target: Target, written: Written) -> web.Response:
        listing = await self._registry.list(target, list_options(request))
        match written.shape:
            case "Table":
                now = self._clock.now()
                rows = representation.table_of_list(target.resource, listing, include_of(request), now)
                body = at_version(rows, written)
            case "PartialObjectMetadataList":
                body = documents.partial_list(listing.items, listing, written.version)
            case "PartialObjectMetadata":
                raise is_a_list(target.resource.kind)
            case _ if written.media == JSON and not written.pretty:
                pieces = documents.list_pieces(target.resource, listing)
                return _respond_long(pieces, written, listing.warnings, request)
            case _:
                body = documents.list_document(target.resource, listing)
        return respond(body, written, warnings=listing.warnings, request=request)

    # -- writing ---------------------------------------------------------------------------------

    async def _create(self, request: web.Request, target: Target) -> web.Response:
        written = negotiate(request.headers.get("Accept", ""))
        if target.name and not target.subresource:
            raise errors.method_not_allowed()
        body = await bodies.read_object(request, target.resource.kind)
        options = write_options(request)
        bodies.check_repeated(body, options.field_validation, target.resource)
        answer = await self._registry.create(target, body.json, options)
        shown = self._one(request, target, answer.item, written)
        return respond(shown, written, status=201, warnings=_warnings(body, answer, options))

    async def _update(self, request: web.Request, target: Target) -> web.Response:
        written = negotiate(request.headers.get("Accept", ""))
        body = await bodies.read_object(request, target.resource.kind)
        options = write_options(request)
        bodies.check_repeated(body, options.field_validation, target.resource)
        answer = await self._registry.update(target, body.json, options)
        shown = self._one(request, target, answer.item, written)
        warnings = _warnings(body, answer, options)
        return respond(shown, written, status=201 if answer.created else 200, warnings=warnings)

    async def _patch(self, request: web.Request, target: Target) -> web.Response:
        written = negotiate(request.headers.get("Accept", ""))
        media = request.headers.get("Content-Type", "").partition(";")[0].strip()
        patch_type = next((each for each in PATCH_TYPES if each == media), None)
        if patch_type is None:
            raise errors.failure(415, "UnsupportedMediaType", "415: Unsupported Media Type", {})
        body = await bodies.read(request)
        options = write_options(request, applies=patch_type == APPLY)
        answer = await self._registry.patch(target, body, patch_type, options)
        shown = self._one(request, target, answer.item, written)
        return respond(shown, written, status=201 if answer.created else 200, warnings=answer.warnings)

    async def _delete(self, request: web.Request, target: Target) -> web.Response:
        written = negotiate(request.headers.get("Accept", ""))
        options = await delete_options(request)
        deleted = await self._registry.delete(target, options, dry_run_of(request))
        shown = self._one(request, target, deleted.item, written)
        return respond(shown, written, warnings=deleted.warnings)

    async def _delete_collection(self, request: web.Request, target: Target) -> web.Response:
        written = negotiate(request.headers.get("Accept", ""))
        options = await delete_options(request)
        listing = await self._registry.delete_collection(
            target, list_options(request), options, dry_run_of(request)
        )
        return respond(documents.list_document(target.resource, listing), written)


# -- answers -------------------------------------------------------------------------------------


def respond(
    body: bytes,
    written: Written,
    *,
    status: int = 200,
    warnings: Iterable[str] = (),
    request: web.Request | None = None,
) -> web.Response:
    """`request`: whose answer may be long enough to be worth compressing."""
    shown = encode(body, written)
    if request is not None and len(shown) >= GZIP_BYTES_MIN:
        return _respond_long([shown], written, warnings, request)
    response = web.Response(body=shown, status=status, content_type=written.media)
    return _warned(response, warnings)


def _respond_long(
    shown: Sequence[bytes], written: Written, warnings: Iterable[str], request: web.Request
) -> web.Response:
    """An answer that may be worth compressing."""
    headers = {}
    if sum(map(len, shown)) >= GZIP_BYTES_MIN and _takes_gzip(request):
        shown = gzipped(shown)
        headers = {"Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
    body = shown[0] if len(shown) == 1 else Pieces(shown, written.media)
    response = web.Response(body=body, content_type=written.media, headers=headers)
    return _warned(response, warnings)


def _warned(response: web.Response, warnings: Iterable[str]) -> web.Response:
    for header in headers_of(warnings):
        response.headers.add("Warning", header)
    return response


def _takes_gzip(request: web.Request) -> bool:
    offered = request.headers.get("Accept-Encoding", "").split(",")
    return any(each.strip().partition(";")[0] == "gzip" for each in offered)


def encode(body: bytes, written: Written) -> bytes:
    if written.media == YAML:
        from services.apiserver.fronts.rest.yaml_text import to_yaml

        return to_yaml(body)
    if written.pretty:
        return orjson.dumps(orjson.loads(body), option=orjson.OPT_INDENT_2)
    return body


def at_version(body: bytes, written: Written) -> bytes:
    """A view of meta.k8s.io in the version that was asked for."""
    if written.version == "v1":
        return body
    wanted = f'"apiVersion":"meta.k8s.io/{written.version}"'.encode()
    return body.replace(b'"apiVersion":"meta.k8s.io/v1"', wanted)


def _warnings(body: bodies.Body, answer: Answer, options: WriteOptions) -> Iterable[str]:
    return (*(body.repeated if options.field_validation == "Warn" else ()), *answer.warnings)


def not_a_list(kind: str) -> errors.ApiError:
    why = f"you requested PartialObjectMetadataList, but the requested object is not a list (*core.{kind})"
    return _bare(errors.failure(406, "NotAcceptable", why))


def is_a_list(kind: str) -> errors.ApiError:
    why = f"you requested PartialObjectMetadata, but the requested object is a list (*core.{kind}List)"
    return _bare(errors.failure(406, "NotAcceptable", why))


def _bare(error: errors.ApiError) -> errors.ApiError:
    error.status.pop("details", None)
    return error


__all__ = ["JSON", "TRUE", "Verbs", "respond"]
