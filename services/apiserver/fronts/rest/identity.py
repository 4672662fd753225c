"""Who asks over HTTPS, in whose name, and what he wants: every request passes here before anything is done.

A client certificate that our CA signed says a name (CN) and groups (O); a bearer token is a ServiceAccount's;
who brings neither is `system:anonymous`. Whether he may, `fronts.gate` decides, as for gRPC.
"""

from __future__ import annotations

import hashlib
from typing import Any
from urllib.parse import unquote
from weakref import WeakKeyDictionary

from aiohttp import web

from services.apiserver.authentication.users import User
from services.apiserver.authorization.attributes import Attributes
from services.apiserver.fronts.gate import EXTRA, Gate, Impersonation, certified
from services.apiserver.fronts.rest.options import TRUE
from services.apiserver.fronts.rest.paths import Path

IMPERSONATOR = "impersonator"
_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete", "HEAD": "get"}


class HttpGate:
    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        # A connection's certificate does not change: it is read once.
        self._certified: WeakKeyDictionary[Any, User] = WeakKeyDictionary()

    async def asked(self, request: web.Request, raw_path: str, path: Path | None) -> Attributes:
        """What is asked, and in whose name. ApiError (400, 401, 403)."""
        user = self._by_certificate(request)
        if user is None:
            user = await self._gate.bearer(request.headers.get("Authorization", ""))
        acting = self._gate.impersonated(user, _impersonation(request))
        if acting is not user:
            request[IMPERSONATOR] = user
        return what_is_asked(acting, request, raw_path, path)

    def require(self, asked: Attributes) -> None:
        """ApiError (403)."""
        self._gate.require(asked)

    def _by_certificate(self, request: web.Request) -> User | None:
        tls = request.transport.get_extra_info("ssl_object") if request.transport else None
        if tls is None:
            return None
        known = self._certified.get(tls)
        if known is not None:
            return known
        found = tls.getpeercert()
        if not found:
            return None
        subject = [pair for entry in found.get("subject", ()) for pair in entry]
        name = next((value for key, value in subject if key == "commonName"), "")
        if not name:
            return None
        groups = tuple(value for key, value in subject if key == "organizationName")
        digest = hashlib.sha256(tls.getpeercert(True)).hexdigest()
        user = self._certified[tls] = certified(name, groups, digest)
        return user


def _impersonation(request: web.Request) -> Impersonation:
    headers = request.headers
    extra: dict[str, tuple[str, ...]] = {}
    for header in {key.lower() for key in headers if key.lower().startswith(EXTRA)}:
        extra[unquote(header[len(EXTRA) :]).lower()] = tuple(headers.getall(header))
    groups = tuple(headers.getall("Impersonate-Group", ()))
    return Impersonation(
        headers.get("Impersonate-User", ""), groups, headers.get("Impersonate-Uid", ""), extra
    )


# -- what he wants -------------------------------------------------------------------------------


def what_is_asked(user: User, request: web.Request, raw_path: str, path: Path | None) -> Attributes:
    if path is None:
        return Attributes(user, request.method.lower(), path=unquote(raw_path))
    fields = request.query.get("fieldSelector", "")
    verb, name = _verb(request, path), path.name
    if not name and fields.startswith("metadata.name=") and "," not in fields:
        name = fields.removeprefix("metadata.name=").removeprefix("=")
    namespace = path.namespace
    if path.plural == "namespaces" and not namespace and not path.group:
        namespace = path.name  # a role in a namespace may be about the namespace itself
    return Attributes(
        user, verb, namespace, path.group, path.version, path.plural, path.subresource, name, fields=fields
    )


def _verb(request: web.Request, path: Path) -> str:
    if request.method == "GET":
        if path.watches or request.query.get("watch", "") in TRUE:
            return "watch"
        return "get" if path.name else "list"
    if request.method == "DELETE" and not path.name:
        return "deletecollection"
    return _VERBS.get(request.method, request.method.lower())
