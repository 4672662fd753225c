"""HTTP/1.1 without I/O: requests and responses as values, and the bytes they are on a connection.

Emulated servers and clients exchange values and never touch bytes. Bytes exist only where a peer
sends them (port-forward, a node's listener, a server that is no HTTP server): `ServerConnection` turns
them into requests, `ClientConnection` into a response. Limits: a head of 64 KiB, a body of 16 MiB; what is
more, or no HTTP, is a BadMessage: a 4xx to a client, and the end of the connection. What was read
once is not looked at again, however small the pieces in which it comes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

HEAD_BYTES_MAX = 64 * 1024
BODY_BYTES_MAX = 16 * 1024 * 1024

REASONS = {
    100: "Continue", 101: "Switching Protocols",
    200: "OK", 201: "Created", 202: "Accepted", 204: "No Content", 206: "Partial Content",
    301: "Moved Permanently", 302: "Found", 303: "See Other", 304: "Not Modified", 307: "Temporary Redirect",
    308: "Permanent Redirect", 400: "Bad Request", 401: "Unauthorized",
    403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed", 408: "Request Timeout",
    413: "Request Entity Too Large", 431: "Request Header Fields Too Large", 500: "Internal Server Error",
    501: "Not Implemented", 502: "Bad Gateway", 503: "Service Unavailable", 504: "Gateway Timeout",
}  # fmt: skip

Headers = tuple[tuple[str, str], ...]


def header(headers: Headers, name: str, default: str = "") -> str:
    return next((value for key, value in headers if key.lower() == name), default)


@dataclass(frozen=True, slots=True)
class Request:
    method: str = "GET"
    path: str = "/"  # with the query
    headers: Headers = ()
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Response:
    status: int = 200
    body: bytes = b""
    headers: Headers = ()

    @property
    def reason(self) -> str:
        return REASONS.get(self.status, "Unknown")


class BadMessage(Exception):
    def __init__(self, status: int) -> None:
        super().__init__(REASONS[status])
        self.status = status


def encode_response(response: Response, *, close: bool, head_only: bool = False) -> bytes:
    named = {key.lower() for key, _ in response.headers}
    lines = [f"HTTP/1.1 {response.status} {response.reason}", *_lines(response.headers)]
    if "content-length" not in named and response.status not in (204, 304):
        lines.append(f"Content-Length: {len(response.body)}")
    if "connection" not in named:
        lines.append(f"Connection: {'close' if close else 'keep-alive'}")
    head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")
    return head if head_only else head + response.body


def encode_request(request: Request) -> bytes:
    named = {key.lower() for key, _ in request.headers}
    path = request.path.translate(_NO_BREAKS).replace(" ", "%20")
    lines = [f"{request.method.translate(_NO_BREAKS)} {path} HTTP/1.1", *_lines(request.headers)]
    if request.body and "content-length" not in named:
        lines.append(f"Content-Length: {len(request.body)}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace") + request.body


_NO_BREAKS = {10: " ", 13: " ", 0: " "}  # or a value could begin another header


def _lines(headers: Headers) -> Iterable[str]:
    return (f"{key.translate(_NO_BREAKS)}: {value.translate(_NO_BREAKS)}" for key, value in headers)


@dataclass(slots=True)
class _Body:
    """A body being read: by its length, in chunks, or (length < 0) until the other side ends it."""

    length: int = 0
    chunked: bool = False
    data: bytearray = field(default_factory=bytearray)
    _left: int = -1  # of this chunk; -1: its size comes next
    _trailers: bool = False

    def take(self, buffer: bytearray) -> bool:
        """Moves what belongs to it out of the buffer. Whether it is complete."""
        if self.chunked:
            return self._take_chunks(buffer)
        wanted = len(buffer) if self.length < 0 else self.length - len(self.data)
        self._move(buffer, wanted)
        return len(self.data) == self.length

    def _move(self, buffer: bytearray, count: int) -> None:
        self.data += buffer[:count]
        del buffer[:count]
        if len(self.data) > BODY_BYTES_MAX:
            raise BadMessage(413)

    def _take_chunks(self, buffer: bytearray) -> bool:
        while True:
            if self._left > 0:
                count = min(self._left, len(buffer))
                self._move(buffer, count)
                self._left -= count
                if self._left:
                    return False
            line = _line(buffer)
            if line is None:
                return False
            if self._trailers:
                if not line:
                    return True
            elif self._left == 0:
                if line:
                    raise BadMessage(400)
                self._left = -1
            else:
                self._left = _chunk_size(line, len(self.data))
                self._trailers = self._left == 0


def _chunk_size(line: bytes, so_far: int) -> int:
    digits = line.split(b";")[0].strip()
    try:
        size = int(digits, 16)
    except ValueError:
        raise BadMessage(400) from None
    if digits[:1] in (b"-", b"+") or b"_" in digits:
        raise BadMessage(400)
    if so_far + size > BODY_BYTES_MAX:
        raise BadMessage(413)
    return size


def _line(buffer: bytearray) -> bytes | None:
    end = buffer.find(b"\r\n", 0, HEAD_BYTES_MAX)
    if end < 0:
        if len(buffer) > HEAD_BYTES_MAX:
            raise BadMessage(400)
        return None
    line = bytes(buffer[:end])
    del buffer[: end + 2]
    return line


def _take_head(buffer: bytearray, searched: int) -> bytes | None:
    """The head without its end, taken out of the buffer. `searched` bytes are known not to hold the end."""
    end = buffer.find(b"\r\n\r\n", max(searched - 3, 0))
    if end > HEAD_BYTES_MAX or (end < 0 and len(buffer) > HEAD_BYTES_MAX):
        raise BadMessage(431)
    if end < 0:
        return None
    head = bytes(buffer[:end])
    del buffer[: end + 4]
    return head


@dataclass(slots=True)
class ServerConnection:
    """The server's side of one connection: feed it bytes, take requests out."""

    closed: bool = False
    wants_continue: bool = False  # the client waits to be told before it sends its body
    _buffer: bytearray = field(default_factory=bytearray)
    _searched: int = 0
    _request: Request | None = None
    _body: _Body = field(default_factory=_Body)

    def feed(self, data: bytes) -> None:
        self._buffer += data

    def rest(self) -> bytes:
        """What came behind the last request: the beginning of what the connection was upgraded to."""
        data = bytes(self._buffer)
        self._buffer.clear()
        return data

    def next(self) -> Request | None:
        """A whole request, or None until more bytes come. Raises BadMessage."""
        if self._request is None:
            while self._buffer[:2] == b"\r\n":  # left over from a request before
                del self._buffer[:2]
            head = _take_head(self._buffer, self._searched)
            if head is None:
                self._searched = len(self._buffer)
                return None
            self._searched = 0
            self._request = self._begin(head)
        if not self._body.take(self._buffer):
            return None
        request, self._request, self.wants_continue = self._request, None, False
        return Request(request.method, request.path, request.headers, bytes(self._body.data))

    def _begin(self, head: bytes) -> Request:
        request, version = _parse_request(head)
        wish = header(request.headers, "connection").lower()
        self.closed = "close" in wish or (version == "HTTP/1.0" and "keep-alive" not in wish)
        self._body = _body_of(request.headers, 0)
        expected = header(request.headers, "expect").lower() == "100-continue"
        self.wants_continue = expected and version != "HTTP/1.0" and not self._buffer
        return request


@dataclass(slots=True)
class ClientConnection:
    """The client's side, for one response: feed it bytes, `end` it when no more come."""

    head_only: bool = False  # it answers a HEAD
    _buffer: bytearray = field(default_factory=bytearray)
    _searched: int = 0
    _response: Response | None = None
    _body: _Body = field(default_factory=_Body)

    def feed(self, data: bytes) -> None:
        self._buffer += data

    def response(self, *, ended: bool = False) -> Response | None:
        """The whole response, or None until more bytes come. Raises BadMessage."""
        while self._response is None:
            head = _take_head(self._buffer, self._searched)
            if head is None:
                self._searched = len(self._buffer)
                if ended or (len(self._buffer) >= 5 and not self._buffer.startswith(b"HTTP/")):
                    raise BadMessage(502)
                return None
            self._searched = 0
            response = _parse_response(head)
            if response.status // 100 != 1:  # informational ones come before the real one
                self._response = response
                none = self.head_only or response.status in (204, 304)
                self._body = _Body() if none else _body_of(response.headers, -1)
        complete = self._body.take(self._buffer)
        if not complete and not (ended and self._body.length < 0 and not self._body.chunked):
            if ended:
                raise BadMessage(502)
            return None
        found = self._response
        return Response(found.status, bytes(self._body.data), found.headers)


def _body_of(headers: Headers, default: int) -> _Body:
    coding = header(headers, "transfer-encoding").lower()
    if coding:
        if coding != "chunked":
            raise BadMessage(501)
        return _Body(chunked=True)
    text = header(headers, "content-length", str(default)).strip()
    if text == "-1" and default == -1:
        return _Body(-1)
    if not text.isascii() or not text.isdigit():
        raise BadMessage(400)
    length = int(text[:12])
    if length > BODY_BYTES_MAX:
        raise BadMessage(413)
    return _Body(length)


def _parse_request(head: bytes) -> tuple[Request, str]:
    first, *lines = head.decode("latin-1").split("\r\n")
    words = first.split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/1.") or not words[0].isalpha():
        raise BadMessage(400)
    target = words[1]
    if "://" in target.partition("?")[0]:  # as a proxy gets it
        target = "/" + target.split("://", 1)[1].partition("/")[2]
    return Request(words[0], target or "/", _parse_headers(lines)), words[2]


def _parse_response(head: bytes) -> Response:
    first, *lines = head.decode("latin-1").split("\r\n")
    words = first.split(" ", 2)
    if len(words) < 2 or not words[0].startswith("HTTP/1.") or not words[1].isdigit() or len(words[1]) != 3:
        raise BadMessage(502)
    return Response(int(words[1]), b"", _parse_headers(lines))


def _parse_headers(lines: Iterable[str]) -> Headers:
    headers = []
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip():
            raise BadMessage(400)
        headers.append((name, value.strip()))
    return tuple(headers)
