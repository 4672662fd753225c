"""Groups that a Service of the cluster serves: asked whether they are there, and asked in a client's place.

The Service learns who asks from headers, as upstream's proxy of the aggregator tells it; what the client used
to prove itself here is not passed on. A group whose Service is not available is answered with 503.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Any, NamedTuple

import aiohttp
import orjson
from aiohttp import web
from yarl import URL

from services.api.errors import ApiError
from services.apiserver.aggregation import elsewhere, passing, upgraded
from services.apiserver.aggregation.api_services import ApiServices
from services.apiserver.aggregation.second import SecondDocuments
from services.apiserver.authentication.users import User
from services.apiserver.custom.calling import Dial, trusting
from services.machinery.clock import Clock
from services.process.logging import Logger

Json = dict[str, Any]

ASK_SECONDS = 5.0
CHUNK_BYTES = 64 * 1024
DOCUMENT_BYTES = 1024 * 1024
SECOND_BYTES = 8 * 1024 * 1024  # of the older OpenAPI document, which is one for all groups
CHECKER = User("system:kube-aggregator", groups=("system:masters",))
AGGREGATOR = User("system:aggregator")


class Got(NamedTuple):
    status: int
    body: bytes
    etag: str


class TooLong(Exception):
    """A document that is larger than any should be."""


class Remote:
    def __init__(self, dial: Callable[[], Dial], address: Callable[[str, str], str], clock: Clock) -> None:
        """`address` is the cluster IP of a Service, for messages."""
        self._dial, self._address, self._clock = dial, address, clock

    async def ask(self, spec: Json) -> elsewhere.Told | str:
        """What it serves in that version, or why that cannot be read."""
        reference = spec["service"]
        where = f"/apis/{spec.get('group', '')}/{spec.get('version', '')}"
        host = self._address(reference["namespace"], reference["name"])
        url = f"https://{host}:{reference.get('port') or 443}{where}"
        try:
            got = await self._get(spec, where, CHECKER, DOCUMENT_BYTES)
        except (ApiError, aiohttp.ClientError, TimeoutError, OSError, TooLong) as error:
            return f'failing or missing response from {url}: Get "{url}": {said(error)}'
        if not 200 <= got.status < 300:
            return f"failing or missing response from {url}: bad status from {url}: {got.status}"
        return elsewhere.Told(_document(got.body), await self._index(spec))

    async def _index(self, spec: Json) -> dict[str, str]:
        """Which documents of OpenAPI's third edition it has of that group; none where it does not say."""
        try:
            got = await self._get(spec, "/openapi/v3", AGGREGATOR, DOCUMENT_BYTES)
        except (ApiError, aiohttp.ClientError, TimeoutError, OSError, TooLong):
            return {}
        return elsewhere.indexed(got.body, spec) if got.status == 200 else {}

    async def second(self, spec: Json, etag: str) -> Got | None:
        """The older document, if it is another than that; None where it cannot be read."""
        try:
            return await self._get(spec, "/openapi/v2", AGGREGATOR, SECOND_BYTES, etag)
        except (ApiError, aiohttp.ClientError, TimeoutError, OSError, TooLong):
            return None

    async def _get(self, spec: Json, path: str, user: User, bytes_max: int, etag: str = "") -> Got:
        """ApiError, ClientError, TimeoutError, OSError, TooLong."""
        reference = spec["service"]
        headers = [("Accept", "application/json"), *passing.identity(user)]
        if etag:
            headers.append(("If-None-Match", etag))
        async with (
            self._clock.timeout(ASK_SECONDS),
            self._dial()(*_of(reference), tls_of(spec)) as client,
            client.get(_inside(reference, path), headers=headers, allow_redirects=False) as answer,
        ):
            body = bytearray()
            async for chunk in answer.content.iter_any():
                body += chunk
                if len(body) > bytes_max:
                    answer.close()
                    raise TooLong(f"the answer is longer than {bytes_max} bytes")
            return Got(answer.status, bytes(body), answer.headers.get("ETag", ""))

    async def forward(self, request: web.Request, spec: Json, user: User) -> web.StreamResponse:
        """What the Service answers; 503 where it does not."""
        headers = passing.headers_for(request.headers.items(), user)
        try:
            if upgraded.is_wanted(request):
                stream = self._dial().stream(*_of(spec["service"]), tls_of(spec))
                async with stream as (reader, writer):
                    return await upgraded.join(request, reader, writer, headers, self._clock)
            return await self._forwarded(request, spec, headers)
        except ApiError:
            return unavailable()
        except _Broken as error:
            raise ConnectionResetError("the Service broke off") from error
        except (aiohttp.ClientError, OSError, TimeoutError, upgraded.Refused) as error:
            if request.transport is None or request.transport.is_closing():
                raise ConnectionResetError("the client is gone") from error
            return web.Response(text=f"{said(error)}\n", status=503)

    async def _forwarded(
        self, request: web.Request, spec: Json, headers: passing.Headers
    ) -> web.StreamResponse:
        body = request.content.iter_chunked(CHUNK_BYTES) if request.can_read_body else None
        url = _inside(spec["service"], request.rel_url.raw_path_qs)
        async with (
            self._dial()(*_of(spec["service"]), tls_of(spec)) as client,
            client.request(
                request.method, url, headers=headers, data=body, allow_redirects=False, timeout=_FOREVER
            ) as answer,
        ):
            if passing.redirects(answer.status, answer.headers.get("Location", "")):
                return web.Response(text=passing.REDIRECTED, status=502)
            response = web.StreamResponse(status=answer.status, reason=answer.reason)
            for name, value in passing.headers_of(answer.headers.items()):
                response.headers.add(name, value)
            await response.prepare(request)
            try:
                if request.method != "HEAD":
                    async for chunk in answer.content.iter_any():
                        await response.write(chunk)
                await response.write_eof()
            except (aiohttp.ClientError, OSError) as error:
                # Half an answer has gone out: its end is all that can still be told.
                raise _Broken from error
            return response


class _Broken(Exception):
    """An answer that ended before its end."""


_FOREVER = aiohttp.ClientTimeout(total=None)  # a watch lasts as long as its client likes


def said(error: Exception) -> str:
    return error.message if isinstance(error, ApiError) else str(error) or type(error).__name__


def _of(reference: Json) -> tuple[str, str, int]:
    return reference["namespace"], reference["name"], reference.get("port") or 443


def _inside(reference: Json, path: str) -> URL:
    return URL(f"https://{reference['name']}.{reference['namespace']}.svc{path}", encoded=True)


def tls_of(spec: Json) -> ssl.SSLContext:
    """Checks the certificate by the bundle that was registered, or not at all. NoCertificates."""
    return trusting(spec.get("caBundle") or "", anybody=bool(spec.get("insecureSkipTLSVerify")))


def _document(body: bytes) -> Json:
    """Nothing, where it is not what it should be."""
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) and isinstance(found.get("resources"), list) else {}


def unavailable() -> web.Response:
    return web.Response(text="service unavailable\n", status=503)


class Aggregated:
    """What the REST front asks before it says that it knows no such path."""

    def __init__(self, services: ApiServices, remote: Remote, clock: Clock, log: Logger) -> None:
        self._services, self._remote = services, remote
        self._second = SecondDocuments(services, remote.second, clock, log)

    async def handle(self, request: web.Request, raw_path: str, user: User) -> web.StreamResponse | None:
        """None where no other server has registered for the path."""
        parts = raw_path.strip("/").split("/")
        if parts[0] == "openapi":
            return await self._described(request, parts, user)
        if parts[0] != "apis" or len(parts) < 2:
            return None
        found = self._services.remote(parts[1], parts[2] if len(parts) > 2 else "")
        if not found:
            return None
        if len(parts) == 2:
            document = {"kind": "APIGroup", "apiVersion": "v1", **elsewhere.group(found)}
            return web.Response(body=orjson.dumps(document), content_type="application/json")
        if not self._services.is_available(parts[1], parts[2]):
            return unavailable()
        return await self._remote.forward(request, found[0], user)

    async def _described(
        self, request: web.Request, parts: list[str], user: User
    ) -> web.StreamResponse | None:
        """A document of the third edition, as the server has it that serves what it describes."""
        spec = self._services.describing("/".join(parts[2:])) if parts[1:2] == ["v3"] else None
        return await self._remote.forward(request, spec, user) if spec is not None else None

    def groups(self, *, aggregated: bool) -> list[Json]:
        """What discovery tells of other servers' groups."""
        found = self._services.remote_groups()
        if not aggregated:
            return [elsewhere.group(specs) for specs in found]
        return [elsewhere.aggregated(specs, self._services.said_by(specs[0]["group"])) for specs in found]

    def third(self) -> Json:
        """What the index of OpenAPI's third edition tells of other servers' documents."""
        return {path: {"serverRelativeURL": url} for path, url in self._services.described().items()}

    async def second(self) -> list[Json]:
        """Other servers' parts of the second edition."""
        return await self._second.parts()
