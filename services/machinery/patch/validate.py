"""Does a configuration to apply fit the schema? The refusals of structured-merge-diff, in its words.

Stricter than decoding: server-side apply must be able to tell every field and every list item.
"""

from __future__ import annotations

from typing import Any

import orjson

from services.machinery.patch.field_set import step_text
from services.machinery.patch.shapes import Form, Shape

_NUMERIC = ("int32", "int64", "float64")
_TEXT = ("string", "bytes", "time", "microtime", "duration")


def faults(value: Any, shape: Shape, path: str = "") -> list[str]:
    """`.spec.replicas: expected numeric (int or float), got string`, one for each fault."""
    if value is None:
        return []
    kind = shape.schema.type
    if kind in ("struct", "map"):
        return _map_faults(value, shape, path)
    if kind == "list":
        return _list_faults(value, shape, path)
    return [f"{path}: {wrong}"] if (wrong := _scalar_fault(value, kind)) else []


def _map_faults(value: Any, shape: Shape, path: str) -> list[str]:
    if not isinstance(value, dict):
        return [f"{path}: expected map, got {_shown(value)}"]
    found = []
    is_struct = shape.schema.type == "struct"
    for name, item in value.items():
        if path == "" and name in ("apiVersion", "kind"):
            continue
        if is_struct and name not in shape.fields:
            if shape.schema.open:
                continue
            found.append(f"{path}.{name}: field not declared in schema")
            continue
        inner = shape.fields[name][1] if is_struct else shape.items
        found += faults(item, inner, f"{path}.{name}")
    return found


def _list_faults(value: Any, shape: Shape, path: str) -> list[str]:
    if not isinstance(value, list):
        return [f"{path}: expected list, got {_shown(value)}"]
    found, seen = [], set()
    for index, item in enumerate(value):
        if shape.form not in (Form.KEYED, Form.SET):
            found += faults(item, shape.items, f"{path}[{index}]")
            continue
        step = shape.item_step(item)
        if step is None:
            keys = orjson.dumps([name for name, _ in shape.key]).decode().replace(",", " ")
            found.append(
                f"{path}: element {index}: associative list with keys has an element that omits all "
                f"key fields {keys} (and doesn't have default values for any key fields)"
            )
            continue
        if step in seen:
            found.append(f"{path}: duplicate entries for key {step_text(step)}")
        seen.add(step)
        found += faults(item, shape.items, path + step_text(step))
    return found


def _scalar_fault(value: Any, kind: str) -> str:
    if kind in _NUMERIC and (isinstance(value, bool) or not isinstance(value, int | float)):
        return f"expected numeric (int or float), got {_type(value)}"
    if kind in _TEXT and not isinstance(value, str):
        return f"expected string, got {_shown(value)}"
    if kind == "bool" and not isinstance(value, bool):
        return f"expected boolean, got {_shown(value)}"
    return ""


def _type(value: Any) -> str:
    names = {str: "string", bool: "boolean", dict: "map", list: "list"}
    return names.get(type(value), "number")


def _shown(value: Any) -> str:
    if isinstance(value, dict | list):
        return f"&value.valueUnstructured{{Value:{orjson.dumps(value).decode()}}}"
    return f"&value.valueUnstructured{{Value:{value!r}}}" if not isinstance(value, str) else f'"{value}"'
