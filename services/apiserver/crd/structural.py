"""Structural schemas: a version's `openAPIV3Schema` read once into nodes that everything else walks.

A node holds what upstream keeps in two forms (the structural schema and the OpenAPI schema made of it):
structure, value validations, extensions. `read` believes only that the schema has the form of a
JSONSchemaProps; what cannot be structural at all raises `NotStructural` in upstream's words.
Upstream: `apiextensions-apiserver/pkg/apiserver/schema`.
"""

from __future__ import annotations

from typing import Any

from services.apiserver.crd import formats
from services.machinery.regexp import Regexp, compile_or_none

Json = dict[str, Any]

META_FIELDS = frozenset(("apiVersion", "kind", "metadata"))
_UNSUPPORTED = (
    "id",
    "$schema",
    "$ref",
    "patternProperties",
    "dependencies",
    "additionalItems",
    "definitions",
)
_ACCEPTS: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "object": (dict,),
    "array": (list,),
}


class NotStructural(ValueError):
    """A schema with parts that no custom resource can have; the text is upstream's."""


class Node:
    """One place of a schema. Attributes are named after the fields of JSONSchemaProps.

    The `…_below` flags say whether anything of that sort is at or under this node, so that walks skip
    what does not concern them.
    """

    __slots__ = (
        "accepts", "additional", "all_of", "any_of", "closed", "count", "default", "default_below",
        "embedded", "embedded_below", "enum", "enum_values", "exclusive_maximum", "exclusive_minimum",
        "format", "format_check", "int_or_string", "items", "junctions", "list_keys", "list_type",
        "lists_below", "map_type", "max_items", "max_length", "max_properties", "maximum", "min_items",
        "min_length", "min_properties", "minimum", "multiple_of", "not_", "nullable", "numeric",
        "one_of", "pattern", "pattern_text", "preserve", "properties", "required", "rules",
        "rules_below", "schema", "sized", "type", "types",
    )  # fmt: skip

    def __init__(self, schema: Json) -> None:
        self.schema = schema
        self.type: str = schema.get("type", "")
        self.int_or_string = bool(schema.get("x-kubernetes-int-or-string"))
        self.types = ("integer", "string") if self.int_or_string else (self.type,) if self.type else ()
        self.nullable = bool(schema.get("nullable"))
        self.default: Any = schema.get("default")
        self.preserve = bool(schema.get("x-kubernetes-preserve-unknown-fields"))
        self.embedded = bool(schema.get("x-kubernetes-embedded-resource"))
        self.list_type: str = schema.get("x-kubernetes-list-type") or ""
        self.list_keys: tuple[str, ...] = tuple(schema.get("x-kubernetes-list-map-keys") or ())
        self.map_type: str = schema.get("x-kubernetes-map-type") or ""
        self.rules: list[Json] = schema.get("x-kubernetes-validations") or []
        self._read_values(schema)
        self._read_children(schema)
        self._note_what_is_below()

    def _read_values(self, schema: Json) -> None:
        self.format = formats.kept(schema.get("format", ""), self.types)
        self.format_check = formats.check_of(self.format)
        self.maximum, self.minimum = schema.get("maximum"), schema.get("minimum")
        self.exclusive_maximum = bool(schema.get("exclusiveMaximum"))
        self.exclusive_minimum = bool(schema.get("exclusiveMinimum"))
        self.multiple_of = schema.get("multipleOf")
        self.max_length, self.min_length = schema.get("maxLength"), schema.get("minLength")
        self.max_items, self.min_items = schema.get("maxItems"), schema.get("minItems")
        self.max_properties, self.min_properties = schema.get("maxProperties"), schema.get("minProperties")
        self.required: tuple[str, ...] = tuple(schema.get("required") or ())
        self.enum: list[Any] = schema.get("enum") or []
        self.enum_values = frozenset((type(v), v) for v in self.enum if isinstance(v, str | int | float))
        self.pattern_text: str = schema.get("pattern") or ""
        self.pattern: Regexp | None = compile_or_none(self.pattern_text) if self.pattern_text else None
        bounds = (self.maximum, self.minimum, self.multiple_of)
        self.numeric = any(bound is not None for bound in bounds) or self.format in ("int32", "float")
        accepts = {kind for name in self.types for kind in _ACCEPTS.get(name, ())}
        if self.format and not ({"integer", "number"} & set(self.types)):
            accepts |= {str, list}  # Whoever names a format leaves texts, and oddly lists, to it.
        self.accepts = frozenset(accepts) if self.types or self.format else None
        # How upstream counts what fits, to tell which of several alternatives is nearest.
        self.count = 4 + (2 if self.types or self.format else 0)

    def _read_children(self, schema: Json) -> None:
        items = schema.get("items")
        if isinstance(items, list) and items:
            raise NotStructural("OpenAPIV3Schema 'items' must be a schema, but is an array")
        self.items = read(items) if isinstance(items, dict) else None
        self.properties = {name: read(inner) for name, inner in (schema.get("properties") or {}).items()}
        additional = schema.get("additionalProperties")
        self.additional = read(additional) if isinstance(additional, dict) else None
        self.closed = additional is False
        self.all_of = tuple(read(inner) for inner in schema.get("allOf") or ())
        self.any_of = tuple(read(inner) for inner in schema.get("anyOf") or ())
        self.one_of = tuple(read(inner) for inner in schema.get("oneOf") or ())
        self.not_ = read(schema["not"]) if schema.get("not") is not None else None
        self.junctions = bool(self.all_of or self.any_of or self.one_of or self.not_)

    def _note_what_is_below(self) -> None:
        children = self.children()
        self.default_below: bool = any(child.default is not None or child.default_below for child in children)
        self.embedded_below: bool = self.embedded or any(child.embedded_below for child in children)
        self.rules_below: bool = bool(self.rules) or any(child.rules_below for child in children)
        self.lists_below: bool = self.list_type in ("map", "set") or any(
            child.lists_below for child in children
        )
        counts = (self.max_properties, self.min_properties)
        self.sized = self.closed or any(count is not None for count in counts)

    def children(self) -> list[Node]:
        """The nodes under this one that give structure, not those that only validate."""
        out = list(self.properties.values())
        if self.items is not None:
            out.append(self.items)
        if self.additional is not None:
            out.append(self.additional)
        return out

    @property
    def additional_allowed(self) -> bool:
        """Whether there are additionalProperties at all. False counts too: upstream asks no further."""
        return "additionalProperties" in self.schema

    def child(self, name: str) -> Node | None:
        return self.properties.get(name) or self.additional


def read(schema: Json) -> Node:
    """The nodes of a schema. NotStructural where it has parts that a structural schema cannot have."""
    for name in _UNSUPPORTED:
        if schema.get(name):
            name = "schema" if name == "$schema" else name
            raise NotStructural(f"OpenAPIV3Schema '{name}' is not supported")
    if schema.get("x-kubernetes-preserve-unknown-fields") is False:
        raise NotStructural(
            "internal error: 'x-kubernetes-preserve-unknown-fields' must be true or undefined"
        )
    return Node(schema)
