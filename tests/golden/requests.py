"""A recorded HTTP request as a call of ResourceService, and the answer as HTTP would have told it.

What cannot be asked over gRPC (a media type, an unknown query value, another user) raises `NotAsked`
with the reason.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import grpc
import grpc.aio
import orjson

from services.api import kinds
from services.pb.resource.v1 import resource_pb2 as pb
from services.pb.resource.v1 import resource_pb2_grpc

Json = dict[str, Any]


class NotAsked(Exception):
    """Why this request is left out."""


@dataclass
class Asked:
    """A request taken apart."""

    method: str
    resource: kinds.Resource
    target: pb.Resource
    query: dict[str, str]
    body: bytes = b""
    content_type: str = ""
    accept: str = ""


@dataclass
class Told:
    """What came back. `status` 0: a success, whose HTTP code gRPC does not carry."""

    status: int
    body: Json
    warnings: list[str] = field(default_factory=list)


def locate(path: str) -> tuple[kinds.Resource, pb.Resource]:
    parts = [unquote(part) for part in path.strip("/").split("/")]
    if parts[:1] == ["api"] and len(parts) > 2:
        group, version, rest = "", parts[1], parts[2:]
    elif parts[:1] == ["apis"] and len(parts) > 3:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        raise NotAsked("not a resource")
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2 and rest[2] not in ("status", "finalize"):
        namespace, rest = rest[1], rest[2:]
    resource = kinds.resource_named(group, version, rest[0])
    if resource is None:
        raise NotAsked(f"{rest[0]} is not served")
    name, subresource = [*rest, "", ""][1:3]
    parts_served = {part.name for part in resource.subresources} | {""}
    if subresource not in parts_served or subresource in kinds.STREAMED or len(rest) > 3:
        raise NotAsked(f"{rest[0]}/{subresource} is not served by this service")
    target = pb.Resource(
        group=group,
        version=version,
        resource=rest[0],
        namespace=namespace,
        name=name,
        subresource=subresource,
    )
    return resource, target


def ask(request: Json, body: bytes) -> Asked:
    """Takes a recorded request apart."""
    if request.get("anonymous") or request.get("headers"):
        raise NotAsked("needs authentication, or headers that gRPC does not have")
    split = urlsplit(request["path"])
    resource, target = locate(split.path)
    pairs = parse_qsl(split.query, keep_blank_values=True)
    query = dict(pairs)
    if len(query) != len(pairs):
        raise NotAsked("a query parameter twice")
    if query.get("watch", "0") not in ("0", "false") or split.path.startswith(("/api/v1/watch/",)):
        raise NotAsked("a watch")
    content_type = request.get("contentType") or ""
    asked = Asked(request["method"], resource, target, query, body, content_type, request.get("accept") or "")
    _check(asked)
    return asked


# Parameters that gRPC has as enumerations or numbers; other values cannot be sent.
_VALUES = {
    "dryRun": ("All",),
    "fieldValidation": ("", "Ignore", "Warn", "Strict"),
    "resourceVersionMatch": ("", "Exact", "NotOlderThan"),
    "includeObject": ("", "None", "Metadata", "Object"),
    "force": ("true", "false"),
}
_NUMBERS = ("limit", "gracePeriodSeconds", "timeoutSeconds")


_AS_TABLE = "application/json;as=Table;g=meta.k8s.io;v=v1"
_AS_PARTIAL = "application/json;as=PartialObjectMetadata{};g=meta.k8s.io;v=v1"
_ACCEPTED = ("", "*/*", "application/json", _AS_TABLE, _AS_PARTIAL.format(""), _AS_PARTIAL.format("List"))


def _check(asked: Asked) -> None:
    for name, values in _VALUES.items():
        if name in asked.query and asked.query[name] not in values:
            raise NotAsked(f"{name}={asked.query[name]} has no counterpart in gRPC")
    for name in _NUMBERS:
        if name in asked.query and not asked.query[name].lstrip("-").isdigit():
            raise NotAsked(f"{name} is a number in gRPC")
    if asked.method in ("POST", "PUT") and asked.content_type not in ("", "application/json"):
        raise NotAsked(f"media type {asked.content_type}")
    if asked.accept not in _ACCEPTED and not asked.accept.startswith(_ACCEPTED[3] + ","):
        raise NotAsked("negotiates the media type")
    if "sendInitialEvents" in asked.query:
        raise NotAsked("sendInitialEvents has no counterpart in a list over gRPC")


def _representation(asked: Asked) -> Json:
    include = {"None": 2, "Metadata": 1, "Object": 3}.get(asked.query.get("includeObject", ""), 0)
    if "as=Table" in asked.accept:
        return {"representation": pb.REPRESENTATION_TABLE, "include_object": include}
    if "as=PartialObjectMetadata" in asked.accept:
        return {"representation": pb.REPRESENTATION_PARTIAL_METADATA}
    return {}


def _writing(asked: Asked) -> Json:
    validation = {"Ignore": 1, "Warn": 2, "Strict": 3}.get(asked.query.get("fieldValidation", ""), 0)
    return {
        "resource": asked.target,
        "dry_run": asked.query.get("dryRun") == "All",
        "field_validation": validation,
        # The recording client had no name, and was then called unknown.
        "field_manager": asked.query.get("fieldManager", "unknown"),
    }


def _delete_options(asked: Asked) -> bytes:
    if asked.body:
        return asked.body
    options: Json = {}
    if "gracePeriodSeconds" in asked.query:
        options["gracePeriodSeconds"] = int(asked.query["gracePeriodSeconds"])
    if "propagationPolicy" in asked.query:
        options["propagationPolicy"] = asked.query["propagationPolicy"]
    if "orphanDependents" in asked.query:
        options["orphanDependents"] = asked.query["orphanDependents"] == "true"
    return orjson.dumps(options) if options else b""


class Server:
    """The API server's gRPC front."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub: Any = resource_pb2_grpc.ResourceServiceStub(channel)

    async def tell(self, asked: Asked) -> Told:
        try:
            return await self._call(asked)
        except grpc.aio.AioRpcError as error:
            trailing: dict[str, Any] = dict(error.trailing_metadata() or ())  # type: ignore[arg-type]
            status = trailing.get("kubernetes-status-bin")
            if status is None:
                return Told(500, {"grpc": f"{error.code()}: {error.details()}"})
            body = orjson.loads(status)
            return Told(body.get("code", 500), body)

    async def _call(self, asked: Asked) -> Told:
        match asked.method:
            case "GET" | "HEAD":
                return await (self._get(asked) if asked.target.name else self._list(asked))
            case "POST":
                create = pb.CreateRequest(json=asked.body, **_writing(asked))
                return _object(await self._stub.Create(create))
            case "PUT":
                update = pb.UpdateRequest(json=asked.body, **_writing(asked))
                return _object(await self._stub.Update(update))
            case "PATCH":
                force = asked.query.get("force") == "true"
                writing = _writing(asked)
                if asked.content_type == "application/apply-patch+yaml" and "fieldManager" not in asked.query:
                    writing["field_manager"] = ""
                patch = pb.PatchRequest(
                    patch=asked.body, content_type=asked.content_type, force=force, **writing
                )
                return _object(await self._stub.Patch(patch))
            case "DELETE":
                return await self._delete(asked)
        raise NotAsked(f"method {asked.method}")

    async def _get(self, asked: Asked) -> Told:
        request = pb.GetRequest(
            resource=asked.target,
            resource_version=asked.query.get("resourceVersion", ""),
            **_representation(asked),
        )
        return _object(await self._stub.Get(request))

    async def _list(self, asked: Asked) -> Told:
        request = pb.ListRequest(
            resource=asked.target,
            label_selector=asked.query.get("labelSelector", ""),
            field_selector=asked.query.get("fieldSelector", ""),
            resource_version=asked.query.get("resourceVersion", ""),
            resource_version_match={"NotOlderThan": 1, "Exact": 2}.get(  # type: ignore[arg-type]
                asked.query.get("resourceVersionMatch", ""), 0
            ),
            limit=int(asked.query.get("limit", "0")),
            **{"continue": asked.query.get("continue", "")},  # type: ignore[arg-type]
            **_representation(asked),
        )
        return _list_told(await self._stub.List(request), asked)

    async def _delete(self, asked: Asked) -> Told:
        options, dry_run = _delete_options(asked), asked.query.get("dryRun") == "All"
        if asked.target.name:
            request = pb.DeleteRequest(resource=asked.target, options=options, dry_run=dry_run)
            return _object(await self._stub.Delete(request))
        many = pb.DeleteCollectionRequest(
            resource=asked.target,
            label_selector=asked.query.get("labelSelector", ""),
            field_selector=asked.query.get("fieldSelector", ""),
            options=options,
            dry_run=dry_run,
        )
        return _list_told(await self._stub.DeleteCollection(many), asked)


def full(item: pb.Object) -> Json:
    body: Json = orjson.loads(item.json)
    if item.resource_version and isinstance(body.get("metadata"), dict) and body.get("kind") != "Table":
        body["metadata"]["resourceVersion"] = item.resource_version
    if body.get("kind") == "Status":
        body["metadata"] = {}
    return body


def _object(response: pb.ObjectResponse | pb.DeleteResponse) -> Told:
    return Told(0, full(response.object), list(response.warnings))


def _list_told(response: pb.ListResponse, asked: Asked) -> Told:
    if response.json:
        return Told(0, orjson.loads(response.json), list(response.warnings))
    metadata: Json = {"resourceVersion": response.resource_version}
    if getattr(response, "continue"):
        metadata["continue"] = getattr(response, "continue")
    if response.HasField("remaining_item_count"):
        metadata["remainingItemCount"] = response.remaining_item_count
    items = [full(item) for item in response.items]
    if "as=PartialObjectMetadata" in asked.accept:
        head = {"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1"}
    else:
        head = {"kind": f"{asked.resource.kind}List", "apiVersion": asked.resource.api_version}
        for item in items:  # in a list, the list says what they are
            item.pop("kind", None)
            item.pop("apiVersion", None)
    if not items and "as=Partial" in asked.accept:
        return Told(0, {**head, "metadata": metadata, "items": None}, list(response.warnings))
    return Told(0, {**head, "metadata": metadata, "items": items}, list(response.warnings))
