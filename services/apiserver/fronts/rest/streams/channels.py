"""The `channel.k8s.io` protocols of exec and attach: numbered channels within a WebSocket or SPDY. Pure.

Version 4 ends with a Status on the error channel; version 5 adds a message that ends a channel, so that a
command can be told that its input is over. Upstream: `apimachinery/pkg/util/remotecommand/constants.go`.
"""

from __future__ import annotations

from typing import Any

import orjson

from services.api.errors import ApiError

STDIN, STDOUT, STDERR, ERROR, RESIZE, CLOSE = 0, 1, 2, 3, 4, 255
V4, V5 = "v4.channel.k8s.io", "v5.channel.k8s.io"
WEBSOCKET_PROTOCOLS = (V5, V4)
SPDY_PROTOCOLS = (V4,)
DIMENSION_MAX = 0xFFFF
Json = dict[str, Any]


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
