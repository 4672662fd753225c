"""The `channel.k8s.io` protocols of exec and attach: numbered channels within a WebSocket or SPDY. Pure.

Version 4 ends with a Status on the error channel; version 5 adds a message that ends a channel, so that a
command can be told that its input is over. Older ones tell of a bad end in plain words, and of a good one not
at all. Each but the newest exists with base64 in text messages too, for clients that have no bytes.
Upstream: `apimachinery/pkg/util/remotecommand/constants.go`, `streaming/pkg/httpstream/wsstream/conn.go`.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

import orjson

from services.api.errors import ApiError

STDIN, STDOUT, STDERR, ERROR, RESIZE, CLOSE = 0, 1, 2, 3, 4, 255
V1, V4, V5 = "channel.k8s.io", "v4.channel.k8s.io", "v5.channel.k8s.io"
V1_BASE64, V4_BASE64 = "base64.channel.k8s.io", "v4.base64.channel.k8s.io"
NONE = ""  # a WebSocket that offers no sub-protocol
WEBSOCKET_PROTOCOLS = (V5, V4, V4_BASE64, V1, V1_BASE64, NONE)
FORWARDING_PROTOCOLS = (V4, V4_BASE64, NONE)
SPDY_PROTOCOLS = (V4,)
DIMENSION_MAX = 0xFFFF
Json = dict[str, Any]


def framed(protocol: str, channel: int, data: bytes) -> bytes | str:
    """A WebSocket message: the channel's number and what it carries."""
    if protocol in (V1_BASE64, V4_BASE64):
        return chr(ord("0") + channel) + base64.b64encode(data).decode()
    return bytes((channel,)) + data


def unframed(protocol: str, message: bytes | str) -> tuple[int, bytes] | None:
    """The channel and what it carries; None for what is no such message."""
    data = message.encode() if isinstance(message, str) else message
    if not data:
        return None
    if protocol not in (V1_BASE64, V4_BASE64):
        return data[0], data[1:]
    try:
        return data[0] - ord("0"), base64.b64decode(data[1:], validate=True)
    except binascii.Error:
        return None


def last_words(protocol: str, status: Json) -> bytes:
    """How the end of a command is told on the error channel."""
    if protocol in (V4, V5, V4_BASE64):
        return orjson.dumps(status)
    return b"" if status["status"] == "Success" else str(status.get("message", "")).encode()


def choose(offered: list[str], accepted: tuple[str, ...]) -> str:
    """The first that is offered and accepted; else empty."""
    return next((each for each in offered if each in accepted), "")


def ended(exit_code: int) -> Json:
    """The Status with which a command ends."""
    if exit_code == 0:
        return {"metadata": {}, "status": "Success"}
    return {
        "metadata": {},
        "status": "Failure",
        "message": f"command terminated with non-zero exit code: exit status {exit_code}",
        "reason": "NonZeroExitCode",
        "details": {"causes": [{"reason": "ExitCode", "message": str(exit_code)}]},
    }


def failed(error: ApiError) -> Json:
    return {name: value for name, value in error.status.items() if name not in ("kind", "apiVersion")}


def size_of(message: bytes) -> tuple[int, int] | None:
    """Columns and rows of a resize message; None for what is none."""
    try:
        found = orjson.loads(message)
        columns, rows = int(found["Width"]), int(found["Height"])
    except (ValueError, TypeError, KeyError):
        return None
    return (columns, rows) if 0 < columns <= DIMENSION_MAX and 0 < rows <= DIMENSION_MAX else None


def sizes_of(text: bytes) -> tuple[list[tuple[int, int]], bytes]:
    """The sizes in a stream of JSON objects, and what is left of one that has not ended."""
    *whole, rest = text.split(b"}")
    sizes = (size_of(each + b"}") for each in whole)
    return [size for size in sizes if size], rest
