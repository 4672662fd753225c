"""RESP, the protocol of Redis: requests out of a buffer of bytes, replies into bytes. Pure."""

from __future__ import annotations

from typing import Any

REQUEST_BYTES_MAX = 1024 * 1024
WORDS_MAX = 10_000


class Refused(Exception):
    """An error reply."""


class Simple(str):
    """A status reply: `+OK`."""


OK = Simple("OK")
Reply = Simple | int | bytes | list[Any] | None


def take_request(buffer: bytearray) -> list[bytes] | None:
    """The words of one request, taken out of the buffer; None until it is all there."""
    if len(buffer) > 2 * REQUEST_BYTES_MAX:
        raise Refused("ERR Protocol error: too big mbulk count string")
    end = buffer.find(b"\n", 0, 65536)
    if end < 0:
        if len(buffer) > 65536:
            raise Refused("ERR Protocol error: too big inline request")
        return None
    line = bytes(buffer[:end]).rstrip(b"\r")
    if not line.startswith(b"*"):
        del buffer[: end + 1]
        return line.split()
    count, at, words = _number(line[1:], "invalid multibulk length"), end + 1, []
    if count > WORDS_MAX:
        raise Refused("ERR Protocol error: invalid multibulk length")
    for _ in range(count):
        end = buffer.find(b"\r\n", at)
        if end < 0:
            return None
        if buffer[at : at + 1] != b"$":
            raise Refused(f"ERR Protocol error: expected '$', got '{chr(buffer[at])}'")
        size = _number(bytes(buffer[at + 1 : end]), "invalid bulk length")
        if not 0 <= size <= REQUEST_BYTES_MAX:
            raise Refused("ERR Protocol error: invalid bulk length")
        at = end + 2 + size + 2
        if len(buffer) < at:
            return None
        words.append(bytes(buffer[end + 2 : end + 2 + size]))
    del buffer[:at]
    return words


def _number(text: bytes, complaint: str) -> int:
    try:
        return int(text[:12])
    except ValueError:
        raise Refused(f"ERR Protocol error: {complaint}") from None


def encode(reply: Reply) -> bytes:
    if reply is None:
        return b"$-1\r\n"
    if isinstance(reply, Simple):
        return f"+{reply}\r\n".encode()
    if isinstance(reply, int):
        return b":%d\r\n" % reply
    if isinstance(reply, bytes):
        return b"$%d\r\n%s\r\n" % (len(reply), reply)
    return b"*%d\r\n" % len(reply) + b"".join(encode(item) for item in reply)


def encode_error(text: str) -> bytes:
    return f"-{text}\r\n".encode("utf-8", "replace")
