"""Objects inside of objects (`x-kubernetes-embedded-resource`): their kind, version and metadata.

`coerce` brings the metadata into the form that every object's has, `faults` looks whether it is valid.
Upstream: `schema/objectmeta` of apiextensions-apiserver.
"""

from __future__ import annotations

from typing import Any

from services.apiserver.crd.structural import Node
from services.apiserver.rules import strict
from services.apiserver.rules.validation import names
from services.apiserver.rules.validation.meta import generic_object_meta
from services.machinery.field_errors import Causes, invalid, required, shown
from services.machinery.schema import definition
from services.machinery.schema.normal import Irregular, normaliser

Json = dict[str, Any]


def read_meta(metadata: Any) -> tuple[Json, list[str]]:
    """An ObjectMeta in normal form, and its unknown fields. Unreadable when it is none."""
    schema = definition("meta.v1.ObjectMeta")
    try:
        return normaliser(schema)({} if metadata is None else metadata), []
    except Irregular:
        findings = strict.inspect(metadata, schema)
    unknown = [fault.partition('"')[2].removesuffix('"') for fault in findings.faults]
    return findings.obj, unknown


def coerce(value: Any, node: Node, path: str = "") -> list[str]:
    """In place, the metadata of all that is embedded. Gives its unknown fields; may raise Unreadable."""
    unknown: list[str] = []
    _coerce(value, node, path, unknown)
    return sorted(unknown)


def _coerce(value: Any, node: Node, path: str, unknown: list[str]) -> None:
    if not node.embedded_below:
        return
    if type(value) is dict:
        if node.embedded:
            _coerce_embedded(value, path, unknown)
        for name, item in value.items():
            inner = node.child(name)
            if inner is not None:
                _coerce(item, inner, f"{path}.{name}" if path else name, unknown)
    elif type(value) is list and node.items is not None:
        for index, item in enumerate(value):
            _coerce(item, node.items, f"{path}[{index}]", unknown)


def _coerce_embedded(value: Json, path: str, unknown: list[str]) -> None:
    prefix = f"{path}." if path else ""
    for name in ("apiVersion", "kind"):
        if name in value and not isinstance(value[name], str):
            raise strict.Unreadable(f"{prefix}{name}: Invalid value: {shown(value[name])}: must be a string")
    if "metadata" in value:
        try:
            value["metadata"], found = read_meta(value["metadata"])
        except strict.Unreadable as error:
            text = f"{prefix}metadata: Invalid value: {shown(value['metadata'])}: {error}"
            raise strict.Unreadable(text) from error
        unknown += [f"{prefix}metadata.{name}" for name in found]


def faults(value: Any, node: Node, path: str = "") -> Causes:
    """What is wrong with what is embedded at or under this node."""
    out: Causes = []
    _check(value, node, path, out)
    return out


def _check(value: Any, node: Node, path: str, out: Causes) -> None:
    if not node.embedded_below:
        return
    if type(value) is dict:
        if node.embedded:
            check_one(value, path, out)
        for name, item in value.items():
            if (inner := node.properties.get(name)) is not None:
                _check(item, inner, f"{path}.{name}" if path else name, out)
            elif node.additional is not None:
                _check(item, node.additional, f"{path}[{name}]", out)
    elif type(value) is list and node.items is not None:
        for index, item in enumerate(value):
            _check(item, node.items, f"{path}[{index}]", out)


def check_one(value: Json, path: str, out: Causes) -> None:
    """The kind, version and metadata of one object."""
    prefix = f"{path}." if path else ""
    out += [required(f"{prefix}{name}") for name in ("apiVersion", "kind") if name not in value]
    if "apiVersion" in value and (why := _version_fault(value["apiVersion"])):
        out.append(invalid(f"{prefix}apiVersion", value["apiVersion"], why))
    if "kind" in value and (why := _kind_fault(value["kind"])):
        out.append(invalid(f"{prefix}kind", value["kind"], why))
    if "metadata" not in value:
        return
    try:
        meta, _ = read_meta(value["metadata"])
    except strict.Unreadable as error:
        out.append(invalid(f"{prefix}metadata", value["metadata"], str(error)))
        return
    named = {**meta, "name": meta.get("name") or "fakename"}  # It need not have a name.
    generic_object_meta(named, bool(meta.get("namespace")), names.path_segment, out, f"{prefix}metadata")


def _version_fault(value: Any) -> str:
    if not isinstance(value, str):
        return "must be a string"
    if not value:
        return "must not be empty"
    return f"unexpected GroupVersion string: {value}" if value.count("/") > 1 else ""


def _kind_fault(value: Any) -> str:
    if not isinstance(value, str):
        return "must be a string"
    if not value:
        return "must not be empty"
    found = names.dns1035_label(value.lower())
    return "may have mixed case, but should otherwise match: " + ",".join(found) if found else ""
