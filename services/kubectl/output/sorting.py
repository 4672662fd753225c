"""`--sort-by`: rows and objects in the order of one of their fields.

Objects without the field come first; numbers, quantities and times sort by value. Upstream sorts
with an unstable algorithm: equal objects keep their order here, there they may not.
"""

from __future__ import annotations

from typing import Any

from services.api import kinds
from services.kubectl.errors import Fail
from services.kubectl.resources import Found
from services.machinery import jsonpath, quantity

Json = dict[str, Any]
SortKey = tuple[int, float, str]


def _path(expression: str) -> list[jsonpath.Node] | None:
    try:
        return jsonpath.parse(jsonpath.relaxed(expression))
    except jsonpath.JsonPathError:
        return None


def _key(path: list[jsonpath.Node], obj: Json) -> SortKey:
    try:
        found = jsonpath.find(path, obj)
    except jsonpath.JsonPathError:
        found = []
    value = found[0] if found else None
    if value is None:
        return (0, 0.0, "")
    if isinstance(value, (int, float)):
        return (1, float(value), "")
    text = str(value)
    if text[:1].isdigit():
        try:
            return (1, float(quantity.parse(text)), "")
        except ValueError:
            pass
    return (2, 0.0, text)


def _known(path: list[jsonpath.Node], objects: list[Json]) -> bool:
    """Whether any object has the field: else the expression is a mistake."""
    return any(_key(path, obj)[0] for obj in objects)


def sort_tables(
    tables: list[tuple[kinds.Resource, Json]], expression: str
) -> list[tuple[kinds.Resource, Json]]:
    """Tables with their rows sorted; rows carry their objects. An unknown field leaves no rows."""
    path = _path(expression)
    result = []
    for resource, table in tables:
        rows = table.get("rows") or []
        objects = [row.get("object") or {} for row in rows]
        if path is None or not _known(path, objects):
            rows = []
        else:
            rows = sorted(rows, key=lambda row: _key(path, row.get("object") or {}))
        result.append((resource, {**table, "rows": rows}))
    return result


def sort_objects(found: list[Found], expression: str) -> list[Found]:
    path = _path(expression)
    if path is None or (found and not _known(path, [item.object for item in found])):
        raise Fail(f'couldn\'t find any field with path "{{{expression}}}" in the list of objects')
    return sorted(found, key=lambda item: _key(path, item.object))
