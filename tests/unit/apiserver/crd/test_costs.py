"""Estimated costs of rules: the figures that upstream gives for the same schemas and rules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from services.apiserver.cel import Environment
from services.apiserver.crd.costs import Estimate
from services.apiserver.crd.rule_types import Types
from services.apiserver.crd.sizes import Places
from services.apiserver.crd.structural import read

Json = dict[str, Any]
Make = Callable[[int | None], Json]
_PAIR: Json = {
    "type": "object",
    "required": ["required"],
    "properties": {"required": {"type": "string"}, "optional": {"type": "string"}},
}


def _item(kind: str) -> Json:
    if kind == "int-or-string":
        return {"x-kubernetes-int-or-string": True}
    return {"type": "string", "format": kind} if kind in ("duration", "date", "date-time") else {"type": kind}


def _bound(schema: Json, name: str, most: int | None) -> Json:
    return schema if most is None else {**schema, name: most}


def array(items: Json) -> Make:
    return lambda most: _bound({"type": "array", "items": items}, "maxItems", most)


def mapped(values: Json) -> Make:
    return lambda most: _bound({"type": "object", "additionalProperties": values}, "maxProperties", most)


def text(**more: Any) -> Make:
    return lambda most: _bound({"type": "string", **more}, "maxLength", most)


def both(outer: Callable[[Json], Make], inner: Make) -> Make:
    return lambda most: outer(inner(most))(most)


def having(properties: Callable[[int | None], Json]) -> Make:
    return lambda most: {"type": "object", "properties": properties(most)}


CASES: list[tuple[Make, str, int, int, int]] = [
    # schema, rule, cost without a bound, the bound, cost with it
    (array(_item("number")), "self.all(x, true)", 4718591, 10, 32),
    (array(_item("string")), "self.all(x, true)", 3145727, 20, 62),
    (array(_item("boolean")), "self.all(x, true)", 1887437, 5, 17),
    (array({"type": "array", "items": {"type": "number"}}), "self.all(x, true)", 3145727, 100, 302),
    (array(_PAIR), "self.all(x, true)", 555128, 50, 152),
    (mapped(_item("number")), "self.all(x, true)", 1348169, 10, 32),
    (mapped(_item("string")), "self.all(x, true)", 1179647, 3, 11),
    (mapped(_item("boolean")), "self.all(x, true)", 943718, 100, 302),
    (text(), "self.contains('test')", 314574, 10, 5),
    (text(), "self.startsWith('test')", 2, 15, 2),
    (text(), 'size(self + "hello") > size("hello")', 314578, 4, 7),
    (array(_item("number")), "self[1] == 0.0", 2, 5000, 2),
    (array(_item("string")), "self[1] == self[1]", 314577, 8, 314577),
    (array(_item("number")), "self.all(x, self.all(y, true))", 0, 10, 352),
    (array(_item("number")), "self.all(x, self.all(y, self.all(z, true)))", 0, 10, 3552),
    (text(), 'self.matches("x")', 314574, 50, 22),
    (text(), '"".matches("(((((((((())))))))))[0-9]")', 7, 10, 7),
    (text(), 'self.matches("")', 1, 100, 1),
    (both(mapped, text()), "self.all(x, x.contains(self[x]))", 2752507, 10, 72),
    (mapped(_item("number")), 'self["x"] == 0.0', 2, 0, 2),
    (text(), 'self == "x"', 2, 0, 1),
    (array(_item("number")), "self.all(x, x == 0.0)", 6291454, 3 * 1024 * 2048, 25165826),
    (
        array({"type": "object", "additionalProperties": _PAIR}),
        'self.all(x, x["y"].required == "z")',
        7340027,
        10,
        72,
    ),
    (array(_item("int-or-string")), "self[0] == 5", 3, 10, 3),
    (array(_PAIR), "self[0] == null", 2, 422, 2),
    (array({"type": "array", "items": {"type": "number"}}), "self[0][0] == -1.0", 3, 51, 3),
    (
        array({"type": "object", "additionalProperties": {"type": "number"}}),
        "self.all(x, x.y == 25.2)",
        6291452,
        12,
        74,
    ),
    (array(_item("duration")), "self.all(x, true)", 2359295, 5, 17),
    (array(_item("duration")), "self[0].getHours() == 2", 4, 525, 4),
    (array(_item("date")), "self.all(x, true)", 725936, 15, 47),
    (array(_item("date-time")), "self.all(x, true)", 428963, 25, 77),
    (mapped(_item("int-or-string")), "self.all(x, true)", 1348169, 15, 47),
    (mapped(_PAIR), "self.all(x, true)", 428963, 20, 62),
    (mapped(_item("duration")), "self.all(x, true)", 1048577, 5, 17),
    (mapped(_item("date")), "self.all(x, true)", 524288, 10, 32),
    (mapped(_item("date-time")), "self.all(x, true)", 349526, 25, 77),
    (text(), "self.find('[0-9]+') == ''", 629147, 10, 11),
    (both(array, text()), "self.join(' ') == 'aa bb'", 329853068905, 10, 43),
    (both(array, text()), "self.isSorted() == true", 329854432052, 10, 52),
    (
        having(
            lambda most: {
                "str": text()(most),
                "before": text(maxLength=2)(None),
                "after": text(maxLength=4)(None),
            }
        ),
        "self.str.replace(self.before, self.after) == 'does not matter'",
        629154,
        4,
        12,
    ),
    (
        having(lambda most: {"str": text()(most), "separator": text()(most)}),
        "self.str.split(self.separator) == []",
        629160,
        10,
        22,
    ),
    (text(), "self.lowerAscii() == 'lower!'", 314575, 10, 6),
    (mapped(_item("integer")), "oldSelf.size() == self.size()", 5, 10, 5),
    (mapped(_item("date-time")), 'self["a"] == self["b"]', 8, 7, 8),
    (mapped(_item("duration")), 'self["c"] == self["d"]', 8, 42, 8),
    (text(enum=["A", "B", "C", "LongValue"]), "self.contains('A')", 2, 1000, 401),
    (array(_item("number")), "self.sort() == self", 0, 10, 214),
    (array(_item("number")), "self.sortBy(x, x) == self", 0, 10, 367),
    (array(_item("number")), "self.distinct() == self", 0, 10, 214),
    (array(_item("number")), "self.reverse() == self", 1730163, 10, 24),
    (array(_item("number")), "self.slice(1, 3).size() == 2", 16, 10, 16),
    (array(_item("number")), "lists.range(5).size() == 2", 18, 10, 18),
    (lambda most: _bound(_item("int-or-string"), "maxLength", most), "isQuantity(self)", 314574, 20, 9),
]


def cost(schema: Json, rule: str) -> int:
    node = read(schema)
    kind, place = Types().of(node), Places().of(node)
    assert kind is not None
    assert place is not None
    return Estimate(Environment({"self": kind, "oldSelf": kind}).compile(rule).tree, place).most


@pytest.mark.parametrize(("make", "rule", "unbound", "most", "bound"), CASES, ids=range(len(CASES)))
def test_cost(make: Make, rule: str, unbound: int, most: int, bound: int) -> None:
    if unbound:
        assert cost(make(None), rule) == unbound
    else:
        assert cost(make(None), rule) > 10_000_000
    assert cost(make(most), rule) == bound
