"""/openapi/v2 and /openapi/v3: which document, in which encoding, and for how long a client may keep it.

A document of the third edition that is asked for by its hash never changes; by an older hash, the client is
sent to the present one. Documents go out compressed, as they are kept, to all who can read that. What other
servers describe is named in the index of the third edition, and put into the second.
"""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

import orjson
from aiohttp import web

from services.api import errors
from services.api.errors import ApiError
from services.apiserver.fronts.rest.negotiation import by_quality
from services.apiserver.openapi.documents import Document, Documents

Json = dict[str, Any]
JSON = "application/json"
PROTOBUF_V2 = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
_PROTOBUF_V2_ASKED = (PROTOBUF_V2, PROTOBUF_V2.replace("v2.v1.0", "v2@v1.0"))
FOREVER = "public, immutable"
FOREVER_SECONDS = 365 * 24 * 3600


class Elsewhere(Protocol):
    """What other servers describe."""

    def third(self) -> Json: ...

    async def second(self) -> list[Json]: ...


class Schemas:
    def __init__(self, documents: Documents, elsewhere: Elsewhere) -> None:
        self._documents, self._elsewhere = documents, elsewhere
        self._making = asyncio.Lock()

    async def answer(self, request: web.Request, path: str) -> web.Response | None:
        """None for a path with nothing behind it. ApiError (406)."""
        if path == "/openapi/v2":
            return await self._second(request)
        if path == "/openapi/v3":
            paths = {**self._elsewhere.third(), **self._documents.index()["paths"]}
            return web.Response(body=orjson.dumps({"paths": paths}), content_type=JSON)
        return await self._third(request, path.removeprefix("/openapi/v3/"))

    async def _second(self, request: web.Request) -> web.Response:
        for media in _accepted(request):
            if media in _PROTOBUF_V2_ASKED:
                others = await self._elsewhere.second()
                return reply(request, await self._made(self._documents.second_protobuf, others), PROTOBUF_V2)
            if media in (JSON, "*/*", "application/*"):
                others = await self._elsewhere.second()
                return reply(request, await self._made(self._documents.second, others), JSON)
        raise _refused(JSON, PROTOBUF_V2)

    async def _third(self, request: web.Request, path: str) -> web.Response | None:
        if path not in self._documents.paths():
            return None
        if not {JSON, "*/*", "application/*"} & set(_accepted(request)):
            raise _refused(JSON)
        asked, current = request.query.get("hash", ""), self._documents.hash(path)
        if asked and asked != current:
            return web.Response(status=301, headers={"Location": f"/openapi/v3/{path}?hash={current}"})
        document = await self._made(self._documents.third, path)
        if document is None:
            return None
        answer = reply(request, document, JSON)
        if asked:
            answer.headers["Cache-Control"] = f"{FOREVER}, max-age={FOREVER_SECONDS}"
        return answer

    async def _made(self, make: Any, *arguments: Any) -> Any:
        """Aside, for the first of each takes a while; one at a time, so that none is made twice."""
        async with self._making:
            return await asyncio.to_thread(make, *arguments)


def _accepted(request: web.Request) -> list[str]:
    return [media for media, _ in by_quality(request.headers.get("Accept", "") or "*/*")]


def reply(request: web.Request, document: Document, media: str) -> web.Response:
    """304 to those who have it already."""
    etag = f'"{document.hash}"'
    headers = {"ETag": etag, "Cache-Control": "no-cache, private", "Vary": "Accept, Accept-Encoding"}
    if etag in request.headers.get("If-None-Match", ""):
        return web.Response(status=304, headers=headers)
    headers["Content-Type"] = media
    if "gzip" in request.headers.get("Accept-Encoding", ""):
        headers["Content-Encoding"] = "gzip"
        return web.Response(body=document.packed, headers=headers)
    return web.Response(body=document.body, headers=headers)


def _refused(*offered: str) -> ApiError:
    message = f"406: Not Acceptable\n\nAvailable representations: {', '.join(offered)}"
    return errors.failure(406, "NotAcceptable", message, {})
