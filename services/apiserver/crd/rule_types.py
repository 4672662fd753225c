"""What expressions know of the values of a schema: CEL types, and the names that properties have in them.

Upstream: `schema/cel/model` of apiextensions-apiserver, `cel.Escape`.
"""

from __future__ import annotations

import re
from itertools import count

from services.apiserver.cel import types
from services.apiserver.cel.types import Type
from services.apiserver.crd.structural import META_FIELDS, Node

_RESERVED = frozenset((
    "true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "function", "if",
    "import", "let", "loop", "package", "namespace", "return", "var", "void", "while",
))  # fmt: skip
_SYMBOLS = {"__": "__underscores__", ".": "__dot__", "-": "__dash__", "/": "__slash__"}
FORMATS = {
    "byte": types.BYTES, "duration": types.DURATION, "date": types.TIMESTAMP, "date-time": types.TIMESTAMP,
}  # fmt: skip
SCALARS = {"boolean": types.BOOL, "number": types.DOUBLE, "integer": types.INT}
_numbers = count(1)


def escaped(name: str) -> str | None:
    """A property's name as expressions write it, None where they cannot."""
    if name in _RESERVED:
        return f"__{name}__"
    if not re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_./-]*", name):
        return None
    return re.sub(r"__|[./-]", lambda match: _SYMBOLS[match[0]], name)


class Types:
    """What expressions know of the values of one schema; each place is looked at once."""

    def __init__(self) -> None:
        self._name = f"selfType{next(_numbers)}"
        self._known: dict[tuple[Node, bool], Type | None] = {}

    def of(self, node: Node, *, is_root: bool = False) -> Type | None:
        """None where the schema shows expressions nothing."""
        key = (node, is_root)
        if key not in self._known:
            self._known[key] = _declared(self, node, is_root, f"{self._name}.{len(self._known)}")
        return self._known[key]


def _declared(types_of: Types, node: Node, is_root: bool, name: str) -> Type | None:
    if node.int_or_string:
        return types.DYN
    if node.type == "array":
        items = types_of.of(node.items, is_root=node.items.embedded) if node.items is not None else None
        if items is None:
            return None
        kind = f"map:{','.join(node.list_keys)}" if node.list_type == "map" else node.list_type
        return Type("list", (items,), kind if node.list_type in ("map", "set") else "")
    if node.type == "object":
        if node.additional is not None:
            inner = types_of.of(node.additional, is_root=node.additional.embedded)
            return types.map_of(types.STRING, inner) if inner is not None else None
        return types.object_of(name, _fields(types_of, node, is_root, name))
    if node.type == "string":
        return FORMATS.get(node.format, types.STRING)
    return SCALARS.get(node.type)


def _fields(types_of: Types, node: Node, is_root: bool, name: str) -> dict[str, types.Field]:
    fields = {}
    for key, child in node.properties.items():
        word = escaped(key)
        if word is None or (is_root and key in META_FIELDS):
            continue
        kind = types_of.of(child, is_root=child.embedded)
        if kind is not None:
            fields[word] = types.Field(kind, "" if word == key else key)
    if is_root:
        text = types.Field(types.STRING)
        meta = types.object_of(f"{name}.metadata", {"name": text, "generateName": text})
        fields |= {"apiVersion": text, "kind": text, "metadata": types.Field(meta)}
    return fields
