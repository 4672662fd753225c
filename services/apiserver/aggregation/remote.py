"""Groups that a Service of the cluster serves: asked whether they are there, and asked in a client's place.

The Service learns who asks from headers, as upstream's proxy of the aggregator tells it; what the client used
to prove itself here is not passed on. A group whose Service is not available is answered with 503.
"""

from __future__ import annotations

import ssl
from base64 import b64decode
from collections.abc import Callable
from typing import Any

import aiohttp
import orjson
from aiohttp import web
from yarl import URL

from services.api.errors import ApiError
from services.apiserver.aggregation import elsewhere
from services.apiserver.aggregation.api_services import ApiServices
from services.apiserver.authentication.users import User
from services.apiserver.custom.calling import Dial

Json = dict[str, Any]

ASK_SECONDS = 5.0
CHUNK_BYTES = 64 * 1024
DOCUMENT_BYTES = 1024 * 1024
_OWN = frozenset(
    (
        *("authorization", "connection", "content-length", "host", "transfer-encoding", "upgrade"),
        *("x-remote-user", "x-remote-group"),
    )
)
AGGREGATOR = User("system:kube-aggregator", groups=("system:masters",))


class Remote:
    def __init__(self, dial: Callable[[], Dial], address: Callable[[str, str], str]) -> None:
        """`address` is the cluster IP of a Service, for messages."""
        self._dial, self._address = dial, address

    async def ask(self, spec: Json) -> Json | str:
        """What it serves in that version, or why that cannot be read."""
        reference = spec["service"]
        where = f"/apis/{spec.get('group', '')}/{spec.get('version', '')}"
        host = self._address(reference["namespace"], reference["name"])
        url = f"https://{host}:{reference.get('port') or 443}{where}"
        try:
            async with (
                self._dial()(*_of(reference), tls_of(spec)) as client,
                client.get(
                    _inside(reference, where), headers=identity(AGGREGATOR), timeout=_TIMEOUT
                ) as answer,
            ):
                if 200 <= answer.status < 300:
                    return _document(await answer.content.read(DOCUMENT_BYTES))
                return f"failing or missing response from {url}: bad status from {url}: {answer.status}"
        except ApiError as error:
            return f'failing or missing response from {url}: Get "{url}": {error.message}'
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return f'failing or missing response from {url}: Get "{url}": {error}'

    async def forward(self, request: web.Request, spec: Json, user: User) -> web.StreamResponse:
        """What the Service answers; 503 where it does not."""
        reference = spec["service"]
        headers = [(name, value) for name, value in request.headers.items() if name.lower() not in _OWN]
        headers += identity(user)
        body = request.content.iter_chunked(CHUNK_BYTES) if request.can_read_body else None
        url = _inside(reference, request.rel_url.raw_path_qs)
        try:
            async with (
                self._dial()(*_of(reference), tls_of(spec)) as client,
                client.request(
                    request.method, url, headers=headers, data=body, allow_redirects=False
                ) as answer,
            ):
                response = web.StreamResponse(status=answer.status, reason=answer.reason)
                for name, value in answer.headers.items():
                    if name.lower() not in _OWN:
                        response.headers.add(name, value)
                await response.prepare(request)
                async for chunk in answer.content.iter_any():
                    await response.write(chunk)
                await response.write_eof()
                return response
        except (ApiError, aiohttp.ClientConnectorError, ssl.SSLError):
            return unavailable()


_TIMEOUT = aiohttp.ClientTimeout(total=ASK_SECONDS)


def _of(reference: Json) -> tuple[str, str, int]:
    return reference["namespace"], reference["name"], reference.get("port") or 443


def _inside(reference: Json, path: str) -> URL:
    return URL(f"https://{reference['name']}.{reference['namespace']}.svc{path}", encoded=True)


def tls_of(spec: Json) -> ssl.SSLContext:
    """Checks the certificate by the bundle that was registered, or not at all where that was asked for."""
    bundle = b64decode(spec.get("caBundle") or "").decode("ascii", "replace")
    context = ssl.create_default_context(cadata=bundle if bundle.strip() else None)
    if spec.get("insecureSkipTLSVerify"):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def identity(user: User) -> list[tuple[str, str]]:
    """Who asks, as a front proxy says it."""
    return [("X-Remote-User", user.name), *(("X-Remote-Group", group) for group in user.groups)]


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

    def __init__(self, services: ApiServices, remote: Remote) -> None:
        self._services, self._remote = services, remote

    async def handle(self, request: web.Request, raw_path: str, user: User) -> web.StreamResponse | None:
        """None where no other server has registered for the path."""
        parts = raw_path.strip("/").split("/")
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

    def groups(self, *, aggregated: bool) -> list[Json]:
        """What discovery tells of other servers' groups."""
        found = self._services.remote_groups()
        if not aggregated:
            return [elsewhere.group(specs) for specs in found]
        return [elsewhere.aggregated(specs, self._services.said_by(specs[0]["group"])) for specs in found]
