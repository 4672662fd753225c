"""The first words of databases: enough for clients to find them alive, and to be refused as they should.

MySQL sends its handshake and refuses whoever logs in; PostgreSQL asks for a password and refuses it;
MongoDB answers `hello` and `ping`; memcached keeps small values. None of them has a query language: an app
that needs one names what it does in a behaviour of its own.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

from services.runtime.network import Connection, StreamHandler
from services.runtime.processes import Process

MESSAGE_BYTES_MAX = 1024 * 1024
ITEMS_MAX = 1_000


async def read_exactly(connection: Connection, buffer: bytearray, size: int) -> bytes | None:
    """So many bytes; None when the other side ends before, or asks for what no client sends."""
    if size > MESSAGE_BYTES_MAX:
        return None
    while len(buffer) < size:
        data = await connection.incoming.read(65536)
        if not data:
            return None
        buffer += data
    piece = bytes(buffer[:size])
    del buffer[:size]
    return piece


# -- MySQL ------------------------------------------------------------------------------------


def mysql(process: Process, table: Mapping[str, Any]) -> StreamHandler:
    version = str(table.get("version", "8.4.6")).encode()
    count = 7

    async def serve(connection: Connection) -> None:
        nonlocal count
        count += 1
        salt = process.container.machine.random.randbytes(20).replace(b"\0", b"x")
        await connection.outgoing.write(_packet(0, _handshake(version, count, salt)))
        buffer = bytearray()
        head = await read_exactly(connection, buffer, 4)
        body = await read_exactly(connection, buffer, int.from_bytes(head[:3], "little")) if head else None
        if head is None or body is None:
            return
        user = body[32:].partition(b"\0")[0].decode("utf-8", "replace") if len(body) > 32 else ""
        secret = b"YES" if len(body) > 33 + len(user) and body[33 + len(user)] else b"NO"
        text = b"Access denied for user '%s'@'%s' (using password: %s)" % (
            user.encode(), connection.peer.encode(), secret,
        )  # fmt: skip
        await connection.outgoing.write(
            _packet(head[3] + 1, b"\xff" + struct.pack("<H", 1045) + b"#28000" + text)
        )

    return serve


def _packet(number: int, body: bytes) -> bytes:
    return len(body).to_bytes(3, "little") + bytes((number & 255,)) + body


def _handshake(version: bytes, connection: int, salt: bytes) -> bytes:
    """HandshakeV10."""
    return (
        b"\x0a" + version + b"\0" + struct.pack("<I", connection) + salt[:8] + b"\0"
        + b"\xff\xff\xff\x02\x00\xff\xdf\x15" + bytes(10) + salt[8:] + b"\0caching_sha2_password\0"
    )  # fmt: skip


# -- PostgreSQL -------------------------------------------------------------------------------

_SSL_REQUEST, _GSS_REQUEST, _CANCEL = 80877103, 80877104, 80877102


def postgres(process: Process, table: Mapping[str, Any]) -> StreamHandler:
    async def serve(connection: Connection) -> None:
        buffer = bytearray()
        while True:
            head = await read_exactly(connection, buffer, 8)
            if head is None:
                return
            size, code = struct.unpack(">II", head)
            rest = await read_exactly(connection, buffer, max(size - 8, 0))
            if rest is None or code == _CANCEL:
                return
            if code not in (_SSL_REQUEST, _GSS_REQUEST):
                break
            await connection.outgoing.write(b"N")  # not offered: the client goes on in the clear
        words = rest.split(b"\0")
        options = dict(zip(words[::2], words[1::2], strict=False))
        user = options.get(b"user", b"postgres").decode("utf-8", "replace")
        await connection.outgoing.write(b"R" + struct.pack(">II", 8, 3))  # a password, please
        head = await read_exactly(connection, buffer, 5)
        if (
            head is None
            or await read_exactly(connection, buffer, struct.unpack(">I", head[1:])[0] - 4) is None
        ):
            return
        text = f'password authentication failed for user "{user}"'
        await connection.outgoing.write(_postgres_error("FATAL", "28P01", text))
        await process.write(f"{_moment(process)} UTC [{process.pid}] FATAL:  {text}\n")

    return serve


def _postgres_error(severity: str, code: str, text: str) -> bytes:
    fields = b"".join(
        kind + value.encode() + b"\0"
        for kind, value in ((b"S", severity), (b"V", severity), (b"C", code), (b"M", text))
    )
    return b"E" + struct.pack(">I", len(fields) + 5) + fields + b"\0"


def _moment(process: Process) -> str:
    return f"{process.container.kernel.clock.now():%Y-%m-%d %H:%M:%S}.000"


# -- MongoDB ----------------------------------------------------------------------------------

_OP_REPLY, _OP_QUERY, _OP_MSG = 1, 2004, 2013


def mongodb(process: Process, table: Mapping[str, Any]) -> StreamHandler:
    """`hello`, `ping` and `buildInfo` get an answer; everything else is refused as unauthorized."""

    async def serve(connection: Connection) -> None:
        buffer = bytearray()
        while (head := await read_exactly(connection, buffer, 16)) is not None:
            size, number, _, code = struct.unpack("<iiii", head)
            body = await read_exactly(connection, buffer, size - 16) if size >= 16 else None
            if body is None:
                return
            known = any(
                word in body for word in (b"hello\0", b"isMaster\0", b"ismaster\0", b"ping\0", b"buildInfo\0")
            )
            document = _mongo_hello(process) if known else _mongo_refusal()
            if code == _OP_MSG:
                answer = struct.pack("<I", 0) + b"\0" + document
                kind = _OP_MSG
            else:
                answer, kind = struct.pack("<iqii", 8, 0, 0, 1) + document, _OP_REPLY
            await connection.outgoing.write(struct.pack("<iiii", 16 + len(answer), 1, number, kind) + answer)

    return serve


def _document(*fields: bytes) -> bytes:
    body = b"".join(fields) + b"\0"
    return struct.pack("<i", len(body) + 4) + body


def _double(name: bytes, value: float) -> bytes:
    return b"\x01" + name + b"\0" + struct.pack("<d", value)


def _int32(name: bytes, value: int) -> bytes:
    return b"\x10" + name + b"\0" + struct.pack("<i", value)


def _text(name: bytes, value: bytes) -> bytes:
    return b"\x02" + name + b"\0" + struct.pack("<i", len(value) + 1) + value + b"\0"


def _truth(name: bytes, value: bool) -> bytes:
    return b"\x08" + name + b"\0" + bytes((value,))


def _mongo_hello(process: Process) -> bytes:
    now = int(process.container.now_seconds() * 1000)
    return _document(
        _truth(b"isWritablePrimary", True), _truth(b"ismaster", True), _truth(b"helloOk", True),
        _int32(b"maxBsonObjectSize", 16777216), _int32(b"maxMessageSizeBytes", 48000000),
        _int32(b"maxWriteBatchSize", 100000), b"\x09localTime\0" + struct.pack("<q", now),
        _int32(b"minWireVersion", 0), _int32(b"maxWireVersion", 27), _text(b"version", b"8.0.13"),
        _truth(b"readOnly", False), _double(b"ok", 1.0),
    )  # fmt: skip


def _mongo_refusal() -> bytes:
    return _document(
        _double(b"ok", 0.0), _text(b"errmsg", b"Command requires authentication"), _int32(b"code", 13),
        _text(b"codeName", b"Unauthorized"),
    )  # fmt: skip


# -- memcached --------------------------------------------------------------------------------


def memcached(process: Process, table: Mapping[str, Any]) -> StreamHandler:
    items: dict[bytes, tuple[bytes, bytes]] = {}

    async def serve(connection: Connection) -> None:
        buffer = bytearray()
        while (line := await _line(connection, buffer)) is not None:
            words = line.split()
            verb = words[0] if words else b""
            if verb == b"quit":
                return
            if verb == b"set" and len(words) >= 5 and words[4].isdigit():
                data = await read_exactly(connection, buffer, int(words[4][:9]) + 2)
                if data is None:
                    return
                full = len(items) >= ITEMS_MAX and words[1] not in items
                if not full:
                    items[words[1]] = words[2], data[:-2]
                answer = b"SERVER_ERROR out of memory storing object\r\n" if full else b"STORED\r\n"
            elif verb in (b"get", b"gets") and len(words) > 1:
                found = [(key, *items[key]) for key in words[1:] if key in items]
                rows = [
                    b"VALUE %s %s %d\r\n%s\r\n" % (key, flags, len(data), data) for key, flags, data in found
                ]
                answer = b"".join(rows) + b"END\r\n"
            elif verb == b"delete" and len(words) > 1:
                answer = b"DELETED\r\n" if items.pop(words[1], None) else b"NOT_FOUND\r\n"
            elif verb == b"version":
                answer = b"VERSION 1.6.39\r\n"
            elif verb == b"stats":
                answer = b"STAT pid %d\r\nSTAT curr_items %d\r\nEND\r\n" % (process.pid, len(items))
            elif verb == b"flush_all":
                items.clear()
                answer = b"OK\r\n"
            else:
                answer = b"ERROR\r\n"
            await connection.outgoing.write(answer)

    return serve


async def _line(connection: Connection, buffer: bytearray) -> bytes | None:
    while (end := buffer.find(b"\n")) < 0:
        data = await connection.incoming.read(65536)
        if not data or len(buffer) > MESSAGE_BYTES_MAX:
            return None
        buffer += data
    line = bytes(buffer[:end]).rstrip(b"\r")
    del buffer[: end + 1]
    return line
