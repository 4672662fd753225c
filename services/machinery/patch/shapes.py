"""How the parts of an object merge, as server-side apply sees them: the schema reduced to that.

A struct and a granular map merge by field, a list by its keys or as a set of values; whatever is
atomic, and every scalar, is one leaf. Shapes are built on first use and shared.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum
from typing import Any

import orjson

from services.machinery.schema import Field, Schema

Key = tuple[tuple[str, Any], ...]  # the list keys with their defaults (None: no default)


class Form(IntEnum):
    LEAF = 0
    STRUCT = 1
    MAP = 2
    KEYED = 3
    SET = 4
    DEDUCED = 5  # nothing is said: a map is granular, everything else is a leaf


class Shape:
    """`fields` of a struct by JSON name, each with its step (`f:name`); `items` of maps and lists."""

    __slots__ = ("_fields", "_items", "_schema", "form", "key")

    def __init__(self, schema: Schema, form: Form, key: Key = ()) -> None:
        self._schema = schema
        self.form = form
        self.key = key
        self._fields: dict[str, tuple[str, Shape]] | None = None
        self._items: Shape | None = None

    @property
    def schema(self) -> Schema:
        return self._schema

    @property
    def fields(self) -> dict[str, tuple[str, Shape]]:
        if self._fields is None:
            self._fields = {
                name: (f"f:{name}", _shape_of_field(field)) for name, field in self._schema.fields.items()
            }
        return self._fields

    def inside(self, items: Shape) -> None:
        """Says what the items are, for a shape that stands for no schema."""
        self._items = items

    @property
    def items(self) -> Shape:
        if self._items is None:
            assert self._schema.items is not None
            self._items = shape_of(self._schema.items)
        return self._items

    def step(self, name: str) -> tuple[str, Shape]:
        """The step to a field or map entry, and its shape; an unknown field is a leaf."""
        if self.form is Form.MAP:
            return f"f:{name}", self.items
        return self.fields.get(name) or (f"f:{name}", _DEDUCED if self._schema.open else _LEAF)

    def of(self, value: Any) -> Shape:
        """What DEDUCED comes to for a value."""
        return _DEDUCED_MAP if isinstance(value, dict) else _LEAF

    def item_step(self, item: Any) -> str | None:
        """The step to an item of a list; None where its keys are missing."""
        if self.form is Form.SET:
            return "v:" + orjson.dumps(item).decode()
        if not isinstance(item, dict):
            return None
        pairs = {}
        for name, default in self.key:
            value = item.get(name, default)
            if value is not None:
                pairs[name] = value
        return "k:" + orjson.dumps(pairs, option=orjson.OPT_SORT_KEYS).decode() if pairs else None

    def entries(self, items: list[Any]) -> Iterator[tuple[str, Any]]:
        """The items with their steps; of doubles the first."""
        seen: set[str] = set()
        for item in items:
            step = self.item_step(item)
            if step is not None and step not in seen:
                seen.add(step)
                yield step, item


_UNTYPED = Schema("deduced", "deduced", "")
_LEAF = Shape(_UNTYPED, Form.LEAF)
_DEDUCED = Shape(_UNTYPED, Form.DEDUCED)
_DEDUCED_MAP = Shape(_UNTYPED, Form.MAP)
_DEDUCED_MAP.inside(_DEDUCED)


def shape_of(schema: Schema) -> Shape:
    """Of a value whose field says nothing more about it. Kept with the schema: some schemas come and go."""
    found: Shape | None = schema.__dict__.get("_shape")
    if found is None:
        found = schema.__dict__["_shape"] = Shape(schema, _form(schema))
    return found


def _form(schema: Schema) -> Form:
    if schema.type == "struct":
        return Form.LEAF if schema.map_type == "atomic" else Form.STRUCT
    if schema.type == "deduced":
        return Form.DEDUCED
    return Form.MAP if schema.type == "map" else Form.LEAF


def _shape_of_field(field: Field) -> Shape:
    schema = field.schema
    if schema.type == "list":
        if field.list_type == "set":
            return Shape(schema, Form.SET)
        if field.list_type == "map":
            return Shape(schema, Form.KEYED, _key(field))
        return Shape(schema, Form.LEAF)
    if field.map_type == "atomic":
        return Shape(schema, Form.LEAF)
    if field.map_type == "granular" and schema.type == "struct":
        return Shape(schema, Form.STRUCT)  # The field knows better than the type: a volume's claimRef.
    return shape_of(schema)


def _key(field: Field) -> Key:
    assert field.schema.items is not None
    fields = field.schema.items.fields
    return tuple((name, _default(fields[name])) for name in sorted(field.list_map_keys))


def _default(field: Field) -> Any:
    """What stands for a key that is left out: the schema's default, or zero where Go always writes one."""
    if field.default is not None or not field.always or field.pointer:
        return field.default
    return {"string": "", "int32": 0, "int64": 0}.get(field.schema.type)
