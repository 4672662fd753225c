"""`explain` as text: what an OpenAPI document says of a kind, or of a field at any depth. Pure.

The layout is kubectl's: a head, the field and its type, what is written of it, and the fields below, each
with its type and whether it is required. A field that is not there is the asker's mistake: FieldUnknown.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

Json = dict[str, Any]

WIDTH = 80
QUOTES = '""'
_KIND = "x-kubernetes-group-version-kind"
_ENUM_MAX = 4  # values shown of an enumeration among other fields
_LEVELS_MAX = 40  # deeper than any type of the API but those that hold themselves


class FieldUnknown(Exception):
    """No such field."""


class Explainer:
    """Of one document and one kind in it. KeyError when the document does not know the kind."""

    def __init__(self, document: Json, group: str, version: str, kind: str) -> None:
        self._schemas: Json = document["components"]["schemas"]
        self._group, self._version, self._kind = group, version, kind
        wanted = {"group": group, "version": version, "kind": kind}
        self._root = next(
            (each for each in self._schemas.values() if wanted in each.get(_KIND, ())), None
        )  # fmt: skip
        if self._root is None:
            raise KeyError(kind)

    def head(self) -> str:
        group = f"GROUP:      {self._group}\n" if self._group else ""
        return f"{group}KIND:       {self._kind}\nVERSION:    {self._version}\n\n"

    def body(self, path: Sequence[str], *, recursive: bool) -> str:
        schema: Json = self._root or {}
        title = ""
        for name in path:
            schema = self._field(schema, name, path[-1])
            title = f"FIELD: {name} <{self._type(schema)}>\n{_enum_lines(schema)}\n\n"
        lines = ["DESCRIPTION:\n"]
        says = "".join(f"{text}\n" for text in self._descriptions(schema)) or "<empty>"
        lines.append(_indented(says, 4, WIDTH) + "\n")
        if fields := "".join(self._fields(schema, 1, recursive, ())):
            lines.append(f"FIELDS:\n{fields}")
        return title + "".join(lines) + "\n"

    # -- walking ---------------------------------------------------------------------------------

    def _resolved(self, schema: Json) -> Json:
        reference = schema.get("$ref")
        found: Json = self._schemas[reference.rpartition("/")[2]] if reference else schema
        return found

    def _within(self, schema: Json) -> Iterator[Json]:
        """What a field's own schema stands for: references, what it lists, what it maps to."""
        schema = self._resolved(schema)
        yield schema
        for inner in schema.get("allOf", ()):
            yield from self._within(inner)
        for name in ("items", "additionalProperties"):
            if isinstance(schema.get(name), dict):
                yield from self._within(schema[name])

    def _field(self, schema: Json, name: str, last: str) -> Json:
        for each in self._within(schema):
            if name in each.get("properties", ()):
                found: Json = each["properties"][name]
                return found
        raise FieldUnknown(f'field "{last}" does not exist')

    def _descriptions(self, schema: Json) -> Iterator[str]:
        own = schema.get("description", "") if "$ref" not in schema else ""
        if own:
            yield own
        for each in self._within(schema):
            if each is not schema and each.get("description"):
                yield each["description"]

    def _type(self, schema: Json) -> str:
        if "items" in schema:
            return f"[]{self._type(schema['items'])}"
        if isinstance(schema.get("additionalProperties"), dict):
            return f"map[string]{self._type(schema['additionalProperties'])}"
        if len(schema.get("allOf", ())) == 1 and not schema.get("properties"):
            return self._type(schema["allOf"][0])
        if "$ref" in schema:
            kind = self._resolved(schema).get("type", "object")
            return schema["$ref"].rpartition(".")[2] if kind == "object" else str(kind)
        kind = schema.get("type", "object")
        return "Object" if kind == "object" else str(kind)

    def _fields(self, schema: Json, level: int, recursive: bool, seen: tuple[int, ...]) -> Iterator[str]:
        """Each with what is said of it, or, recursively, a line each. A type within itself ends there."""
        for each in self._within(schema):
            if id(each) in seen or level > _LEVELS_MAX:
                continue
            for name, field in sorted(each.get("properties", {}).items()):
                required = " -required-" if name in each.get("required", ()) else ""
                indent = " " * (2 * level)
                yield f"{indent}{name}\t<{self._type(field)}>{required}{_enum_line(field, indent)}\n"
                if recursive:
                    yield from self._fields(field, level + 1, True, (*seen, id(each)))
                else:
                    says = field.get("description") or "<no description>"
                    yield _indented(says, 4, WIDTH) + "\n\n"


def _enum_line(schema: Json, indent: str) -> str:
    if not schema.get("enum"):
        return ""
    shown = [value or QUOTES for value in schema["enum"][:_ENUM_MAX]]
    more = ", ...." if len(schema["enum"]) > _ENUM_MAX else ""
    return f"\n{indent}enum: {', '.join(shown)}{more}"


def _enum_lines(schema: Json) -> str:
    if not schema.get("enum"):
        return ""
    return "ENUM:" + "".join(f"\n    {value or QUOTES}" for value in schema["enum"])


def _indented(text: str, spaces: int, width: int) -> str:
    """Wrapped; every line behind spaces, also an empty one."""
    lines: list[str] = []
    for line in text.split("\n"):
        lines += textwrap.wrap(line, width - spaces, break_long_words=False, break_on_hyphens=False) or [""]
    return "\n".join(" " * spaces + line for line in lines)
