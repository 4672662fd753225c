"""Refusals on the gRPC wire: a code, and the whole Kubernetes `Status` in the trailing metadata.

The one place where HTTP-like codes meet gRPC's. A refused call returns like any other, with its code
set: the library keeps the exception of an aborted one, and with it, in a circle that only the garbage
collector finds, the whole request.
"""

from __future__ import annotations

from typing import Any

import grpc
import grpc.aio
import orjson

from services.api.errors import ApiError, failure

STATUS_KEY = "kubernetes-status-bin"
DETAILS_LENGTH_MAX = 1000  # the whole message is in the Status; HTTP/2 headers are bounded
STATUS_BYTES_MAX = 48 * 1024
_BY_REASON = {
    "AlreadyExists": grpc.StatusCode.ALREADY_EXISTS,
    "Conflict": grpc.StatusCode.ABORTED,
    "Expired": grpc.StatusCode.OUT_OF_RANGE,
    "Gone": grpc.StatusCode.OUT_OF_RANGE,
}
_BY_CODE = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    404: grpc.StatusCode.NOT_FOUND,
    405: grpc.StatusCode.UNIMPLEMENTED,
    406: grpc.StatusCode.INVALID_ARGUMENT,
    409: grpc.StatusCode.ABORTED,
    410: grpc.StatusCode.OUT_OF_RANGE,
    413: grpc.StatusCode.INVALID_ARGUMENT,
    415: grpc.StatusCode.INVALID_ARGUMENT,
    422: grpc.StatusCode.INVALID_ARGUMENT,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    501: grpc.StatusCode.UNIMPLEMENTED,
    502: grpc.StatusCode.UNAVAILABLE,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
}


def code_of(error: ApiError) -> grpc.StatusCode:
    return _BY_REASON.get(error.reason) or _BY_CODE.get(error.code, grpc.StatusCode.INTERNAL)


def refuse(context: grpc.aio.ServicerContext[bytes, bytes], error: ApiError) -> None:
    """Makes that error the answer to the call, which its handler then only has to leave."""
    _answer(context, code_of(error), error.message[:DETAILS_LENGTH_MAX], status_bytes(error))


def status_bytes(error: ApiError) -> bytes:
    """The whole `Status`, or where it is too long for a header, the most of it that is not."""
    status = orjson.dumps(error.status)
    if len(status) > STATUS_BYTES_MAX:
        short = {**error.status, "message": error.message[: STATUS_BYTES_MAX // 8]}
        short["details"] = {n: v for n, v in short.get("details", {}).items() if n != "causes"}
        status = orjson.dumps(short)
    return status


def hand_on(context: grpc.aio.ServicerContext[bytes, bytes], error: grpc.aio.AioRpcError) -> None:
    """Answers as a kubelet answered the call behind this one."""
    status = metadata_of(error.trailing_metadata()).get(STATUS_KEY)
    if isinstance(status, bytes):
        _answer(context, error.code(), error.details() or "", status)
    else:
        refuse(context, failure(500, "", f"error dialing backend: {error.details()}"))


def _answer(
    context: grpc.aio.ServicerContext[bytes, bytes], code: grpc.StatusCode, details: str, status: bytes
) -> None:
    context.set_code(code)
    context.set_details(details)
    context.set_trailing_metadata(((STATUS_KEY, status),))


def metadata_of(entries: Any) -> dict[str, str | bytes]:
    """A call's metadata as a mapping (the library's types do not say that its entries are pairs)."""
    return dict(entries or ())
