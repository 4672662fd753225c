"""The gRPC probe: one call of `grpc.health.v1.Health/Check` over a connection to the Pod.

The connection is a stream of bytes through the runtime, where a gRPC library cannot dial; so the
one unary call that is needed is spoken here. Requests need no tables (HPACK literals). Of the
response's headers only the status is of interest, and only when there is no message.
Upstream: `pkg/probe/grpc/grpc.go`, whose words these are.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from services.kubelet import hpack
from services.kubelet.cri import Connection, Cri, CriError
from services.kubelet.probes import Answer
from services.machinery.clock import Clock

RECEIVED_BYTES_MAX = 64 * 1024
SERVICE_BYTES_MAX = 4096
DATA, HEADERS, RESET, SETTINGS, PING, GOAWAY, CONTINUATION = 0, 1, 3, 4, 6, 7, 9
END_STREAM, END_HEADERS, ACK, PADDED, PRIORITY = 1, 4, 1, 8, 32
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_STATUS = {0: "UNKNOWN", 1: "SERVING", 2: "NOT_SERVING", 3: "SERVICE_UNKNOWN"}
_CODES = (
    "OK", "Canceled", "Unknown", "InvalidArgument", "DeadlineExceeded", "NotFound", "AlreadyExists",
    "PermissionDenied", "ResourceExhausted", "FailedPrecondition", "Aborted", "OutOfRange",
    "Unimplemented", "Internal", "Unavailable", "DataLoss", "Unauthenticated",
)  # fmt: skip


@dataclass(slots=True)
class Reply:
    """What came back so far."""

    message: bytes = b""
    fields: dict[str, str] = field(default_factory=dict)
    ended: bool = False


async def check(
    cri: Cri, clock: Clock, address: str, port: int, service: str, timeout_seconds: int
) -> Answer:
    """One attempt."""
    target = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    connection: Connection | None = None
    try:
        async with clock.timeout(timeout_seconds):
            connection = await cri.connect(address, port)
            reply = await _call(connection, target, service)
    except TimeoutError:
        if connection is None:
            late = f'timeout: failed to connect service "{target}" within {timeout_seconds}s'
            return Answer(False, f"{late}: context deadline exceeded")
        return Answer(False, f"timeout: health rpc did not complete within {timeout_seconds}s")
    except CriError as error:
        if connection is None:
            late = f'timeout: failed to connect service "{target}" within {timeout_seconds}s'
            return Answer(False, f"{late}: context deadline exceeded")
        return Answer(False, _failed("Unavailable", error.message))
    finally:
        if connection is not None:
            connection.close()
    return _answer(reply)


def _answer(reply: Reply) -> Answer:
    text = reply.fields.get("grpc-status", "")
    code = int(text) if text.isdigit() else 0
    if code or not reply.message:
        name = _CODES[code] if code < len(_CODES) else f"Code({code})"
        text = reply.fields.get("grpc-message", "")
        if name == "Unimplemented":
            return Answer(
                False,
                "error: this server does not implement the grpc health protocol "
                f"(grpc.health.v1.Health): {text}",
            )
        return Answer(False, _failed(name if code else "Unavailable", text or "connection closed"))
    status = _serving(reply.message[5:])
    if status == "SERVING":
        return Answer(True, "service healthy")
    return Answer(False, f'service unhealthy (responded with "{status}")')


def _failed(code: str, text: str) -> str:
    return f"error: health rpc probe failed: rpc error: code = {code} desc = {text}"


def _serving(message: bytes) -> str:
    """HealthCheckResponse: one enum, field 1; left out when it is 0."""
    number = message[1] if len(message) >= 2 and message[0] == 8 else 0
    return _STATUS.get(number, str(number))


# ---- The call --------------------------------------------------------------------------------


def _frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


def _request(authority: str, service: str) -> bytes:
    fields = hpack.encode(
        (
            (":method", "POST"),
            (":scheme", "http"),
            (":path", "/grpc.health.v1.Health/Check"),
            (":authority", authority),
            ("te", "trailers"),
            ("content-type", "application/grpc"),
            ("user-agent", "kube-probe/1.36"),
        )
    )
    name = service.encode()[:SERVICE_BYTES_MAX]
    message = b"\x0a" + hpack.varint(len(name)) + name if name else b""
    return (
        _PREFACE
        + _frame(SETTINGS, 0, 0)
        + _frame(HEADERS, END_HEADERS, 1, fields)
        + _frame(DATA, END_STREAM, 1, b"\x00" + len(message).to_bytes(4, "big") + message)
    )


async def _call(connection: Connection, authority: str, service: str) -> Reply:
    await connection.send(_request(authority, service))
    reply, tables, received, total = Reply(), hpack.Decoder(), b"", 0
    async for chunk in connection.receive():
        received, total = received + chunk, total + len(chunk)
        while len(received) >= 9 and len(received) >= 9 + (size := int.from_bytes(received[:3], "big")):
            kind, flags = received[3], received[4]
            payload, received = received[9 : 9 + size], received[9 + size :]
            if kind in (SETTINGS, PING) and not flags & ACK:
                await connection.send(_frame(kind, ACK, 0, payload if kind == PING else b""))
            else:
                _take(reply, tables, kind, flags, payload)
        if reply.ended or total > RECEIVED_BYTES_MAX:
            break
    return reply


def _take(reply: Reply, tables: hpack.Decoder, kind: int, flags: int, payload: bytes) -> None:
    """One frame of the answer."""
    if kind in (HEADERS, DATA) and flags & PADDED and payload:
        payload = payload[1 : len(payload) - payload[0]]
    if kind == HEADERS:
        if flags & PRIORITY:
            payload = payload[5:]
        reply.fields |= tables.decode(payload)
    elif kind == DATA:
        reply.message += payload
    last = kind in (HEADERS, DATA) and bool(flags & END_STREAM)
    reply.ended = reply.ended or last or kind in (RESET, GOAWAY)
