"""YAML comes out as go-yaml writes it."""

from __future__ import annotations

from typing import Any

import pytest
import yaml as pyyaml
from hypothesis import given
from hypothesis import strategies as st

from services.kubectl.decoding import Loader
from services.kubectl.output import yaml


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("plain words", "plain words"),
        ("", '""'),
        ("true", '"true"'),
        ("y", '"y"'),
        ("1", '"1"'),
        ("0x1F", '"0x1F"'),
        ("1e3", '"1e3"'),
        ("1_000", '"1_000"'),
        ("12:30:45", '"12:30:45"'),
        ("2026-01-01T00:00:00Z", '"2026-01-01T00:00:00Z"'),
        ("1.2.3", "1.2.3"),
        ("10.0.0.0/24", "10.0.0.0/24"),
        ("a: b", "'a: b'"),
        ("a #b", "'a #b'"),
        ("- x", "'- x'"),
        ("-x", "-x"),
        ("it's: so", "'it''s: so'"),
        ("@at", "'@at'"),
        (" padded", "' padded'"),
        ("tab\there", '"tab\\there"'),
        ("bell\a", '"bell\\a"'),
        ("übrigens", "übrigens"),
        ("two\nlines", "|-\n  two\n  lines"),
        ("two\nlines\n", "|\n  two\n  lines"),
        ("end\n\n", "|+\n  end\n"),
        (True, "true"),
        (None, "null"),
        (3, "3"),
        (0.5, "0.5"),
        ({}, "{}"),
        ([], "[]"),
    ],
)
def test_scalars(value: Any, text: str) -> None:
    assert yaml.dump({"k": value}) == f"k: {text}\n"


def test_lists_are_not_indented_and_keys_are_sorted_naturally() -> None:
    value = {"b": [{"y": 1, "x": [1, [2]]}], "a10": 1, "a2": 2, "A": 3}
    expected = '"A": 3\na2: 2\na10: 1\nb:\n- x:\n  - 1\n  - - 2\n  "y": 1\n'
    assert yaml.dump(value) == expected.replace('"A"', "A")


def test_long_text_is_folded_behind_the_width() -> None:
    words = "0/3 nodes are available: " + "3 Insufficient cpu. preemption: no victims. " * 3
    text = yaml.dump({"message": words.strip()})
    assert pyyaml.safe_load(text) == {"message": words.strip()}
    first, *rest = text.splitlines()
    assert len(first) <= 100
    assert all(line.startswith("  ") for line in rest)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)


@given(JSON)
def test_what_is_written_reads_back(value: Any) -> None:
    assert pyyaml.load(yaml.dump({"value": value}), Loader) == {"value": value}
