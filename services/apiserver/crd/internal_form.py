"""Parts of a definition as messages print them: upstream's internal types, in Go's field names and order.

Its refusals show the value that they refuse, and the internal types have no JSON names of their own.
"""

from __future__ import annotations

from typing import Any

import orjson

Json = dict[str, Any]

_ESCAPES = (("&", "\\u0026"), ("<", "\\u003c"), (">", "\\u003e"))
_RULE: Json = {
    "rule": "", "message": "", "messageExpression": "", "reason": None, "fieldPath": "",
    "optionalOldSelf": None,
}  # fmt: skip
_COLUMN: Json = {"name": "", "type": "", "format": "", "description": "", "priority": 0, "jsonPath": ""}
_SCALE: Json = {"specReplicasPath": "", "statusReplicasPath": "", "labelSelectorPath": None}
_SCHEMA: Json = {
    "id": "", "$schema": "", "$ref": None, "description": "", "type": "", "nullable": False, "format": "",
    "title": "", "default": None, "maximum": None, "exclusiveMaximum": False, "minimum": None,
    "exclusiveMinimum": False, "maxLength": None, "minLength": None, "pattern": "", "maxItems": None,
    "minItems": None, "uniqueItems": False, "multipleOf": None, "enum": None, "maxProperties": None,
    "minProperties": None, "required": None, "items": None, "allOf": None, "oneOf": None, "anyOf": None,
    "not": None, "properties": None, "additionalProperties": None, "patternProperties": None,
    "dependencies": None, "additionalItems": None, "definitions": None, "externalDocs": None, "example": None,
    "x-kubernetes-preserve-unknown-fields": None, "x-kubernetes-embedded-resource": False,
    "x-kubernetes-int-or-string": False, "x-kubernetes-list-map-keys": None, "x-kubernetes-list-type": None,
    "x-kubernetes-map-type": None, "x-kubernetes-validations": None,
}  # fmt: skip
_NAMES = {"id": "ID", "$schema": "Schema", "$ref": "Ref", "jsonPath": "JSONPath"}


def go_name(name: str) -> str:
    """The Go field of a JSON name: `maxItems` is MaxItems, `x-kubernetes-list-type` XListType."""
    if name in _NAMES:
        return _NAMES[name]
    if name.startswith("x-kubernetes-"):
        return "X" + "".join(word.title() for word in name.removeprefix("x-kubernetes-").split("-"))
    return name[0].upper() + name[1:]


_GO_NAMES = {name: go_name(name) for name in _SCHEMA} | {
    "x-kubernetes-preserve-unknown-fields": "XPreserveUnknownFields",
    "x-kubernetes-embedded-resource": "XEmbeddedResource",
}


def fields_of(schema: Json) -> list[str]:
    """The Go names of the fields that are set, in Go's order."""
    return [_GO_NAMES[name] for name in _SCHEMA if schema.get(name) not in (None, "", False, [], {})]


def text(value: Any) -> str:
    """As Go's encoder prints it, which spares no HTML."""
    written = orjson.dumps(value).decode()
    for letter, escaped in _ESCAPES:
        written = written.replace(letter, escaped)
    return written


def rule(given: Json) -> Json:
    return _named(given, _RULE)


def schema(given: Json) -> Json:
    out = _named(given, _SCHEMA)
    for name in ("AllOf", "OneOf", "AnyOf"):
        out[name] = [schema(each) for each in out[name]] if out[name] else None
    for name in ("Properties", "PatternProperties", "Definitions"):
        found = out[name]
        out[name] = {key: schema(found[key]) for key in sorted(found)} if found else None
    out["Not"] = schema(out["Not"]) if out["Not"] is not None else None
    out["Items"] = items(out["Items"]) if out["Items"] is not None else None
    for name in ("AdditionalProperties", "AdditionalItems"):
        if (found := out[name]) is not None:
            inner = schema(found) if isinstance(found, dict) else None
            out[name] = {"Allows": found is not False, "Schema": inner}
    if out["ExternalDocs"] is not None:
        out["ExternalDocs"] = _named(out["ExternalDocs"], {"description": "", "url": ""})
    out["XValidations"] = [rule(each) for each in out["XValidations"]] if out["XValidations"] else None
    return out


def items(given: Any) -> Json:
    is_list = isinstance(given, list)
    return {
        "Schema": None if is_list else schema(given),
        "JSONSchemas": [schema(each) for each in given] if is_list else None,
    }


def version(given: Json) -> Json:
    """What is the same in all versions stands above them, and has left `given` already."""
    validation, subresources = given.get("schema"), given.get("subresources")
    columns, selectable = given.get("additionalPrinterColumns"), given.get("selectableFields")
    return {
        "Name": given.get("name", ""),
        "Served": given.get("served", False),
        "Storage": given.get("storage", False),
        "Deprecated": given.get("deprecated", False),
        "DeprecationWarning": given.get("deprecationWarning"),
        "Schema": None if validation is None else _validation(validation),
        "Subresources": None if subresources is None else _subresources(subresources),
        "AdditionalPrinterColumns": [_named(each, _COLUMN) for each in columns] if columns else None,
        "SelectableFields": [{"JSONPath": each["jsonPath"]} for each in selectable] if selectable else None,
    }


def _validation(given: Json) -> Json:
    found = given.get("openAPIV3Schema")
    return {"OpenAPIV3Schema": None if found is None else schema(found)}


def _subresources(given: Json) -> Json:
    scale = given.get("scale")
    return {"Status": given.get("status"), "Scale": None if scale is None else _named(scale, _SCALE)}


def _named(given: Json, zeros: Json) -> Json:
    return {_GO_NAMES.get(name) or go_name(name): given.get(name, zero) for name, zero in zeros.items()}
