"""Who asks over HTTPS, in whose name, and what he wants: every request passes here before anything is done.

A client certificate that our CA signed says a name (CN) and groups (O); a bearer token is a ServiceAccount's;
who brings neither is `system:anonymous`. Whether he may, `fronts.gate` decides, as for gRPC.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any
from urllib.parse import unquote
from weakref import WeakKeyDictionary

from aiohttp import web

from services.apiserver.authentication.users import User
from services.apiserver.authorization.attributes import Attributes
from services.apiserver.fronts.gate import EXTRA, Gate, Impersonation, certified
from services.apiserver.fronts.rest.paths import Path, watched
from services.machinery import fields

IMPERSONATOR = "impersonator"
ASKER = "asker"  # who proved to be somebody, whether or not he may act as somebody else
_VERBS = {
    "POST": "create",
    "PUT": "update",
    "PATCH": "patch",
    "DELETE": "delete",
    "GET": "get",
    "HEAD": "get",
}
_CREATED = [("", "pods", part) for part in ("exec", "attach", "portforward")]
_SELECTING = ("list", "watch", "deletecollection")


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
        request[ASKER] = user
        acting = self._gate.impersonated(user, _impersonation(request))
        if acting is not user:
            request[IMPERSONATOR] = user
        return what_is_asked(acting, request, raw_path, path)

    def require(self, asked: Attributes) -> None:
        """ApiError (403)."""
        self._gate.require(asked)
        if asked.verb == "get" and (asked.group, asked.resource, asked.subresource) in _CREATED:
            # A WebSocket begins with a GET: who may only read shall not type in a Pod's terminal by that.
            self._gate.require(replace(asked, verb="create"))

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
        name = next((value for key, value in reversed(subject) if key == "commonName"), "")  # as Go reads it
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
        key = unquote(header[len(EXTRA) :])  # a capital is what is escaped
        extra[key] = (*extra.get(key, ()), *headers.getall(header))
    groups = tuple(headers.getall("Impersonate-Group", ()))
    return Impersonation(
        headers.get("Impersonate-User", ""), groups, headers.get("Impersonate-Uid", ""), extra
    )


# -- what he wants -------------------------------------------------------------------------------


def what_is_asked(user: User, request: web.Request, raw_path: str, path: Path | None) -> Attributes:
    """Upstream: `apiserver/pkg/endpoints/request/requestinfo.go`."""
    if path is None:
        return Attributes(user, request.method.lower(), path=unquote(raw_path))
    verb, name, selector = _verb(request, path), path.name, ""
    if verb in _SELECTING and not path.watches:
        selector = request.query.get("fieldSelector", "")
        name = name or (_one_selected(selector) if verb != "deletecollection" else "")
    namespace = path.namespace
    if path.plural == "namespaces" and not namespace and not path.group:
        namespace = path.name  # a role in a namespace may be about the namespace itself
    return Attributes(
        user, verb, namespace, path.group, path.version, path.plural, path.subresource, name, fields=selector
    )


def _verb(request: web.Request, path: Path) -> str:
    """Empty for a method that means nothing here."""
    if path.watches:
        return "watch"
    verb = _VERBS.get(request.method, "")
    if path.name or verb not in ("get", "delete"):
        return verb
    if verb == "delete":
        return "deletecollection"
    return "watch" if watched(path, request.query) else "list"


def _one_selected(selector: str) -> str:
    """The name of the one object that a list can be of; empty where it can be of several."""
    try:
        name = fields.parse(selector).exact("metadata.name") or ""
    except fields.FieldSelectorError:
        return ""
    return "" if name in (".", "..") or "/" in name or "%" in name else name
