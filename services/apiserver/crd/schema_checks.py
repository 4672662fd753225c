"""What an `openAPIV3Schema` may say: features that are refused, list and map types, rules' own fields.

Faults of the schema and faults of its rules are kept apart, for rules are only compiled where the schema
under them is sound. Upstream: `ValidateCustomResourceDefinitionOpenAPISchema`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from services.apiserver.crd import field_paths
from services.apiserver.crd.structural import META_FIELDS, Node
from services.machinery import turns
from services.machinery.field_errors import Causes, forbidden, invalid, not_supported, required

Json = dict[str, Any]

PLACE = 50  # units of work
_TYPES = ("array", "boolean", "integer", "number", "object", "string")
_REASONS = ("FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired")
_UNSUPPORTED = ("id", "additionalItems", "patternProperties", "definitions", "dependencies", "$ref")


class RuleCompiler(Protocol):
    """Says what is wrong with the rules of one place of a schema."""

    def __call__(
        self, node: Node, path: str, uncorrelatable: str, often: int | None, *, is_root: bool
    ) -> Causes: ...


@dataclass(frozen=True, slots=True)
class Place:
    """What holds where the walk is."""

    no_defaults: str = ""  # why not; empty where defaults are allowed
    in_meta: bool = False
    uncorrelatable: str = ""  # the outermost place below which there is no oldSelf
    often: int | None = 1  # how many such places an object may have; None: nobody says
    is_root: bool = False
    nodes: Mapping[int, Node] = field(default_factory=dict)  # by the id of their schema
    compile_rules: RuleCompiler | None = None  # None where rules are not looked at

    def inside(self, schema: Json, path: str, correlatable: bool) -> Place:
        lost = self.uncorrelatable or ("" if correlatable else path)
        factor = _elements_max(schema)
        often = None if self.often is None or factor is None else self.often * factor
        return replace(self, uncorrelatable=lost, is_root=False, often=often)


def _elements_max(schema: Json) -> int | None:
    """How many children a value may have in each place under it; None where there is no bound."""
    bound = None
    if schema.get("type") == "array":
        bound = schema.get("maxItems")
    elif schema.get("type") == "object" and schema.get("additionalProperties") is not None:
        bound = schema.get("maxProperties")
    else:
        return 1
    return None if bound is None else max(int(bound), 0)


@dataclass(slots=True)
class Faults:
    schema: Causes = field(default_factory=list)
    rules: Causes = field(default_factory=list)

    def add(self, other: Faults) -> None:
        self.schema += other.schema
        self.rules += other.rules


def check(schema: Json, path: str, place: Place) -> Faults:
    """Everything that is wrong at and under this place of a schema."""
    turns.done(PLACE)
    out = Faults()
    out.schema += _forbidden_features(schema, path, place)
    _check_children(schema, path, place, out)
    if schema.get("x-kubernetes-preserve-unknown-fields") is False:
        here = f"{path}.x-kubernetes-preserve-unknown-fields"
        out.schema.append(invalid(here, False, "must be true or undefined"))
    out.schema += _map_type_faults(schema, path)
    out.schema += _list_type_faults(schema, path)
    out.schema += _list_map_faults(schema, path)
    out.schema += _item_faults(schema, path)
    rules = schema.get("x-kubernetes-validations") or ()
    for index, rule in enumerate(rules):
        node = place.nodes.get(id(schema))
        out.schema += _rule_faults(node, rule, f"{path}.x-kubernetes-validations[{index}]")
    node = place.nodes.get(id(schema))
    if rules and not out.schema and node is not None and place.compile_rules is not None:
        out.rules += place.compile_rules(node, path, place.uncorrelatable, place.often, is_root=place.is_root)
    return out


def _forbidden_features(schema: Json, path: str, place: Place) -> Causes:
    out: Causes = []
    kind = schema.get("type", "")
    if kind and kind not in _TYPES:
        out.append(not_supported(f"{path}.type", kind, _TYPES))
    if schema.get("default") is not None and place.no_defaults:
        out.append(forbidden(f"{path}.default", f"must not be set {place.no_defaults}"))
    for name in _UNSUPPORTED:
        given = schema.get(name)
        if given is not None and (given or name in ("additionalItems", "$ref", "dependencies")):
            out.append(forbidden(f"{path}.{name}", f"{name} is not supported"))
    if kind == "null":
        why = "type cannot be set to null, use nullable as an alternative"
        out.append(forbidden(f"{path}.type", why))
    if isinstance(schema.get("items"), list) and schema["items"]:
        out.append(forbidden(f"{path}.items", "items must be a schema object and not an array"))
    if place.in_meta and schema.get("x-kubernetes-embedded-resource"):
        here = f"{path}.x-kubernetes-embedded-resource"
        out.append(forbidden(here, "must not be used inside of resource meta"))
    if schema.get("uniqueItems"):
        why = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic"
        out.append(forbidden(f"{path}.uniqueItems", why))
    return out


def _check_children(schema: Json, path: str, place: Place, out: Faults) -> None:
    additional, properties = schema.get("additionalProperties"), schema.get("properties") or {}
    if properties and additional is not None and additional is not True:
        why = "additionalProperties and properties are mutual exclusive"
        out.schema.append(forbidden(f"{path}.additionalProperties", why))
    if isinstance(additional, dict):
        inner = place.inside(schema, path, correlatable=True)
        if place.in_meta:
            inner = replace(inner, no_defaults="inside additionalProperties applying to object metadata")
        out.add(check(additional, f"{path}.additionalProperties", inner))
    for name, child in properties.items():
        correlatable = schema.get("x-kubernetes-map-type") in (None, "granular", "atomic")
        inner = place.inside(schema, path, correlatable)
        if (place.is_root or schema.get("x-kubernetes-embedded-resource")) and name in META_FIELDS:
            inner = replace(inner, in_meta=True)
            if place.is_root:
                inner = replace(inner, no_defaults=f"in top-level {name}")
        out.add(check(child, f"{path}.properties[{name}]", inner))
    _check_junctions(schema, path, replace(place, is_root=False, compile_rules=None), out)
    items = schema.get("items")
    inner = place.inside(schema, path, schema.get("x-kubernetes-list-type") == "map")
    if isinstance(items, dict):
        out.add(check(items, f"{path}.items", inner))
    elif isinstance(items, list):
        for index, child in enumerate(items):
            out.add(check(child, f"{path}.items[{index}]", inner))


def _check_junctions(schema: Json, path: str, place: Place, out: Faults) -> None:
    if schema.get("not") is not None:
        out.add(check(schema["not"], f"{path}.not", place))
    for name in ("allOf", "oneOf", "anyOf"):
        for index, child in enumerate(schema.get(name) or ()):
            out.add(check(child, f"{path}.{name}[{index}]", place))
    for name, child in (schema.get("definitions") or {}).items():
        out.add(check(child, f"{path}.definitions[{name}]", place))


def _map_type_faults(schema: Json, path: str) -> Causes:
    map_type, kind = schema.get("x-kubernetes-map-type"), schema.get("type", "")
    out: Causes = []
    if map_type is None:
        return out
    if kind != "object":
        why = "must be object if x-kubernetes-map-type is specified"
        out.append(invalid(f"{path}.type", kind, why) if kind else required(f"{path}.type", why))
    if map_type not in ("atomic", "granular"):
        out.append(not_supported(f"{path}.x-kubernetes-map-type", map_type, ("atomic", "granular")))
    return out


def _list_type_faults(schema: Json, path: str) -> Causes:
    list_type, kind, items = schema.get("x-kubernetes-list-type"), schema.get("type", ""), schema.get("items")
    out: Causes = []
    if list_type is None:
        return out
    if kind != "array":
        why = "must be array if x-kubernetes-list-type is specified"
        out.append(invalid(f"{path}.type", kind, why) if kind else required(f"{path}.type", why))
    elif list_type == "set" and isinstance(items, dict):
        why = "must be atomic as item of a list with x-kubernetes-list-type=set"
        inner, inner_list = items.get("type"), items.get("x-kubernetes-list-type")
        if inner == "array" and inner_list not in (None, "atomic"):
            out.append(invalid(f"{path}.items.x-kubernetes-list-type", inner_list, why))
        elif inner == "object" and items.get("x-kubernetes-map-type") != "atomic":
            out.append(invalid(f"{path}.items.x-kubernetes-map-type", inner_list, why))
    if list_type not in ("atomic", "set", "map"):
        out.append(not_supported(f"{path}.x-kubernetes-list-type", list_type, ("atomic", "set", "map")))
    return out


def _list_map_faults(schema: Json, path: str) -> Causes:
    list_type, keys = schema.get("x-kubernetes-list-type"), schema.get("x-kubernetes-list-map-keys") or []
    out: Causes = []
    if keys and list_type != "map":
        here, why = f"{path}.x-kubernetes-list-type", "must be map if x-kubernetes-list-map-keys is non-empty"
        out.append(required(here, why) if list_type is None else invalid(here, list_type, why))
    if list_type != "map":
        return out
    here, items = f"{path}.x-kubernetes-list-map-keys", schema.get("items")
    if not keys:
        out.append(required(here, "must not be empty if x-kubernetes-list-type is map"))
    if items is None:
        out.append(required(f"{path}.items", "must have a schema if x-kubernetes-list-type is map"))
    if not isinstance(items, dict):
        return out
    if items.get("type", "") != "object":
        why = "must be object if parent array's x-kubernetes-list-type is map"
        out.append(invalid(f"{path}.items.type", items.get("type", ""), why))
        return out
    for index, name in enumerate(keys):
        known = (items.get("properties") or {}).get(name)
        if known is None:
            out.append(invalid(here, keys, "entries must all be names of item properties"))
        elif known.get("type") in ("array", "object"):
            why = "must be a scalar type if parent array's x-kubernetes-list-type is map"
            out.append(invalid(f"{path}.items.properties[{name}].type", "object", why))
        if name in keys[:index]:
            out.append(invalid(here, keys, "must not contain duplicate entries"))
    return out


def _item_faults(schema: Json, path: str) -> Causes:
    """Items of sets and maps are never null, and a map's keys always there."""
    list_type, items = schema.get("x-kubernetes-list-type"), schema.get("items")
    out: Causes = []
    if list_type not in ("set", "map") or not isinstance(items, dict):
        return out
    if items.get("nullable"):
        why = f"cannot be nullable when x-kubernetes-list-type is {list_type}"
        out.append(forbidden(f"{path}.items.nullable", why))
    if list_type == "set":
        return out
    for name in schema.get("x-kubernetes-list-map-keys") or ():
        known = (items.get("properties") or {}).get(name)
        if known is None:
            continue
        here = f"{path}.items.properties[{name}]"
        because = "this property is in x-kubernetes-list-map-keys, so it"
        if name not in (items.get("required") or ()) and known.get("default") is None:
            out.append(
                required(f"{here}.default", f"{because} must have a default or be a required property")
            )
        if known.get("nullable"):
            out.append(forbidden(f"{here}.nullable", f"{because} cannot be nullable"))
    return out


def _breaks_lines(text: str) -> bool:
    return "\n" in text or "\r" in text


def _rule_faults(node: Node | None, rule: Json, path: str) -> Causes:
    text, message = rule.get("rule", "").strip(), rule.get("message", "")
    out: Causes = []
    if not text:
        out.append(required(f"{path}.rule", "rule is not specified"))
    elif message and not message.strip():
        out.append(invalid(f"{path}.message", message, "must be non-empty if specified"))
    elif _breaks_lines(message.strip()):
        out.append(invalid(f"{path}.message", message, "must not contain line breaks"))
    elif _breaks_lines(text) and not message.strip():
        why = "message must be specified if rule contains line breaks"
        out.append(required(f"{path}.message", why))
    expression = rule.get("messageExpression", "")
    if expression and not expression.strip():
        why = "messageExpression must be non-empty if specified"
        out.append(required(f"{path}.messageExpression", why))
    reason = rule.get("reason")
    if reason is not None and reason not in _REASONS:
        out.append(not_supported(f"{path}.reason", reason, _REASONS))
    out += _rule_path_faults(node, rule.get("fieldPath", ""), f"{path}.fieldPath")
    return out


def _rule_path_faults(node: Node | None, given: str, path: str) -> Causes:
    out: Causes = []
    if not given:
        return out
    if not given.strip():
        out.append(invalid(path, given, "must be non-empty if specified"))
    if _breaks_lines(given):
        out.append(invalid(path, given, "must not contain line breaks"))
    try:
        if node is not None:  # Else the schema is not structural, and that is said elsewhere.
            field_paths.resolve(given, node)
    except field_paths.PathError:
        out.append(invalid(path, given, "must be a valid path"))
    return out
