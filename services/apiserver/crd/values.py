"""Does a value fit a schema? The checks of kube-openapi's validator, in its words and order.

`check` walks a value along a node and collects causes; with the old value it forgives what the
update did not touch (ratcheting). It returns how much fitted, by which upstream chooses the alternative
of an anyOf or oneOf whose faults it tells. Fields of objects are looked at in the object's own order;
upstream's is random.
"""

from __future__ import annotations

from typing import Any

from services.apiserver.crd.number_checks import NIL, composite, go_json, is_json_integer, number_faults
from services.apiserver.crd.structural import Node
from services.machinery import turns
from services.machinery.field_errors import (
    Cause,
    Causes,
    invalid,
    not_supported,
    quoted,
    required,
    too_long,
    too_many,
    type_invalid,
)

FAULTS_MAX = 1000  # of one object; then nobody looks further, for nobody would read it
UNKNOWN: Any = object()  # in place of an old value: there is none to compare with
_NAMES = {str: "string", int: "integer", float: "number", bool: "boolean", dict: "object", list: "array"}
_NUMBER_FORMATS = {int: "int64", float: "float64"}


def validate(node: Node, value: Any, old: Any = UNKNOWN) -> Causes:
    """The causes why a value is refused, each said once."""
    found: Causes = []
    if old is UNKNOWN or not same(old, value):
        check(node, value, "", found, old)
    return once(found)


def under(path: str, cause: Cause) -> Cause:
    """The cause with its field told from further above."""
    field = cause["field"]
    return {**cause, "field": path if field == NIL else f"{path}.{field}"}


def once(found: Causes) -> Causes:
    if len(found) < 2:
        return found
    return list({(cause["field"], cause["message"]): cause for cause in found}.values())


def same(first: Any, second: Any) -> bool:
    """Equal as JSON is: True is not 1, and 1 is not 1.0."""
    if type(first) is not type(second):
        return False
    if type(first) is dict:
        return len(first) == len(second) and all(
            name in second and same(value, second[name]) for name, value in first.items()
        )
    if type(first) is list:
        return len(first) == len(second) and all(map(same, first, second))
    return bool(first == second)


def check(node: Node, value: Any, path: str, out: Causes, old: Any = UNKNOWN) -> int:
    """Appends what is wrong with a value; gives how many checks it passed, counted as upstream does."""
    if value is None:
        return _check_null(node, path, out)
    kind = type(value)
    if kind is int and not -(1 << 63) <= value < 1 << 63:
        kind, value = float, float(value) if value.bit_length() < 1024 else float("inf")
    count = node.count
    if node.accepts is not None and kind not in node.accepts and (fault := _wrong_type(node, value, path)):
        out.append(fault)
        count -= 1
    if node.junctions:
        count += _check_junctions(node, value, path, out)
    if kind is str:
        count += _check_text(node, value, path, out)
        return count
    if kind is dict:
        return count + _check_object(node, value, path, out, old)
    if kind is list:
        return count + _check_list(node, value, path, out, old)
    if kind is not bool:
        count += 2
        if node.numeric or kind is float:
            out += number_faults(node, value, path)
    if node.enum:
        _check_enum(node, value, path, out)
    return count


def _check_null(node: Node, path: str, out: Causes) -> int:
    fits = not node.types or node.nullable
    if not fits:
        out.append(_type_fault(path, ",".join(node.types), "null"))
    if node.enum:
        out.append(not_supported(path or NIL, None, _enum_texts(node)))
    return int(fits)


def _wrong_type(node: Node, value: Any, path: str) -> Cause | None:
    kind = type(value)
    if kind is float and "integer" in node.types and is_json_integer(value):
        return None
    if node.format and not isinstance(value, str | list) and _NAMES[kind] not in node.types:
        return _type_fault(path, node.format, _NUMBER_FORMATS.get(kind, ""))
    return _type_fault(path, ",".join(node.types), _NAMES[kind]) if node.types else None


def _type_fault(path: str, wanted: str, got: str) -> Cause:
    return type_invalid(path or NIL, got, f"{path} in body must be of type {wanted}: {quoted(got)}")


def _check_text(node: Node, value: str, path: str, out: Causes) -> int:
    fault: Cause | None = None
    if node.max_length is not None and len(value) > node.max_length:
        fault = too_long(path or NIL, node.max_length)
    elif node.min_length is not None and len(value) < node.min_length:
        fault = _invalid(path, value, f"should be at least {node.min_length} chars long")
    elif node.pattern is not None and not node.pattern.search(value):
        fault = _invalid(path, value, f"should match '{node.pattern_text}'")
    if fault is not None:
        out.append(fault)
    count = 1
    if node.format_check is not None:
        count = 2
        if not node.format_check(value):
            why = f"{path} in body must be of type {node.format}: {quoted(value)}"
            out.append(type_invalid(path or NIL, value, why))
    if node.enum:
        _check_enum(node, value, path, out)
    return count


def _invalid(path: str, value: Any, what: str) -> Cause:
    return invalid(path or NIL, value, f"{path} in body {what}")


def _check_enum(node: Node, value: Any, path: str, out: Causes) -> None:
    if (type(value), value) in node.enum_values if not isinstance(value, dict | list) else False:
        return
    if not any(_equals(value, allowed) for allowed in node.enum):
        out.append(not_supported(path or NIL, value, _enum_texts(node)))


def _equals(value: Any, allowed: Any) -> bool:
    numbers = (int, float)
    if type(value) in numbers and type(allowed) in numbers:
        return bool(value == allowed)
    return allowed is not None and same(value, allowed)


def _enum_texts(node: Node) -> list[str]:
    return [value if isinstance(value, str) else go_json(value) for value in node.enum]


def _check_list(node: Node, value: list[Any], path: str, out: Causes, old: Any) -> int:
    count = 2
    turns.done(len(value))
    if (items := node.items) is not None:
        former = UNKNOWN
        if old is not UNKNOWN and node.list_type == "map" and type(old) is list:
            former = _by_key(node, old)
        for index, item in enumerate(value):
            before = UNKNOWN if former is UNKNOWN else former.get(key_of(node, item), UNKNOWN)
            if before is UNKNOWN or not same(before, item):
                count += check(items, item, f"{path}[{index}]", out, before)
                if len(out) >= FAULTS_MAX:
                    return count
    size = len(value)
    if node.min_items is not None and size < node.min_items:
        out.append(_invalid(path, size, f"should have at least {node.min_items} items"))
    if node.max_items is not None and size > node.max_items:
        out.append(too_many(path or NIL, size, node.max_items))
    if node.enum:
        _check_enum(node, value, path, out)
    return count


def key_of(node: Node, item: Any) -> Any:
    """What an item of a list-type=map is known by."""
    if not isinstance(item, dict):
        return None
    return tuple(_scalar(item.get(name)) for name in node.list_keys)


def _scalar(value: Any) -> Any:
    return (type(value), value) if isinstance(value, str | int | float) else repr(value)


def _by_key(node: Node, items: list[Any]) -> Any:
    return {key_of(node, item): item for item in items}


def _check_object(node: Node, value: dict[str, Any], path: str, out: Causes, old: Any) -> int:
    count = 0
    turns.done(len(value))
    if node.enum:
        _check_enum(node, value, path, out)
    if node.sized:
        _check_size(node, value, path, out)
    former = old if type(old) is dict else None
    properties, additional = node.properties, node.additional
    for name, item in value.items():
        inner = properties.get(name)
        if inner is None:
            if additional is None:
                continue
            inner, place = additional, f"{path}.{name}"
        else:
            place = f"{path}.{name}" if path else name
        before = UNKNOWN
        if former is not None and name in former and not (place == name and name in ("kind", "apiVersion")):
            before = former[name]
            if same(before, item):
                continue
        count += check(inner, item, place, out, before)
        if len(out) >= FAULTS_MAX:
            return count
    for name in node.required:
        if name not in value:
            out.append(required(f"{path}.{name}" if path else name))
    return count


def _check_size(node: Node, value: dict[str, Any], path: str, out: Causes) -> None:
    size = len(value)
    if node.min_properties is not None and size < node.min_properties:
        out.append(_invalid(path, size, f"should have at least {node.min_properties} properties"))
    if node.max_properties is not None and size > node.max_properties:
        out.append(too_many(path or NIL, size, node.max_properties))
    if node.closed:
        for name in value:
            if name not in node.properties:
                out.append(invalid(path or NIL, name, f"{path}.{name} in body is a forbidden property"))


# Alternatives.


def _check_junctions(node: Node, value: Any, path: str, out: Causes) -> int:
    count = 0
    if node.any_of:
        count += _any_of(node.any_of, value, path, out)
    if node.one_of:
        count += _one_of(node.one_of, value, path, out)
    if node.all_of:
        count += _all_of(node.all_of, value, path, out)
    if node.not_ is not None:
        found: Causes = []
        check(node.not_, value, path, found)
        if not found:
            out.append(composite(f"{quoted(path)} must not validate the schema (not)"))
    return count


def _any_of(choices: tuple[Node, ...], value: Any, path: str, out: Causes) -> int:
    best, best_count = list[Cause](), -1
    for choice in choices:
        found: Causes = []
        count = check(choice, value, path, found)
        if not found:
            return count
        if count > best_count:
            best, best_count = found, count
    out.append(composite(f"{quoted(path)} must validate at least one schema (anyOf)"))
    out += best
    return best_count


def _one_of(choices: tuple[Node, ...], value: Any, path: str, out: Causes) -> int:
    best, best_count, fitting, first_count = list[Cause](), -1, 0, 0
    for choice in choices:
        found: Causes = []
        count = check(choice, value, path, found)
        if not found:
            first_count = first_count if fitting else count
            fitting += 1
        elif not fitting and count > best_count:
            best, best_count = found, count
    if fitting == 1:
        return first_count
    why = f"Found {fitting} valid alternatives" if fitting else "Found none valid"
    out.append(composite(f"{quoted(path)} must validate one and only one schema (oneOf). {why}"))
    if fitting:
        return 0
    out += best
    return best_count


def _all_of(choices: tuple[Node, ...], value: Any, path: str, out: Causes) -> int:
    count = fitting = 0
    for choice in choices:
        found: Causes = []
        count += check(choice, value, path, found)
        fitting += not found
        out += found
    if fitting < len(choices):
        why = "" if fitting else ". None validated"
        out.append(composite(f"{quoted(path)} must validate all the schemas (allOf){why}"))
    return count
