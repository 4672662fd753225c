"""Warnings as headers: bounded, each once, and nothing in them that no header may contain."""

from __future__ import annotations

from services.apiserver.fronts.rest.warning_headers import headers_of


def test_each_text_once() -> None:
    assert headers_of(["a", "b", "a", ""]) == ['299 - "a"', '299 - "b"']


def test_what_a_header_may_not_contain() -> None:
    assert headers_of(['a\r\nX-Evil: "1"\\\x00\x7f\x85']) == ['299 - "a  X-Evil: \\"1\\"\\\\   "']


def test_a_text_that_fits_is_whole() -> None:
    assert headers_of(["x" * 4096]) == [f'299 - "{"x" * 4096}"']


def test_more_than_fits_is_cut_short_and_then_left_out() -> None:
    found = headers_of([f"{number:04}{'ä' * 1000}" for number in range(1000)])
    assert len(found) == 16
    assert found[-1] == f'299 - "0015{"ä" * 252}"'
