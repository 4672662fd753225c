"""HTTP/1.1 as bytes: whatever comes, in whatever pieces, is a request, a response or a refusal."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.runtime.http import (
    BODY_BYTES_MAX,
    HEAD_BYTES_MAX,
    BadMessage,
    ClientConnection,
    Request,
    Response,
    ServerConnection,
    encode_request,
    encode_response,
)


def requests_of(data: bytes, piece: int = 0) -> list[Request]:
    connection, found = ServerConnection(), []
    for at in range(0, len(data), piece or len(data) or 1):
        connection.feed(data[at : at + (piece or len(data))])
        while (request := connection.next()) is not None:
            found.append(request)
    return found


@pytest.mark.parametrize("piece", [0, 1, 7])
def test_requests_follow_each_other_on_one_connection(piece: int) -> None:
    data = (
        b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n"
        b"POST /b HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcGET /c HTTP/1.1\r\n\r\n"
    )
    found = requests_of(data, piece)
    assert [(one.method, one.path, one.body) for one in found] == [
        ("GET", "/a", b""), ("POST", "/b", b"abc"), ("GET", "/c", b""),
    ]  # fmt: skip


@pytest.mark.parametrize("piece", [0, 1, 5])
def test_chunks_with_extensions_and_trailers(piece: int) -> None:
    data = (
        b"PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"3;x=y\r\nabc\r\nA\r\n0123456789\r\n0\r\nSum: 1\r\n\r\nGET / HTTP/1.1\r\n\r\n"
    )
    found = requests_of(data, piece)
    assert [one.body for one in found] == [b"abc0123456789", b""]


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"hello\r\n\r\n", 400),
        (b"GET /\r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n folded: x\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: 1e3\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n", 413),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n", 400),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n", 400),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nfffffff\r\n", 413),
        (b"GET / HTTP/1.1\r\nA: " + b"x" * HEAD_BYTES_MAX, 431),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + b"0" * (HEAD_BYTES_MAX + 1), 400),
    ],
)
def test_refusals(data: bytes, status: int) -> None:
    with pytest.raises(BadMessage) as refusal:
        requests_of(data)
    assert refusal.value.status == status


@pytest.mark.parametrize(
    ("head", "closed"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", False),
        (b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n", True),
        (b"GET / HTTP/1.0\r\n\r\n", True),
        (b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", False),
    ],
)
def test_who_closes(head: bytes, closed: bool) -> None:
    connection = ServerConnection()
    connection.feed(head)
    connection.next()
    assert connection.closed is closed


def test_a_client_that_waits_to_be_told() -> None:
    connection = ServerConnection()
    connection.feed(b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
    assert connection.next() is None
    assert connection.wants_continue
    connection.feed(b"ok")
    request = connection.next()
    assert request is not None
    assert request.body == b"ok"
    assert not connection.wants_continue


def test_an_address_as_a_proxy_gets_it() -> None:
    assert requests_of(b"GET http://web/a?b=c HTTP/1.1\r\n\r\n")[0].path == "/a?b=c"


def test_values_cannot_begin_another_header() -> None:
    answer = encode_response(Response(200, b"", (("Location", "/a\r\nSet-Cookie: x"),)), close=True)
    assert b"\r\nSet-Cookie" not in answer
    asked = encode_request(Request("GET", "/a b\r\nX: y", (("A", "1\nB: 2"),)))
    assert asked.count(b"\r\n") == 3


def test_what_has_no_body_says_no_length() -> None:
    assert b"Content-Length" not in encode_response(Response(304), close=False)


@pytest.mark.parametrize("piece", [1, 4, 1000])
def test_a_response_in_pieces(piece: int) -> None:
    data = (
        b"HTTP/1.1 100 Continue\r\n\r\n"
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"
    )
    client, found = ClientConnection(), None
    for at in range(0, len(data), piece):
        assert found is None
        client.feed(data[at : at + piece])
        found = client.response()
    assert found == Response(200, b"hi", (("Transfer-Encoding", "chunked"),))


def test_a_response_until_the_end() -> None:
    client = ClientConnection()
    client.feed(b"HTTP/1.0 200 OK\r\n\r\nall of it")
    assert client.response() is None
    answer = client.response(ended=True)
    assert answer is not None
    assert answer.body == b"all of it"


@pytest.mark.parametrize(
    "data",
    [
        b"-ERR unknown command\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc",
        b"",
    ],
)
def test_what_is_no_response(data: bytes) -> None:
    client = ClientConnection()
    client.feed(data)
    with pytest.raises(BadMessage):
        client.response(ended=True)


def test_a_body_past_the_bound() -> None:
    client = ClientConnection()
    client.feed(b"HTTP/1.1 200 OK\r\n\r\n" + bytes(BODY_BYTES_MAX + 1))
    with pytest.raises(BadMessage):
        client.response()


@given(st.lists(st.binary(max_size=60), max_size=8))
def test_any_bytes_end_in_requests_or_a_refusal(pieces: list[bytes]) -> None:
    connection = ServerConnection()
    with suppress(BadMessage):
        for piece in pieces:
            connection.feed(piece)
            while connection.next() is not None:
                pass


@given(st.binary(max_size=200), st.sampled_from(["GET", "POST", "PUT"]), st.text(max_size=20))
def test_a_request_survives_the_wire(body: bytes, method: str, value: str) -> None:
    sent = encode_request(Request(method, "/x", (("Name", value),), body))
    [got] = requests_of(sent, 3)
    assert (got.method, got.path, got.body) == (method, "/x", body)
