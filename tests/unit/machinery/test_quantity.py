"""Quantities: exact values, upstream's canonical form, refusals."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.machinery import quantity


@pytest.mark.parametrize(
    ("text", "milli", "value", "canonical"),
    [
        ("0", 0, 0, "0"),
        ("100m", 100, 1, "100m"),
        ("0.1", 100, 1, "100m"),
        ("1.5", 1500, 2, "1500m"),
        ("1000m", 1000, 1, "1"),
        ("1.5Gi", 1610612736000, 1610612736, "1536Mi"),
        ("1536Mi", 1610612736000, 1610612736, "1536Mi"),
        ("1Ki", 1024000, 1024, "1Ki"),
        ("2e3", 2000000, 2000, "2e3"),
        ("1000k", 1000000000, 1000000, "1M"),
        ("-5", -5000, -5, "-5"),
        ("0.1n", 1, 1, "1n"),
        ("12E", 12 * 10**21, 9223372036854775807, "9223372036854775807"),
    ],
)
def test_values_and_canonical_form(text: str, milli: int, value: int, canonical: str) -> None:
    if text != "12E":  # Above the greatest int64 the value is cut.
        assert quantity.milli(text) == milli
    assert quantity.value(text) == value
    assert quantity.canonical(text) == canonical


@pytest.mark.parametrize("text", ["", "abc", "1x", ".", "1.5.5", "1ki", " 5", "5 ", "e3", "--1"])
def test_what_is_no_quantity(text: str) -> None:
    with pytest.raises(ValueError, match="quantit"):
        quantity.parse(text)


@given(st.integers(min_value=0, max_value=10**15), st.sampled_from(["m", "", "k", "Ki", "Mi", "M"]))
def test_the_canonical_form_means_the_same(number: int, suffix: str) -> None:
    text = f"{number}{suffix}"
    again = quantity.canonical(text)
    assert quantity.parse(again) == quantity.parse(text)
    assert quantity.canonical(again) == again


def test_the_exact_value() -> None:
    assert quantity.parse("1m") == Fraction(1, 1000)
    assert quantity.parse("0.5Gi") == 536870912


def test_a_number_longer_than_python_reads() -> None:
    with pytest.raises(ValueError, match="quantities must match"):
        quantity.parse("9" * 5000)
