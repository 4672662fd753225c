"""Printer columns, selectable fields, scale paths."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.unit.apiserver.crd.definitions import compiled, spec_schema, thing

Json = dict[str, Any]
NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def cells(column_type: str, path: str, spec: Json) -> Any:
    column = {"name": "C", "type": column_type, "jsonPath": path}
    (found,) = compiled(spec_schema({}), additionalPrinterColumns=[column]).columns
    return found.cell(thing(spec), NOW)


@pytest.mark.parametrize(
    ("column_type", "value", "cell"),
    [
        ("string", "a", "a"),
        ("string", 1.0, "1"),
        ("string", True, "true"),
        ("string", {"b": [1]}, '{"b":[1]}'),
        ("integer", 3, 3),
        ("integer", 3.7, 3),
        ("integer", "3", None),
        ("integer", True, None),
        ("number", 1.5, 1.5),
        ("boolean", False, False),
        ("boolean", "false", None),
        ("date", "2026-11-21T11:00:00Z", "60m"),
        ("date", "soon", "<invalid>"),
        ("date", 5, None),
    ],
)
def test_cells(column_type: str, value: Any, cell: Any) -> None:
    assert cells(column_type, ".spec.v", {"v": value}) == cell


def test_of_many_the_first_and_of_none_nothing() -> None:
    assert cells("string", ".spec.l[*].k", {"l": [{"k": "a"}, {"k": "b"}]}) == "a"
    assert cells("string", ".spec.none.at.all", {}) is None
    assert cells("string", ".spec.l[0].k", {"l": "text"}) is None


def test_without_columns_the_age() -> None:
    found = compiled(spec_schema({})).column_definitions
    assert [(each["name"], each["type"], each["format"]) for each in found] == [
        ("Name", "string", "name"),
        ("Age", "date", ""),
    ]


def test_columns_describe_themselves() -> None:
    columns = [{"name": "N", "type": "integer", "jsonPath": ".spec.n", "priority": 1}]
    assert compiled(spec_schema({}), additionalPrinterColumns=columns).column_definitions[1] == {
        "name": "N",
        "type": "integer",
        "format": "",
        "description": "Custom resource definition column (in JSONPath format): .spec.n",
        "priority": 1,
    }


def test_selectable_fields() -> None:
    version = compiled(
        spec_schema({"s": {"type": "string"}, "b": {"type": "boolean"}}),
        selectableFields=[{"jsonPath": ".spec.s"}, {"jsonPath": ".spec.b"}],
    )
    assert version.selectable_fields(thing({"s": "x", "b": True})) == {"spec.s": "x", "spec.b": "true"}
    assert version.selectable_fields(thing()) == {"spec.s": "", "spec.b": ""}


def test_scale_paths_point_to_counts() -> None:
    scale = {
        "specReplicasPath": ".spec.n",
        "statusReplicasPath": ".status.n",
        "labelSelectorPath": ".status.s",
    }
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = compiled(schema, subresources={"scale": scale})
    obj = thing({"n": -1}, status={"n": "1", "s": 5})
    assert [f"{cause['field']}: {cause['message']}" for cause in version.validate_create(obj)] == [
        ".spec.n: Invalid value: -1: should be a non-negative integer",
        ".status.n: Invalid value: 0: .status.n accessor error: 1 is of the type string, expected int64",
        '.status.s: Invalid value: "": .status.s accessor error: 5 is of the type int64, expected string',
    ]


def test_prepared() -> None:
    version = compiled(spec_schema({}), subresources={"status": {}})
    obj = thing({"n": 1}, status={"ok": True})
    version.prepare_create(obj)
    assert "status" not in obj
    assert obj["metadata"]["generation"] == 1
    new = thing({"n": 2}, status={"ok": True})
    version.prepare_update(new, obj)
    assert "status" not in new
    assert new["metadata"]["generation"] == 2
    status = thing({"n": 3}, status={"ok": True})
    version.prepare_status_update(status, new)
    assert (status["spec"], status["status"]) == ({"n": 2}, {"ok": True})


def test_finalizers_that_others_may_clash_with() -> None:
    version = compiled(spec_schema({}))
    obj = thing(metadata={"name": "a", "finalizers": ["mine", "a.example.com", "a.example.com/x"]})
    assert version.warnings(obj) == [
        'metadata.finalizers: "a.example.com": prefer a domain-qualified finalizer name including a path (/)'
        " to avoid accidental conflicts with other finalizer writers",
        'metadata.finalizers: "mine": prefer a domain-qualified finalizer name'
        " to avoid accidental conflicts with other finalizer writers",
    ]
    assert version.warnings(obj, obj) == []
