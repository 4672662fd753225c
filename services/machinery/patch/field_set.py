"""Sets of field paths, in the very form in which `managedFields` stores them (FieldsV1).

A set is a tree of dictionaries. A key names a step: `f:image` a field, `k:{"name":"c"}` an item of a
keyed list, `v:"x"` a value of a set. A node without children is a member; one that has children and is a
member itself says so with `.`. So what is stored needs no decoding, and two sets share what they
have in common: nothing here changes its arguments. Upstream: structured-merge-diff's `fieldpath.Set`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

FieldSet = dict[str, Any]

SELF = "."


def is_member(node: FieldSet) -> bool:
    return not node or SELF in node


def node(children: FieldSet, member: bool) -> FieldSet | None:
    """A node from its parts; None when there is nothing in it."""
    if not children:
        return {} if member else None
    return {SELF: {}, **children} if member else children


def _children(tree: FieldSet) -> FieldSet:
    if SELF not in tree:
        return tree
    return {key: child for key, child in tree.items() if key != SELF}


def union(one: FieldSet, other: FieldSet) -> FieldSet:
    """Of two whole sets (whose root is no member)."""
    if not one or not other:
        return one or other
    out = dict(one)
    for key, theirs in other.items():
        ours = out.get(key)
        out[key] = theirs if ours is None else _union_nodes(ours, theirs)
    return out


def _union_nodes(one: FieldSet, other: FieldSet) -> FieldSet:
    if one is other:
        return one
    member = is_member(one) or is_member(other)
    return node(union(_children(one), _children(other)), member) or {}


def difference(one: FieldSet, other: FieldSet) -> FieldSet:
    """Of whole sets: `one` itself when nothing is taken away."""
    out: FieldSet | None = None
    for key, theirs in other.items():
        ours = one.get(key)
        if ours is None or key == SELF:
            continue
        rest = _difference_nodes(ours, theirs)
        if rest is ours:
            continue
        if out is None:
            out = dict(one)
        if rest is None:
            del out[key]
        else:
            out[key] = rest
    return one if out is None else out


def _difference_nodes(one: FieldSet, other: FieldSet) -> FieldSet | None:
    ours = _children(one)
    rest = difference(ours, other) if ours else ours
    member = is_member(one) and not is_member(other)
    if rest is ours and member == is_member(one):
        return one
    return node(rest, member)


def intersection(one: FieldSet, other: FieldSet) -> FieldSet:
    """Of whole sets."""
    small, large = (one, other) if len(one) <= len(other) else (other, one)
    out = {}
    for key, child in small.items():
        match = large.get(key)
        if match is None or key == SELF:
            continue
        member = is_member(child) and is_member(match)
        both = node(intersection(_children(child), _children(match)), member)
        if both is not None:
            out[key] = both
    return out


def without(tree: FieldSet, *path: str) -> FieldSet:
    """Without that path and everything below it."""
    child = tree.get(path[0])
    if child is None:
        return tree
    out = dict(tree)
    if len(path) > 1:
        rest = without(child, *path[1:])
        if rest is child:
            return tree
        if rest and rest.keys() != {SELF}:
            out[path[0]] = rest
            return out
        if SELF in child:
            out[path[0]] = {}
            return out
    del out[path[0]]
    return out


def paths(tree: FieldSet, prefix: str = "") -> Iterator[str]:
    """Every member as upstream prints it, `.spec.ports[port=80].name`: at each level members first."""
    steps = sorted((key for key in tree if key != SELF), key=_order)
    for key in steps:
        if is_member(tree[key]):
            yield prefix + step_text(key)
    for key in steps:
        yield from paths(tree[key], prefix + step_text(key))


def _order(key: str) -> tuple[str, str]:
    return key[:1], key


def step_text(key: str) -> str:
    if key.startswith("k:"):
        pairs = orjson.loads(key[2:])
        return "[" + ",".join(f"{name}={_quoted(pairs[name])}" for name in sorted(pairs)) + "]"
    if key.startswith("v:"):
        return f"[={_quoted(orjson.loads(key[2:]))}]"
    return "." + key[2:]


def _quoted(value: Any) -> str:
    return orjson.dumps(value).decode()
