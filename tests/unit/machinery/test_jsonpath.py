"""JSONPath as kubectl understands it."""

from __future__ import annotations

import contextlib
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.machinery import jsonpath

OBJECT: dict[str, Any] = {
    "metadata": {"name": "kubia", "labels": {"app.io/tier": "web", "app": "kubia"}},
    "items": [
        {"name": "a", "n": 1, "tags": ["x", "y"]},
        {"name": "b", "n": 2, "tags": []},
        {"name": "c", "n": 3},
    ],
    "nested": {"image": "i", "list": [{"image": "j"}]},
    "flag": True,
    "none": None,
}


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{.metadata.name}", "kubia"),
        ("{$.metadata.name}", "kubia"),
        ("{.metadata['name']}", "kubia"),
        ("{.metadata.labels.app\\.io/tier}", "web"),
        ("{.metadata.labels['app\\.io/tier']}", "web"),
        ("name: {.metadata.name}{'\\n'}", "name: kubia\n"),
        ("{.items[0].name} {.items[-1].name}", "a c"),
        ("{.items[0:2].name}", "a b"),
        ("{.items[::2].name}", "a c"),
        ("{.items[*].name}", "a b c"),
        ("{.items[?(@.n>1)].name}", "b c"),
        ('{.items[?(@.name=="b")].n}', "2"),
        ("{.items[?(@.tags)].name}", "a b"),
        ("{..image}", "i j"),
        ("{['metadata.name', 'flag']}", "kubia true"),
        ("{range .items[*]}{.name}={.n};{end}", "a=1;b=2;c=3;"),
        ("{range .items[*]}{.name}:{range .tags[*]}{@},{end} {end}", "a:x,y, b: c: "),
        ("{.metadata.labels}", '{"app":"kubia","app.io/tier":"web"}'),
        ("{.nope.deeper}", ""),
        ("{.none}", ""),
        ("plain", "plain"),
    ],
)
def test_templates(template: str, text: str) -> None:
    assert jsonpath.render(jsonpath.parse(template), OBJECT) == text


@pytest.mark.parametrize(
    ("template", "complaint"),
    [
        ("{.x", "unclosed action"),
        ('{"x}', "unterminated quoted string"),
        ("{.x[0}", "unterminated array"),
        ("{range .x}", "unclosed range"),
        ("{end}", "not in range, nothing to end"),
        ("{.x[a:b]}", "invalid array index a:b"),
    ],
)
def test_malformed(template: str, complaint: str) -> None:
    with pytest.raises(jsonpath.JsonPathError, match=re.escape(complaint)):
        jsonpath.parse(template)


def test_missing_fields_are_an_error_where_asked() -> None:
    with pytest.raises(jsonpath.JsonPathError, match="nope is not found"):
        jsonpath.render(jsonpath.parse("{.nope}"), OBJECT, allow_missing=False)


@pytest.mark.parametrize(
    "expression", ["metadata.name", ".metadata.name", "{metadata.name}", "{.metadata.name}"]
)
def test_relaxed(expression: str) -> None:
    assert jsonpath.relaxed(expression) == "{.metadata.name}"


@given(st.text(alphabet="{}[]().*@?$'\"\\ab01:,=<>&|- \n", max_size=30))
def test_any_text_is_read_or_refused(template: str) -> None:
    with contextlib.suppress(jsonpath.JsonPathError):
        jsonpath.render(jsonpath.parse(template), OBJECT)


def test_a_number_longer_than_python_reads() -> None:
    with pytest.raises(jsonpath.JsonPathError, match="invalid array index"):
        jsonpath.parse("{.items[" + "9" * 5000 + "]}")
