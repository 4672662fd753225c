"""What expressions know of the kinds that are served: CEL types, made out of what OpenAPI says of them. Pure.

A type that refers to itself is an object without fields the second time; what has no type of its own is
not shown, but for quantities, which may be compared with anything. Upstream: `cel/openapi/resolver`,
`SchemaDeclType` of `cel/common`.
"""

from __future__ import annotations

from typing import Any

from services.api.kinds import Resource
from services.apiserver.cel import types
from services.apiserver.cel.types import Field, Type
from services.apiserver.crd.rule_types import FORMATS, SCALARS, escaped
from services.apiserver.openapi.types import Types, type_of_objects

Json = dict[str, Any]


class DeclaredTypes:
    """Those of the kinds that are served at the moment."""

    def __init__(self, resources: tuple[Resource, ...]) -> None:
        self._types = Types(3, resources)
        self._described: dict[str, Json] = {}

    def of(self, resource: Resource) -> Type | None:
        """The type of its objects; None where nothing is known of them."""
        try:
            return self._declared(self._types.reference(type_of_objects(resource)), resource.kind, ())
        except (KeyError, RecursionError):  # a custom kind may be nested as deeply as somebody likes
            return None

    def _declared(self, schema: Json, name: str, within: tuple[str, ...]) -> Type | None:
        reference = _reference(schema)
        if reference in within:
            return types.object_of(name, {})
        if reference:
            schema, within = self._looked_up(reference), (*within, reference)
        if schema.get("format") == "int-or-string" or schema.get("x-kubernetes-int-or-string"):
            return types.DYN
        match schema.get("type"):
            case "array":
                items = self._declared(schema.get("items") or {}, f"{name}.@idx", within)
                return types.list_of(items) if items is not None else None
            case "object":
                return self._object(schema, name, within)
            case "string":
                return FORMATS.get(schema.get("format", ""), types.STRING)
            case None if "oneOf" in schema:
                return types.DYN
            case kind:
                return SCALARS.get(kind or "")

    def _looked_up(self, reference: str) -> Json:
        name = reference.removeprefix(self._types.home)
        if name not in self._described:
            self._described[name] = self._types.describe(name)
        return self._described[name]

    def _object(self, schema: Json, name: str, within: tuple[str, ...]) -> Type | None:
        if isinstance(values := schema.get("additionalProperties"), dict):
            inner = self._declared(values, f"{name}.@elem", within)
            return types.map_of(types.STRING, inner) if inner is not None else None
        fields = {}
        for key, each in (schema.get("properties") or {}).items():
            word = escaped(key)
            kind = self._declared(each, f"{name}.{key}", within) if word is not None else None
            if word is not None and kind is not None:
                fields[word] = Field(kind, "" if word == key else key)
        return types.object_of(name, fields)


def _reference(schema: Json) -> str:
    """Also where it is wrapped, so that something can be said beside it."""
    found = schema.get("$ref") or next(filter(None, map(_reference, schema.get("allOf") or ())), "")
    return str(found)
