"""Is a schema structural? Types at every place, and nothing but value validations under the junctors.

Causes come sorted, as upstream sorts them. Upstream: `schema.ValidateStructural`.
"""

from __future__ import annotations

from typing import Any

from services.machinery import regexp
from services.machinery.field_errors import Causes, forbidden, invalid, required

Json = dict[str, Any]

_ROOT, _ITEM, _FIELD = "at the root", "for specified array items", "for specified object fields"
_INT_OR_STRING = [{"type": "integer"}, {"type": "string"}]
_NESTED_FORBIDDEN = (
    ("type", "must be empty to be structural"),
    ("additionalProperties", "must be undefined to be structural"),
    ("default", "must be undefined to be structural"),
    ("title", "must be empty to be structural"),
    ("description", "must be empty to be structural"),
    ("nullable", "must be false to be structural"),
    ("x-kubernetes-preserve-unknown-fields", "must be false to be structural"),
    ("x-kubernetes-embedded-resource", "must be false to be structural"),
    ("x-kubernetes-int-or-string", "must be false to be structural"),
    ("x-kubernetes-list-map-keys", "must be empty to be structural"),
    ("x-kubernetes-list-type", "must be undefined to be structural"),
    ("x-kubernetes-map-type", "must be undefined to be structural"),
    ("x-kubernetes-validations", "must be empty to be structural"),
)


def structural_faults(schema: Json, path: str) -> Causes:
    """Why a schema is not structural; nothing when it is."""
    out: Causes = []
    _check(schema, _ROOT, path, out)
    _check_complete(schema, schema, path, path, out)
    return sorted(out, key=lambda cause: f"{cause['field']}: {cause['message']}")


def _items(schema: Json) -> Json | None:
    found = schema.get("items")
    return found if isinstance(found, dict) else None


def _check(schema: Json, level: str, path: str, out: Causes) -> None:
    kind = schema.get("type", "")
    items = _items(schema)
    if kind == "array" and items is None:
        out.append(required(f"{path}.items", "must be specified"))
    if items is not None:
        _check(items, _ITEM, f"{path}.items", out)
    for name, inner in (schema.get("properties") or {}).items():
        _check(inner, _FIELD, f"{path}.properties[{name}]", out)
    additional = schema.get("additionalProperties")
    if additional is not None:
        if level is _ROOT:
            out.append(forbidden(f"{path}.additionalProperties", "must not be used at the root"))
        if isinstance(additional, dict):
            _check(additional, _FIELD, f"{path}.additionalProperties", out)
    _check_extensions(schema, path, out)
    first_of_all = (schema.get("allOf") or [{}])[0].get("anyOf")
    _check_values(schema, path, out, schema.get("anyOf") == _INT_OR_STRING, first_of_all == _INT_OR_STRING)
    _check_type(schema, level, path, out)
    _check_meta(schema, level, path, out)


def _check_extensions(schema: Json, path: str, out: Causes) -> None:
    if not schema.get("x-kubernetes-int-or-string"):
        return
    for name in ("x-kubernetes-preserve-unknown-fields", "x-kubernetes-embedded-resource"):
        if schema.get(name):
            why = "must be false if x-kubernetes-int-or-string is true"
            out.append(invalid(f"{path}.{name}", True, why))


def _check_type(schema: Json, level: str, path: str, out: Causes) -> None:
    kind, here = schema.get("type", ""), f"{path}.type"
    is_open = schema.get("x-kubernetes-int-or-string") or schema.get("x-kubernetes-preserve-unknown-fields")
    embedded = schema.get("x-kubernetes-embedded-resource")
    if embedded and kind != "object":
        why = "must be object if x-kubernetes-embedded-resource is true"
        out.append(invalid(here, kind, why) if kind else required(here, why))
    elif not kind and not is_open:
        out.append(required(here, f"must not be empty {level}"))
    if embedded and schema.get("additionalProperties") is not None:
        why = "must not be used if x-kubernetes-embedded-resource is set"
        out.append(forbidden(f"{path}.additionalProperties", why))
    if level is _ROOT and kind and kind != "object":
        out.append(invalid(here, kind, "must be object at the root"))
    if embedded and not schema.get("x-kubernetes-preserve-unknown-fields") and not schema.get("properties"):
        why = (
            "must not be empty if x-kubernetes-embedded-resource is true without"
            " x-kubernetes-preserve-unknown-fields"
        )
        out.append(required(f"{path}.properties", why))


def _check_meta(schema: Json, level: str, path: str, out: Causes) -> None:
    properties = schema.get("properties") or {}
    is_resource = level is _ROOT or schema.get("x-kubernetes-embedded-resource")
    if is_resource:
        for name in ("kind", "apiVersion"):
            if name in properties and properties[name].get("type", "") != "string":
                here = f"{path}.properties[{name}].type"
                out.append(invalid(here, properties[name].get("type", ""), "must be string"))
    if "metadata" not in properties:
        return
    metadata, here = properties["metadata"], f"{path}.properties[metadata]"
    if is_resource and metadata.get("type", "") != "object":
        out.append(invalid(f"{here}.type", metadata.get("type", ""), "must be object"))
    if level is _ROOT and _says_more_than_names(metadata):
        why = (
            "must not specify anything other than name and generateName, but metadata is implicitly specified"
        )
        out.append(forbidden(here, why))


def _says_more_than_names(metadata: Json) -> bool:
    rest = {name: value for name, value in metadata.items() if name not in ("type", "default") and value}
    if set(rest.get("properties") or ()) <= {"name", "generateName"}:
        rest.pop("properties", None)
    return bool(rest)


def _check_values(schema: Json, path: str, out: Causes, skips_any: bool, skips_first: bool) -> None:
    if not skips_any:
        for index, inner in enumerate(schema.get("anyOf") or ()):
            _check_nested(inner, f"{path}.anyOf[{index}]", out)
    for index, inner in enumerate(schema.get("allOf") or ()):
        _check_nested(inner, f"{path}.allOf[{index}]", out, skips_any=skips_first and index == 0)
    for index, inner in enumerate(schema.get("oneOf") or ()):
        _check_nested(inner, f"{path}.oneOf[{index}]", out)
    if schema.get("not") is not None:
        _check_nested(schema["not"], f"{path}.not", out)
    pattern = schema.get("pattern") or ""
    if pattern and (fault := regexp.fault(pattern)):
        why = f"must be a valid regular expression, but isn't: {fault}"
        out.append(invalid(f"{path}.pattern", pattern, why))


def _check_nested(schema: Json, path: str, out: Causes, *, skips_any: bool = False) -> None:
    """A schema under a junctor may only validate values."""
    _check_values(schema, path, out, skips_any, skips_first=False)
    if (items := _items(schema)) is not None:
        _check_nested(items, f"{path}.items", out)
    properties = schema.get("properties") or {}
    for name, inner in properties.items():
        _check_nested(inner, f"{path}.properties[{name}]", out)
    for name, why in _NESTED_FORBIDDEN:
        given = schema.get(name)
        if given or (given is not None and _means_something(name, given)):
            out.append(forbidden(f"{path}.{name}", why))
    if "metadata" in properties:
        why = "must not be specified in a nested context"
        out.append(forbidden(f"{path}.properties[metadata]", why))


def _means_something(name: str, given: Any) -> bool:
    """Empty values that are not the same as none."""
    return name == "default" or (name == "additionalProperties" and given is not False)


def _check_complete(values: Json, structure: Json | None, path: str, from_path: str, out: Causes) -> None:
    """What a junctor names has to be specified outside of it."""
    nested = [(f"{from_path}.not", values["not"])] if values.get("not") is not None else []
    for name in ("allOf", "anyOf", "oneOf"):
        nested += [(f"{from_path}.{name}[{i}]", each) for i, each in enumerate(values.get(name) or ())]
    for place, inner in nested:
        _check_nested_complete(inner, structure, path, place, out)


def _check_nested_complete(
    values: Json, structure: Json | None, path: str, from_path: str, out: Causes
) -> None:
    if structure is None:
        out.append(required(path, f"because it is defined in {from_path}"))
        return
    _check_complete(values, structure, path, from_path, out)
    if (items := _items(values)) is not None:
        _check_nested_complete(items, _items(structure), f"{path}.items", f"{from_path}.items", out)
    known = structure.get("properties") or {}
    for name, inner in (values.get("properties") or {}).items():
        here, there = f"{path}.properties[{name}]", f"{from_path}.properties[{name}]"
        _check_nested_complete(inner, known.get(name), here, there, out)
