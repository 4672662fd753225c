"""The patch that `apply` sends: what the user changed, added and took out again, and nothing else.

Three states: what was applied last, what is to be applied, what is there. Fields that others set
stay. Lists merge by the key that the schema gives them. Upstream: strategicpatch's
CreateThreeWayMergePatch. Pure.
"""

from __future__ import annotations

from typing import Any

from services.machinery.schema.schema import Field, Schema

Json = dict[str, Any]

DELETE = "$patch"


def patch(original: Json, modified: Json, current: Json, schema: Schema | None) -> Json:
    """An empty patch means: nothing to do."""
    return _map(original, modified, current, schema)


def _map(original: Json, modified: Json, current: Json, schema: Schema | None, retain: bool = False) -> Json:
    result: Json = {}
    for key in sorted({*original, *modified}):
        field = schema.field(key) if schema is not None and schema.type == "struct" else None
        if key not in modified:
            if key in current:
                result[key] = None
        elif modified[key] is None:
            if current.get(key) is not None:
                result[key] = None
        else:
            _field(result, key, original.get(key), modified[key], current.get(key), field, schema)
    if retain and result:
        result["$retainKeys"] = sorted(modified)
    return result


def _field(
    result: Json, key: str, old: Any, new: Any, now: Any, field: Field | None, schema: Schema | None
) -> None:
    inner = field.schema if field is not None else (schema.items if schema is not None else None)
    if isinstance(new, dict) and isinstance(now, dict):
        retain = field is not None and "retainKeys" in field.patch_strategies
        change = _map(old if isinstance(old, dict) else {}, new, now, inner, retain)
        if change:
            result[key] = change
    elif isinstance(new, list) and isinstance(now, list):
        old = old if isinstance(old, list) else []
        if field is not None and "merge" in field.patch_strategies and field.merge_key:
            _keyed_list(result, key, old, new, now, field)
        elif field is not None and "merge" in field.patch_strategies:
            _plain_list(result, key, old, new, now)
        elif new != now:
            result[key] = new
    elif new != now:
        result[key] = new


def _keyed_list(
    result: Json, key: str, old: list[Json], new: list[Json], now: list[Json], field: Field
) -> None:
    """Elements are matched by the merge key; only what differs is sent."""
    name = field.merge_key
    if not all(isinstance(item, dict) and name in item for item in new):
        result[key] = new  # Not mergeable as it stands: the server will say what is missing.
        return
    before = {item.get(name): item for item in old if isinstance(item, dict)}
    there = {item.get(name): item for item in now if isinstance(item, dict)}
    wanted = [item[name] for item in new]
    retain = "retainKeys" in field.patch_strategies
    changes: list[Json] = []
    for item in new:
        identity = item[name]
        if identity not in there:
            changes.append(item)
            continue
        inner = _map(before.get(identity) or {}, item, there[identity], field.schema.items, retain)
        if inner:
            changes.append({**inner, name: identity})
    changes += [
        {DELETE: "delete", name: identity}
        for identity in before
        if identity in there and identity not in wanted
    ]
    kept = [identity for identity in there if identity in wanted]
    if changes or kept != [identity for identity in wanted if identity in there]:
        result[f"$setElementOrder/{key}"] = [{name: identity} for identity in wanted]
        if changes:
            result[key] = changes


def _plain_list(result: Json, key: str, old: list[Any], new: list[Any], now: list[Any]) -> None:
    """Lists of scalars that merge as sets, such as finalizers."""
    added = [item for item in new if item not in now]
    removed = [item for item in old if item not in new and item in now]
    if removed:
        result[f"$deleteFromPrimitiveList/{key}"] = removed
    if added:
        result[key] = added
    if added or removed:
        result[f"$setElementOrder/{key}"] = new
