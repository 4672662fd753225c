"""Strategic merge patch: a merge patch that knows which lists are maps in disguise.

The schema says how a list merges: by a key (`containers` by name), as a set of scalars
(`finalizers`), or not at all. Directives inside the patch say the rest:

    $patch: replace | delete            this map, or this element of the list
    $retainKeys: [...]                  fields that are not named go
    $deleteFromPrimitiveList/f: [...]   take these out of the set f
    $setElementOrder/f: [...]           the order that list f ends in

Upstream: `apimachinery/pkg/util/strategicpatch`, whose orders and errors this keeps. The inputs
are not changed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from services.api.errors import ApiError, bad_request, failure
from services.machinery.schema import Field, Schema

Json = dict[str, Any]

PATCH = "$patch"
RETAIN_KEYS = "$retainKeys"
DELETE_FROM = "$deleteFromPrimitiveList/"
ELEMENT_ORDER = "$setElementOrder/"


def strategic_merge(current: Json, patch: Json, schema: Schema) -> Json:
    """ApiError in upstream's words when the patch makes no sense for that schema."""
    return _merge_map(current, patch, schema)


def _merge_map(original: Json, patch: Json, schema: Schema | None) -> Json:
    directive = patch.get(PATCH)
    if directive == "replace":
        return {key: value for key, value in patch.items() if key != PATCH}
    if directive == "delete":
        return {}
    if PATCH in patch:
        raise _bad_directive(directive, patch)
    merged, todo = dict(original), dict(patch)
    _retain_keys(merged, todo)
    _merge_ordered_lists(merged, todo, schema)
    for key, value in todo.items():
        is_deletion = key.startswith(DELETE_FROM)
        name = key[len(DELETE_FROM) :] if is_deletion else key
        if value is None:
            merged.pop(name, None)
        elif name not in merged or not _same_type(merged[name], value):
            if not is_deletion:
                merged[name] = _clean(value)
        elif isinstance(value, dict):
            merged[name] = _merge_struct_field(merged[name], value, schema, name)
        elif isinstance(value, list):
            merged[name] = _merge_list_field(merged[name], value, _field(schema, name), is_deletion)
        else:
            merged[name] = value
    return merged


def _merge_struct_field(original: Json, patch: Json, schema: Schema | None, name: str) -> Json:
    field = _field(schema, name)
    if field is not None and "replace" in field.patch_strategies:
        return patch
    inner = field.schema if field is not None else schema.items if schema is not None else None
    return _merge_map(original, patch, inner)


def _merge_list_field(
    original: list[Any], patch: list[Any], field: Field | None, is_deletion: bool = False
) -> list[Any]:
    if field is None or "merge" not in field.patch_strategies:
        return patch
    return _merge_list(original, patch, field, is_deletion)


def _merge_list(original: list[Any], patch: list[Any], field: Field, is_deletion: bool) -> list[Any]:
    if not original and not patch:
        return original
    if not _holds_maps(original, patch):
        if is_deletion:
            return [item for item in original if item not in patch]
        merged = list(dict.fromkeys([*original, *patch]))
        return _in_order(merged, patch, original, _identity)
    key = field.merge_key
    if not key:
        raise _server_error(f"cannot merge lists without merge key for {field.schema.items}")
    original, patch = _special_elements(original, patch, key)
    merged = list(original)
    for item in patch:
        at = _index_of(merged, key, _key_of(item, key))
        if at is None:
            merged.append(item)
        else:
            merged[at] = _merge_map(merged[at], item, field.schema.items)
    return _in_order(merged, patch, original, partial(_key_of, key=key))


def _special_elements(original: list[Any], patch: list[Any], key: str) -> tuple[list[Any], list[Any]]:
    """Carries out `$patch` elements: what is left of both lists."""
    rest, replace = [], False
    for item in patch:
        directive = item.get(PATCH)
        if PATCH not in item:
            rest.append(item)
        elif directive == "delete":
            doomed = _key_of(item, key)
            original = [each for each in original if each.get(key) != doomed]
        elif directive == "replace":
            replace = True
        elif directive == "merge":
            raise _server_error("merging lists cannot yet be specified in the patch")
        else:
            raise _bad_directive(directive, item)
    return (rest, []) if replace else (original, rest)


def _retain_keys(merged: Json, patch: Json) -> None:
    if RETAIN_KEYS not in patch:
        return
    keys = patch.pop(RETAIN_KEYS)
    if not isinstance(keys, list):
        raise bad_request("invalid patch format of retainKeys")
    for name, value in patch.items():
        if value is not None and not name.startswith((DELETE_FROM, ELEMENT_ORDER)) and name not in keys:
            raise bad_request("invalid patch format of retainKeys")
    for name in [name for name in merged if name not in keys]:
        del merged[name]


def _merge_ordered_lists(merged: Json, patch: Json, schema: Schema | None) -> None:
    """Merges each list that comes with `$setElementOrder`, and takes both out of the patch."""
    for directive in [name for name in patch if name.startswith(ELEMENT_ORDER)]:
        order = patch.pop(directive)
        name = directive[len(ELEMENT_ORDER) :]
        if not isinstance(order, list):
            raise bad_request("invalid patch format of setElementOrder list")
        field = _field(schema, name)
        original, changes = merged.get(name), patch.get(name)
        if original is None and changes is None:
            continue
        key = field.merge_key if field is not None else ""
        identify = partial(_key_of, key=key) if key else _identity
        _check_order(changes or [], order, identify)
        if changes is None:
            both = original
        elif original is None:
            both = _clean(changes)
        else:
            both = _merge_list_field(original, changes, field)
        merged[name] = _in_order(both or [], order, original or [], identify)
        patch.pop(name, None)


def _check_order(changes: list[Any], order: list[Any], identify: Callable[[Any], Any]) -> None:
    """What the patch adds or changes must stand in the order list, in the same order."""
    places = [identify(item) for item in order]
    at = 0
    for item in changes:
        if isinstance(item, dict) and item.get(PATCH) in ("delete", "replace"):
            continue
        try:
            at = places.index(identify(item), at) + 1
        except ValueError:
            raise _server_error(
                f"The order in patch list:\n{go_text(changes)}\n doesn't match {ELEMENT_ORDER[:-1]} list:"
                f"\n{go_text(order)}\n"
            ) from None


def _in_order(
    merged: list[Any], patch: Sequence[Any], server: Sequence[Any], identify: Callable[[Any], Any]
) -> list[Any]:
    """The patch's items in its order; the server's others keep theirs, before what followed them."""
    patch_places = _places(patch, identify)
    server_places = _places(server, identify)
    named = [item for item in merged if _hashable(identify(item)) in patch_places]
    others = [item for item in merged if _hashable(identify(item)) not in patch_places]
    named.sort(key=lambda item: patch_places[_hashable(identify(item))])
    out: list[Any] = []
    while named and others:
        left = server_places.get(_hashable(identify(others[0])))
        right = server_places.get(_hashable(identify(named[0])))
        first = left is not None and right is not None and left < right
        out.append(others.pop(0) if first else named.pop(0))
    return out + named + others


def _places(items: Sequence[Any], identify: Callable[[Any], Any]) -> dict[Any, int]:
    places: dict[Any, int] = {}
    for at, item in enumerate(items):
        places.setdefault(_hashable(identify(item)), at)
    return places


def _clean(value: Any) -> Any:
    """A value that the original does not have: without its nulls and directives."""
    if isinstance(value, dict):
        if value.get(PATCH) == "delete":
            return {}
        return {
            key: _clean(item)
            for key, item in value.items()
            if item is not None
            and key not in (PATCH, RETAIN_KEYS)
            and not key.startswith((ELEMENT_ORDER, DELETE_FROM))
        }
    if isinstance(value, list):
        return [_clean(item) for item in value if not (isinstance(item, dict) and PATCH in item)]
    return value


def _field(schema: Schema | None, name: str) -> Field | None:
    return schema.fields.get(name) if schema is not None else None


def _same_type(one: Any, other: Any) -> bool:
    return type(one) is type(other)


def _holds_maps(*lists: list[Any]) -> bool:
    kinds = {isinstance(item, dict) for items in lists for item in items}
    if len(kinds) > 1:
        raise _server_error("list element types are not identical: [map[string]interface {} string]")
    if any(isinstance(item, list) for items in lists for item in items):
        raise failure(422, "Invalid", "lists of lists are not supported")
    return True in kinds


def _key_of(item: Any, key: str) -> Any:
    if not isinstance(item, dict) or key not in item:
        raise _server_error(f"map: {go_text(item)} does not contain declared merge key: {key}")
    return item[key]


def _index_of(items: list[Any], key: str, value: Any) -> int | None:
    return next((at for at, item in enumerate(items) if item.get(key) == value), None)


def _identity(item: Any) -> Any:
    return item


def _hashable(value: Any) -> Any:
    return go_text(value) if isinstance(value, dict | list) else value


def _bad_directive(directive: Any, patch: Json) -> ApiError:
    return _server_error(f"unknown patch type '{directive}' in map: {go_text(patch)}")


def _server_error(message: str) -> ApiError:
    """Upstream lets these through as they are: status 500 without a reason."""
    return failure(500, "", message)


def go_text(value: Any) -> str:
    """A value as Go's `%v` prints it, which some messages quote."""
    if isinstance(value, dict):
        return "map[" + " ".join(f"{key}:{go_text(value[key])}" for key in sorted(value)) + "]"
    if isinstance(value, list):
        return "[" + " ".join(go_text(item) for item in value) + "]"
    if value is None:
        return "<nil>"
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
