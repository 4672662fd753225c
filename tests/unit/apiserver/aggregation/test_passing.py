"""What of a request goes on to another API server, and what comes back."""

from __future__ import annotations

import pytest

from services.apiserver.aggregation import passing
from services.apiserver.authentication.users import User

ANN = User("ann", ("a",))


def test_nobody_but_this_server_says_who_asks() -> None:
    given = [
        ("X-Remote-User", "root"),
        ("x-remote-extra-scopes", "all"),
        ("X-REMOTE-UID", "0"),
        ("Authorization", "Bearer x"),
        ("Connection", "keep-alive, X-Hop"),
        ("X-Hop", "1"),
        ("Accept", "*/*"),
    ]
    wanted = [("Accept", "*/*"), ("X-Remote-User", "ann"), ("X-Remote-Group", "a")]
    assert passing.headers_for(given, ANN) == wanted


def test_what_no_header_is_called_is_written_by_its_code() -> None:
    user = User("ann", extra={"example.com/T%ä": ("1", "2")})
    name = "X-Remote-Extra-example.com%2FT%25%C3%A4"
    assert passing.identity(user)[1:] == [(name, "1"), (name, "2")]


@pytest.mark.parametrize(
    ("answer", "status", "length"),
    [
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", 101, None),
        (b"HTTP/1.1 403\r\ncontent-length: 12 \r\n\r\n", 403, 12),
        (b"HTTP/1.1 1010 No\r\nContent-Length: -1\r\n\r\n", 0, None),
        (b"\r\n\r\n", 0, None),
        (b"SSH-2.0 101\r\n\r\n", 0, None),
    ],
)
def test_the_head_of_an_answer(answer: bytes, status: int, length: int | None) -> None:
    assert (passing.status_of(answer), passing.length_of(answer)) == (status, length)
