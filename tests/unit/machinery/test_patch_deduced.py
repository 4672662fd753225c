"""Owners of what no schema describes: maps are merged by field, everything else is one value."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from services.api.errors import ApiError
from services.apiserver.crd.merging import schema_of_kind
from services.apiserver.crd.structural import read
from services.machinery.patch import apply as apply_patch
from services.machinery.patch import managed_fields

Json = dict[str, Any]
NOW = datetime(2026, 11, 21, tzinfo=UTC)
OPEN = {"type": "object", "properties": {"spec": {"type": "object",
        "x-kubernetes-preserve-unknown-fields": True}}}  # fmt: skip
SCHEMA = schema_of_kind(read(OPEN), "Thing", has_status=False)


def thing(**spec: Any) -> Json:
    return {"apiVersion": "example.com/v1", "kind": "Thing", "metadata": {"name": "t"}, "spec": spec}


def applied(live: Json | None, config: Json, manager: str = "me", *, force: bool = False) -> Json:
    return apply_patch.apply(
        live, config, manager=manager, force=force, api_version="example.com/v1", kind="Thing",
        now=NOW, schema=SCHEMA,
    )  # fmt: skip


def owners(obj: Json) -> dict[str, Json]:
    return {entry["manager"]: entry["fieldsV1"] for entry in obj["metadata"]["managedFields"]}


def test_maps_are_shared_and_lists_are_not() -> None:
    first = applied(None, thing(a={"x": 1}, b=[1]), "one")
    both = applied(first, thing(a={"y": 2}), "two")
    assert both["spec"] == {"a": {"x": 1, "y": 2}, "b": [1]}
    assert owners(both)["two"] == {"f:spec": {"f:a": {".": {}, "f:y": {}}}}
    with pytest.raises(ApiError, match=r"conflict with \"one\": \.spec\.b"):
        applied(both, thing(b=[2]), "two")
    assert applied(both, thing(a={"y": 2}, b=[2]), "two", force=True)["spec"]["b"] == [2]


def test_what_an_applier_names_no_more_goes() -> None:
    first = applied(None, thing(a={"x": 1, "y": 2}))
    assert applied(first, thing(a={"x": 1}))["spec"] == {"a": {"x": 1}}


def test_a_value_may_change_its_form() -> None:
    old = applied(None, thing(a={"x": 1}))
    new = {**old, "metadata": {**old["metadata"]}, "spec": {"a": 5}}
    managed_fields.update(old, new, manager="other", api_version="example.com/v1", now=NOW, schema=SCHEMA)
    assert owners(new)["other"] == {"f:spec": {"f:a": {}}}


def test_a_scalar_that_changes_is_noticed() -> None:
    old = applied(None, thing(a=1))
    new = {**old, "metadata": {**old["metadata"]}, "spec": {"a": 2}}
    managed_fields.update(old, new, manager="other", api_version="example.com/v1", now=NOW, schema=SCHEMA)
    assert owners(new) == {"other": {"f:spec": {"f:a": {}}}}


TYPED = schema_of_kind(
    read({"type": "object", "properties": {"spec": {"type": "object", "properties": {
        "names": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
    }}}}), "Thing", has_status=False,
)  # fmt: skip


@pytest.mark.parametrize("spec", [5, "x", [1], True, {"names": "x"}, {"names": {"a": 1}}])
def test_what_does_not_fit_its_schema_is_tracked_all_the_same(spec: Any) -> None:
    """Validation refuses it, but only after this; and an older schema may have let it in."""
    new = {**thing(), "spec": spec}
    managed_fields.update(None, new, manager="m", api_version="example.com/v1", now=NOW, schema=TYPED)
    again = {**thing(names=["a"]), "metadata": dict(new["metadata"])}
    managed_fields.update(new, again, manager="m", api_version="example.com/v1", now=NOW, schema=TYPED)
    live = {**new, "metadata": {"name": "t"}}
    made = apply_patch.apply(
        live, thing(names=["a"]), manager="m", force=True, api_version="example.com/v1", kind="Thing",
        now=NOW, schema=TYPED,
    )  # fmt: skip
    assert made["spec"] == {"names": ["a"]}
