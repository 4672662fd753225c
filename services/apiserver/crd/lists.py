"""Lists that are sets or maps: no two items may be the same, or have the same keys.

Upstream: `schema/listtype` of apiextensions-apiserver.
"""

from __future__ import annotations

from typing import Any

import orjson

from services.apiserver.crd.number_checks import NIL, go_json
from services.apiserver.crd.structural import Node
from services.apiserver.crd.values import FAULTS_MAX
from services.machinery.field_errors import Cause, Causes, invalid


def duplicates(value: Any, node: Node, path: str = "") -> Causes:
    """A cause for the second appearance of whatever may appear only once."""
    if not node.lists_below:
        return []
    out: Causes = []
    _walk(value, node, path, out)
    return out


def _walk(value: Any, node: Node, path: str, out: Causes) -> None:
    if len(out) >= FAULTS_MAX:
        return
    if type(value) is dict:
        for name, item in value.items():
            inner = node.properties.get(name)
            if inner is not None and inner.lists_below:
                _walk(item, inner, f"{path}.{name}" if path else name, out)
            if node.additional is not None and node.additional.lists_below:
                _walk(item, node.additional, f"{path}[{name}]", out)
    elif type(value) is list:
        if node.list_type == "set":
            for index in _repeated([_known_by(item) for item in value])[:FAULTS_MAX]:
                out.append(_duplicate(f"{path}[{index}]", value[index]))
        elif node.list_type == "map":
            out += _map_faults(value, node, path)
        if node.items is not None and node.items.lists_below:
            for index, item in enumerate(value):
                _walk(item, node.items, f"{path}[{index}]", out)


def _map_faults(items: list[Any], node: Node, path: str) -> Causes:
    for index, item in enumerate(items):
        if item is not None and type(item) is not dict:
            why = "must be an object for an array of list-type map"
            return [invalid(f"{path}[{index}]", item, why)]
    keys = [{name: item[name] for name in node.list_keys if item and name in item} for item in items]
    repeated = _repeated(list(map(_known_by, keys)))[:FAULTS_MAX]
    return [_duplicate(f"{path}[{index}]", keys[index]) for index in repeated]


def _known_by(item: Any) -> Any:
    if isinstance(item, dict | list):
        return orjson.dumps(item, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS, default=str)
    return type(item), item


def _repeated(known: list[Any]) -> list[int]:
    seen: dict[Any, int] = {}
    out = []
    for index, key in enumerate(known):
        times = seen[key] = seen.get(key, 0) + 1
        if times == 2:
            out.append(index)
    return out


def _duplicate(path: str, value: Any) -> Cause:
    shown = go_json(value)
    return {"reason": "FieldValueDuplicate", "message": f"Duplicate value: {shown}", "field": path or NIL}
