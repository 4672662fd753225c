"""x-kubernetes-validations at work on custom objects."""

from __future__ import annotations

from typing import Any

from services.apiserver.crd import CompiledVersion
from services.machinery.turns import Turn, limited
from tests.unit.apiserver.crd.definitions import compiled, spec_schema, thing

Json = dict[str, Any]


def version(properties: Json, *rules: Json) -> CompiledVersion:
    return compiled(spec_schema(properties, **{"x-kubernetes-validations": list(rules)}))


def told(rules: CompiledVersion, spec: Json, old: Json | None = None) -> list[str]:
    if old is None:
        found = rules.validate_create(thing(spec))
    else:
        found = rules.validate_update(thing(spec), thing(old))
    return [f"{cause['reason']} {cause['field']}: {cause['message']}" for cause in found]


_MOMENT: Json = {"type": "string", "format": "date-time"}
_N: Json = {"n": {"type": "integer"}, "m": {"type": "integer"}}


def test_message_reason_and_path() -> None:
    rules = version(
        _N,
        {"rule": "self.n > 1"},
        {"rule": "self.n > 2", "message": " too small "},
        {"rule": "self.n > 3", "messageExpression": "'n was ' + string(self.n)", "fieldPath": ".n"},
        {"rule": "self.n > 4", "reason": "FieldValueRequired", "message": "more"},
    )
    assert told(rules, {"n": 9}) == []
    assert told(rules, {"n": 1}) == [
        "FieldValueInvalid spec: Invalid value: failed rule: self.n > 1",
        "FieldValueInvalid spec: Invalid value: too small",
        "FieldValueInvalid spec.n: Invalid value: n was 1",
        "FieldValueRequired spec: Required value: more",
    ]


def test_scalars_are_shown() -> None:
    rules = version({"s": {"type": "string", "x-kubernetes-validations": [{"rule": "self != 'a'"}]}})
    assert told(rules, {"s": "a"}) == [
        """FieldValueInvalid spec.s: Invalid value: "a": failed rule: self != 'a'"""
    ]


def test_transitions() -> None:
    rules = version({"n": {"type": "integer", "x-kubernetes-validations": [{"rule": "self >= oldSelf"}]}})
    assert told(rules, {"n": 1}) == []
    assert told(rules, {"n": 1}, {}) == []
    assert told(rules, {"n": 2}, {"n": 1}) == []
    assert told(rules, {"n": 1}, {"n": 2}) == [
        "FieldValueInvalid spec.n: Invalid value: 1: failed rule: self >= oldSelf"
    ]


def test_transitions_that_bear_a_beginning() -> None:
    rule = {"rule": "oldSelf.hasValue() || self.n == 1", "optionalOldSelf": True, "message": "begin with 1"}
    rules = version(_N, rule)
    assert told(rules, {"n": 1}) == []
    assert told(rules, {"n": 2}) == ["FieldValueInvalid spec: Invalid value: begin with 1"]
    assert told(rules, {"n": 2}, {"n": 1}) == []


def test_what_an_update_does_not_touch_is_forgiven() -> None:
    inner = {
        "type": "object",
        "properties": _N,
        "x-kubernetes-validations": [{"rule": "self.n > 1", "message": "no"}],
    }
    rules = version({"a": inner, "other": {"type": "string"}})
    assert told(rules, {"a": {"n": 0}, "other": "y"}, {"a": {"n": 0}, "other": "x"}) == []
    assert told(rules, {"a": {"n": 1}}, {"a": {"n": 0}}) == ["FieldValueInvalid spec.a: Invalid value: no"]


def test_items_of_map_lists_and_values_of_maps() -> None:
    rule: Json = {"x-kubernetes-validations": [{"rule": "self.n >= oldSelf.n", "message": "never less"}]}
    item = {"type": "object", "properties": {"k": {"type": "string"}, **_N}, "required": ["k"], **rule}
    keyed: Json = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"]}
    rules = version(
        {
            "l": {"type": "array", "items": item, **keyed},
            "m": {"type": "object", "additionalProperties": {"type": "object", "properties": _N, **rule}},
        }
    )
    old = {"l": [{"k": "a", "n": 5}, {"k": "b", "n": 1}], "m": {"x.y": {"n": 2}}}
    new = {"l": [{"k": "b", "n": 2}, {"k": "a", "n": 4}], "m": {"x.y": {"n": 1}}}
    assert told(rules, new, old) == [
        "FieldValueInvalid spec.l[1]: Invalid value: never less",
        "FieldValueInvalid spec.m[x.y]: Invalid value: never less",
    ]


def test_names_that_expressions_cannot_say() -> None:
    properties = {name: {"type": "integer"} for name in ("namespace", "a-b", "a__b", "x.y/z")}
    rule = {
        "rule": "self.__namespace__ + self.a__dash__b + self.a__underscores__b"
        " + self.x__dot__y__slash__z == 4"
    }
    rules = version(properties, {**rule, "message": "four"})
    assert told(rules, {"namespace": 1, "a-b": 1, "a__b": 1, "x.y/z": 1}) == []
    assert told(rules, {"namespace": 2, "a-b": 1, "a__b": 1, "x.y/z": 1}) == [
        "FieldValueInvalid spec: Invalid value: four"
    ]


def test_sets_have_no_order() -> None:
    properties = {"s": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"}}
    rules = version(properties, {"rule": "self.s == ['a', 'b'] && 'a' in self.s", "message": "other"})
    assert told(rules, {"s": ["b", "a"]}) == []
    assert told(rules, {"s": ["b"]}) == ["FieldValueInvalid spec: Invalid value: other"]


def test_formats_are_values() -> None:
    properties = {
        "when": {"type": "string", "format": "date-time"},
        "long": {"type": "string", "format": "duration"},
    }
    rules = version(
        properties,
        {
            "rule": "self.when > timestamp('2026-01-01T00:00:00Z') && self.long < duration('1h')",
            "message": "no",
        },
    )
    assert told(rules, {"when": "2026-11-21T11:26:45Z", "long": "30m"}) == []
    assert told(rules, {"when": "2025-11-21T11:26:45Z", "long": "30m"}) == [
        "FieldValueInvalid spec: Invalid value: no"
    ]


def test_the_root_knows_its_name() -> None:
    schema = spec_schema(_N)
    schema["x-kubernetes-validations"] = [{"rule": "self.metadata.name == 'b'", "message": "called b"}]
    assert told(compiled(schema), {}) == ["FieldValueInvalid <nil>: Invalid value: called b"]


def test_evaluation_that_fails() -> None:
    rules = version(_N, {"rule": "self.n / self.m > 1"})
    (found,) = told(rules, {"n": 1, "m": 0})
    assert found.startswith('FieldValueInvalid spec: Invalid value: "object": division by zero')


def test_rules_are_not_run_on_what_has_not_the_form() -> None:
    rules = version(_N, {"rule": "self.n > 1"})
    found = told(rules, {"n": "x"})
    assert found[1].startswith(
        "FieldValueInvalid <nil>: Invalid value: null: some validation rules were not checked"
    )


def test_all_rules_together_have_a_budget() -> None:
    items = {"type": "array", "items": {"type": "integer"}}
    rule = {"rule": "self.l.all(a, self.l.all(b, self.l.all(c, a + b + c >= 0)))"}
    rules = version({"l": items}, rule)
    (found,) = told(rules, {"l": list(range(200))})
    assert "cost limit exceeded" in found


def _work(rules: int, moments: int) -> int:
    """The units of work that so many rules beside so many moments make."""
    properties = {"size": {"type": "integer"}, "at": {"type": "array", "items": _MOMENT}}
    found = version(properties, *({"rule": f"self.size > {-number}"} for number in range(1, rules + 1)))
    obj = {"size": 0, "at": ["2026-11-21T00:00:00Z"] * moments}
    assert told(found, obj) == []  # The rules are compiled now.
    turn = Turn(10**9)
    with limited(turn):
        assert told(found, obj) == []
    return 10**9 - turn.left


def test_many_rules_read_a_long_object_once() -> None:
    assert _work(1, 5000) > 5000
    assert _work(50, 5000) < 2 * _work(1, 5000)
