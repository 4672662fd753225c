from __future__ import annotations

from datetime import UTC, datetime

from services.kubelet.log_lines import LineFilter

PIECES = (
    b"2026-01-01T00:00:00.5Z stdout P one and \n"
    b"2026-01-01T00:00:01.123456789Z stdout P half, \n"
    b"2026-01-01T00:00:01.2Z stdout F done\n"
    b"2026-01-01T00:00:02Z stderr F \xff\x00\n"
    b"2026-01-01T00:00:03Z stdout P no end\n"
)


def test_pieces_are_one_line_again() -> None:
    assert LineFilter().feed(PIECES) == b"one and half, done\n\xff\x00\nno end"


def test_a_line_has_one_timestamp() -> None:
    assert LineFilter(timestamps=True).feed(PIECES) == (
        b"2026-01-01T00:00:00.5Z one and half, done\n"
        b"2026-01-01T00:00:02Z \xff\x00\n"
        b"2026-01-01T00:00:03Z no end"
    )


def test_since_minds_fractions_of_any_length() -> None:
    since = datetime(2026, 1, 1, 0, 0, 1, 150_000, tzinfo=UTC)
    assert LineFilter(since=since).feed(PIECES) == b"done\n\xff\x00\nno end"


def test_what_comes_torn_apart_is_put_together() -> None:
    filter = LineFilter()
    assert b"".join(filter.feed(PIECES[at : at + 1]) for at in range(len(PIECES))) == (
        b"one and half, done\n\xff\x00\nno end"
    )


def test_bytes_are_counted() -> None:
    filter = LineFilter(remaining_bytes=5)
    assert filter.feed(PIECES) == b"one a"
    assert filter.exhausted
    assert filter.feed(PIECES) == b""


def test_what_is_no_line_of_the_cri_is_shown_as_it_is_or_not_at_all() -> None:
    assert LineFilter().feed(b"\nnonsense\n2026 stdout F\n") == b"nonsense\n\n"
