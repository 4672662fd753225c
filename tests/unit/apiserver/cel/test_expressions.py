"""What expressions answer, as cel-go would."""

from __future__ import annotations

from typing import Any

import pytest

from services.apiserver.cel import CostExceeded, Environment, EvaluationError, types
from services.machinery import quantity

OBJECT = {
    "metadata": {"name": "web", "labels": {"app": "web"}},
    "spec": {"replicas": 3, "containers": [{"name": "a", "image": "i:1"}, {"name": "b", "image": "j:2"}]},
}
ENVIRONMENT = Environment({"object": types.DYN, "oldObject": types.DYN})


def value(text: str, **variables: Any) -> Any:
    return ENVIRONMENT.compile(text).evaluate({"object": OBJECT, "oldObject": None, **variables})[0]


TRUE = [
    "object.spec.replicas <= 5",
    "object.spec.replicas < 3.5",
    "has(object.spec.replicas) && !has(object.spec.paused)",
    "oldObject == null",
    "'app' in object.metadata.labels",
    "object.metadata.labels['app'] == 'web'",
    "object.spec.containers.all(c, c.image.matches('^[a-z]:[0-9]$'))",
    "object.spec.containers.exists(c, c.name == 'b')",
    "object.spec.containers.exists_one(c, c.name == 'a')",
    "object.spec.containers.map(c, c.name) == ['a', 'b']",
    "object.spec.containers.map(c, c.name == 'a', c.image) == ['i:1']",
    "object.spec.containers.filter(c, c.name.startsWith('a')).size() == 1",
    "object.metadata.labels.all(key, key != '')",
    "object.spec.containers.all(i, c, i < 2 && c.name != '')",
    "object.metadata.labels.transformMap(k, v, v + '!') == {'app': 'web!'}",
    "[3, 1, 2].transformList(i, v, i + v) == [3, 2, 4]",
    "{'a': 'b'}.transformMapEntry(k, v, {v: k}) == {'b': 'a'}",
    # One operand decides, whichever way round the other one fails.
    "(1 / 0 > 0) || true",
    "true || (1 / 0 > 0)",
    "!((1 / 0 > 0) && false)",
    "[1, 0].exists(x, 1 / x == 1)",
    # Values of different kinds are unequal, and numbers compare across types.
    "dyn(1) == dyn(1.0) && dyn(1u) == dyn(1)",
    "dyn(1) != dyn(true) && dyn('1') != dyn(1)",
    "1 < 2u && 1.5 < 2",
    "-7 / 2 == -3 && -7 % 2 == -1",
    "9223372036854775807 > 0 && -9223372036854775808 < 0",
    "size('é') == 1 && size(b'é') == 2",
    r"'\u00e9' == 'é' && r'\d' == '\\d' && '''a\nb''' == 'a\nb'",
    "type(1) == int && type('a') != int && type([1]) == list",
    "string(1.5) == '1.5' && int('-3') == -3 && double('1e3') == 1000.0 && bool('true')",
    "duration('1h30m').getMinutes() == 90 && string(duration('1.5s')) == '1.5s'",
    "timestamp('2026-11-21T00:00:00Z') + duration('24h') == timestamp('2026-11-22T00:00:00Z')",
    "timestamp('2026-11-21T23:30:00Z').getDayOfWeek() == 6",
    "timestamp('2026-11-21T23:30:00Z').getHours('+01:00') == 0",
    # Optional values.
    "object.?spec.?paused.orValue(false) == false",
    "object.metadata.?labels['app'].orValue('') == 'web'",
    "object[?'nothing'].hasValue() == false",
    "{?'a': object.?nothing, ?'b': optional.of(1)} == {'b': 1}",
    "[?object.?nothing, ?object.?kind.or(optional.of('x'))] == ['x']",
    "object.?spec.optMap(s, s.replicas).value() == 3",
    "optional.ofNonZeroValue('').hasValue() == false",
    # Libraries.
    "'a,b'.split(',') == ['a', 'b'] && ['a', 'b'].join('-') == 'a-b'",
    "'Hello'.lowerAscii() == 'hello' && 'hello'.substring(1, 3) == 'el' && ' x '.trim() == 'x'",
    "'hello'.indexOf('l') == 2 && 'hello'.lastIndexOf('l') == 3 && 'abab'.replace('a', 'x', 1) == 'xbab'",
    "'%s has %d of %.1f'.format(['a', 2, 3.14]) == 'a has 2 of 3.1'",
    "'abc123'.find('[0-9]+') == '123' && 'a1b2'.findAll('[0-9]') == ['1', '2']",
    "'aaaa'.find('(a+)+$') == 'aaaa' && 'aaaa!'.findAll('(a+)+', 1) == ['aaaa']",
    "[1, 2, 3].sum() == 6 && [1, 2].isSorted() && [3, 1].min() == 1 && ['a', 'b'].indexOf('b') == 1",
    "sets.contains([1, 2], [1]) && sets.equivalent([1, 1], [1]) && !sets.intersects([1], [2])",
    "quantity('1Gi').isGreaterThan(quantity('1G'))",
    "quantity('1500m').add(quantity('500m')).asInteger() == 2",
    "isQuantity('5k') && !isQuantity('5x')",
    "url('https://me@host:8080/a?b=c').getHostname() == 'host' && isURL('/a') && !isURL('a')",
    "url('https://h/p?b=c&b=d').getQuery() == {'b': ['c', 'd']}",
    "cidr('10.0.0.0/8').containsIP('10.1.2.3') && ip('::1').isLoopback() && ip('1.2.3.4').family() == 4",
    "cidr('10.1.2.3/8').masked() == cidr('10.0.0.0/8') && !isIP('1.2.3')",
    "ip.isCanonical('::1') && !ip.isCanonical('0:0:0:0:0:0:0:1')",
    "semver('1.2.3').isLessThan(semver('1.10.0')) && semver('1.0.0-rc.1').isLessThan(semver('1.0.0'))",
    "isSemver('v1.2', true) && !isSemver('v1.2')",
    "!format.dns1123Label().validate('ok').hasValue() && format.named('nothing') == optional.none()",
    "format.dns1123Label().validate('Not').value().size() == 1",
]  # fmt: skip


@pytest.mark.parametrize("text", TRUE)
def test_holds(text: str) -> None:
    assert value(text) is True


FAILING = [
    ("object.spec.nothing", "no such key: nothing"),
    ("object.spec.nothing.more", "no such key: nothing"),
    ("object.spec.containers[5]", "index out of bounds: 5"),
    ("1 / 0", "division by zero"),
    ("1 % 0", "modulus by zero"),
    ("9223372036854775807 + 1", "integer overflow"),
    ("object.spec.replicas + 'x'", "no such overload"),
    ("object.metadata.name > 1", "no such overload"),
    ("object.spec.replicas.all(x, x)", "no such overload"),
    ("object.spec.containers.all(c, c.nothing)", "no such key: nothing"),
    ("optional.none().value()", "optional.none() dereference"),
    ("quantity('x')", quantity.INVALID),
    ("'a'.matches('(' + '')", "error parsing regexp: missing closing ): `(`"),
    ("int('x')", 'strconv.ParseInt: parsing "x": invalid syntax'),
]  # fmt: skip


@pytest.mark.parametrize(("text", "why"), FAILING)
def test_has_no_value(text: str, why: str) -> None:
    with pytest.raises(EvaluationError) as caught:
        value(text)
    assert str(caught.value) == why


@pytest.mark.parametrize(
    "text",
    [
        "object.all(a, object.all(b, object.all(c, object.all(d, a + b + c + d >= 0))))",
        "object.map(a, object.map(b, object.map(c, object)))",
        "object.map(a, object.map(b, object.map(c, 'x' + string(c)))).size() > 0",
        "('x' + 'x').matches('(x+x+)+y') || object.all(a, object.all(b, object.all(c, true)))",
    ],
)  # fmt: skip
def test_what_costs_too_much_is_cancelled(text: str) -> None:
    with pytest.raises(CostExceeded):
        value(text, object=list(range(300)))


def test_the_cost_of_an_evaluation_is_told() -> None:
    program = ENVIRONMENT.compile("object.spec.replicas > 2 && 'x' == 'x'")
    assert program.evaluate({"object": OBJECT})[1] == 5
    with pytest.raises(CostExceeded):
        program.evaluate({"object": OBJECT}, limit=4)


def test_an_inner_variable_hides_an_outer_one_only_for_its_time() -> None:
    text = "[1, 2].map(object, [object].map(object, object * 10)[0] + object) == [11, 22]"
    assert value(f"{text} && object.spec.replicas == 3") is True


def test_programs_keep_nothing_between_evaluations() -> None:
    program = ENVIRONMENT.compile("object.map(x, x * 2)")
    assert program.evaluate({"object": [1]})[0] == [2]
    assert program.evaluate({"object": [2, 3]})[0] == [4, 6]


# -- declared types ------------------------------------------------------------------------------

SCHEMA = types.object_of(
    "spec",
    {
        "ratio": types.Field(types.DOUBLE),
        "at": types.Field(types.TIMESTAMP),
        "a__dash__b": types.Field(types.STRING, "a-b"),
        "ports": types.Field(types.Type("list", (types.INT,), "set")),
        "rules": types.Field(types.Type("list", (types.map_of(types.STRING, types.STRING),), "map:name")),
    },
)  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "self.ratio > 1.0 && self.ratio == 2.0",
        "self.at < timestamp('2027-01-01T00:00:00Z')",
        "self.a__dash__b == 'x' && has(self.a__dash__b)",
        "self.ports == [2, 1] && (self.ports + [2, 3]).size() == 3",
        "self.rules + [{'name': 'a', 'v': '2'}] == [{'name': 'a', 'v': '2'}]",
    ],
)
def test_a_schema_says_what_json_means(text: str) -> None:
    given = {
        "ratio": 2,
        "at": "2026-11-21T00:00:00Z",
        "a-b": "x",
        "ports": [1, 2],
        "rules": [{"name": "a", "v": "1"}],
    }
    assert Environment({"self": SCHEMA}).compile(text).evaluate({"self": given})[0] is True
    assert given["ratio"] == 2  # untouched


def test_sets_compare_in_one_pass() -> None:
    """As lists of their length they would take a minute."""
    numbers = types.Type("list", (types.INT,), "set")
    environment = Environment({"a": numbers, "b": numbers})
    given = {"a": list(range(50_000)), "b": list(range(50_000))[::-1]}
    for text in ("a == b", "a + b == b", "a + [-1] != b", "(a + [1, -1]).size() == 50001"):
        assert environment.compile(text).evaluate(given)[0] is True, text


def test_sets_hold_what_is_equal_once() -> None:
    anything = types.Type("list", (types.DYN,), "set")
    environment = Environment({"a": anything, "b": anything})
    same = [1, 1.0, True, "1", None, {"x": [1]}, [1, 2]]
    assert environment.compile("a == b").evaluate({"a": same, "b": same[::-1]})[0] is True
    for one, other in ((1, True), ("1", 1), ({"x": 1}, {"x": 2}), ([1], [2]), (None, False), ([], {})):
        assert environment.compile("a == b").evaluate({"a": [one], "b": [other]})[0] is False
        assert environment.compile("(a + b).size()").evaluate({"a": [one], "b": [other]})[0] == 2
    assert environment.compile("(a + b).size()").evaluate({"a": [{"x": 1}], "b": [{"x": 1.0}]})[0] == 1


def test_finding_stops_where_enough_is_found() -> None:
    text = "ab" * 100
    assert value("object.find('b.')", object=text) == "ba"
    assert value("object.findAll('a', 2)", object=text) == ["a", "a"]
    assert value("object.findAll('a', 0)", object=text) == []
    assert len(value("object.findAll('a')", object=text)) == 100


@pytest.mark.parametrize(
    "text",
    [
        "[1, 2, 3, 4].slice(1, 3) == [2, 3] && [1, 2].slice(2, 2) == []",
        "[[1], [], [2, 3]].flatten() == [1, 2, 3]",
        "object.flatten(2).size() == 4 && object.flatten(3) == [1, 2, 3, 4]",
        "lists.range(4) == [0, 1, 2, 3] && lists.range(-1).size() == 0",
        "[5, 3, 1, 2].reverse() == [2, 1, 3, 5]",
        "['b', 'b', 'c', 'a', 'c'].distinct() == ['b', 'c', 'a']",
        "[{'x': 1}, {'x': 1}].distinct().size() == 1",
        "[3, 2, 1].sort() == [1, 2, 3] && ['b', 'c', 'a'].sort() == ['a', 'b', 'c']",
        "[{'n': 1, 's': 3}, {'n': 2, 's': 1}].sortBy(e, e.s).map(e, e.n) == [2, 1]",
        "[2, 3, 1].sortBy(x, -x).sortBy(x, [x].sortBy(y, x + y)[0]) == [1, 2, 3]",
    ],
)
def test_lists_in_another_shape(text: str) -> None:
    assert value(text, object=[1, [2, [3, [4]]]]) is True


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[1, 2].slice(1, 3).size() == 1", "cannot slice(1, 3), list is length 2"),
        ("[1, 2].slice(2, 1).size() == 1", "start index must be less than or equal to end index"),
        ("[1, 2].slice(-1, 1).size() == 1", "negative indexes not supported"),
        ("[[1]].flatten(-1).size() == 1", "level must be non-negative"),
        ("dyn([1, dyn('b')]).sort().size() == 2", "list elements must have the same type"),
        ("dyn([[1]]).sort().size() == 1", "list elements must be comparable"),
    ],
)
def test_what_lists_cannot_be_made_into(text: str, why: str) -> None:
    with pytest.raises(EvaluationError) as caught:
        value(text)
    assert why in str(caught.value)


def test_sorting_costs_by_the_square() -> None:
    with pytest.raises(CostExceeded):
        value("object.sort().size() > 0", object=list(range(800)))
    with pytest.raises(CostExceeded):
        value("lists.range(1000000000).size() > 0")
