"""Refusals in Kubernetes' own form: a `Status` object and the exception that carries it.

The constructors follow upstream's `k8s.io/apimachinery/pkg/api/errors`, messages included, so
that clients which parse them cannot tell the difference. Every layer raises `ApiError`; only
the fronts turn it into a wire format.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from services.api.kinds import Resource

StatusObject = dict[str, Any]
Cause = dict[str, str]  # reason, message, field


class ApiError(Exception):
    """A request that was refused. `status` is the JSON form of `meta/v1 Status`."""

    def __init__(self, status: StatusObject) -> None:
        super().__init__(status.get("message", ""))
        self.status = status
        self.warnings: list[str] = []  # what the caller should know besides, as where a request succeeds

    @property
    def code(self) -> int:
        return int(self.status.get("code", 500))

    @property
    def reason(self) -> str:
        return str(self.status.get("reason", ""))

    @property
    def message(self) -> str:
        return str(self.status.get("message", ""))

    @property
    def retry_after_seconds(self) -> int:
        """How long the server asks the caller to wait; 0 when it does not say."""
        return int(self.status.get("details", {}).get("retryAfterSeconds", 0))


def failure(code: int, reason: str, message: str, details: dict[str, Any] | None = None) -> ApiError:
    status: StatusObject = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
    }
    if reason:
        status["reason"] = reason
    if details is not None:
        status["details"] = {key: value for key, value in details.items() if value not in ("", None, [])}
    status["code"] = code
    return ApiError(status)


def _details(resource: Resource, name: str) -> dict[str, Any]:
    return {"name": name, "group": resource.group, "kind": resource.plural}


def not_found(resource: Resource, name: str) -> ApiError:
    return failure(404, "NotFound", f'{resource.qualified} "{name}" not found', _details(resource, name))


def already_exists(resource: Resource, name: str) -> ApiError:
    message = f'{resource.qualified} "{name}" already exists'
    return failure(409, "AlreadyExists", message, _details(resource, name))


def conflict(resource: Resource, name: str, why: str) -> ApiError:
    message = f'Operation cannot be fulfilled on {resource.qualified} "{name}": {why}'
    return failure(409, "Conflict", message, _details(resource, name))


STALE = "the object has been modified; please apply your changes to the latest version and try again"


def forbidden(resource: Resource, name: str, why: str) -> ApiError:
    subject = f'{resource.qualified} "{name}"' if name else resource.qualified
    return failure(403, "Forbidden", f"{subject} is forbidden: {why}", _details(resource, name))


def invalid(group: str, kind: str, name: str, causes: Sequence[Cause]) -> ApiError:
    """422: the object was understood and breaks rules; one cause for each, in upstream's order."""
    # Upstream reports some faults twice; its message says everything once.
    texts = list(dict.fromkeys(f"{cause['field']}: {cause['message']}" for cause in causes))
    joined = texts[0] if len(texts) == 1 else "[" + ", ".join(texts) + "]"
    subject = f"{kind}.{group}" if group else kind
    message = f'{subject} "{name}" is invalid: {joined}' if texts else f'{subject} "{name}" is invalid'
    details = {"name": name, "group": group, "kind": kind, "causes": list(causes)}
    return failure(422, "Invalid", message, details)


def bad_request(message: str) -> ApiError:
    return failure(400, "BadRequest", message)


def expired(message: str) -> ApiError:
    return failure(410, "Expired", message)


def too_large(message: str) -> ApiError:
    return failure(413, "RequestEntityTooLarge", message)


def too_many_requests(message: str, retry_after_seconds: int = 1) -> ApiError:
    return failure(429, "TooManyRequests", message, {"retryAfterSeconds": retry_after_seconds})


def method_not_supported(resource: Resource, verb: str) -> ApiError:
    message = f'{verb} is not supported on resources of kind "{resource.qualified}"'
    details = {"group": resource.group, "kind": resource.plural}
    return failure(405, "MethodNotAllowed", message, details)


def method_not_allowed() -> ApiError:
    """It does not say which are allowed: upstream's router knows them, and its server leaves them out."""
    message = "the server does not allow this method on the requested resource"
    return failure(405, "MethodNotAllowed", message, {})


def resource_unknown() -> ApiError:
    return failure(404, "NotFound", "the server could not find the requested resource", {})


def unavailable(message: str) -> ApiError:
    return failure(503, "ServiceUnavailable", message)


def timeout(message: str) -> ApiError:
    return failure(504, "Timeout", message)


def internal(message: str) -> ApiError:
    details = {"causes": [{"message": message}]}
    return failure(500, "InternalError", f"Internal error occurred: {message}", details)


def is_not_found(error: BaseException) -> bool:
    return isinstance(error, ApiError) and error.reason == "NotFound"


def is_conflict(error: BaseException) -> bool:
    return isinstance(error, ApiError) and error.reason == "Conflict"


def is_already_exists(error: BaseException) -> bool:
    return isinstance(error, ApiError) and error.reason == "AlreadyExists"


def is_expired(error: BaseException) -> bool:
    return isinstance(error, ApiError) and error.reason in ("Expired", "Gone")
