"""Custom objects brought into form: unknown fields, defaults, nulls, what is embedded."""

from __future__ import annotations

from typing import Any

import pytest

from services.apiserver.crd import Unreadable
from tests.unit.apiserver.crd.definitions import compiled, spec_schema, thing

Json = dict[str, Any]


def coerced(properties: Json, spec: Any, **more: Any) -> tuple[Any, list[str]]:
    obj = thing(spec)
    unknown = compiled(spec_schema(properties, **more)).coerce(obj)
    return obj.get("spec"), unknown


def test_unknown_fields_go_and_are_told() -> None:
    properties = {
        "l": {"type": "array", "items": {"type": "object", "properties": {"a": {"type": "string"}}}}
    }
    spec, unknown = coerced(properties, {"l": [{"a": "1", "b": 2}], "z": {"y": 1}})
    assert spec == {"l": [{"a": "1"}]}
    assert unknown == ["spec.l[0].b", "spec.z"]


def test_what_is_kept_is_pruned_where_it_is_known() -> None:
    properties = {
        "free": {
            "type": "object",
            "x-kubernetes-preserve-unknown-fields": True,
            "properties": {"known": {"type": "object", "properties": {"a": {"type": "string"}}}},
        }
    }
    spec, unknown = coerced(properties, {"free": {"any": {"thing": 1}, "known": {"a": "x", "b": 1}}})
    assert spec == {"free": {"any": {"thing": 1}, "known": {"a": "x"}}}
    assert unknown == ["spec.free.known.b"]


def test_entries_of_a_map_are_pruned() -> None:
    entry = {"type": "object", "properties": {"a": {"type": "string"}}}
    spec, unknown = coerced(
        {"m": {"type": "object", "additionalProperties": entry}}, {"m": {"k": {"a": "1", "b": 2}}}
    )
    assert spec == {"m": {"k": {"a": "1"}}}
    assert unknown == ["spec.m.k.b"]


def test_defaults_fill_what_is_missing_and_nulls_that_may_not_be() -> None:
    properties = {
        "n": {"type": "integer", "default": 3},
        "nullable": {"type": "string", "default": "x", "nullable": True},
        "plain": {"type": "string"},
        "l": {
            "type": "array",
            "items": {"type": "object", "properties": {"v": {"type": "string", "default": "dv"}}},
        },
    }
    spec, _ = coerced(properties, {"n": None, "nullable": None, "plain": None, "l": [{}]})
    assert spec == {"n": 3, "nullable": None, "l": [{"v": "dv"}]}


def test_defaults_are_not_shared() -> None:
    version = compiled(
        spec_schema({"o": {"type": "object", "default": {"a": "1"}, "properties": {"a": {"type": "string"}}}})
    )
    first, second = thing({}), thing({})
    version.coerce(first)
    first["spec"]["o"]["a"] = "changed"
    version.coerce(second)
    assert second["spec"]["o"] == {"a": "1"}


def test_no_default_below_what_is_not_there() -> None:
    obj = thing()
    compiled(spec_schema({"n": {"type": "integer", "default": 3}})).coerce(obj)
    assert "spec" not in obj


def test_metadata_is_everybodys() -> None:
    obj = thing({}, metadata={"name": "a", "bogus": 1, "labels": {}})
    assert compiled(spec_schema({})).coerce(obj) == ["metadata.bogus"]
    assert obj["metadata"] == {"name": "a"}


def test_metadata_of_the_wrong_type_is_refused_as_go_does() -> None:
    with pytest.raises(Unreadable) as caught:
        compiled(spec_schema({})).coerce(thing({}, metadata={"name": 5}))
    assert (
        str(caught.value)
        == "json: cannot unmarshal number into Go struct field ObjectMeta.name of type string"
    )


class TestEmbedded:
    properties: Json = {
        "pod": {
            "type": "object",
            "x-kubernetes-embedded-resource": True,
            "x-kubernetes-preserve-unknown-fields": True,
        }
    }

    def test_its_metadata_is_pruned(self) -> None:
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "x": 1}, "spec": {"any": 1}}
        spec, unknown = coerced(self.properties, {"pod": pod})
        assert spec["pod"] == {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "p"},
            "spec": {"any": 1},
        }
        assert unknown == ["spec.pod.metadata.x"]

    def test_it_needs_a_kind_and_a_version(self) -> None:
        version = compiled(spec_schema(self.properties))
        obj = thing({"pod": {"kind": "a b", "metadata": {"labels": {"-": "x"}}}})
        version.coerce(obj)
        told = [f"{cause['field']}: {cause['message'][:60]}" for cause in version.validate_create(obj)]
        assert told[0] == "spec.pod.apiVersion: Required value"
        assert told[1].startswith('spec.pod.kind: Invalid value: "a b": may have mixed case')
        assert told[2].startswith('spec.pod.metadata.labels: Invalid value: "-"')
