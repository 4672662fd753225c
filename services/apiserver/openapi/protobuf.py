"""The second edition in the encoding that client-go asks for: gnostic's `openapi.v2.Document`. Pure.

Only what our own documents contain is written. Field numbers are those of gnostic's OpenAPIv2.proto; what the
format does not know stands as YAML text among the vendor extensions, as gnostic keeps it.
"""

from __future__ import annotations

from typing import Any

import orjson

Json = dict[str, Any]

_METHODS = {"get": 2, "put": 3, "post": 4, "delete": 5, "options": 6, "head": 7, "patch": 8}
_SUB_SCHEMAS = {"header": 1, "query": 3, "path": 4}


def encode(document: Json) -> bytes:
    parts = [
        _text(1, document["swagger"]),
        _bytes(2, _text(1, document["info"]["title"]) + _text(2, document["info"]["version"])),
        _bytes(8, b"".join(_named(2, path, _path(item)) for path, item in document["paths"].items())),
        _bytes(9, _all(1, document["definitions"], _schema)),
        _bytes(10, _all(1, document["parameters"], _parameter)),
        *(_bytes(12, _requirement(each)) for each in document.get("security", ())),
        _bytes(13, _all(1, document["securityDefinitions"], _security)),
    ]
    return b"".join(parts)


# -- the wire format -----------------------------------------------------------------------------


def _varint(value: int) -> bytes:
    made = bytearray()
    while value > 0x7F:
        made.append(value & 0x7F | 0x80)
        value >>= 7
    made.append(value)
    return bytes(made)


def _bytes(number: int, value: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _text(number: int, value: str) -> bytes:
    return _bytes(number, value.encode()) if value else b""


def _texts(number: int, values: list[str]) -> bytes:
    return b"".join(_bytes(number, each.encode()) for each in values)


def _flag(number: int, value: Any) -> bytes:
    return _varint(number << 3) + b"\x01" if value else b""


def _named(number: int, name: str, value: bytes) -> bytes:
    return _bytes(number, _text(1, name) + _bytes(2, value))


def _all(number: int, values: Json, write: Any) -> bytes:
    return b"".join(_named(number, name, write(value)) for name, value in values.items())


def _any(value: Any) -> bytes:
    """gnostic's Any, as YAML; JSON is YAML."""
    return _bytes(2, orjson.dumps(value) + b"\n")


def _extensions(number: int, value: Json) -> bytes:
    own = {name: each for name, each in value.items() if name.startswith("x-")}
    return _all(number, own, _any)


# -- the document's parts ------------------------------------------------------------------------


def _requirement(requirement: dict[str, list[str]]) -> bytes:
    return _all(1, requirement, lambda scopes: _texts(1, scopes))


def _security(entry: Json) -> bytes:
    key = _text(1, entry["type"]) + _text(2, entry["name"]) + _text(3, entry["in"])
    return _bytes(2, key + _text(4, entry["description"]))


def _path(item: Json) -> bytes:
    methods = (_bytes(number, _operation(item[name])) for name, number in _METHODS.items() if name in item)
    shared = (_bytes(9, _parameter_item(each)) for each in item.get("parameters", ()))
    return b"".join(methods) + b"".join(shared)


def _operation(operation: Json) -> bytes:
    responses = _all(1, operation["responses"], _response)
    parts = [
        _texts(1, operation.get("tags", [])),
        _text(3, operation.get("description", "")),
        _text(5, operation.get("operationId", "")),
        _texts(6, operation.get("produces", [])),
        _texts(7, operation.get("consumes", [])),
        *(_bytes(8, _parameter_item(each)) for each in operation.get("parameters", ())),
        _bytes(9, responses),
        _texts(10, operation.get("schemes", [])),
        _extensions(13, operation),
    ]
    return b"".join(parts)


def _response(response: Json) -> bytes:
    schema = _bytes(2, _bytes(1, _schema(response["schema"]))) if "schema" in response else b""
    return _bytes(1, _text(1, response["description"]) + schema)


def _parameter_item(parameter: Json) -> bytes:
    if "$ref" in parameter:
        return _bytes(2, _text(1, parameter["$ref"]))
    return _bytes(1, _parameter(parameter))


def _parameter(parameter: Json) -> bytes:
    name, place, says = parameter["name"], parameter["in"], parameter.get("description", "")
    required = parameter.get("required", False)
    if place == "body":
        body = _text(1, says) + _text(2, name) + _text(3, place) + _flag(4, required)
        return _bytes(1, body + _bytes(5, _schema(parameter["schema"])))
    kind = _text(6 if place in ("query", "form") else 5, parameter["type"])
    unique = _flag(20 if place == "query" else 19, parameter.get("uniqueItems"))
    made = _flag(1, required) + _text(2, place) + _text(3, says) + _text(4, name) + kind + unique
    return _bytes(2, _bytes(_SUB_SCHEMAS[place], made))


def _schema(schema: Json) -> bytes:
    parts = [
        _text(1, schema.get("$ref", "")),
        _text(2, schema.get("format", "")),
        _text(4, schema.get("description", "")),
        _bytes(5, _any(schema["default"])) if "default" in schema else b"",
        _texts(19, schema.get("required", [])),
        *(_bytes(20, _any(each)) for each in schema.get("enum", ())),
        _bytes(21, _additional(schema["additionalProperties"])) if "additionalProperties" in schema else b"",
        _bytes(22, _text(1, schema["type"])) if "type" in schema else b"",
        _bytes(23, _bytes(1, _schema(schema["items"]))) if "items" in schema else b"",
        _bytes(25, _all(1, schema["properties"], _schema)) if "properties" in schema else b"",
        _extensions(31, schema),
    ]
    return b"".join(parts)


def _additional(value: Json | bool) -> bytes:
    return _flag(2, value) if isinstance(value, bool) else _bytes(1, _schema(value))
