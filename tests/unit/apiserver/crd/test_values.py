"""What a schema says of a value, word for word as kube-openapi's validator says it."""

from __future__ import annotations

from typing import Any

import pytest

from services.apiserver.crd import number_checks, values
from services.apiserver.crd.structural import read

Json = dict[str, Any]


def faults(schema: Json, value: Any, old: Any = values.UNKNOWN) -> list[str]:
    found = values.validate(read({"type": "object", "properties": {"x": schema}}), {"x": value}, old)
    return [f"{cause['field']}: {cause['message']}" for cause in found]


REFUSED: list[tuple[Json, Any, list[str]]] = [
    (
        {"type": "integer"},
        "a",
        ['x: Invalid value: "string": x in body must be of type integer: "string"'],
    ),
    (
        {"type": "integer"},
        1.5,
        [
            'x: Invalid value: "number": x in body must be of type integer: "number"',
            '<nil>: Invalid value: "": Checked value must be of type integer (default format) in x',
        ],
    ),
    (
        {"type": "integer"},
        True,
        ['x: Invalid value: "boolean": x in body must be of type integer: "boolean"'],
    ),
    ({"type": "string"}, None, ['x: Invalid value: "null": x in body must be of type string: "null"']),
    (
        {"type": "integer", "minimum": 2},
        1,
        ["x: Invalid value: 1: x in body should be greater than or equal to 2"],
    ),
    (
        {"type": "integer", "maximum": 2, "exclusiveMaximum": True},
        2,
        ["x: Invalid value: 2: x in body should be less than 2"],
    ),
    (
        {"type": "number", "maximum": 2.5},
        3.25,
        ["x: Invalid value: 3.25: x in body should be less than or equal to 2.5"],
    ),
    (
        {"type": "integer", "multipleOf": 3},
        7,
        ["x: Invalid value: 7: x in body should be a multiple of 3"],
    ),
    (
        {"type": "integer", "format": "int32"},
        1 << 31,
        ['<nil>: Invalid value: "": Checked value must be of type integer with format int32 in x'],
    ),
    (
        {"type": "string", "minLength": 2},
        "a",
        ['x: Invalid value: "a": x in body should be at least 2 chars long'],
    ),
    ({"type": "string", "maxLength": 1}, "ab", ["x: Too long: may not be more than 1 bytes"]),
    ({"type": "string", "pattern": "^a$"}, "b", ["""x: Invalid value: "b": x in body should match '^a$'"""]),
    ({"type": "string", "enum": ["a", "b"]}, "c", ['x: Unsupported value: "c": supported values: "a", "b"']),
    ({"type": "integer", "enum": [1, 2]}, 3, ['x: Unsupported value: 3: supported values: "1", "2"']),
    (
        {"type": "string", "format": "date-time"},
        "soon",
        ['x: Invalid value: "soon": x in body must be of type date-time: "soon"'],
    ),
    (
        {"type": "string", "format": "date-time"},
        5,
        ['x: Invalid value: "int64": x in body must be of type date-time: "int64"'],
    ),
    (
        {"type": "array", "items": {"type": "string"}, "minItems": 1},
        [],
        ["x: Invalid value: 0: x in body should have at least 1 items"],
    ),
    (
        {"type": "array", "items": {"type": "string"}, "maxItems": 1},
        ["a", "b"],
        ["x: Too many: 2: must have at most 1 item"],
    ),
    (
        {"type": "array", "items": {"type": "string"}},
        ["a", 1],
        ['x[1]: Invalid value: "integer": x[1] in body must be of type string: "integer"'],
    ),
    (
        {"type": "object", "additionalProperties": {"type": "string"}, "minProperties": 2},
        {"a": 1},
        [
            "x: Invalid value: 1: x in body should have at least 2 properties",
            'x.a: Invalid value: "integer": x.a in body must be of type string: "integer"',
        ],
    ),
    ({"type": "object", "required": ["a"]}, {}, ["x.a: Required value"]),
    (
        {"x-kubernetes-int-or-string": True},
        [],
        ['x: Invalid value: "array": x in body must be of type integer,string: "array"'],
    ),
    (
        {"type": "string", "not": {"enum": ["a"]}},
        "a",
        ['<nil>: Invalid value: "": "x" must not validate the schema (not)'],
    ),
    (
        {"type": "integer", "oneOf": [{"minimum": 0}, {"minimum": 1}]},
        5,
        [
            '<nil>: Invalid value: "": "x" must validate one and only one schema (oneOf).'
            " Found 2 valid alternatives"
        ],
    ),
    (
        {"type": "integer", "allOf": [{"minimum": 3}, {"maximum": 10}]},
        1,
        [
            "x: Invalid value: 1: x in body should be greater than or equal to 3",
            '<nil>: Invalid value: "": "x" must validate all the schemas (allOf)',
        ],
    ),
    (
        # Told are the faults of the alternative that fits best.
        {
            "type": "object",
            "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
            "anyOf": [{"required": ["c"]}, {"required": ["b"], "properties": {"a": {"minimum": 1}}}],
        },
        {"a": 2},
        [
            '<nil>: Invalid value: "": "x" must validate at least one schema (anyOf)',
            "x.b: Required value",
        ],
    ),
]


@pytest.mark.parametrize(("schema", "value", "told"), REFUSED)
def test_refused(schema: Json, value: Any, told: list[str]) -> None:
    assert faults(schema, value) == told


ACCEPTED: list[tuple[Json, Any]] = [
    ({"type": "integer"}, 3.0),
    ({"type": "number"}, 3),
    ({"type": "string", "nullable": True}, None),
    ({"type": "string", "format": "unheard-of"}, "anything"),
    ({"type": "string", "maxLength": 2}, "äö"),
    ({"type": "number", "enum": [1.0]}, 1),
    ({"type": "number", "multipleOf": 0.1}, 0.3),
    ({"type": "object", "x-kubernetes-preserve-unknown-fields": True}, {"a": [1, None]}),
    ({"x-kubernetes-preserve-unknown-fields": True}, [1]),
    ({"x-kubernetes-int-or-string": True, "anyOf": [{"type": "integer"}, {"type": "string"}]}, "50%"),
    ({"type": "integer", "oneOf": [{"minimum": 5}, {"maximum": 1}]}, 7),
]


@pytest.mark.parametrize(("schema", "value"), ACCEPTED)
def test_accepted(schema: Json, value: Any) -> None:
    assert faults(schema, value) == []


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        (
            "date-time",
            ["2026-11-21T11:26:45Z", "2026-11-21t11:26:45.5+01:00"],
            ["2026-11-21", "2026-13-01T00:00:00Z"],
        ),
        ("date", ["2026-02-28", "2024-02-29"], ["2026-02-29", "26-02-01"]),
        ("duration", ["1h30m", "22 ns", "3 days", "0"], ["soon", ""]),
        ("uuid", ["01990aff-2103-4ac2-ac19-3293aa2b1bbf"], ["01990aff"]),
        ("ipv4", ["10.0.0.1", "010.0.0.1"], ["10.0.0", "::1", "256.0.0.1"]),
        ("ipv6", ["::1", "fe80::1"], ["10.0.0.1", "fe80::1%eth0"]),
        ("cidr", ["10.0.0.0/8", "::/0"], ["10.0.0.0", "10.0.0.0/33"]),
        ("mac", ["01:02:03:04:05:06", "0102.0304.0506"], ["01:02"]),
        ("byte", ["YWJj"], ["%", "YWJ"]),
        ("email", ["a@example.com", "A B <a@example.com>"], ["a", "@b"]),
        ("hostname", ["example.com", "web-1"], ["-a", "a..b"]),
        ("uri", ["https://example.com/x?y", "/x"], ["x y", "example.com"]),
        ("hexcolor", ["#fff", "abcdef"], ["#ff"]),
        ("rgbcolor", ["rgb(1,2,3)"], ["rgb(1,2)", "rgb(256,0,0)"]),
        ("isbn", ["0321751043", "978-0321751041"], ["1"]),
        ("creditcard", ["4111 1111 1111 1111"], ["4111"]),
        ("ssn", ["111-22-3333"], ["1"]),
        ("bsonobjectid", ["507f1f77bcf86cd799439011"], ["5"]),
        ("k8s-short-name", ["a-b"], ["A", "a.b", "a" * 64]),
        ("k8s-long-name", ["a.b"], ["A", "a..b"]),
    ],
)
def test_formats(name: str, good: list[str], bad: list[str]) -> None:
    schema = {"type": "string", "format": name}
    assert [text for text in good if faults(schema, text)] == []
    assert [text for text in bad if not faults(schema, text)] == []


class TestRatcheting:
    schema: Json = {
        "type": "object",
        "properties": {"a": {"type": "string", "maxLength": 1}, "b": {"type": "integer"}},
    }

    def test_what_did_not_change_is_forgiven(self) -> None:
        old = {"x": {"a": "long"}}
        assert faults(self.schema, {"a": "long", "b": 1}, old) == []

    def test_what_changed_is_not(self) -> None:
        old = {"x": {"a": "long"}}
        assert faults(self.schema, {"a": "longer"}, old) == ["x.a: Too long: may not be more than 1 bytes"]

    def test_true_is_not_one(self) -> None:
        schema = {"type": "object", "properties": {"a": {"type": "boolean"}}}
        (told,) = faults(schema, {"a": 1}, {"x": {"a": True}})
        assert "must be of type boolean" in told

    def test_items_of_a_map_are_known_by_their_key(self) -> None:
        item = {
            "type": "object",
            "properties": {"k": {"type": "string"}, "v": {"type": "string", "maxLength": 1}},
        }
        keyed = {
            "type": "array",
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["k"],
            "items": item,
        }
        old = {"x": [{"k": "a", "v": "long"}]}
        new = [{"k": "b", "v": "1"}, {"k": "a", "v": "long"}]
        assert faults(keyed, new, old) == []
        assert faults({**keyed, "x-kubernetes-list-type": "atomic"}, new, old) == [
            "x[1].v: Too long: may not be more than 1 bytes"
        ]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1"),
        (1.5, "1.5"),
        (1e21, "1e+21"),
        (1e-7, "1e-07"),
        (123456789.0, "123456789"),
        (0.0001, "0.0001"),
    ],
)
def test_floats_as_go_prints_them(value: float, text: str) -> None:
    assert number_checks.go_float(value) == text


def test_what_is_told_is_bounded() -> None:
    schema = {"type": "array", "items": {"type": "string"}}
    assert len(faults(schema, list(range(50_000)))) == values.FAULTS_MAX
