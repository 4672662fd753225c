"""A cluster that stands still: the recorded objects behind the client's transport, in memory.

Reads answer as an API server would, tables included; writes answer with what would be stored when
they are dry runs, and refuse otherwise. Enough for every recorded command that only looks.
"""

from __future__ import annotations

import builtins
import copy
import json
from collections.abc import AsyncGenerator
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson

from services.api import errors, kinds
from services.apiserver.openapi.documents import of_all
from services.apiserver.tables import table
from services.client.transport import (
    PLAIN,
    Answer,
    DeleteAnswer,
    ListAnswer,
    ListOptions,
    PatchType,
    RawEvent,
    RawObject,
    Representation,
    Target,
    Unavailable,
    View,
    WatchOptions,
    WriteOptions,
)
from services.machinery import fields, labels

Json = dict[str, Any]


def recorded_lists(golden: Path) -> dict[str, builtins.list[Json]]:
    """The objects of every recorded kind, complete with apiVersion and kind."""
    lists = json.loads((golden / "kubectl" / "objects.json").read_text())["lists"]
    result = {}
    for body in lists.values():
        kind = body["kind"].removesuffix("List")
        api_version = body["apiVersion"]
        result[kind] = [{"apiVersion": api_version, "kind": kind, **item} for item in body["items"]]
    names = ("default", "g-states", "kube-node-lease", "kube-public", "kube-system")
    result["Namespace"] = [_namespace(name) for name in names]
    result["Service"].insert(0, _KUBERNETES)
    return result


# Every cluster has it; the recorder left it out of its lists.
_KUBERNETES: Json = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {
        "name": "kubernetes",
        "namespace": "default",
        "creationTimestamp": "2026-11-21T11:55:18Z",
    },
    "spec": {
        "type": "ClusterIP",
        "clusterIP": "10.96.0.1",
        "ports": [{"name": "https", "port": 443, "protocol": "TCP"}],
    },
}


def _namespace(name: str) -> Json:
    metadata = {"name": name, "creationTimestamp": "2026-11-21T11:55:17Z", "uid": "u", "resourceVersion": "1"}
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": metadata,
        "status": {"phase": "Active"},
    }


class RecordedTransport:
    def __init__(self, lists: dict[str, builtins.list[Json]], now: datetime) -> None:
        self.lists, self.now = lists, now
        self.version_text = b"{}"
        self.reachable = True

    def _objects(self, target: Target) -> builtins.list[Json]:
        if not self.reachable:
            raise Unavailable("nobody listens there")
        every = self.lists.get(target.resource.kind, [])
        return [o for o in every if target.namespace in ("", o["metadata"].get("namespace"))]

    def _one(self, target: Target) -> Json:
        for obj in self._objects(target):
            if obj["metadata"]["name"] == target.name:
                return copy.deepcopy(obj)
        raise errors.not_found(target.resource, target.name)

    def _answer(self, target: Target, obj: Json, view: View) -> Answer:
        if view.representation is Representation.TABLE:
            include: Any = str(view.include_object)
            obj = table(target.resource, [obj], {"resourceVersion": "379"}, include, self.now)
            return Answer(RawObject(orjson.dumps(obj), "379"))
        version = obj.get("metadata", {}).get("resourceVersion", "")
        return Answer(RawObject(orjson.dumps(obj), version))

    async def get(self, target: Target, *, resource_version: str = "", view: View = PLAIN) -> Answer:
        obj = self._one(target)
        if target.subresource == "scale":
            obj = _scale(obj)
        return self._answer(target, obj, view)

    async def list(self, target: Target, options: ListOptions) -> ListAnswer:
        try:
            by_label = labels.parse(options.labels)
        except labels.SelectorError as error:
            raise errors.bad_request(f"unable to parse requirement: {error}") from error
        try:
            by_field = fields.parse(options.fields)
        except fields.FieldSelectorError as error:
            raise errors.bad_request(str(error)) from error
        objects = [
            copy.deepcopy(obj)
            for obj in self._objects(target)
            if by_label.matches(obj["metadata"].get("labels", {})) and by_field.matches(_flatten(obj))
        ]
        if options.view.representation is Representation.TABLE:
            include: Any = str(options.view.include_object)
            body = table(target.resource, objects, {"resourceVersion": "379"}, include, self.now)
            return ListAnswer([], "379", json=orjson.dumps(body), warnings=_warnings(target))
        return ListAnswer(
            [RawObject(orjson.dumps(o), o["metadata"].get("resourceVersion", "")) for o in objects], "379"
        )

    async def create(self, target: Target, body: bytes, options: WriteOptions) -> Answer:
        obj = orjson.loads(body)
        name = obj["metadata"].get("name", "")
        if any(o["metadata"]["name"] == name for o in self._objects(target)):
            raise errors.already_exists(target.resource, name)
        return Answer(RawObject(body, ""))

    async def update(self, target: Target, body: bytes, options: WriteOptions) -> Answer:
        self._one(target)
        return Answer(RawObject(body, ""))

    async def patch(
        self, target: Target, body: bytes, patch_type: PatchType, options: WriteOptions
    ) -> Answer:
        obj = self._one(target)
        if target.resource.kind == "Node":
            obj.setdefault("spec", {}).update(orjson.loads(body).get("spec", {}))
        return self._answer(target, obj, PLAIN)

    async def delete(self, target: Target, delete_options: bytes, *, dry_run: bool = False) -> DeleteAnswer:
        obj = self._one(target)
        return DeleteAnswer(RawObject(orjson.dumps(obj), ""), gone=True)

    async def delete_collection(
        self,
        target: Target,
        delete_options: bytes,
        *,
        labels: str = "",
        fields: str = "",
        dry_run: bool = False,
    ) -> ListAnswer:
        raise NotImplementedError

    async def watch(
        self, target: Target, options: WatchOptions
    ) -> AsyncGenerator[builtins.list[RawEvent], None]:
        raise TimeoutError  # nothing ever changes; the command's own time runs out
        yield []

    async def version(self) -> bytes:
        return self.version_text

    async def resources(self) -> bytes:
        return orjson.dumps([CUSTOM_KINDS])

    async def openapi(self, path: str) -> bytes:
        document = of_all().third(path)
        if document is None:
            raise errors.resource_unknown()
        return document.body


# What the recorded cluster had been taught.
CUSTOM_KINDS = {
    "kind": "APIResourceList",
    "apiVersion": "v1",
    "groupVersion": "golden.example.com/v1",
    "resources": [
        {
            "name": f"{kind}s",
            "singularName": kind,
            "namespaced": namespaced,
            "kind": kind.capitalize(),
            "verbs": ["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"],
        }
        for kind, namespaced in (("mini", False), ("widget", True))
    ],
}


def _warnings(target: Target) -> tuple[str, ...]:
    if target.resource.kind != "Endpoints":
        return ()
    return ("v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice",)


def _scale(obj: Json) -> Json:
    replicas = obj.get("spec", {}).get("replicas", 0)
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": obj["metadata"],
        "spec": {"replicas": replicas},
        "status": {"replicas": obj.get("status", {}).get("replicas", 0)},
    }


def _flatten(obj: Json, prefix: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for key, value in obj.items():
        if isinstance(value, dict):
            flat |= _flatten(value, f"{prefix}{key}.")
        elif isinstance(value, (str, int, bool)):
            flat[f"{prefix}{key}"] = str(value)
    return flat


def resource_word(word: str) -> bool:
    """Whether every kind in `po,svc` is served."""
    return all(
        part in ("all", "bogus") or next(kinds.lookup(part), None) is not None for part in word.split(",")
    )
