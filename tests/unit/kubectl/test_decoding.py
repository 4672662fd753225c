"""Manifests are read as JSON would have them, and malformed ones end in one precise sentence."""

from __future__ import annotations

import contextlib
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kubectl.decoding import documents
from services.kubectl.errors import Fail

BOMB = 'a: &a ["x", "x", "x", "x", "x", "x", "x", "x", "x", "x"]\n' + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n" for before, name in zip("abcdefg", "bcdefgh")
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 2026-01-01\nb: yes\nc: 0x10\nd: '5'\n", [{"a": "2026-01-01", "b": True, "c": 16, "d": "5"}]),
        ("1: x\ntrue: y\nnull: z\n", [{"1": "x", "true": "y", "null": "z"}]),
        ("a: =\n", [{"a": "="}]),
        ("---\n# nothing\n---\na: 1\n---\nb: 2\n", [{"a": 1}, {"b": 2}]),
        ('{"a": 1}\n{"b": 2}', [{"a": 1}, {"b": 2}]),
        ("{a: 1}", [{"a": 1}]),
        ("x: &x {a: '1'}\ny: {<<: *x, b: '2'}\n", [{"x": {"a": "1"}, "y": {"a": "1", "b": "2"}}]),
        ("", []),
    ],
)
def test_documents(text: str, expected: list[Any]) -> None:
    assert list(documents(text.encode(), "f")) == expected


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (b"a: [1", "yaml: line 1: did not find expected ',' or ']'"),
        (b"a: 1\n\tb: 2\n", "yaml: line 2: found a tab character that violates indentation"),
        (b'a: "\xff"', "yaml: invalid leading UTF-8 octet"),
        (b"a: 1\na: 2\n", 'yaml: unmarshal errors:\n  line 2: key "a" already set in map'),
        (b"{? [a] : b}", 'yaml: line 1: invalid map key: "sequence"'),
        (b"a: " + b"[" * 100_000 + b"]" * 100_000, "yaml: exceeded max depth of 200"),
        (b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "yaml: exceeded max depth of 200"),
        (b"a: &a {b: *a}", "yaml: exceeded max depth of 200"),
        (BOMB.encode(), "yaml: document contains excessive aliasing"),
        (b"a: .inf", "json: unsupported value: +Inf"),
        (b"a: " + b"9" * 30, "json: unsupported value: an integer of more than 64 bits"),
        (b'{"a": "\\ud800"}', "json: invalid surrogate in a string"),
        (b"a: !!binary aGk=", "json: unsupported type: bytes"),
        (b"a: !!python/object:os.system x", "could not determine a constructor"),
    ],
)
def test_malformed(text: bytes, complaint: str) -> None:
    start = "error parsing f: error converting YAML to JSON: "
    with pytest.raises(Fail, match=f"^{re.escape(start)}.*{re.escape(complaint)}"):
        list(documents(text, "f"))


@given(st.binary(max_size=60) | st.text(alphabet="ab:-[]{}&*!|>'\"\n ,?#%@0", max_size=60).map(str.encode))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with contextlib.suppress(Fail):
        list(documents(data, "f"))
