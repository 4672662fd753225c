"""Requests for resources, translated: path and query in, the registry's answer out.

The same options mean the same as over gRPC; what is allowed, and the words of refusals, are the registry's.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson
from aiohttp import web

from services.api import errors
from services.apiserver.fronts import representation
from services.apiserver.fronts.grpc import PATCH_TYPES
from services.apiserver.fronts.rest import bodies, documents
from services.apiserver.fronts.rest.negotiation import JSON, YAML, Written, negotiate
from services.apiserver.fronts.rest.paths import Path
from services.apiserver.registry.registry import Registry
from services.apiserver.registry.request import (
    FieldValidation,
    Item,
    Listing,
    ListOptions,
    Target,
    WriteOptions,
)
from services.apiserver.tables import IncludeObject
from services.machinery.clock import Clock
from services.machinery.patch import APPLY

Json = dict[str, Any]
TRUE = ("1", "t", "T", "true", "TRUE", "True")
_VALIDATIONS: tuple[FieldValidation, ...] = ("Ignore", "Warn", "Strict")
_INCLUDES: tuple[IncludeObject, ...] = ("Metadata", "None", "Object")


class Verbs:
    def __init__(self, registry: Registry, clock: Clock) -> None:
        self._registry, self._clock = registry, clock

    async def handle(self, request: web.Request, path: Path, target: Target) -> web.Response:
        """ApiError for what is refused."""
        method, named = request.method, bool(target.name)
        match method:
            case "GET" | "HEAD":
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
        message = "the server does not allow this method on the requested resource"
        raise errors.failure(405, "MethodNotAllowed", message, {})

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
            case _:
                body = documents.list_document(target.resource, listing)
        return respond(body, written, warnings=listing.warnings)

    # -- writing ---------------------------------------------------------------------------------

    async def _create(self, request: web.Request, target: Target) -> web.Response:
        written = negotiate(request.headers.get("Accept", ""))
        if target.name and not target.subresource:
            raise _not_allowed()
        body = await bodies.read_object(request, target.resource.kind)
        answer = await self._registry.create(target, body, write_options(request))
        shown = self._one(request, target, answer.item, written)
        return respond(shown, written, status=201, warnings=answer.warnings)

    async def _update(self, request: web.Request, target: Target) -> web.Response:
        written = negotiate(request.headers.get("Accept", ""))
        body = await bodies.read_object(request, target.resource.kind)
        answer = await self._registry.update(target, body, write_options(request))
        shown = self._one(request, target, answer.item, written)
        return respond(shown, written, status=201 if answer.created else 200, warnings=answer.warnings)

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


# -- options -------------------------------------------------------------------------------------


def list_options(request: web.Request) -> ListOptions:
    query = request.query
    match = query.get("resourceVersionMatch", "")
    if match not in ("", "NotOlderThan", "Exact"):
        why = f'Unsupported value: "{match}": supported values: "Exact", "NotOlderThan"'
        cause = {"reason": "FieldValueNotSupported", "message": why, "field": "resourceVersionMatch"}
        raise errors.invalid("meta.k8s.io", "ListOptions", "", [cause])
    return ListOptions(
        labels=query.get("labelSelector", ""),
        fields=query.get("fieldSelector", ""),
        resource_version=query.get("resourceVersion", ""),
        version_match=match,  # type: ignore[arg-type]
        limit=max(number_of(request, "limit"), 0),
        continue_token=query.get("continue", ""),
    )


def number_of(request: web.Request, name: str) -> int:
    """0 where it is not given. ApiError (400)."""
    text = request.query.get(name, "")
    if not text:
        return 0
    try:
        return int(text)
    except ValueError:
        why = f'strconv.ParseInt: parsing "{text}": invalid syntax'
        raise errors.bad_request(why) from None


def write_options(request: web.Request, *, applies: bool = False) -> WriteOptions:
    query = request.query
    validation = query.get("fieldValidation", "Warn") or "Warn"
    known = next((each for each in _VALIDATIONS if each == validation), None)
    if known is None:
        shown = ", ".join(f'"{each}"' for each in ("Ignore", "Strict", "Warn"))
        why = f'Unsupported value: "{validation}": supported values: {shown}'
        cause = {"reason": "FieldValueNotSupported", "message": why, "field": "fieldValidation"}
        kind = {"POST": "CreateOptions", "PUT": "UpdateOptions"}.get(request.method, "PatchOptions")
        raise errors.invalid("meta.k8s.io", kind, "", [cause])
    agent = request.headers.get("User-Agent", "").partition("/")[0] or "unknown"
    return WriteOptions(
        dry_run=dry_run_of(request),
        field_validation=known,
        field_manager=query.get("fieldManager", "") or ("" if applies else agent),
        force=query.get("force", "") in TRUE,
    )


def dry_run_of(request: web.Request) -> bool:
    """ApiError (422) for what is not `All`."""
    for value in request.query.getall("dryRun", []):
        if value != "All":
            why = f'Unsupported value: "{value}": supported values: "All"'
            cause = {"reason": "FieldValueNotSupported", "message": why, "field": "dryRun"}
            kinds = {"POST": "CreateOptions", "PUT": "UpdateOptions", "PATCH": "PatchOptions"}
            raise errors.invalid("meta.k8s.io", kinds.get(request.method, "DeleteOptions"), "", [cause])
    return bool(request.query.getall("dryRun", []))


async def delete_options(request: web.Request) -> bytes:
    """The body's DeleteOptions, else those of the query."""
    body = await bodies.read_object(request, "DeleteOptions")
    if body.strip() not in (b"", b"null"):
        return body
    query, options = request.query, dict[str, Any]()
    for name, make in (("gracePeriodSeconds", int), ("propagationPolicy", str), ("orphanDependents", bool)):
        if text := query.get(name, ""):
            try:
                options[name] = text in TRUE if make is bool else make(text)
            except ValueError:
                raise errors.bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax') from None
    return orjson.dumps({"kind": "DeleteOptions", "apiVersion": "v1", **options}) if options else b""


def include_of(request: web.Request) -> IncludeObject:
    wanted = request.query.get("includeObject", "") or "Metadata"
    known = next((each for each in _INCLUDES if each == wanted), None)
    if known is None:
        raise errors.bad_request(f'unrecognized includeObject value: "{wanted}"')
    return known


# -- answers -------------------------------------------------------------------------------------


def respond(
    body: bytes, written: Written, *, status: int = 200, warnings: Iterable[str] = ()
) -> web.Response:
    response = web.Response(body=encode(body, written), status=status, content_type=written.media)
    for warning in dict.fromkeys(warnings):
        response.headers.add("Warning", warning_header(warning))
    return response


def warning_header(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")
    return f'299 - "{escaped}"'


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
    return body.replace(b'"meta.k8s.io/v1"', f'"meta.k8s.io/{written.version}"'.encode(), 1)


def _not_allowed() -> errors.ApiError:
    message = "the server does not allow this method on the requested resource"
    return errors.failure(405, "MethodNotAllowed", message, {})


def not_a_list(kind: str) -> errors.ApiError:
    why = f"you requested PartialObjectMetadataList, but the requested object is not a list (*core.{kind})"
    return _bare(errors.failure(406, "NotAcceptable", why))


def is_a_list(kind: str) -> errors.ApiError:
    why = f"you requested PartialObjectMetadata, but the requested object is a list (*core.{kind}List)"
    return _bare(errors.failure(406, "NotAcceptable", why))


def _bare(error: errors.ApiError) -> errors.ApiError:
    error.status.pop("details", None)
    return error


__all__ = ["JSON", "Listing", "Verbs", "respond"]
