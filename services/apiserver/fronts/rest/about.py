"""What the server says of itself: its version, health and numbers, the API's groups, kinds and schemas.

All of it is read only. What does not change while the process lives is written once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, Protocol

import orjson
from aiohttp import web

from services.api import errors
from services.api.kinds import SERVED, Resource
from services.apiserver.fronts.discovery import version_document
from services.apiserver.fronts.rest import discovery, health
from services.apiserver.fronts.rest.metrics import CONTENT_TYPE, Metrics
from services.apiserver.fronts.rest.negotiation import JSON, YAML, by_quality, negotiate
from services.apiserver.fronts.rest.verbs import respond
from services.apiserver.openapi.documents import Documents
from services.apiserver.registry.catalog import Catalog
from services.apiserver.token_issuer import TokenIssuer

Json = dict[str, Any]

OPENID = "/.well-known"
CONFIGURATION, KEYS = f"{OPENID}/openid-configuration", "/openid/v1/jwks"
AGGREGATED = f"{JSON};g=apidiscovery.k8s.io;v=v2;as={discovery.AGGREGATED}"
_AGGREGATED_PARAMETERS = {"g": "apidiscovery.k8s.io", "v": "v2", "as": discovery.AGGREGATED}
_ROOTS = ("/", "/version", "/metrics", "/api", "/apis", "/openapi", OPENID, "/openid",
          *(f"/{name}" for name in health.NAMES))  # fmt: skip


class Elsewhere(Protocol):
    """Knows what other servers serve."""

    def groups(self, *, aggregated: bool) -> list[Json]: ...

    def third(self) -> Json: ...

    async def second(self) -> list[Json]: ...


class About:
    def __init__(
        self,
        is_ready: Callable[[], bool],
        metrics: Metrics,
        catalog: Catalog,
        documents: Documents,
        elsewhere: Elsewhere,
    ) -> None:
        self._elsewhere = elsewhere
        self._metrics, self._catalog, self._documents = metrics, catalog, documents
        self._checks = health.checks(is_ready)
        self.issuer: TokenIssuer | None = None
        self.address = ""  # where clients reach this server, once it listens
        # All groups in one document, for what is served at the moment.
        self._aggregated: dict[bool, tuple[bytes, str]] = {}
        self._aggregated_for: tuple[Resource, ...] = ()
        self._aggregated_with: list[Json] = []
        self._schemas: Any = None

    async def answer(self, request: web.Request, path: str) -> web.Response | None:
        """None for a path that is not about the server. ApiError for what is refused."""
        path = path.rstrip("/") or "/"
        parts = path.split("/")
        if f"/{parts[1]}" not in _ROOTS or (parts[1] in ("api", "apis") and len(parts) > 4):
            return None
        found = await self._find(request, path, parts)
        if found is not None and request.method != "GET" and is_routed(parts):
            raise errors.method_not_allowed()
        return found

    async def _find(self, request: web.Request, path: str, parts: list[str]) -> web.Response | None:
        match parts[1:]:
            case [""]:
                return self._written(request, {"paths": root_paths(self._catalog.served)})
            case ["version"]:
                return web.Response(body=_pretty(version_document()), content_type=JSON)
            case ["metrics"]:
                return web.Response(text=self._metrics.text(), headers={"Content-Type": CONTENT_TYPE})
            case ["api"]:
                return self._grouped(request, True, lambda: discovery.legacy_versions(self.address))
            case ["apis"]:
                return self._grouped(request, False, self._groups)
            case ["api", version]:
                return self._written(request, discovery.resources("", version, self._catalog.served))
            case ["apis", group]:
                return self._written(request, discovery.one_group(group, self._catalog.served))
            case ["apis", group, version]:
                return self._written(request, discovery.resources(group, version, self._catalog.served))
            case ["openapi", *_]:
                return await self._schema(request, path)
            case [".well-known" | "openid", *_]:
                return await self._openid(request, path)
            case [asked, *rest] if asked in health.NAMES:
                return self._health(request, asked, "/".join(rest))
        return None

    def _groups(self) -> Json:
        found = discovery.groups(self._catalog.served)
        return {**found, "groups": [*found["groups"], *self._elsewhere.groups(aggregated=False)]}

    def _written(self, request: web.Request, document: Json | None) -> web.Response | None:
        if document is None:
            return web.Response(text="404 page not found\n", status=404)
        written = negotiate(request.headers.get("Accept", ""), shapes=False)
        return respond(orjson.dumps(document), written)

    def _grouped(
        self, request: web.Request, legacy: bool, otherwise: Callable[[], Json]
    ) -> web.Response | None:
        """All groups in one document for clients that know it; they may keep it while it stays the same."""
        if not wants_aggregated(request.headers.get("Accept", "")):
            return self._written(request, otherwise())
        served, others = self._catalog.served, self._elsewhere.groups(aggregated=True)
        if self._aggregated_for is not served or self._aggregated_with != others:
            self._aggregated, self._aggregated_for, self._aggregated_with = {}, served, others
        if legacy not in self._aggregated:
            self._aggregated[legacy] = aggregated(legacy, served, [] if legacy else others)
        body, etag = self._aggregated[legacy]
        headers = {"ETag": etag, "Cache-Control": "public", "Vary": "Accept"}
        if etag in request.headers.get("If-None-Match", ""):
            return web.Response(status=304, headers=headers)
        return web.Response(body=body, headers={**headers, "Content-Type": AGGREGATED})

    async def _schema(self, request: web.Request, path: str) -> web.Response | None:
        if self._schemas is None:  # What it takes is loaded when somebody asks.
            from services.apiserver.fronts.rest.schemas import Schemas

            self._schemas = Schemas(self._documents, self._elsewhere)
        found: web.Response | None = await self._schemas.answer(request, path)
        return found

    async def _openid(self, request: web.Request, path: str) -> web.Response | None:
        """Where others find what ServiceAccounts' tokens are signed with. OpenID Connect Discovery."""
        if self.issuer is None or path not in (CONFIGURATION, KEYS):
            return None
        keys = await self.issuer.jwks()
        media, document = "application/jwk-set+json", keys
        if path == CONFIGURATION:
            media, document = JSON, {
                "issuer": self.issuer.issuer,
                "jwks_uri": f"https://{self.address}{KEYS}",
                "response_types_supported": ["id_token"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": [key["alg"] for key in keys["keys"]],
            }  # fmt: skip
        headers = {"Cache-Control": "public, max-age=3600"}
        return web.Response(body=orjson.dumps(document), content_type=media, headers=headers)

    def _health(self, request: web.Request, asked: str, name: str) -> web.Response | None:
        query = request.query
        excluded = set(query.getall("exclude", []))
        if name:
            found = health.judge_one(self._checks, asked, name)
            if found is None:
                return None
        else:
            found = health.judge(self._checks, asked, verbose="verbose" in query, excluded=excluded)
        headers = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-cache, private"}
        return web.Response(text=found.text, status=found.status, headers=headers)


def is_routed(parts: list[str]) -> bool:
    """Whether the path is one of those that upstream routes by method; the others answer to any."""
    first = parts[1]
    return first in ("version", "api", ".well-known", "openid") or (first == "apis" and len(parts) > 3)


def root_paths(served: tuple[Resource, ...] = SERVED) -> list[str]:
    """Every path there is, in order, but those of objects."""
    found = {
        CONFIGURATION,
        KEYS,
        "/api",
        "/apis",
        "/apis/",
        "/metrics",
        "/openapi/v2",
        "/openapi/v3",
        "/openapi/v3/",
        "/version",
    }
    for listed in discovery.every_list(served):
        group_version = listed["groupVersion"]
        group = group_version.rpartition("/")[0]
        found |= {f"/apis/{group}", f"/apis/{group_version}"} if group else {f"/api/{group_version}"}
    for check in health.checks(lambda: True):
        found |= {f"/{asked}/{check.name}" for asked in check.of}
    return sorted(found | {f"/{asked}" for asked in health.NAMES})


def wants_aggregated(accept: str) -> bool:
    """Whether v2 of the aggregated document comes before any other JSON. Other versions are passed over."""
    for media, parameters in by_quality(accept):
        if media == JSON and parameters == _AGGREGATED_PARAMETERS:
            return True
        if media in (JSON, YAML, "*/*") and "as" not in parameters:
            return False
    return False


def aggregated(legacy: bool, served: tuple[Resource, ...], others: list[Json]) -> tuple[bytes, str]:
    """The document and its entity tag."""
    found = discovery.aggregated(legacy, served)
    body = orjson.dumps({**found, "items": found["items"] + others})
    return body, f'"{hashlib.sha512(body).hexdigest().upper()}"'


def _pretty(value: Json) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2)
