"""Operations written down in either edition. Pure."""

from __future__ import annotations

from typing import Any

from services.apiserver.openapi.operations import BOOLEANS, INTEGERS, Operation
from services.apiserver.openapi.types import Types

Json = dict[str, Any]

_REASONS = {"200": "OK", "201": "Created", "202": "Accepted", "401": "Unauthorized"}
_SAYS = {
    "allowWatchBookmarks": "Also send events that only move the resourceVersion on.",
    "continue": "The token of the list's next page.",
    "dryRun": "All: do everything but store it.",
    "fieldManager": "Who makes this change, for the record of who owns which field.",
    "fieldSelector": "Only objects whose fields match.",
    "fieldValidation": "What to do with unknown and duplicate fields: Ignore, Warn or Strict.",
    "force": "Take fields over from those who own them. Server-side apply only.",
    "gracePeriodSeconds": "How long the object may take to end. 0: at once.",
    "labelSelector": "Only objects whose labels match.",
    "limit": "At most so many objects in one answer.",
    "name": "The name of the object.",
    "namespace": "The namespace of the object.",
    "path": "The path behind the proxy.",
    "pretty": "Indent the answer.",
    "propagationPolicy": "What becomes of dependents: Orphan, Background or Foreground.",
    "resourceVersion": "How recent the answer must be, or where a watch begins.",
    "timeoutSeconds": "How long the call may take.",
    "watch": "Stream changes instead of listing.",
}


def described_path(operations: list[Operation], writer: Second | Third) -> Json:
    """The operations of one path; what all have in common stands beside them."""
    first = operations[0]
    item: Json = {each.method: writer.operation(each) for each in operations}
    shared = [writer.parameter(name, "path") for name in sorted(first.path_parameters)]
    if first.pretty:
        shared.append(writer.parameter("pretty", "query"))
    if shared:
        item["parameters"] = shared
    return item


def _head(operation: Operation) -> Json:
    made: Json = {"operationId": operation.identifier, "tags": [operation.tag], "description": ""}
    if operation.action:
        made["x-kubernetes-action"] = operation.action
    if operation.kind and operation.action:
        made["x-kubernetes-group-version-kind"] = dict(
            zip(("group", "version", "kind"), operation.kind, strict=True)
        )
    return made


def _type(name: str) -> Json:
    kind = "boolean" if name in BOOLEANS else "integer" if name in INTEGERS else "string"
    return {"type": kind, "uniqueItems": True}


class Second:
    """Parameters lie in one place and are referred to."""

    def __init__(self, types: Types) -> None:
        self._types = types
        self.shared: Json = {}

    def operation(self, operation: Operation) -> Json:
        parameters = [self.parameter(name, "query") for name in sorted(operation.query)]
        if operation.body:
            required = operation.action not in ("delete", "deletecollection")
            parameters.insert(0, self._body(operation.body, required))
        answer = {"schema": self._types.reference(operation.answer)} if operation.answer else {}
        if not operation.answer:
            answer = {"schema": {"type": "string"}}
        responses: Json = {code: {"description": _REASONS[code], **answer} for code in operation.codes}
        responses["401"] = {"description": _REASONS["401"]}
        made = _head(operation)
        made |= {
            "consumes": list(operation.consumes),
            "produces": list(operation.produces),
            "schemes": ["https"],
            "responses": responses,
        }
        return made | ({"parameters": parameters} if parameters else {})

    def parameter(self, name: str, place: str) -> Json:
        key = name if place == "query" else f"{name}-in-{place}"
        if key not in self.shared:
            required = {"required": True} if place == "path" else {}
            self.shared[key] = {"name": name, "in": place, "description": _SAYS.get(name, ""), **required,
                                **_type(name)}  # fmt: skip
        return {"$ref": f"#/parameters/{key}"}

    def _body(self, name: str, required: bool) -> Json:
        made: Json = {"name": "body", "in": "body", "schema": self._types.reference(name)}
        return made | ({"required": True} if required else {})


class Third:
    """Parameters stand with each operation, because clients look for them there."""

    def __init__(self, types: Types) -> None:
        self._types = types

    def operation(self, operation: Operation) -> Json:
        made = _head(operation)
        if parameters := [self.parameter(name, "query") for name in sorted(operation.query)]:
            made["parameters"] = parameters
        if operation.body:
            schema = {"schema": self._types.reference(operation.body)}
            body: Json = {"content": dict.fromkeys(operation.consumes, schema)}
            if operation.action not in ("delete", "deletecollection"):
                body["required"] = True
            made["requestBody"] = body
        schema = {
            "schema": self._types.reference(operation.answer) if operation.answer else {"type": "string"}
        }
        content = dict.fromkeys(operation.produces, schema)
        made["responses"] = {
            code: {"description": _REASONS[code], "content": content} for code in operation.codes
        }
        made["responses"]["401"] = {"description": _REASONS["401"]}
        return made

    def parameter(self, name: str, place: str) -> Json:
        required = {"required": True} if place == "path" else {}
        return {"name": name, "in": place, "description": _SAYS.get(name, ""), **required,
                "schema": _type(name)}  # fmt: skip
