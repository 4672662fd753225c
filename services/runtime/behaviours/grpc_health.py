"""grpc.health.v1.Health over HTTP/2, by hand: what a gRPC probe asks of a program.

    tcp: [{port: 9000, speaks: grpc-health, status: SERVING, services: {db: NOT_SERVING}}]

`notServingAfterSeconds` turns every status around so long after the start. Only `Check` is there; other
methods get UNIMPLEMENTED, an unknown service NOT_FOUND, as the reference implementation answers.
Of HPACK this side needs to know one thing, the path, whose two encodings are looked for as bytes.
Bounded: a frame of 16 KiB, streams one after the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from services.runtime.behaviours.databases import read_exactly
from services.runtime.network import Connection, StreamHandler
from services.runtime.processes import Process

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
FRAME_BYTES_MAX = 16_384
STREAMS_MAX = 100  # begun and not answered yet
DATA, HEADERS, RESET, SETTINGS, PING, GOAWAY, CONTINUATION = 0, 1, 3, 4, 6, 7, 9
END_STREAM, END_HEADERS, ACK, PADDED = 1, 4, 1, 8
STATUSES = {"UNKNOWN": 0, "SERVING": 1, "NOT_SERVING": 2, "SERVICE_UNKNOWN": 3}
NOT_FOUND, UNIMPLEMENTED = 5, 12

PATH = b"/grpc.health.v1.Health/Check"
# The same in HPACK's Huffman code (RFC 7541, appendix B).
_CODES = {
    "/": "011000", "g": "100110", "r": "101100", "p": "101011", "c": "00100", ".": "010111", "h": "100111",
    "e": "00101", "a": "00011", "l": "101000", "t": "01001", "v": "1110111", "1": "00001", "H": "1100011",
    "C": "1011110", "k": "1110101",
}  # fmt: skip


def _huffman(text: str) -> bytes:
    bits = "".join(_CODES[letter] for letter in text)
    bits += "1" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


PATH_HUFFMAN = _huffman(PATH.decode())


def grpc_health(process: Process, table: Mapping[str, Any]) -> StreamHandler:
    async def serve(connection: Connection) -> None:
        buffer = bytearray()
        if await read_exactly(connection, buffer, len(PREFACE)) != PREFACE:
            return
        await connection.outgoing.write(frame(SETTINGS, 0, 0))
        calls = Calls(process, table)
        while (head := await read_exactly(connection, buffer, 9)) is not None:
            size = int.from_bytes(head[:3], "big")
            payload = await read_exactly(connection, buffer, size) if size <= FRAME_BYTES_MAX else None
            if payload is None or head[3] == GOAWAY:
                return
            stream = int.from_bytes(head[5:9], "big") & 0x7FFFFFFF
            for answer in calls.take(head[3], head[4], stream, payload):
                await connection.outgoing.write(answer)

    return serve


class Calls:
    """The calls of one connection. Pure but for the clock behind `notServingAfterSeconds`."""

    def __init__(self, process: Process, table: Mapping[str, Any]) -> None:
        self._process, self._table = process, table
        self._open: dict[int, tuple[bytearray, bytearray]] = {}  # headers and message, by stream
        self._known_path = False  # seen once, it comes as a number from the dynamic table

    def take(self, kind: int, flags: int, stream: int, payload: bytes) -> Iterator[bytes]:
        """One frame in; the frames to be sent in answer."""
        if kind == SETTINGS and not flags & ACK:
            yield frame(SETTINGS, ACK, 0)
        elif kind == PING and not flags & ACK:
            yield frame(PING, ACK, 0, payload)
        elif kind == RESET:
            self._open.pop(stream, None)
        elif kind in (HEADERS, CONTINUATION, DATA) and stream:
            if stream not in self._open and len(self._open) >= STREAMS_MAX:
                yield frame(RESET, 0, stream, (7).to_bytes(4, "big"))  # REFUSED_STREAM
                return
            if flags & PADDED and kind != CONTINUATION and payload:
                payload = payload[1 : len(payload) - payload[0]]
            headers, message = self._open.setdefault(stream, (bytearray(), bytearray()))
            (message if kind == DATA else headers).extend(payload)
            if len(headers) + len(message) > 4 * FRAME_BYTES_MAX:
                del self._open[stream]
                yield frame(RESET, 0, stream, (11).to_bytes(4, "big"))  # ENHANCE_YOUR_CALM
            elif flags & END_STREAM and kind != CONTINUATION:
                del self._open[stream]
                yield from self._answer(stream, bytes(headers), bytes(message[5:]))

    def _answer(self, stream: int, headers: bytes, message: bytes) -> Iterator[bytes]:
        here = PATH in headers or PATH_HUFFMAN in headers
        repeated = self._known_path and b"/" not in headers and len(headers) < 64
        self._known_path = self._known_path or here
        if not here and not repeated:
            text = b"unknown service or method"
            yield _trailers(stream, UNIMPLEMENTED, text, only=True)
            return
        # HealthCheckRequest: one string, field 1.
        service = message[2:].decode("utf-8", "replace") if message[:1] == b"\x0a" else ""
        status = self.status(service)
        if status is None:
            yield _trailers(stream, NOT_FOUND, b"unknown service", only=True)
            return
        number = STATUSES.get(status, 0)
        body = b"\x08" + bytes((number,)) if number else b""
        head = b"\x88" + _literal(b"content-type", b"application/grpc")
        yield frame(HEADERS, END_HEADERS, stream, head)
        yield frame(DATA, 0, stream, b"\0" + len(body).to_bytes(4, "big") + body)
        yield _trailers(stream, 0, b"")

    def status(self, service: str) -> str | None:
        """None: the program has no such service."""
        table = self._table
        services = table.get("services", {})
        if service and service not in services:
            return None
        status = str(services.get(service, table.get("status", "SERVING")))
        after = table.get("notServingAfterSeconds")
        age = self._process.container.now_seconds() - self._process.started_at
        return "NOT_SERVING" if after is not None and age >= float(after) else status


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


def _literal(name: bytes, value: bytes) -> bytes:
    """A header without any table."""
    return b"\0" + bytes((len(name),)) + name + bytes((len(value),)) + value


def _trailers(stream: int, code: int, text: bytes, *, only: bool = False) -> bytes:
    head = b"\x88" + _literal(b"content-type", b"application/grpc") if only else b""
    fields = (
        head + _literal(b"grpc-status", b"%d" % code) + (_literal(b"grpc-message", text) if text else b"")
    )
    return frame(HEADERS, END_HEADERS | END_STREAM, stream, fields)
