"""What a request is refused with: the distribution API's codes, in its JSON.

    {"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown", "detail": …}]}

`answered` turns everything that can go wrong in a handler into that, so that no client ever sees a stack.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping

from aiohttp import ClientError, web

from services.process.logging import Logger
from services.registry.accounts import WrongPassword
from services.registry.blob_store import Full, WrongDigest
from services.registry.pushed import BadManifest
from services.registry.references import Refusal

STATUS = {
    "BLOB_UNKNOWN": 404, "BLOB_UPLOAD_INVALID": 400, "BLOB_UPLOAD_UNKNOWN": 404, "DIGEST_INVALID": 400,
    "MANIFEST_BLOB_UNKNOWN": 404, "MANIFEST_INVALID": 400, "MANIFEST_UNKNOWN": 404, "NAME_INVALID": 400,
    "NAME_UNKNOWN": 404, "SIZE_INVALID": 400, "TAG_INVALID": 400, "UNAUTHORIZED": 401, "DENIED": 403,
    "UNSUPPORTED": 405, "TOOMANYREQUESTS": 429, "RANGE_INVALID": 416, "PAGINATION_NUMBER_INVALID": 400,
    "UNKNOWN": 500,
}  # fmt: skip
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class ApiError(Exception):
    def __init__(
        self,
        code: str,
        message: str,
        detail: object = None,
        *,
        status: int = 0,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.code, self.detail = code, detail
        self.status, self.headers = status or STATUS[code], dict(headers or {})

    def response(self) -> web.Response:
        error = {"code": self.code, "message": str(self)}
        if self.detail is not None:
            error["detail"] = self.detail  # type: ignore[assignment]
        return web.Response(
            status=self.status,
            headers={"Docker-Distribution-Api-Version": "registry/2.0", **self.headers},
            body=json.dumps({"errors": [error]}).encode(),
            content_type="application/json",
        )


def answered(log: Logger, challenge: Callable[[web.Request, str], dict[str, str]]) -> Callable[..., object]:
    """The middleware. `challenge`: the headers that ask a client to log in."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except ApiError as error:
            return error.response()
        except Refusal as refusal:
            return _refused(request, refusal, challenge).response()
        except WrongPassword:
            return ApiError(
                "UNAUTHORIZED", "authentication required", headers=challenge(request, "invalid_token")
            ).response()
        except BadManifest as error:
            return ApiError(error.code, str(error), error.detail).response()
        except Full as error:
            log.warning("Refused a push", path=request.path[:300], reason=str(error))
            return ApiError("DENIED", str(error), status=413).response()
        except WrongDigest:
            return ApiError("DIGEST_INVALID", "provided digest did not match uploaded content").response()
        except web.HTTPException as error:
            return _plain(error)
        except (
            TimeoutError,
            asyncio.IncompleteReadError,
            ConnectionError,
            ClientError,
            web.RequestPayloadError,
        ):
            return ApiError(
                "BLOB_UPLOAD_INVALID", "blob upload invalid", "the request ended early"
            ).response()

    return middleware


def _refused(
    request: web.Request, refusal: Refusal, challenge: Callable[[web.Request, str], dict[str, str]]
) -> ApiError:
    if refusal.kind == "denied":
        # As Docker Hub: one answer for what is not there and what is not yours.
        return ApiError(
            "DENIED",
            "requested access to the resource is denied",
            status=401,
            headers=challenge(request, "insufficient_scope"),
        )
    if refusal.kind == "invalid":
        return ApiError("NAME_INVALID", "invalid repository name")
    if refusal.kind == "broken":
        return ApiError("UNKNOWN", str(refusal))
    return ApiError("MANIFEST_UNKNOWN", "manifest unknown", str(refusal))


def _plain(error: web.HTTPException) -> web.StreamResponse:
    code = {405: "UNSUPPORTED", 404: "NAME_UNKNOWN", 413: "SIZE_INVALID"}.get(error.status, "UNKNOWN")
    return ApiError(code, error.reason.lower(), status=error.status).response()
