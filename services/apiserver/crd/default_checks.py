"""Defaults in a schema have to be what they would be made into: pruned, and valid by the schema around them.

Upstream: `schema/defaulting.ValidateDefaults`.
"""

from __future__ import annotations

from typing import Any

from services.apiserver.crd import embedded, pruning, rules, values
from services.apiserver.crd.structural import META_FIELDS, Node
from services.apiserver.rules.strict import Unreadable
from services.machinery.field_errors import Cause, Causes, invalid

_SURROUNDING = {"apiVersion": "validation/v1", "kind": "Validation"}


def default_faults(root: Node, path: str, *, require_pruned: bool = True) -> Causes:
    """Of all defaults in a structural schema."""
    out: Causes = []
    if root.default is not None or root.default_below:
        _walk(root, path, out, require_pruned, in_meta=False, is_root=True)
    return out


def _walk(node: Node, path: str, out: Causes, require_pruned: bool, *, in_meta: bool, is_root: bool) -> None:
    embeds = node.embedded or is_root
    if embeds:
        in_meta = False
    if node.default is not None:
        out += _faults(node, f"{path}.default", require_pruned, in_meta)
    if not node.default_below:
        return
    if node.items is not None:
        _walk(node.items, f"{path}.items", out, require_pruned, in_meta=in_meta, is_root=False)
    for name, child in node.properties.items():
        inside = in_meta or (embeds and name in META_FIELDS)
        here = f"{path}.properties[{name}]"
        _walk(child, here, out, require_pruned, in_meta=inside, is_root=False)


def _faults(node: Node, path: str, require_pruned: bool, in_meta: bool) -> Causes:
    given, out = node.default, list[Cause]()
    if require_pruned and not in_meta:
        pruned: Any = pruning.copied(given)
        if node.embedded and isinstance(pruned, dict):
            pruning.prune(pruned, node)
        else:
            pruning.prune_value(pruned, node)
        if not values.same(pruned, given):
            out.append(invalid(path, given, "must not have unknown fields"))
    if found := _meta_faults(node, path):
        return out + found
    if found := [values.under(path, cause) for cause in values.validate(node, given)]:
        return out + found
    if node.rules_below:
        checker = rules.compiled(node, is_root=node.embedded)
        # A default may come into an object that had it before, or into one that had nothing.
        found = checker.faults(given, given, path) or checker.faults(given, None, path)
    return out + found


def _meta_faults(node: Node, path: str) -> Causes:
    if not node.embedded_below:
        return []
    try:
        copy: Any = pruning.copied(node.default)
        embedded.coerce(copy, node, path)
    except Unreadable as error:
        return [invalid(path, node.default, str(error))]
    return embedded.faults(copy, node, path)
