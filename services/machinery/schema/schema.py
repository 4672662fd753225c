"""`Schema` and `Field`: what a value may be, as a graph that is built lazily.

A struct's schema knows its fields; a list's or a map's knows its items. Everything that is one
of Go's or Kubernetes' own scalars is a leaf. Nodes are shared: identity means equality.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files
from typing import Any, Literal

import orjson

SchemaType = Literal[
    "struct", "list", "map",
    "string", "bool", "int32", "int64", "float64", "bytes",
    "time", "microtime", "duration", "quantity", "intorstring", "raw",
    "json", "schemaorarray", "schemaorbool", "schemaorstrings",  # JSON that upstream decodes by hand
    "deduced",  # of a custom object's field that its schema leaves open: maps merge, lists are atomic
]  # fmt: skip
_PREFIXES = {
    "v1": "core.v1",
    "admissionregistration.k8s.io/v1": "admissionregistration.v1",
    "apiextensions.k8s.io/v1": "apiextensions.v1",
    "apiregistration.k8s.io/v1": "apiregistration.v1",
    "apps/v1": "apps.v1",
    "authentication.k8s.io/v1": "authentication.v1",
    "authorization.k8s.io/v1": "authorization.v1",
    "autoscaling/v1": "autoscaling.v1",
    "autoscaling/v2": "autoscaling.v2",
    "batch/v1": "batch.v1",
    "certificates.k8s.io/v1": "certificates.v1",
    "coordination.k8s.io/v1": "coordination.v1",
    "discovery.k8s.io/v1": "discovery.v1",
    "events.k8s.io/v1": "events.v1",
    "flowcontrol.apiserver.k8s.io/v1": "flowcontrol.v1",
    "networking.k8s.io/v1": "networking.v1",
    "policy/v1": "policy.v1",
    "rbac.authorization.k8s.io/v1": "rbac.v1",
    "resource.k8s.io/v1": "resource.v1",
    "scheduling.k8s.io/v1": "scheduling.v1",
    "node.k8s.io/v1": "node.v1",
    "storage.k8s.io/v1": "storage.v1",
}
ANY_JSON = frozenset(("raw", "json", "schemaorarray", "schemaorbool", "schemaorstrings"))
_GO_STRUCTS = frozenset(("struct", "quantity", "intorstring", "time", "microtime", "duration")) | ANY_JSON
_GO_LEAVES = {
    "bytes": "[]uint8",
    "time": "v1.Time",
    "microtime": "v1.MicroTime",
    "duration": "v1.Duration",
    "quantity": "resource.Quantity",
    "intorstring": "intstr.IntOrString",
    "raw": "runtime.RawExtension",
    "json": "v1.JSON",
    "schemaorarray": "v1.JSONSchemaPropsOrArray",
    "schemaorbool": "v1.JSONSchemaPropsOrBool",
    "schemaorstrings": "v1.JSONSchemaPropsOrStringArray",
}


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a struct, by its JSON name, with what merging and encoding need to know."""

    name: str
    schema: Schema
    pointer: bool = False  # Absent and empty are different things.
    always: bool = False  # Written even when empty: Go's tag has no omitempty.
    omitzero: bool = False  # Left out when empty even though its Go type is a struct.
    go_type: str = ""  # As Go's errors print it, "v1.PullPolicy".
    default: Any = None  # The schema's own default, which a list key may rely on.
    patch_strategies: tuple[str, ...] = ()  # "merge", "retainKeys"
    merge_key: str = ""
    list_type: str = ""  # "map", "set", "atomic"; empty means atomic
    list_map_keys: tuple[str, ...] = ()
    map_type: str = ""  # "atomic" or empty (granular)

    @property
    def omits_empty(self) -> bool:
        """Whether an empty value and none are the same, and neither is written."""
        return not self.pointer and not self.written

    @property
    def written(self) -> bool:
        """Whether upstream's encoder writes it even when nobody set it: omitempty spares no struct."""
        if self.always:
            return True
        return not self.pointer and not self.omitzero and self.schema.type in _GO_STRUCTS


class Schema:
    """The type of a value. For a struct `name` is `core.v1.Container`, else it is the type itself."""

    __slots__ = ("__dict__", "_entry", "go_type", "items", "name", "type")

    # Of a struct that somebody defined: whether it may have fields that are not among `fields`, and
    # which parts of an object each of its endpoints ("" and the subresources) does not write.
    open: bool = False
    resets: Mapping[str, frozenset[str]] | None = None

    def __init__(
        self, type: SchemaType, name: str, go_type: str, items: Schema | None = None, entry: Any = None
    ) -> None:
        self.type = type
        self.name = name
        self.go_type = go_type
        self.items = items
        self._entry = entry or {}

    @property
    def go_name(self) -> str:
        """The bare name of a struct, as in `Go struct field PodSpec.spec…`."""
        return self.name.rpartition(".")[2]

    @property
    def map_type(self) -> str:
        """ "atomic" where the whole struct is one value to server-side apply."""
        return str(self._entry.get("map", ""))

    @property
    def typed(self) -> bool:
        """Whether it may carry `apiVersion` and `kind` besides its fields."""
        return bool(self._entry.get("typed", False))

    @cached_property
    def fields(self) -> dict[str, Field]:
        """The fields of a struct, in upstream's order; empty for everything else."""
        return {name: _field(name, entry) for name, entry in self._entry.get("fields", {}).items()}

    def field(self, name: str) -> Field | None:
        return self.fields.get(name)

    def at(self, *path: str) -> Field:
        """The field at the end of a path of names, through lists and maps. KeyError when there is none."""
        schema, found = self, None
        for name in path:
            while schema.items is not None:
                schema = schema.items
            found = schema.fields[name]
            schema = found.schema
        if found is None:
            raise KeyError("empty path")
        return found

    def __repr__(self) -> str:
        return f"Schema({self.name})"


def _field(name: str, entry: dict[str, Any]) -> Field:
    schema = _schema(entry["type"])
    return Field(
        name=name,
        schema=schema,
        pointer=entry.get("pointer", False),
        always=entry.get("always", False),
        omitzero=entry.get("omitzero", False),
        go_type=entry.get("go", schema.go_type),
        default=entry.get("default"),
        patch_strategies=tuple(entry["patch"].split(",")) if "patch" in entry else (),
        merge_key=entry.get("key", ""),
        list_type=entry.get("list", ""),
        list_map_keys=tuple(entry.get("keys", ())),
        map_type=entry.get("map", ""),
    )


@cache
def _definitions() -> dict[str, Any]:
    loaded: dict[str, Any] = orjson.loads(files(__package__).joinpath("definitions.json").read_bytes())
    return loaded


@cache
def _schema(kind: str) -> Schema:
    if kind.startswith("[]"):
        items = _schema(kind[2:])
        return Schema("list", kind, f"[]{items.go_type}", items)
    if kind.startswith("map:"):
        items = _schema(kind[4:])
        return Schema("map", kind, f"map[string]{items.go_type}", items)
    if entry := _definitions().get(kind):
        return Schema("struct", kind, ".".join(kind.split(".")[-2:]), None, entry)
    leaf: Any = kind
    return Schema(leaf, kind, _GO_LEAVES.get(kind, kind))


def definition(name: str) -> Schema:
    """A struct by its short name, `meta.v1.ObjectMeta`. KeyError when it is not known."""
    if name not in _definitions():
        raise KeyError(name)
    return _schema(name)


def in_order(value: Any, schema: Schema) -> Any:
    """The same value with the fields of structs in upstream's order, as its messages print them."""
    if schema.items is not None and isinstance(value, list):
        return [in_order(item, schema.items) for item in value]
    if schema.items is not None and isinstance(value, dict):
        return {key: in_order(value[key], schema.items) for key in sorted(value)}
    if schema.type == "struct" and isinstance(value, dict):
        return {
            name: in_order(value[name], field.schema)
            for name, field in schema.fields.items()
            if name in value
        }
    return value


def schema_of(api_version: str, kind: str) -> Schema | None:
    """The schema of a kind as a manifest names it: `schema_of("apps/v1", "Deployment")`.

    `apiVersion` and `kind` themselves are not among its fields.
    """
    prefix = _PREFIXES.get(api_version)
    name = f"{prefix}.{kind}"
    if prefix is None or name not in _definitions():
        name = f"meta.v1.{kind}"  # DeleteOptions is served under every group.
        if name not in _definitions() or "metadata" in _definitions()[name]["fields"]:
            return None
    return _schema(name)
