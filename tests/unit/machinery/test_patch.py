"""Patches and field ownership, in the small; tests/golden/test_patches.py has what upstream answered."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.api.errors import ApiError
from services.machinery.patch import JSON, MERGE, STRATEGIC, apply_patch, field_set, managed_fields
from services.machinery.patch.apply import apply, parse
from services.machinery.schema import Schema, schema_of

Json = dict[str, Any]
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def schema(kind: str) -> Schema:
    found = schema_of("v1", kind)
    assert found is not None
    return found


def patched(content_type: str, current: Json, patch: Any, kind: str = "Pod") -> Json:
    before = orjson.dumps(current)
    result = apply_patch(content_type, current, orjson.dumps(patch), schema(kind))
    assert orjson.dumps(current) == before  # Never changed in place.
    return result


def test_a_merge_patch_merges_maps_and_null_deletes() -> None:
    assert patched(MERGE, {"a": {"b": 1, "c": 2}, "l": [1]}, {"a": {"b": None, "d": 3}, "l": [2]}) == {
        "a": {"c": 2, "d": 3}, "l": [2],
    }  # fmt: skip


def test_a_strategic_patch_merges_lists_by_key_and_puts_new_items_first() -> None:
    pod = {"spec": {"containers": [{"name": "a", "image": "1"}, {"name": "b", "image": "1"}]}}
    patch = {"spec": {"containers": [{"name": "c", "image": "2"}, {"name": "b", "image": "2"}]}}
    names = [(c["name"], c["image"]) for c in patched(STRATEGIC, pod, patch)["spec"]["containers"]]
    assert names == [("c", "2"), ("a", "1"), ("b", "2")]


def test_strategic_directives() -> None:
    meta = {"metadata": {"finalizers": ["a", "b"], "labels": {"x": "1", "y": "2"}}}
    patch = {
        "metadata": {"$deleteFromPrimitiveList/finalizers": ["a"], "labels": {"$patch": "replace", "z": "3"}}
    }
    assert patched(STRATEGIC, meta, patch) == {"metadata": {"finalizers": ["b"], "labels": {"z": "3"}}}
    volumes = {"spec": {"volumes": [{"name": "v", "emptyDir": {}}]}}
    swap = {
        "spec": {"volumes": [{"name": "v", "$retainKeys": ["name", "hostPath"], "hostPath": {"path": "/"}}]}
    }
    assert patched(STRATEGIC, volumes, swap)["spec"]["volumes"] == [{"name": "v", "hostPath": {"path": "/"}}]


@pytest.mark.parametrize(
    ("content_type", "patch", "code", "message"),
    [
        (JSON, {"a": 1}, 400, "error decoding patch"),
        (JSON, [{"op": "remove", "path": "/none"}], 422, "the server rejected our request"),
        (JSON, [{"op": "test", "path": "/a", "value": 1}] * 10_001, 413, "maximum operations"),
        (MERGE, [], 400, "^error decoding patch: json: cannot unmarshal array into Go value of type map"),
        (STRATEGIC, "x", 400, "^json: cannot unmarshal string into Go value of type map"),
        (STRATEGIC, {"spec": {"containers": [{"image": "x"}]}}, 500, "declared merge key: name"),
        ("text/plain", {}, 415, "Unsupported Media Type"),
    ],
)
def test_refusals(content_type: str, patch: Any, code: int, message: str) -> None:
    current = {"a": 1, "spec": {"containers": [{"name": "a"}]}}
    with pytest.raises(ApiError, match=message) as refused:
        apply_patch(content_type, current, orjson.dumps(patch), schema("Pod"))
    assert refused.value.code == code


paths: st.SearchStrategy[Json] = st.dictionaries(
    st.sampled_from(["f:a", "f:b", "f:c"]),
    st.one_of(
        st.just({}),
        st.dictionaries(st.sampled_from(["f:x", "f:y", "."]), st.just({}), min_size=1).filter(
            lambda node: set(node) != {"."}
        ),
    ),
)


def members(tree: Json) -> set[str]:
    return set(field_set.paths(tree))


@given(paths, paths)
def test_field_sets_are_sets(one: Json, other: Json) -> None:
    assert members(field_set.union(one, other)) == members(one) | members(other)
    assert members(field_set.intersection(one, other)) == members(one) & members(other)
    assert members(field_set.difference(one, other)) == members(one) - members(other)


class Writer:
    """One ConfigMap and those who write to it."""

    def __init__(self) -> None:
        self.obj: Json | None = None
        self.now = NOW

    def write(self, manager: str, data: dict[str, str]) -> None:
        old, self.now = self.obj, self.now + timedelta(seconds=1)
        metadata = dict((old or {"metadata": {"name": "c"}})["metadata"])
        new: Json = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}
        managed_fields.update(
            old, new, manager=manager, api_version="v1", now=self.now, schema=schema("ConfigMap")
        )
        self.obj = new

    def apply(self, manager: str, data: dict[str, str], force: bool = False) -> None:
        self.now += timedelta(seconds=1)
        config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": data}
        self.obj = apply(
            self.obj, config, manager=manager, force=force, api_version="v1", kind="ConfigMap", now=self.now,
            schema=schema("ConfigMap"),
        )  # fmt: skip

    def owners(self) -> dict[str, set[str]]:
        assert self.obj is not None
        entries = self.obj["metadata"].get("managedFields", [])
        return {f"{e['manager']}/{e['operation']}": members(e["fieldsV1"]) for e in entries}


def test_a_change_moves_the_field_to_its_writer() -> None:
    writer = Writer()
    writer.write("a", {"x": "1", "y": "1"})
    writer.write("b", {"x": "2", "y": "1"})
    assert writer.owners() == {"a/Update": {".data", ".data.y"}, "b/Update": {".data.x"}}
    writer.write("c", {"y": "1"})
    assert writer.owners() == {"a/Update": {".data", ".data.y"}}


def test_writing_the_same_changes_nothing() -> None:
    writer = Writer()
    writer.write("a", {"x": "1"})
    before = writer.obj
    writer.write("b", {"x": "1"})
    assert writer.obj == before


def test_apply_owns_what_it_names_and_takes_back_what_it_names_no_more() -> None:
    writer = Writer()
    writer.apply("a", {"x": "1", "y": "1"})
    writer.apply("b", {"y": "1", "z": "1"})
    writer.apply("a", {"x": "2"})
    assert writer.obj is not None
    assert writer.obj["data"] == {"x": "2", "y": "1", "z": "1"}
    assert writer.owners() == {"a/Apply": {".data.x"}, "b/Apply": {".data.y", ".data.z"}}
    writer.apply("b", {"z": "1"})
    assert writer.obj["data"] == {"x": "2", "z": "1"}


def test_apply_over_another_owner_is_a_conflict_unless_forced() -> None:
    writer = Writer()
    writer.write("a", {"x": "1"})
    with pytest.raises(ApiError, match=r'conflict with "a" using v1: \.data\.x') as refused:
        writer.apply("b", {"x": "2"})
    assert refused.value.code == 409
    writer.apply("b", {"x": "2"}, force=True)
    assert writer.owners() == {"a/Update": {".data"}, "b/Apply": {".data.x"}}


def test_old_writers_are_remembered_together() -> None:
    writer = Writer()
    for number in range(14):
        writer.write(f"m{number:02}", {f"k{n:02}": "1" for n in range(number + 1)})
    owners = writer.owners()
    assert len(owners) == 10
    assert owners["ancient-changes/Update"] >= {".data.k00", ".data.k04"}


def test_an_emptied_list_of_managers_stops_the_tracking() -> None:
    writer = Writer()
    writer.write("a", {"x": "1"})
    assert writer.obj is not None
    current = writer.obj
    reset = apply_patch(MERGE, current, b'{"metadata":{"managedFields":[]}}', schema("ConfigMap"))
    managed_fields.update(current, reset, manager="b", api_version="v1", now=NOW, schema=schema("ConfigMap"))
    assert "managedFields" not in reset["metadata"]


def test_yaml_is_read_as_upstream_reads_it() -> None:
    assert parse(b"data:\n  y: 'yes'\n  when: 2026-01-01\n  2: a\n") == {
        "data": {"true": "yes", "when": "2026-01-01", "2": "a"}
    }
    with pytest.raises(ApiError, match="error decoding YAML"):
        parse(b"a: [")


def test_what_does_not_fit_is_named_with_an_empty_group_for_the_core() -> None:
    config = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}, "spec": {"nope": 1}}
    with pytest.raises(ApiError) as refused:
        apply(None, config, manager="a", api_version="v1", kind="Service",
              now=datetime(2026, 11, 21, tzinfo=UTC), schema=schema("Service"))  # fmt: skip
    assert refused.value.message == (
        "failed to create typed patch object (/s; /v1, Kind=Service): "
        ".spec.nope: field not declared in schema"
    )
