"""Asks a component how it is, over `grpc.health.v1`; for compose health checks and scripts.

    python -S services/process/healthcheck.py 127.0.0.1:10259
    python -S services/process/healthcheck.py unix:/tmp/health.sock

The second way is for ports that demand a certificate (`--health-socket`). Exit code 0 when it says SERVING,
1 otherwise, with the reason on stderr.

A health check runs every few seconds beside every container for as long as the cluster lives.
Importing grpc for it would cost a quarter of a second of processor time each, more than the
idle cluster itself; so this speaks the one unary call that it needs, over HTTP/2, with the
standard library alone.
"""

import socket
import sys

TIMEOUT_SECONDS = 3.0
RESPONSE_BYTES_MAX = 64 * 1024
DATA, HEADERS, SETTINGS, END_STREAM, END_HEADERS, ACK = 0, 1, 4, 1, 4, 1
SERVING = b"\x08\x01"  # HealthCheckResponse{status: SERVING}
HEADER_FIELDS = (
    (":method", "POST"),
    (":scheme", "http"),
    (":path", "/grpc.health.v1.Health/Check"),
    (":authority", "health"),
    ("te", "trailers"),
    ("content-type", "application/grpc"),
)


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


def literal(text: str) -> bytes:
    return bytes((len(text),)) + text.encode()


def request() -> bytes:
    """The client's whole side of the call: preface, settings, headers, an empty message."""
    # HPACK, "literal header field without indexing": needs no table on either side.
    fields = b"".join(b"\x00" + literal(name) + literal(value) for name, value in HEADER_FIELDS)
    return (
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
        + frame(SETTINGS, 0, 0)
        + frame(HEADERS, END_HEADERS, 1, fields)
        + frame(DATA, END_STREAM, 1, b"\x00" + (0).to_bytes(4, "big"))
    )


def answer(connection: socket.socket) -> bytes:
    """The response message; empty when the call failed."""
    received = b""
    while len(received) < RESPONSE_BYTES_MAX:
        while len(received) >= 9 and len(received) >= 9 + (size := int.from_bytes(received[:3], "big")):
            kind, flags, stream = received[3], received[4], int.from_bytes(received[5:9], "big")
            payload, received = received[9 : 9 + size], received[9 + size :]
            if kind == SETTINGS and not flags & ACK:
                connection.sendall(frame(SETTINGS, ACK, 0))
            elif kind == DATA and stream == 1:
                return payload[5:]
            elif kind == HEADERS and flags & END_STREAM:
                return b""
        chunk = connection.recv(4096)
        if not chunk:
            return b""
        received += chunk
    return b""


def connected(address: str) -> socket.socket:
    """To `host:port` or `unix:/path`."""
    host, _, port = address.rpartition(":")
    if host != "unix":
        return socket.create_connection((host, int(port)), TIMEOUT_SECONDS)
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(TIMEOUT_SECONDS)
    try:
        connection.connect(port)
    except OSError:
        connection.close()
        raise
    return connection


def check(address: str) -> str:
    """Empty when the component serves, else what is wrong."""
    try:
        with connected(address) as connection:
            connection.sendall(request())
            serving = answer(connection) == SERVING
    except (OSError, ValueError) as error:
        return f"{address}: {error}"
    return "" if serving else f"{address} is not serving yet"


if __name__ == "__main__":
    trouble = check(sys.argv[1])
    if trouble:
        sys.stderr.write(trouble + "\n")
    sys.exit(1 if trouble else 0)
