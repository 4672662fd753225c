"""Comparing, merging and pruning objects field by field, with the schema's idea of a field.

`compare` gives which paths changed and which went; `to_set` the paths that a value has; `merge`
lays an applied configuration over the live object; `remove` takes paths out. Arguments are never changed,
results share what stays. Upstream: structured-merge-diff's `typed` package.
"""

from __future__ import annotations

from typing import Any

from services.machinery.patch import field_set
from services.machinery.patch.field_set import FieldSet
from services.machinery.patch.shapes import Form, Shape

_ABSENT: Any = object()


def compare(old: Any, new: Any, shape: Shape) -> tuple[FieldSet | None, FieldSet | None]:
    """(added or modified, removed) as nodes at this place; None for nothing. null is a value."""
    if old == new:
        return None, None
    form = shape.form
    if form is Form.DEDUCED:
        shape = shape.of(old if isinstance(new, dict) else new)
        form = shape.form
    if form is Form.LEAF or not (old or new):
        return {}, None
    if form is Form.STRUCT or form is Form.MAP:
        before, after = _fields(old), _fields(new)
    else:
        before = dict(shape.entries(old)) if isinstance(old, list) else {}
        after = dict(shape.entries(new)) if isinstance(new, list) else {}
    return _compare_entries(before, after, shape)


def _fits(value: Any, form: Form) -> bool:
    """A custom object may be of another form than its schema: until it is refused, or since that changed."""
    if form is Form.STRUCT or form is Form.MAP:
        return isinstance(value, dict)
    return form is Form.LEAF or isinstance(value, list)


def _fields(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _compare_entries(
    before: dict[str, Any], after: dict[str, Any], shape: Shape
) -> tuple[FieldSet | None, FieldSet | None]:
    changed: FieldSet = {}
    removed: FieldSet = {}
    by_name = shape.form is Form.STRUCT or shape.form is Form.MAP
    items = None if by_name else shape.items
    for name, value in after.items():
        step, inner = shape.step(name) if items is None else (name, items)
        old = before.get(name, _ABSENT)
        if old is _ABSENT:
            changed[step] = whole(value, inner)
            continue
        more, less = compare(old, value, inner)
        if more is not None:
            changed[step] = more
        if less is not None:
            removed[step] = less
    for name, value in before.items():
        if name not in after:
            step, inner = shape.step(name) if items is None else (name, items)
            removed[step] = whole(value, inner)
    return changed or None, removed or None


def whole(value: Any, shape: Shape) -> FieldSet:
    """A value that is all new, or all gone: every path in it, the inner ones included."""
    form = shape.form
    if form is Form.DEDUCED:
        shape = shape.of(value)
        form = shape.form
    if form is Form.LEAF or not value or not _fits(value, form):
        return {}
    out: FieldSet = {field_set.SELF: {}}
    if form is Form.STRUCT:
        fields = shape.fields
        for name, item in value.items():
            known = fields.get(name)
            if known is None:
                step, inner = shape.step(name)
                out[step] = whole(item, inner)
            elif known[1].form is Form.LEAF:
                out[known[0]] = {}
            else:
                out[known[0]] = whole(item, known[1])
        return out
    if form is Form.MAP:
        for name, item in value.items():
            out[f"f:{name}"] = whole(item, shape.items)
        return out
    for step, item in shape.entries(value):
        out[step] = whole(item, shape.items)
    return out


def to_set(value: Any, shape: Shape) -> FieldSet:
    """The paths that a configuration names: leaves, list items, map entries; structs only when empty."""
    out: FieldSet = {}
    if not value:
        return out
    if shape.form is Form.DEDUCED:
        shape = shape.of(value)
    form = shape.form
    if not _fits(value, form):
        return out
    if form is Form.STRUCT or form is Form.MAP:
        for name, item in value.items():
            step, inner = shape.step(name)
            if inner.form is Form.DEDUCED:
                inner = inner.of(item)
            member = inner.form is Form.LEAF or item is None or item == {} or form is Form.MAP
            _put(out, step, _inside(item, inner), member)
    elif form is not Form.LEAF:
        for step, item in shape.entries(value):
            _put(out, step, _inside(item, shape.items), True)
    return out


def _inside(value: Any, shape: Shape) -> FieldSet:
    return {} if shape.form is Form.LEAF else to_set(value, shape)


def _put(out: FieldSet, step: str, children: FieldSet, member: bool) -> None:
    made = field_set.node(children, member)
    if made is not None:
        out[step] = made


def named_fields(tree: FieldSet, shape: Shape) -> FieldSet:
    """The set with every struct's field on the way to a member made a member too."""
    out = {}
    for step, child in tree.items():
        if step == field_set.SELF:
            out[step] = child
            continue
        inner = _shape_at(step, shape)
        below = named_fields(child, inner) if inner is not None and child else child
        is_field = shape.form is Form.STRUCT and step.startswith("f:")
        if is_field and below and field_set.SELF not in below:
            below = {field_set.SELF: {}, **below}
        out[step] = below
    return out


def _shape_at(step: str, shape: Shape) -> Shape | None:
    if shape.form is Form.LEAF:
        return None
    if shape.form is Form.DEDUCED:
        return shape
    if step.startswith("f:"):
        return shape.step(step[2:])[1] if shape.form in (Form.STRUCT, Form.MAP) else None
    return shape.items if shape.form in (Form.KEYED, Form.SET) else None


def remove(value: Any, tree: FieldSet, shape: Shape) -> Any:
    """Without the paths in the set; what loses all it had becomes null."""
    if shape.form is Form.DEDUCED:
        shape = shape.of(value)
    if not tree or shape.form is Form.LEAF or not value or not _fits(value, shape.form):
        return value
    kept: Any
    if isinstance(value, dict):
        kept = {}
        for name, item in value.items():
            step, inner = shape.step(name)
            if (child := tree.get(step)) is None:
                kept[name] = item
            elif not field_set.is_member(child):
                kept[name] = remove(item, child, inner)
        return kept or None
    kept = []
    for item in value:
        child = tree.get(shape.item_step(item) or "")
        if child is None:
            kept.append(item)
        elif not field_set.is_member(child):
            kept.append(remove(item, child, shape.items))
    return kept or None


def merge(live: Any, config: Any, shape: Shape) -> Any:
    """The live value with the configuration laid over it."""
    if shape.form is Form.DEDUCED:
        shape = shape.of(live if isinstance(config, dict) else config)
    form = shape.form
    if not (live is None or _fits(live, form)) or not (config is None or _fits(config, form)):
        return config
    if form is Form.LEAF or live is None or config is None or not (live or config):
        return config if config is not None else (None if form is Form.LEAF else live)
    if form is Form.STRUCT or form is Form.MAP:
        merged = dict(live)
        for name, value in config.items():
            inner = shape.step(name)[1]
            merged[name] = merge(merged[name], value, inner) if name in merged else value
        return merged
    return _merge_lists(dict(shape.entries(live)), dict(shape.entries(config)), shape)


def _merge_lists(live: dict[str, Any], config: dict[str, Any], shape: Shape) -> list[Any]:
    """The configuration's items keep its order, the live ones theirs; where both can, they interleave."""
    inner = shape.items
    out: list[Any] = []
    merged: set[str] = set()
    left, right = list(live), list(config)
    shared = [step for step in right if step in live]
    at_left = at_right = 0

    def take(step: str) -> None:
        merged.add(step)
        out.append(merge(live[step], config[step], inner) if step in live else config[step])
        if shared and shared[0] == step:
            shared.pop(0)

    while at_left < len(left) or at_right < len(right):
        if at_left < len(left):
            step = left[at_left]
            if step not in config:
                out.append(live[step])
                at_left += 1
                continue
            if step in merged or (at_right < len(right) and shared and shared[0] != step):
                at_left += 1  # Merged already, or out of the configuration's order: it will come there.
                continue
        if at_right < len(right):
            step = right[at_right]
            if at_left < len(left) and left[at_left] == step:
                at_left += 1
            take(step)
            at_right += 1
    return out
