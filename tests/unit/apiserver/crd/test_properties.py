"""Whatever a schema and an object are like: no exception, and doing it twice changes nothing more."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from services.apiserver.crd import Unreadable, pruning, schemas, values
from services.apiserver.crd.structural import NotStructural, read
from services.machinery.field_errors import Causes
from tests.unit.apiserver.crd.definitions import compiled, thing

Json = dict[str, Any]
_NAMES = st.sampled_from(["a", "b", "c", "metadata", "kind", "apiVersion"])
_SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.floats(-2, 2, width=16)
    | st.sampled_from(["", "a", "b"])
)
_JSON = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=3),
    max_leaves=12,
)


def _extensions(schema: st.SearchStrategy[Json]) -> st.SearchStrategy[Json]:
    more = st.fixed_dictionaries(
        {},
        optional={
            "nullable": st.booleans(),
            "x-kubernetes-preserve-unknown-fields": st.just(True),
            "default": _JSON.filter(lambda value: value is not None),
            "enum": st.lists(_SCALARS, min_size=1, max_size=2),
            "minimum": st.integers(-2, 2),
            "maxLength": st.integers(0, 2),
            "maxItems": st.integers(0, 2),
            "minProperties": st.integers(0, 2),
            "pattern": st.sampled_from(["^a*$", "[", "b"]),
            "format": st.sampled_from(["date", "int32", "odd"]),
            "required": st.lists(_NAMES, max_size=2),
            "anyOf": st.lists(st.fixed_dictionaries({"minimum": st.integers(-1, 1)}), max_size=2),
            "not": st.fixed_dictionaries({"enum": st.lists(_SCALARS, min_size=1, max_size=1)}),
            "x-kubernetes-list-type": st.sampled_from(["set", "map", "atomic"]),
            "x-kubernetes-list-map-keys": st.just(["a"]),
            "x-kubernetes-embedded-resource": st.just(True),
        },
    )
    return st.builds(lambda base, extra: {**extra, **base}, schema, more)


def _schemas(inner: st.SearchStrategy[Json]) -> st.SearchStrategy[Json]:
    return _extensions(
        st.one_of(
            st.fixed_dictionaries(
                {"type": st.just("object"), "properties": st.dictionaries(_NAMES, inner, max_size=3)}
            ),
            st.fixed_dictionaries({"type": st.just("array"), "items": inner}),
            st.fixed_dictionaries({"type": st.just("object"), "additionalProperties": inner | st.booleans()}),
        )
    )


_LEAVES = _extensions(
    st.sampled_from([{"type": name} for name in ("string", "integer", "number", "boolean", "object")])
    | st.just({"x-kubernetes-int-or-string": True})
)
_SCHEMAS = st.recursive(_LEAVES, _schemas, max_leaves=6)
_OBJECTS = st.dictionaries(_NAMES | st.sampled_from(["spec", "status"]), _JSON, max_size=4)


@settings(max_examples=120, deadline=None)
@given(_SCHEMAS, _JSON)
def test_defaulting_and_pruning_are_idempotent(schema: Json, value: Any) -> None:
    node = read(schema)
    pruning.default(value, node)
    once = copy.deepcopy(value)
    pruning.default(value, node)
    assert values.same(value, once)
    pruning.prune_value(value, node)
    once = copy.deepcopy(value)
    assert pruning.prune_value(value, node) == []
    assert values.same(value, once)


@settings(max_examples=120, deadline=None)
@given(_SCHEMAS, _OBJECTS, _OBJECTS)
def test_any_object_is_accepted_or_refused(schema: Json, first: Json, second: Json) -> None:
    version = compiled(
        {"type": "object", "properties": {"spec": schema, "status": schema}}, subresources={"status": {}}
    )
    made = []
    for given_fields in (first, second):
        obj = thing(**{name: value for name, value in given_fields.items() if name in ("spec", "status")})
        try:
            version.coerce(obj)
        except Unreadable:
            return
        assert version.coerce(obj) == []
        made.append(obj)
    new, old = made
    version.validate_create(new)
    version.validate_update(new, old)
    version.validate_status_update(new, old)
    # What did not change is never refused for what it is; what is embedded is looked at all the same.
    unchanged = values.validate(version.root, new, new)
    assert unchanged == []


@settings(max_examples=80, deadline=None)
@given(_SCHEMAS, st.booleans())
def test_any_schema_is_accepted_or_refused(schema: Json, has_status: bool) -> None:
    out: Causes = []
    given_schema = {"type": "object", "properties": {"spec": schema}}
    schemas.check({"openAPIV3Schema": given_schema}, has_status, "spec.validation", schemas.Options(), out)
    if not out:
        # Defaults that were let through are as objects get them.
        version = compiled(given_schema)
        obj = thing({})
        try:
            assert [path for path in version.coerce(obj) if "metadata" not in path] == []
        except Unreadable:
            return


@settings(max_examples=100, deadline=None)
@given(_JSON)
def test_any_json_may_be_where_a_schema_was_not_validated(value: Any) -> None:
    if isinstance(value, dict):
        try:
            values.validate(read({"type": "object", "properties": {"a": {"type": "object"}}}), value)
        except NotStructural:
            return


def test_depth_is_no_danger() -> None:
    """As deep as a body may be: 200 levels of JSON, and so half as many of a schema."""
    schema: Json = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    value: Any = "a"
    for _ in range(95):
        schema = {"type": "object", "properties": {"a": schema}}
    for _ in range(195):
        value = {"a": value}
    version = compiled({"type": "object", "properties": {"spec": schema}})
    obj = thing(value)
    assert version.coerce(obj) == []
    assert version.validate_create(obj) == []
