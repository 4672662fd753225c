"""What mutating policies make of an object."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from services.apiserver.admission.conditions import Failed
from services.apiserver.admission.mutations import json_of
from services.apiserver.cel.environment import Environment


@pytest.mark.parametrize(
    ("expression", "wanted"),
    [
        ("{'a': [1, 2], 'b': [3]}", {"a": [1, 2], "b": [3]}),
        ("b'ab'", "YWI="),
        ("timestamp('2026-01-01T00:00:00Z')", "2026-01-01T00:00:00Z"),
        ("duration('90s')", "90s"),
        ("9223372036854775807", "9223372036854775807"),
        ("18446744073709551615u", "18446744073709551615"),
        ("-5", -5),
        ("7u", 7),
        ("1.5", 1.5),
        ("null", None),
        ("true", True),
    ],
)
def test_what_an_expression_answers_as_json(expression: str, wanted: Any) -> None:
    value, _ = Environment({}).compile(expression).evaluate({})
    found = json_of(value)
    assert found == wanted
    assert type(found) is type(wanted)
    orjson.dumps(found)


@pytest.mark.parametrize("expression", ["string", "optional.of(1)", "quantity('1')"])
def test_what_json_has_no_words_for(expression: str) -> None:
    value, _ = Environment({}).compile(expression).evaluate({})
    with pytest.raises(Failed, match="cannot be written as JSON"):
        json_of(value)


def test_a_moment_has_a_zone() -> None:
    assert json_of(datetime(2026, 1, 1, tzinfo=UTC)) == "2026-01-01T00:00:00Z"
