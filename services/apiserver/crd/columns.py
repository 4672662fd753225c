"""What `kubectl get` shows of custom objects, and which fields selectors may name: both by JSONPath.

Upstream: `customresource/tableconvertor` and `strategy.selectableFields` of apiextensions-apiserver.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from services.apiserver.crd.number_checks import go_float
from services.machinery import duration, jsonpath

Json = dict[str, Any]

_AGE: Json = {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}


@dataclass(frozen=True, slots=True)
class Column:
    """One printer column; `path` None where the JSONPath cannot be read: the table ends before it."""

    definition: Json
    path: list[jsonpath.Node]

    def cell(self, obj: Json, now: datetime) -> Any:
        try:
            found = jsonpath.find(self.path, obj)
        except jsonpath.JsonPathError:
            return None
        if not found:
            return None
        kind = self.definition["type"]
        return _text(found[0]) if kind == "string" else _cell(kind, found[0], now)


def _text(value: Any) -> str:
    if value is None:
        return "<no value>"
    return go_float(value) if isinstance(value, float) else jsonpath.format_value(value)


def _cell(kind: str, value: Any, now: datetime) -> Any:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    match kind:
        case "integer" if is_number:
            return int(value)
        case "number" if is_number:
            return value
        case "boolean" if isinstance(value, bool):
            return value
        case "date" if isinstance(value, str):
            try:
                return duration.since(value, now)
            except ValueError:
                return "<invalid>"
    return None


def _description(what: str) -> str:
    # Tables of custom objects are made by this module: its own package's start is no time to ask for them.
    from services.apiserver.tables.descriptions import DESCRIPTIONS

    return DESCRIPTIONS[what]


def printer_columns(version: Json) -> list[Column]:
    """The columns of a version after its name: those of the definition, or else the age."""
    given = version.get("additionalPrinterColumns")
    columns = []
    for column in given or ({**_AGE, "description": _description("age")},):
        try:
            path = jsonpath.parse(f"{{{column['jsonPath']}}}")
        except jsonpath.JsonPathError:
            break
        described = f"Custom resource definition column (in JSONPath format): {column['jsonPath']}"
        columns.append(Column({**column, "description": column.get("description") or described}, path))
    return columns


def definitions(columns: list[Column]) -> list[Json]:
    """The Table's columnDefinitions."""
    name: Json = {"name": "Name", "type": "string", "format": "name", "description": _description("name")}
    return [
        {
            "name": column.get("name", ""),
            "type": column.get("type", ""),
            "format": column.get("format", ""),
            "description": column["description"],
            "priority": column.get("priority", 0),
        }
        for column in ({**name, "priority": 0}, *(each.definition for each in columns))
    ]


@dataclass(frozen=True, slots=True)
class Selectable:
    """A field that field selectors may name."""

    name: str
    path: list[jsonpath.Node]

    def value(self, obj: Json) -> str:
        try:
            found = jsonpath.find(self.path, obj)
        except jsonpath.JsonPathError:
            return ""
        if not found or found[0] is None:
            return ""
        value = found[0]
        return value if isinstance(value, str) else jsonpath.format_value(value)


def selectable_fields(version: Json) -> list[Selectable]:
    found = []
    for field in version.get("selectableFields") or ():
        path = field["jsonPath"]
        try:
            found.append(Selectable(path.removeprefix("."), jsonpath.parse(f"{{{path}}}")))
        except jsonpath.JsonPathError:
            continue  # Validation lets none through that cannot be read.
    return found
