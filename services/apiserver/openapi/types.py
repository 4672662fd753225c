"""Types as OpenAPI describes them, in the second or the third edition. Pure.

A type goes by upstream's long name, `io.k8s.api.core.v1.Pod`; its fields come from the schema that requests
are decoded with, or, for what is only ever answered, from the recorded facts.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

import orjson

from services.api.kinds import Resource
from services.apiserver.custom.resource import CustomResource
from services.apiserver.openapi import custom
from services.apiserver.openapi.descriptions import description_of
from services.machinery.schema.schema import Field, Schema, definition

Json = dict[str, Any]

META = "io.k8s.apimachinery.pkg.apis.meta.v1."
_HOMES = {
    "meta": "io.k8s.apimachinery.pkg.apis.meta",
    "apiextensions": "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions",
    "apiregistration": "io.k8s.kube-aggregator.pkg.apis.apiregistration",
}
_NAMED = {
    "time": META + "Time",
    "microtime": META + "MicroTime",
    "duration": META + "Duration",
    "quantity": "io.k8s.apimachinery.pkg.api.resource.Quantity",
    "intorstring": "io.k8s.apimachinery.pkg.util.intstr.IntOrString",
    "raw": "io.k8s.apimachinery.pkg.runtime.RawExtension",
    "json": f"{_HOMES['apiextensions']}.v1.JSON",
    "schemaorarray": f"{_HOMES['apiextensions']}.v1.JSONSchemaPropsOrArray",
    "schemaorbool": f"{_HOMES['apiextensions']}.v1.JSONSchemaPropsOrBool",
    "schemaorstrings": f"{_HOMES['apiextensions']}.v1.JSONSchemaPropsOrStringArray",
}
_LEAVES: dict[str, Json] = {
    "string": {"type": "string"},
    "bool": {"type": "boolean"},
    "int32": {"type": "integer", "format": "int32"},
    "int64": {"type": "integer", "format": "int64"},
    "uint32": {"type": "integer", "format": "int64"},
    "float64": {"type": "number", "format": "double"},
    "bytes": {"type": "string", "format": "byte"},
}
_TYPED = ("apiVersion", "kind")
_ANSWERS = ("APIGroup", "APIGroupList", "APIResourceList", "APIVersions", "Status")


@cache
def facts() -> dict[str, Json]:
    loaded: dict[str, Json] = orjson.loads(files(__package__).joinpath("facts.json").read_bytes())
    return loaded


def long_name(name: str) -> str:
    """`core.v1.Pod` → `io.k8s.api.core.v1.Pod`."""
    home, _, rest = name.partition(".")
    return f"{_HOMES.get(home, f'io.k8s.api.{home}')}.{rest}"


def short_name(name: str) -> str:
    for home, long in _HOMES.items():
        if name.startswith(f"{long}."):
            return home + name[len(long) :]
    return name.removeprefix("io.k8s.api.")


class Types:
    """The types of one edition, made when first asked for."""

    def __init__(self, edition: int, resources: tuple[Resource, ...]) -> None:
        self.edition = edition
        self.home = "#/definitions/" if edition == 2 else "#/components/schemas/"
        self._kinds: dict[str, list[Json]] = {}
        versions = sorted({(each.group, each.version) for each in resources})
        for shared in ("DeleteOptions", "WatchEvent"):
            self._kinds[META + shared] = [_kind(group, version, shared) for group, version in versions]
        for answer in _ANSWERS:
            self._kinds[META + answer] = [_kind("", "v1", answer)]
        for group, version, kind, name in kinds_of(resources):
            self._kinds[name] = [_kind(group, version, kind)]
        self._custom: dict[str, CustomResource] = {}
        self._custom_lists: dict[str, CustomResource] = {}
        for each in resources:
            if isinstance(each, CustomResource):
                self._custom[custom.type_name(each, each.kind)] = each
                self._custom_lists[custom.type_name(each, each.list_kind)] = each

    def reference(self, name: str) -> Json:
        return {"$ref": self.home + name}

    def closure(self, names: set[str]) -> Json:
        """The types named and all that they refer to, by name."""
        found: dict[str, Json] = {}
        waiting = sorted(names)
        while waiting:
            name = waiting.pop()
            if name not in found:
                found[name] = self.describe(name)
                waiting.extend(_references(found[name], self.home))
        return dict(sorted(found.items()))

    def describe(self, name: str) -> Json:
        """One type. KeyError for a name that nothing has."""
        if (resource := self._custom.get(name)) is not None:
            return custom.described(resource, self.edition, self.reference)
        if (resource := self._custom_lists.get(name)) is not None:
            return custom.described_list(resource, self.edition, self.reference)
        known = facts().get(name, {})
        if "type" in known:
            return self._scalar(name, known["type"])
        if name.endswith("List") and "fields" not in known:
            return self._list(name)
        map_type = ""
        try:
            schema = definition(short_name(name))
        except KeyError:
            properties = {key: self._recorded(name, key, text) for key, text in known["fields"].items()}
        else:
            properties, map_type = self._fields(name, schema), schema.map_type
        described: Json = {"type": "object", "properties": properties}
        if text := description_of(short_name(name)):
            described["description"] = text
        if required := known.get("required"):
            described["required"] = required
        if map_type:
            described["x-kubernetes-map-type"] = map_type
        if unions := known.get("unions"):
            described["x-kubernetes-unions"] = unions
        return self._finish(name, described)

    def _finish(self, name: str, described: Json) -> Json:
        if kinds := self._kinds.get(name):
            described["x-kubernetes-group-version-kind"] = kinds
        return described

    def _scalar(self, name: str, kind: str) -> Json:
        if name.endswith(".IntOrString") and self.edition == 3:
            return {"oneOf": [{"type": "integer"}, {"type": "string"}], "format": "int-or-string"}
        if name.endswith(".Quantity") and self.edition == 3:
            return {"oneOf": [{"type": "string"}, {"type": "number"}]}
        return _written(kind)

    def _list(self, name: str) -> Json:
        item = name.removesuffix("List")
        properties = {
            **self._typed("meta.v1.List"),
            "items": {"type": "array", "items": self._item(item)},
            "metadata": self._with(self.reference(META + "ListMeta"), {}),
        }
        return self._finish(name, {"type": "object", "properties": properties, "required": ["items"]})

    def _item(self, name: str) -> Json:
        return self._with(self.reference(name), {"default": {}} if self.edition == 3 else {})

    def _typed(self, owner: str) -> Json:
        return {key: {"type": "string"} | _described(owner, key) for key in _TYPED}

    def _fields(self, name: str, schema: Schema) -> Json:
        known = facts().get(name, {})
        owner = short_name(name)
        properties = self._typed(owner) if schema.typed else {}
        for key, field in schema.fields.items():
            extra = _described(owner, key) | _merging(field)
            if key in known.get("enum", {}):
                extra["enum"] = known["enum"][key]
            default = known.get("default", {}).get(key, field.default)
            if default is not None and (self.edition == 3 or default != {}):
                extra["default"] = default
            properties[key] = self._with(self._value(field), extra)
        return dict(sorted(properties.items()))

    def _value(self, field: Field) -> Json:
        if field.schema.type == "raw" and field.go_type.endswith(".FieldsV1"):
            return self.reference(META + "FieldsV1")
        return self._schema(field.schema)

    def _schema(self, schema: Schema) -> Json:
        if schema.items is not None:
            inner = self._schema(schema.items)
            if "$ref" in inner and self.edition == 3 and schema.items.type == "struct":
                inner = self._with(inner, {"default": {}})
            if schema.type == "list":
                return {"type": "array", "items": inner}
            return {"type": "object", "additionalProperties": inner}
        if schema.type == "struct":
            return self.reference(long_name(schema.name))
        return dict(_LEAVES[schema.type]) if schema.type in _LEAVES else self.reference(_NAMED[schema.type])

    def _recorded(self, owner: str, key: str, text: str) -> Json:
        """A field in the recording's notation: `[]->Name`, `map:string`, `integer:int32`."""
        known = facts()[owner]
        extra = _described(short_name(owner), key)
        if key in known.get("enum", {}):
            extra["enum"] = known["enum"][key]
        if self.edition == 3 and key in known.get("default", {}):
            extra["default"] = known["default"][key]
        if key in known.get("atomic", ()):
            extra["x-kubernetes-list-type"] = "atomic"
        return self._with(self._notation(text), extra)

    def _notation(self, text: str) -> Json:
        if text.startswith("[]"):
            return {"type": "array", "items": self._notation(text[2:])}
        if text.startswith("map:"):
            return {"type": "object", "additionalProperties": self._notation(text[4:])}
        if text.startswith("->"):
            return self.reference(text[2:])
        return _written(text)

    def _with(self, value: Json, extra: Json) -> Json:
        """The third edition knows nothing beside a reference; there the reference is wrapped."""
        if extra and "$ref" in value and self.edition == 3:
            return {"allOf": [value], **extra}
        return {**value, **extra}


def kinds_of(resources: tuple[Resource, ...]) -> list[tuple[str, str, str, str]]:
    """Group, version, kind and type of every object that is served, lists and subresources' bodies too."""
    found = {}
    for each in resources:
        name = type_of_objects(each)
        found[name] = (each.group, each.version, each.kind, name)
        if "list" in each.verbs:
            lists = type_of_lists(each)
            found[lists] = (each.group, each.version, each.list_kind, lists)
        for part in each.subresources:
            if part.kind:
                group, version = (part.group, part.version) if part.version else (each.group, each.version)
                body = type_of(f"{group}/{version}" if group else version, part.kind)
                if known(body):
                    found[body] = (group, version, part.kind, body)
    return list(found.values())


def known(name: str) -> bool:
    try:
        definition(short_name(name))
    except KeyError:
        return "fields" in facts().get(name, {})
    return True


def type_of_objects(resource: Resource) -> str:
    if isinstance(resource, CustomResource):
        return custom.type_name(resource, resource.kind)
    return type_of(resource.api_version, resource.kind)


def type_of_lists(resource: Resource) -> str:
    if isinstance(resource, CustomResource):
        return custom.type_name(resource, resource.list_kind)
    return f"{type_of(resource.api_version, resource.kind)}List"


def type_of(api_version: str, kind: str) -> str:
    """The long name of a served kind's type."""
    group, _, version = api_version.rpartition("/")
    return long_name(f"{group.partition('.')[0] or 'core'}.{version}.{kind}")


def _kind(group: str, version: str, kind: str) -> Json:
    return {"group": group, "version": version, "kind": kind}


def _described(owner: str, field: str) -> Json:
    text = description_of(owner, field)
    return {"description": text} if text else {}


def _merging(field: Field) -> Json:
    """How patches and server-side apply merge the field."""
    extra: Json = {}
    if field.list_map_keys:
        extra["x-kubernetes-list-map-keys"] = list(field.list_map_keys)
    if field.list_type:
        extra["x-kubernetes-list-type"] = field.list_type
    if field.map_type:
        extra["x-kubernetes-map-type"] = field.map_type
    if field.merge_key:
        extra["x-kubernetes-patch-merge-key"] = field.merge_key
    if field.patch_strategies:
        extra["x-kubernetes-patch-strategy"] = ",".join(field.patch_strategies)
    return extra


def _written(text: str) -> Json:
    if text == "any":
        return {}  # a type that says nothing of itself
    kind, _, form = text.partition(":")
    return {"type": kind, "format": form} if form else {"type": kind}


def _references(value: Any, home: str) -> list[str]:
    found = []
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            if isinstance(reference := each.get("$ref"), str):
                found.append(reference.removeprefix(home))
            waiting.extend(each.values())
        elif isinstance(each, list):
            waiting.extend(each)
    return found
