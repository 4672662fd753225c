"""A structural schema as the `Schema` that patches know: for server-side apply and managedFields.

Lists of type map or set, maps of type atomic hold as they do for built-in kinds. What a schema leaves
open (`x-kubernetes-preserve-unknown-fields`, int-or-string) is taken by its value: maps are merged by
field, lists are atomic. Upstream: `kube-openapi/pkg/schemaconv`.
"""

from __future__ import annotations

from typing import Any

from services.apiserver.crd.structural import Node
from services.machinery.schema import Field, Schema, definition
from services.machinery.schema.schema import SchemaType

_SCALARS: dict[str, SchemaType] = {
    "string": "string",
    "integer": "int64",
    "number": "float64",
    "boolean": "bool",
}
_RAW = Schema("raw", "raw", "")
DEDUCED = Schema("deduced", "deduced", "")


class NodeSchema(Schema):
    """An object with properties. Its fields are made when first asked for."""

    def __init__(self, node: Node, name: str, *, root: bool = False) -> None:
        entry = {"map": node.map_type} if node.map_type == "atomic" else {}
        super().__init__("struct", name, name, None, entry)
        self._node = node
        self._root = root
        self.open = node.preserve

    @property
    def typed(self) -> bool:
        return self._root

    @property
    def fields(self) -> dict[str, Field]:
        found: dict[str, Field] | None = self.__dict__.get("_fields")
        if found is None:
            found = self.__dict__["_fields"] = self._read_fields()
        return found

    def _read_fields(self) -> dict[str, Field]:
        fields = {name: _field(name, child) for name, child in self._node.properties.items()}
        if self._root or self._node.embedded:
            fields["metadata"] = Field("metadata", definition("meta.v1.ObjectMeta"))
            for name in ("apiVersion", "kind"):
                if self._root:
                    fields.pop(name, None)
                else:
                    fields.setdefault(name, Field(name, Schema("string", "string", "string")))
        return fields


def schema_of_kind(root: Node, kind: str, *, has_status: bool) -> Schema:
    """The schema of a whole custom object."""
    schema = NodeSchema(root, kind, root=True)
    spec_resets = frozenset(("status",)) if has_status else frozenset[str]()
    schema.resets = {"": spec_resets, "status": frozenset(("metadata", "spec"))}
    return schema


def _field(name: str, node: Node) -> Field:
    return Field(
        name,
        _schema(node),
        pointer=True,
        default=node.default,
        list_type=node.list_type,
        list_map_keys=node.list_keys,
        map_type="atomic" if node.map_type == "atomic" else "",
    )


def _schema(node: Node) -> Schema:
    if node.int_or_string:
        return _RAW
    if node.type == "array" and node.items is not None:
        items = _schema(node.items)
        return Schema("list", f"[]{items.name}", "", items)
    if node.type == "object":
        return _object_schema(node)
    if node.preserve and not node.type:
        return DEDUCED
    scalar: Any = _SCALARS.get(node.type, "raw")
    return Schema(scalar, scalar, "")


def _object_schema(node: Node) -> Schema:
    if node.properties or (node.embedded and not node.preserve):
        return NodeSchema(node, "object")
    if node.preserve:
        return DEDUCED
    if node.additional_allowed:
        items = _schema(node.additional) if node.additional is not None else DEDUCED
        return Schema("map", f"map:{items.name}", "", items)
    return NodeSchema(node, "object")
