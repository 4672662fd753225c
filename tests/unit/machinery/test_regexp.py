"""Go's regular expressions: what matches, what is refused with which words, and in which time."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.machinery import regexp

MATCHES = [
    ("^[a-z]+$", "abc", True),
    ("^[a-z]+$", "abc\n", False),  # $ is the end, not what stands before a last newline
    ("b", "abc", True),
    ("^b", "abc", False),
    ("(?i)^ABC$", "aBc", True),
    ("(?m)^b$", "a\nb\nc", True),
    ("a.c", "a\nc", False),
    ("(?s)a.c", "a\nc", True),
    ("^[[:alpha:]_]{2,3}$", "a_b", True),
    ("^[[:^alpha:]]+$", "12", True),
    (r"^\d{3}-\d{4}$", "555-1234", True),
    (r"^\pL+$", "äöü", True),
    (r"^\p{Greek}+$", "αβγ", True),
    (r"^\P{L}+$", "12", True),
    (r"\bfoo\b", "a foo b", True),
    (r"\bfoo\b", "afoo", False),
    (r"\Bfoo", "afoo", True),
    (r"^\Qa.b\E$", "a.b", True),
    (r"^\Qa.b\E$", "axb", False),
    ("^(?:a|b|)$", "", True),
    ("^(?P<name>x)(?:y)?$", "xy", True),
    ("^[^a-c]$", "b", False),
    ("^[]a]+$", "]a", True),
    ("^[a-]+$", "a-", True),
    (r"^\x41\x{42}\103$", "ABC", True),
    (r"\Aab\z", "ab", True),
    ("^(a?){3}$", "aa", True),
    ("", "anything", True),
    (r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$", "a-b.example.com", True),
    (r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$", "a-.example", False),
    ("x{,3}", "x{,3}", True),  # no quantifier, so a text
]


@pytest.mark.parametrize(("pattern", "text", "matches"), MATCHES)
def test_search(pattern: str, text: str, matches: bool) -> None:
    assert regexp.compiled(pattern).search(text) is matches


@pytest.mark.parametrize(
    ("pattern", "fault"),
    [
        ("[a-z", "missing closing ]: `[a-z`"),
        ("(a", "missing closing ): `(a`"),
        ("a)", "unexpected ): `a)`"),
        ("*a", "missing argument to repetition operator: `*`"),
        ("a**", "invalid nested repetition operator: `**`"),
        ("a{1001}", "invalid repeat count: `{1001}`"),
        ("a{3,2}", "invalid repeat count: `{3,2}`"),
        ("[z-a]", "invalid character class range: `z-a`"),
        (r"\8", r"invalid escape sequence: `\8`"),
        ("a\\", "trailing backslash at end of expression: ``"),
        ("(?=a)", "invalid or unsupported Perl syntax: `(?=`"),
        (r"\p{Nonsense}", r"invalid character class range: `\p{Nonsense}`"),
        ("[[:nonsense:]]", "invalid character class range: `[:nonsense:]`"),
        ("((a{100}){100}){100}", "invalid repeat count: `{100}`"),
        ("|".join([r"\pL{900}"] * 40), "expression too large"),
        ("\ud800", "invalid UTF-8"),
    ],
)
def test_faults(pattern: str, fault: str) -> None:
    assert regexp.fault(pattern).startswith(f"error parsing regexp: {fault}")


@pytest.mark.parametrize("pattern", ["^(a+)+$", "^(a|aa)+$", "^(.*a){20}$", "^a*a*a*a*a*a*b$", r"\s+$"])
def test_no_pattern_takes_long(pattern: str) -> None:
    text = ("a" if "s" not in pattern else " ") * 20_000 + "!"
    assert not regexp.compiled(pattern).search(text)


def test_found_is_what_matches_from_left_to_right() -> None:
    assert regexp.compiled("(ä|b)+").found("xäb-b") == ["äb", "b"]
    assert regexp.compiled("x*").found("äxx") == ["", "xx", ""]
    assert regexp.compiled("z").found("aaa") == []


def test_half_of_a_letter_is_a_letter_that_nothing_means() -> None:
    assert not regexp.compiled("^[a-z]+$").search("a\ud800")
    assert regexp.compiled("a.").found("a\ud800") == ["a?"]


_PIECES = st.sampled_from(
    ["a", "b", "c", ".", "[ab]", "[^a]", "(a|b)", "(?:ab)", r"\d", r"\w", "^", r"\b", "-"]
)
_PATTERNS = st.lists(st.tuples(_PIECES, st.sampled_from(["", "*", "+", "?", "{1,2}"])), max_size=6).map(
    lambda parts: "".join(piece + ("" if piece in ("^", r"\b") else often) for piece, often in parts)
)


@settings(max_examples=150, deadline=None)
@given(_PATTERNS, st.text("abc1-_ ", max_size=8))
def test_agrees_with_python_where_both_mean_the_same(pattern: str, text: str) -> None:
    assert regexp.compiled(pattern).search(text) == bool(re.search(pattern, text, re.ASCII))


@settings(max_examples=150, deadline=None)
@given(st.text(r"ab(){}[]^$*+?|\.,:pPQEdx0189<>i-", max_size=20), st.text("ab\n", max_size=5))
def test_any_text_is_a_pattern_or_refused(pattern: str, text: str) -> None:
    found = regexp.compile_or_none(pattern)
    if found is not None:
        found.search(text)
    else:
        assert regexp.fault(pattern).startswith("error parsing regexp: ")
