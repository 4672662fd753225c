"""Structural schemas: a version's `openAPIV3Schema` read once into nodes that everything else walks.

A node holds what upstream keeps in two forms (the structural schema and the OpenAPI schema made of it):
structure, value validations, extensions. `read` believes only that the schema has the form of a
JSONSchemaProps; what cannot be structural at all raises `NotStructural` in upstream's words.
Upstream: `apiextensions-apiserver/pkg/apiserver/schema`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from services.apiserver.crd import formats
from services.machinery.regexp import Regexp, compile_or_none

Json = dict[str, Any]
PythonType = type

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


# Fields of a schema that a node only holds, by the name they have there.
_HELD = {
    "type": "type", "nullable": "nullable", "default": "default", "maximum": "maximum", "minimum": "minimum",
    "exclusiveMaximum": "exclusive_maximum", "exclusiveMinimum": "exclusive_minimum",
    "multipleOf": "multiple_of", "maxLength": "max_length", "minLength": "min_length",
    "maxItems": "max_items", "minItems": "min_items", "maxProperties": "max_properties",
    "minProperties": "min_properties", "required": "required", "enum": "enum", "pattern": "pattern_text",
    "x-kubernetes-preserve-unknown-fields": "preserve", "x-kubernetes-embedded-resource": "embedded",
    "x-kubernetes-int-or-string": "int_or_string", "x-kubernetes-list-type": "list_type",
    "x-kubernetes-map-type": "map_type", "x-kubernetes-validations": "rules",
}  # fmt: skip


_NO_PROPERTIES: Any = {}  # nobody ever puts anything into it


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

    schema: Json
    type: str
    types: tuple[str, ...]
    accepts: frozenset[PythonType] | None  # Python's types of values that fit at first sight
    nullable: bool
    default: Any
    int_or_string: bool
    preserve: bool
    embedded: bool
    list_type: str
    list_keys: tuple[str, ...]
    map_type: str
    rules: Sequence[Json]
    format: str
    format_check: formats.Check | None
    maximum: float | None
    minimum: float | None
    multiple_of: float | None
    exclusive_maximum: bool
    exclusive_minimum: bool
    numeric: bool
    max_length: int | None
    min_length: int | None
    pattern_text: str
    pattern: Regexp | None
    max_items: int | None
    min_items: int | None
    max_properties: int | None
    min_properties: int | None
    sized: bool
    required: Sequence[str]
    enum: Sequence[Any]
    enum_values: frozenset[tuple[PythonType, Any]]
    properties: Mapping[str, Node]
    items: Node | None
    additional: Node | None
    closed: bool
    all_of: tuple[Node, ...]
    any_of: tuple[Node, ...]
    one_of: tuple[Node, ...]
    not_: Node | None
    junctions: bool
    default_below: bool
    embedded_below: bool
    rules_below: bool
    lists_below: bool
    count: int  # How upstream counts what fits, to tell which of several alternatives is nearest.

    def __init__(self, schema: Json) -> None:
        self.schema = schema
        self._begin()
        for name, value in schema.items():
            attribute = _HELD.get(name)
            if attribute is not None and value is not None:
                setattr(self, attribute, value)
        self._read_types(schema)
        self._read_values(schema)
        self._read_children(schema)
        self._note_what_is_below()

    def _begin(self) -> None:
        """What holds where the schema says nothing."""
        self.type = self.list_type = self.map_type = self.format = self.pattern_text = ""
        self.types = self.list_keys = self.rules = self.required = self.enum = self.all_of = ()
        self.any_of = self.one_of = ()
        self.accepts = self.default = self.format_check = self.maximum = self.minimum = None
        self.multiple_of = self.max_length = self.min_length = self.pattern = self.max_items = None
        self.min_items = self.max_properties = self.min_properties = self.items = None
        self.additional = self.not_ = None
        self.nullable = self.int_or_string = self.preserve = self.embedded = False
        self.exclusive_maximum = self.exclusive_minimum = self.numeric = self.sized = False
        self.closed = self.junctions = self.default_below = self.embedded_below = False
        self.rules_below = self.lists_below = False
        self.enum_values = frozenset()
        self.properties = _NO_PROPERTIES
        self.count = 4

    def _read_types(self, schema: Json) -> None:
        kinds = ("integer", "string") if self.int_or_string else (self.type,) if self.type else ()
        if "format" in schema:
            self.format = formats.kept(schema["format"], kinds)
            self.format_check = formats.check_of(self.format)
        if kinds or self.format:
            self.types, self.count = kinds, 6
            self.accepts = _accepted(kinds, bool(self.format))

    def _read_values(self, schema: Json) -> None:
        if "x-kubernetes-list-map-keys" in schema:
            self.list_keys = tuple(schema["x-kubernetes-list-map-keys"] or ())
        if self.enum:
            self.enum_values = frozenset((type(v), v) for v in self.enum if isinstance(v, str | int | float))
        if self.pattern_text:
            self.pattern = compile_or_none(self.pattern_text)
        bounds = (self.maximum, self.minimum, self.multiple_of)
        if self.format in ("int32", "float") or any(bound is not None for bound in bounds):
            self.numeric = True
        if self.max_properties is not None or self.min_properties is not None:
            self.sized = True

    def _read_children(self, schema: Json) -> None:
        items = schema.get("items")
        if isinstance(items, list) and items:
            raise NotStructural("OpenAPIV3Schema 'items' must be a schema, but is an array")
        if isinstance(items, dict):
            self.items = read(items)
        if properties := schema.get("properties"):
            self.properties = {name: read(inner) for name, inner in properties.items()}
        if "additionalProperties" in schema:
            additional = schema["additionalProperties"]
            self.additional = read(additional) if isinstance(additional, dict) else None
            self.closed = additional is False
            self.sized = self.sized or self.closed
        self.all_of = _each(schema, "allOf")
        self.any_of = _each(schema, "anyOf")
        self.one_of = _each(schema, "oneOf")
        if schema.get("not") is not None:
            self.not_ = read(schema["not"])
        self.junctions = bool(self.all_of or self.any_of or self.one_of or self.not_)

    def _note_what_is_below(self) -> None:
        default = embedded = rules = lists = False
        for child in self.children():
            default = default or child.default is not None or child.default_below
            embedded = embedded or child.embedded_below
            rules = rules or child.rules_below
            lists = lists or child.lists_below
        self.default_below = default
        self.embedded_below = embedded or self.embedded
        self.rules_below = rules or bool(self.rules)
        self.lists_below = lists or self.list_type in ("map", "set")

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


def _each(schema: Json, name: str) -> tuple[Node, ...]:
    return tuple(read(inner) for inner in schema[name] or ()) if name in schema else ()


@cache
def _accepted(kinds: tuple[str, ...], has_format: bool) -> frozenset[type]:
    accepts: set[type] = {kind for name in kinds for kind in _ACCEPTS.get(name, ())}
    if has_format and not ({"integer", "number"} & set(kinds)):
        accepts |= {str, list}  # Whoever names a format leaves texts, and oddly lists, to it.
    return frozenset(accepts)


def read(schema: Json) -> Node:
    """The nodes of a schema. NotStructural where it has parts that a structural schema cannot have."""
    for name in _UNSUPPORTED & schema.keys():
        if schema[name]:
            name = "schema" if name == "$schema" else name
            raise NotStructural(f"OpenAPIV3Schema '{name}' is not supported")
    if schema.get("x-kubernetes-preserve-unknown-fields") is False:
        raise NotStructural(
            "internal error: 'x-kubernetes-preserve-unknown-fields' must be true or undefined"
        )
    return Node(schema)
