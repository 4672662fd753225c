"""What cannot be compiled, and how that is said: as upstream says it, carets and all."""

from __future__ import annotations

import pytest

from services.apiserver.cel import CompileError, Environment, types

ENVIRONMENT = Environment(
    {
        "object": types.DYN,
        "number": types.INT,
        "text": types.STRING,
        "texts": types.list_of(types.STRING),
        "self": types.object_of("self", {"replicas": types.Field(types.INT)}),
    }
)


def fault(text: str) -> str:
    with pytest.raises(CompileError) as caught:
        ENVIRONMENT.compile(text)
    return str(caught.value)


def at(column: int, text: str, message: str) -> str:
    return f"ERROR: <input>:1:{column}: {message}\n | {text}\n | {'.' * (column - 1)}^"


NO_RANGE = "cannot be range of a comprehension (must be list, map, or dynamic)"
FAULTS = [
    ("object.matches(')')", 16, "invalid matches argument"),
    ("object.matches('x++') || true", 16, "invalid matches argument"),
    ("duration('1d') == null", 10, "invalid duration argument"),
    ("duration('1us') < duration('1nns')", 28, "invalid duration argument"),
    ("timestamp('2026') == null", 11, "invalid timestamp argument"),
    ("object.", 8, "Syntax error: no viable alternative at input '.'"),
    ("number number", 8, "Syntax error: extraneous input 'number' expecting <EOF>"),
    ("nothing", 1, "undeclared reference to 'nothing' (in container '')"),
    ("nothing(1)", 8, "undeclared reference to 'nothing' (in container '')"),
    ("text.nothing()", 13, "undeclared reference to 'nothing' (in container '')"),
    ("self.nothing", 5, "undefined field 'nothing'"),
    ("number.nothing", 7, "type 'int' does not support field selection"),
    ("number + text", 8, "found no matching overload for '_+_' applied to '(int, string)'"),
    ("number == text", 8, "found no matching overload for '_==_' applied to '(int, string)'"),
    ("number && true", 8, "found no matching overload for '_&&_' applied to '(int, bool)'"),
    ("text.contains(1)", 14, "found no matching overload for 'contains' applied to 'string.(int)'"),
    ("size(1)", 5, "found no matching overload for 'size' applied to '(int)'"),
    ("texts.all(t, t)", 10, "found no matching overload for '_&&_' applied to '(bool, string)'"),
    ("texts.filter(t, t > 1)", 19, "found no matching overload for '_>_' applied to '(string, int)'"),
    ("number.all(x, true)", 1, f"expression of type 'int' {NO_RANGE}"),
    ("texts.all(t.x, true)", 12, "argument must be a simple name"),
    ("has(object)", 5, "invalid argument to has() macro"),
    ("[1, 'a']", 5, "expected type 'int' but found 'string'"),
    ("{'a': 1, 'b': 'c'}", 15, "expected type 'int' but found 'string'"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "column", "message"), FAULTS)
def test_the_fault_and_its_place(text: str, column: int, message: str) -> None:
    assert fault(text) == at(column, text, message)


def test_every_fault_is_told_by_place() -> None:
    text = "one + two"
    assert fault(text) == "\n".join(
        (
            at(1, text, "undeclared reference to 'one' (in container '')"),
            at(7, text, "undeclared reference to 'two' (in container '')"),
        )
    )


def test_the_line_that_it_is_in() -> None:
    assert fault("number > 1 &&\n  nothing").startswith("ERROR: <input>:2:3: ")
    assert fault("number > 1 &&\n  nothing").endswith("\n |   nothing\n | ..^")


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("number > 1", "bool"),
        ("object.x", "dyn"),
        ("texts.map(t, t.size())", "list(int)"),
        ("{'a': [1]}", "map(string, list(int))"),
        ("texts[0]", "string"),
        ("object.?x", "optional_type(dyn)"),
        ("true ? 1 : 2", "int"),
        ("type(1)", "type(int)"),
        ("[].size() == 0", "bool"),
    ],
)
def test_what_it_answers(text: str, kind: str) -> None:
    assert str(ENVIRONMENT.compile(text).type) == kind


@pytest.mark.parametrize(
    "text", ["(" * 300 + "1" + ")" * 300, "1" + " + 1" * 20_000, "object" + ".a" * 3000, "[" * 5000]
)
def test_depth_and_length_are_bounded(text: str) -> None:
    assert fault(text)
