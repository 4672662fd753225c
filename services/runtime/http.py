"""HTTP/1.1 without I/O: requests and responses as values, and the bytes they are on a connection.

Emulated servers and clients exchange values and never touch bytes. Bytes exist only where a real
peer sends them (port-forward, a node's listener): `ServerConnection` turns them into
requests and answers back. Limits: a head of 64 KiB, a body of 16 MiB; more is a 4xx and the end.
"""

from __future__ import annotations

from dataclasses import dataclass, field

HEAD_BYTES_MAX = 64 * 1024
BODY_BYTES_MAX = 16 * 1024 * 1024

REASONS = {
    200: "OK", 201: "Created", 202: "Accepted", 204: "No Content", 206: "Partial Content",
    301: "Moved Permanently", 302: "Found", 304: "Not Modified", 400: "Bad Request", 401: "Unauthorized",
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
    lines = [f"HTTP/1.1 {response.status} {response.reason}"]
    lines += [f"{key}: {value}" for key, value in response.headers]
    if "content-length" not in named:
        lines.append(f"Content-Length: {len(response.body)}")
    lines.append(f"Connection: {'close' if close else 'keep-alive'}")
    head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")
    return head if head_only else head + response.body


def encode_request(request: Request) -> bytes:
    named = {key.lower() for key, _ in request.headers}
    lines = [f"{request.method} {request.path} HTTP/1.1"]
    lines += [f"{key}: {value}" for key, value in request.headers]
    if request.body and "content-length" not in named:
        lines.append(f"Content-Length: {len(request.body)}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace") + request.body


@dataclass(slots=True)
class ServerConnection:
    """The server's side of one connection: feed it bytes, take requests out."""

    closed: bool = False
    _buffer: bytearray = field(default_factory=bytearray)

    def feed(self, data: bytes) -> None:
        self._buffer += data

    def next(self) -> Request | None:
        """A whole request, or None until more bytes come. Raises BadMessage."""
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self._buffer) > HEAD_BYTES_MAX:
                raise BadMessage(431)
            return None
        if end > HEAD_BYTES_MAX:
            raise BadMessage(431)
        request = _parse_head(bytes(self._buffer[:end]))
        parsed = self._body(request.headers, end + 4)
        if parsed is None:
            return None
        body, consumed = parsed
        del self._buffer[:consumed]
        wish = header(request.headers, "connection").lower()
        self.closed = wish == "close"
        return Request(request.method, request.path, request.headers, body)

    def _body(self, headers: Headers, start: int) -> tuple[bytes, int] | None:
        if header(headers, "transfer-encoding").lower() == "chunked":
            return _chunks(self._buffer, start)
        text = header(headers, "content-length", "0").strip()
        if not text.isascii() or not text.isdigit():
            raise BadMessage(400)
        length = int(text[:12])
        if length > BODY_BYTES_MAX:
            raise BadMessage(413)
        if len(self._buffer) < start + length:
            return None
        return bytes(self._buffer[start : start + length]), start + length


def _parse_head(head: bytes) -> Request:
    lines = head.decode("latin-1").split("\r\n")
    words = lines[0].split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/1.") or not words[0].isalpha():
        raise BadMessage(400)
    headers = []
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip():
            raise BadMessage(400)
        headers.append((name, value.strip()))
    return Request(words[0], words[1] or "/", tuple(headers))


def _chunks(buffer: bytearray, at: int) -> tuple[bytes, int] | None:
    body = bytearray()
    while True:
        end = buffer.find(b"\r\n", at)
        if end < 0:
            return None
        try:
            size = int(bytes(buffer[at:end]).split(b";")[0] or b"x", 16)
        except ValueError:
            raise BadMessage(400) from None
        if size < 0 or len(body) + size > BODY_BYTES_MAX:
            raise BadMessage(413)
        at = end + 2
        if len(buffer) < at + size + 2:
            return None
        body += buffer[at : at + size]
        at += size + 2
        if size == 0:
            return bytes(body), at
