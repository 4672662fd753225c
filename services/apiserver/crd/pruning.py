"""Pruning, defaulting and coercing: a custom object brought into the form that its schema gives it.

All in place. Pruning twice prunes nothing more, and neither does defaulting. Unknown fields are told by
path, so that fieldValidation can warn or refuse. Upstream: `schema/pruning`, `schema/defaulting` and
`schema/objectmeta` of apiextensions-apiserver.
"""

from __future__ import annotations

from typing import Any

from services.apiserver.crd.structural import META_FIELDS, Node

Json = dict[str, Any]


def prune(obj: Json, root: Node) -> list[str]:
    """Takes out what the schema does not know. Gives the paths, sorted; metadata is not looked at."""
    found: list[str] = []
    if root.preserve:
        _keep(obj, root, "", found, embedded=True)
    else:
        _prune(obj, root, "", found, embedded=True)
    return sorted(found)


def prune_value(value: Any, node: Node) -> list[str]:
    """The same for a value inside of an object, such as a default."""
    found: list[str] = []
    _walk(value, node, "", found)
    return sorted(found)


def _walk(value: Any, node: Node | None, path: str, found: list[str]) -> None:
    kind = type(value)
    if kind is not dict and kind is not list:
        return
    if node is None:
        _prune_unknown(value, path, found)
    elif node.preserve:
        _keep(value, node, path, found, embedded=node.embedded)
    else:
        _prune(value, node, path, found, embedded=node.embedded)


def _prune(value: Any, node: Node, path: str, found: list[str], *, embedded: bool) -> None:
    if type(value) is list:
        for index, item in enumerate(value):
            _walk(item, node.items, f"{path}[{index}]", found)
        return
    properties = node.properties
    gone = []
    for name, item in value.items():
        if embedded and name in META_FIELDS:
            continue
        inner = properties.get(name)
        if inner is not None:
            if type(item) is dict or type(item) is list:
                _walk(item, inner, f"{path}.{name}" if path else name, found)
        elif node.additional_allowed:
            _walk(item, node.additional, f"{path}.{name}" if path else name, found)
        else:
            gone.append(name)
    for name in gone:
        del value[name]
        if path or name not in META_FIELDS:
            found.append(f"{path}.{name}" if path else name)


def _prune_unknown(value: Any, path: str, found: list[str]) -> None:
    """Nothing is known here, so no field can stay; lists and scalars do."""
    if type(value) is list:
        for index, item in enumerate(value):
            _walk(item, None, f"{path}[{index}]", found)
        return
    found += [f"{path}.{name}" if path else name for name in value]
    value.clear()


def _keep(value: Any, node: Node, path: str, found: list[str], *, embedded: bool) -> None:
    """Unknown fields stay, and yet what is known inside is pruned by what is known of it."""
    if type(value) is list:
        if node.items is not None:
            for index, item in enumerate(value):
                if type(item) is dict or type(item) is list:
                    _keep(item, node.items, f"{path}[{index}]", found, embedded=node.items.embedded)
        return
    if not node.properties and not node.additional_allowed:
        return
    for name, item in value.items():
        if embedded and name in META_FIELDS:
            continue
        inner = node.properties.get(name)
        if inner is not None or node.additional_allowed:
            _walk(item, inner or node.additional, f"{path}.{name}" if path else name, found)


def default(value: Any, node: Node) -> None:
    """Fills in the defaults of what is left out, and of nulls where null is not allowed."""
    if not node.default_below:
        return
    if type(value) is dict:
        for name, inner in node.properties.items():
            if inner.default is not None and (
                name not in value or (value[name] is None and not inner.nullable)
            ):
                value[name] = copied(inner.default)
        for name, item in value.items():
            field = node.properties.get(name) or node.additional
            if field is not None:
                if name not in node.properties and item is None and not field.nullable:
                    item = value[name] = copied(field.default)
                default(item, field)
    elif type(value) is list and node.items is not None:
        items = node.items
        for index, item in enumerate(value):
            if item is None and not items.nullable:
                item = value[index] = copied(items.default)
            default(item, items)


def copied(value: Any) -> Any:
    """A value of its own for each object."""
    if type(value) is dict:
        return {name: copied(item) for name, item in value.items()}
    if type(value) is list:
        return [copied(item) for item in value]
    return value


def drop_nulls(value: Any, node: Node | None) -> None:
    """Takes out the nulls of fields that may not be null and have no default. Nothing else."""
    if type(value) is dict:
        gone = []
        for name, item in value.items():
            inner = None if node is None else node.properties.get(name) or node.additional
            if item is None:
                if inner is not None and not inner.nullable and inner.default is None:
                    gone.append(name)
            elif node is not None and (type(item) is dict or type(item) is list):
                drop_nulls(item, inner)
        for name in gone:
            del value[name]
    elif type(value) is list and node is not None:
        for item in value:
            drop_nulls(item, node.items)
