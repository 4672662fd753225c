"""Normal form: an object as upstream's own encoder would write it, in one pass over regular input.

`normaliser(schema)` gives a compiled function from decoded JSON to a new dict: types checked, nulls
and empty `omitempty` fields gone, quantities and times canonical, what Go always writes present.
It knows no paths and explains nothing: whatever is not as it should be raises `Irregular`, and
the caller (the API server's strict decoder) looks again, slowly, to say what and where.
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode, b64encode
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from services.machinery import quantity
from services.machinery.schema.schema import ANY_JSON, Field, Schema, definition

Convert = Callable[[Any], Any]

INT_BOUNDS = {"int32": (-(1 << 31), (1 << 31) - 1), "int64": (-(1 << 63), (1 << 63) - 1)}
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")


class Irregular(ValueError):
    """The value does not have the schema's form. Says nothing about where."""


def _text(value: Any) -> str:
    if type(value) is not str:
        raise Irregular
    return value


def _bool(value: Any) -> bool:
    if type(value) is not bool:
        raise Irregular
    return value


def _int32(value: Any) -> int:
    if type(value) is not int or not -2147483648 <= value <= 2147483647:
        raise Irregular
    return value


def _int64(value: Any) -> int:
    if type(value) is not int or not INT_BOUNDS["int64"][0] <= value <= INT_BOUNDS["int64"][1]:
        raise Irregular
    return value


def _float(value: Any) -> float:
    if type(value) is not int and type(value) is not float:
        raise Irregular
    return value


def _int_or_string(value: Any) -> int | str:
    return value if type(value) is str else _int32(value)


def _quantity(value: Any) -> str:
    if type(value) is not str and type(value) is not int:
        raise Irregular  # A float has lost the digits that were sent.
    try:
        return quantity.canonical(str(value))
    except ValueError as error:
        raise Irregular from error


def _bytes(value: Any) -> str:
    text = _text(value)
    try:
        return b64encode(b64decode(text.translate(_NEWLINES), validate=True)).decode()
    except (binascii.Error, ValueError) as error:
        raise Irregular from error


_NEWLINES = {10: None, 13: None}


def _time(value: Any) -> str:
    return _seconds(_text(value))


def _microtime(value: Any) -> str:
    return _written(_moment(_text(value)), "microseconds")


@lru_cache(maxsize=1024)  # The same times come back with every change of an object.
def _seconds(text: str) -> str:
    return _written(_moment(text), "seconds")


def _written(moment: datetime, precision: str) -> str:
    """With four digits of the year, which `strftime` has not before the year 1000."""
    return f"{moment.replace(tzinfo=None).isoformat(timespec=precision)}Z"


def _moment(text: str) -> datetime:
    if not _RFC3339.fullmatch(text):
        raise Irregular
    try:
        return datetime.fromisoformat(text.upper()).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise Irregular from error


def _json_schema(value: Any) -> Any:
    """A JSONSchemaProps where something else could stand."""
    return normaliser(definition("apiextensions.v1.JSONSchemaProps"))(value)


def _schema_or_array(value: Any) -> Any:
    return [_json_schema(each) for each in value] if type(value) is list else _json_schema(value)


def _schema_or_bool(value: Any) -> Any:
    return value if type(value) is bool else _json_schema(value)


def _schema_or_strings(value: Any) -> Any:
    return [_text(each) for each in value] if type(value) is list else _json_schema(value)


_LEAVES: dict[str, Convert] = {
    "string": _text,
    "bool": _bool,
    "int32": _int32,
    "int64": _int64,
    "float64": _float,
    "bytes": _bytes,
    "time": _time,
    "microtime": _microtime,
    "duration": _text,
    "quantity": _quantity,
    "intorstring": _int_or_string,
    **dict.fromkeys(ANY_JSON, lambda value: value),
    "schemaorarray": _schema_or_array,
    "schemaorbool": _schema_or_bool,
    "schemaorstrings": _schema_or_strings,
}
_ZEROS: dict[str, Any] = {
    "string": "", "bool": False, "int32": 0, "int64": 0, "float64": 0, "quantity": "0", "intorstring": 0,
    "bytes": None, "time": None, "microtime": None, "duration": "0s", "list": None, "map": None,
    **dict.fromkeys(ANY_JSON),
}  # fmt: skip


def zero(schema: Schema) -> Any:
    """What Go writes for a value that was never set."""
    return normaliser(schema)({}) if schema.type == "struct" else _ZEROS[schema.type]


_compiled: dict[Schema, Convert] = {}


def normaliser(schema: Schema) -> Convert:
    """The compiled function of a schema; schemas may contain themselves."""
    if found := _compiled.get(schema):
        return found
    if schema.type == "struct":
        return _struct(schema)
    if schema.type == "list":
        built = _list(schema)
    elif schema.type == "map":
        built = _map(schema)
    else:
        built = _LEAVES[schema.type]
    _compiled[schema] = built
    return built


def _list(schema: Schema) -> Convert:
    assert schema.items is not None
    item_schema, convert = schema.items, normaliser(schema.items)

    def items(value: Any) -> list[Any] | None:
        if type(value) is not list:
            raise Irregular
        # An empty list and none are the same thing to upstream, which writes the latter.
        return [zero(item_schema) if item is None else convert(item) for item in value] or None

    return items


def _map(schema: Schema) -> Convert:
    assert schema.items is not None
    item_schema, convert = schema.items, normaliser(schema.items)

    def entries(value: Any) -> dict[str, Any] | None:
        if type(value) is not dict:
            raise Irregular
        return {
            key: zero(item_schema) if item is None else convert(item) for key, item in value.items()
        } or None

    return entries


def _struct(schema: Schema) -> Convert:
    table: dict[str, tuple[Convert | None, bool]] = {}
    always: list[tuple[str, Field]] = []

    def struct(value: Any) -> dict[str, Any]:
        if type(value) is not dict:
            raise Irregular
        out: dict[str, Any] = {}
        for key, item in value.items():
            entry = table.get(key)
            if entry is None:
                raise Irregular
            if item is None:
                continue
            convert, keeps_empty = entry
            if convert is None:
                if type(item) is not str:
                    raise Irregular
            else:
                item = convert(item)
            if item or keeps_empty:
                out[key] = item
        for key, field in always:
            if key not in out:
                out[key] = None if field.pointer else zero(field.schema)
        return out

    _compiled[schema] = struct  # Before the fields: a schema may contain itself.
    if schema.typed:
        table["apiVersion"] = table["kind"] = (None, False)
    for name, field in schema.fields.items():
        inner = field.schema
        keeps_empty = not field.omits_empty
        table[name] = (None if inner.type == "string" else normaliser(inner), keeps_empty)
        if field.written:
            always.append((name, field))
    return struct
