"""Server-side apply of custom objects: who owns what, by the list and map types of the schema."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from services.api.errors import ApiError
from services.machinery.patch import apply as patches
from services.machinery.schema import Schema
from tests.unit.apiserver.crd.definitions import compiled, spec_schema, thing

Json = dict[str, Any]
_ITEM: Json = {
    "type": "object",
    "properties": {"k": {"type": "string"}, "v": {"type": "integer"}},
    "required": ["k"],
}
_PROPERTIES: Json = {
    "keyed": {
        "type": "array",
        "items": _ITEM,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["k"],
    },
    "set": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
    "atomic": {"type": "array", "items": {"type": "string"}},
    "whole": {"type": "object", "properties": {"a": {"type": "string"}}, "x-kubernetes-map-type": "atomic"},
    "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
    "labels": {"type": "object", "additionalProperties": {"type": "string"}},
}


def schema() -> Schema:
    return compiled(spec_schema(_PROPERTIES)).schema


def applied(live: Json | None, spec: Json, manager: str, **more: Any) -> Json:
    return patches.apply(
        live,
        thing(spec),
        manager=manager,
        api_version="example.com/v1",
        kind="Thing",
        now=datetime(2026, 11, 21, tzinfo=UTC),
        schema=schema(),
        **more,
    )


def test_two_managers_share_an_object() -> None:
    first = applied(None, {"keyed": [{"k": "a", "v": 1}], "set": ["x"], "free": {"one": 1}}, "first")
    both = applied(first, {"keyed": [{"k": "b", "v": 2}], "set": ["y"], "free": {"two": [1]}}, "second")
    assert both["spec"] == {
        "keyed": [{"k": "a", "v": 1}, {"k": "b", "v": 2}],
        "set": ["x", "y"],
        "free": {"one": 1, "two": [1]},
    }
    owned = {each["manager"]: each["fieldsV1"]["f:spec"] for each in both["metadata"]["managedFields"]}
    assert owned["second"] == {
        "f:free": {"f:two": {}},
        "f:keyed": {'k:{"k":"b"}': {".": {}, "f:k": {}, "f:v": {}}},
        "f:set": {'v:"y"': {}},
    }


@pytest.mark.parametrize("part", [{"atomic": ["a"]}, {"whole": {"a": "1"}}])
def test_what_is_atomic_has_one_owner(part: Json) -> None:
    live = applied(None, part, "first")
    (name,) = part
    other = {"atomic": ["b"], "whole": {"a": "2"}}[name]
    with pytest.raises(ApiError) as caught:
        applied(live, {name: other}, "second")
    assert f'conflict with "first": .spec.{name}' in caught.value.message


def test_what_a_manager_no_longer_names_goes() -> None:
    live = applied(None, {"labels": {"a": "1", "b": "2"}, "free": {"x": {"y": 1}}}, "first")
    assert applied(live, {"labels": {"a": "1"}}, "first")["spec"] == {"labels": {"a": "1"}}
