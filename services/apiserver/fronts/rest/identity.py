"""Who asks, in whose name, and whether he may: every request passes here before anything is done for it.

A client certificate that our CA signed says a name (CN) and groups (O); a bearer token is a ServiceAccount's;
who brings neither is `system:anonymous`. Who may `impersonate` acts as somebody else. Upstream:
`apiserver/pkg/endpoints/filters`.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any
from urllib.parse import unquote
from weakref import WeakKeyDictionary

from aiohttp import web

from services.api import errors
from services.api.kinds import Resource
from services.apiserver.authentication.tokens import BadToken, TokenAuthenticator
from services.apiserver.authentication.users import (
    ANONYMOUS,
    AUTHENTICATED,
    CREDENTIAL,
    MASTERS,
    UNAUTHENTICATED,
    User,
    account_groups,
    account_of,
)
from services.apiserver.authorization import escalation
from services.apiserver.authorization.attributes import Attributes
from services.apiserver.authorization.authorizer import Authorizer
from services.apiserver.fronts.rest.options import TRUE
from services.apiserver.fronts.rest.paths import Path
from services.machinery.field_errors import quoted

_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete", "HEAD": "get"}
_EXTRA = "impersonate-extra-"
GROUP = "authentication.k8s.io"


class Gate:
    def __init__(self, tokens: TokenAuthenticator, authorizer: Authorizer) -> None:
        self._tokens, self._authorizer = tokens, authorizer
        # A connection's certificate does not change: it is read once.
        self._certified: WeakKeyDictionary[Any, User] = WeakKeyDictionary()

    async def admit(self, request: web.Request, raw_path: str, path: Path | None) -> User:
        """In whose name the request is to be done. ApiError (400, 401, 403)."""
        user = self._impersonated(request, await self._authenticated(request))
        if MASTERS not in user.groups:
            self._authorizer.require(_asked(user, request, raw_path, path))
        return user

    def guard(self, user: User, resource: Resource) -> escalation.Guard | None:
        return escalation.guard(self._authorizer, user, resource)

    # -- who -------------------------------------------------------------------------------------

    async def _authenticated(self, request: web.Request) -> User:
        certified = self._by_certificate(request)
        if certified is not None:
            return certified
        token = request.headers.get("Authorization", "")
        if not token:
            return ANONYMOUS
        scheme, _, secret = token.strip().partition(" ")
        try:
            if scheme.lower() != "bearer" or not secret.strip():
                raise BadToken("no bearer token")
            return (await self._tokens.user_of(secret.strip()))[0]
        except BadToken:
            raise errors.failure(401, "Unauthorized", "Unauthorized") from None

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
        extra = {CREDENTIAL: (f"X509SHA256={digest}",)}
        user = self._certified[tls] = User(name, (*groups, AUTHENTICATED), extra=extra)
        return user

    # -- in whose name ---------------------------------------------------------------------------

    def _impersonated(self, request: web.Request, user: User) -> User:
        headers = request.headers
        name, uid = headers.get("Impersonate-User", ""), headers.get("Impersonate-Uid", "")
        groups = tuple(headers.getall("Impersonate-Group", ()))
        extra: dict[str, tuple[str, ...]] = {}
        for header in {key.lower() for key in headers if key.lower().startswith(_EXTRA)}:
            extra[unquote(header[len(_EXTRA) :]).lower()] = tuple(headers.getall(header))
        if not (name or uid or groups or extra):
            return user
        if not name:
            raise _nobody(uid, groups, extra)
        self._may_impersonate(user, name, uid, groups, extra)
        return _completed(name, uid, groups, extra)

    def _may_impersonate(
        self, user: User, name: str, uid: str, groups: tuple[str, ...], extra: dict[str, tuple[str, ...]]
    ) -> None:
        asked = Attributes(user, "impersonate", version="v1", resource="users", name=name)
        if account := account_of(name):
            asked = replace(asked, resource="serviceaccounts", namespace=account[0], name=account[1])
        self._authorizer.require(asked)
        asked = replace(asked, namespace="")
        for group in groups:
            self._authorizer.require(replace(asked, resource="groups", name=group))
        if uid:
            self._authorizer.require(replace(asked, group=GROUP, resource="uids", name=uid))
        for key, values in extra.items():
            for value in values:
                part = replace(asked, group=GROUP, resource="userextras", subresource=key, name=value)
                self._authorizer.require(part)


def _completed(name: str, uid: str, groups: tuple[str, ...], extra: dict[str, tuple[str, ...]]) -> User:
    """With the groups that such a user has anyway."""
    if name == ANONYMOUS.name:
        return User(name, groups if UNAUTHENTICATED in groups else (*groups, UNAUTHENTICATED), uid, extra)
    if (account := account_of(name)) and not groups:
        groups = account_groups(account[0])
    known = AUTHENTICATED in groups or UNAUTHENTICATED in groups
    return User(name, groups if known else (*groups, AUTHENTICATED), uid, extra)


def _nobody(uid: str, groups: tuple[str, ...], extra: dict[str, tuple[str, ...]]) -> errors.ApiError:
    shown = "[]string{" + ", ".join(map(quoted, groups)) + "}" if groups else "[]string(nil)"
    pairs = (f"{quoted(k)}:[]string{{{', '.join(map(quoted, v))}}}" for k, v in sorted(extra.items()))
    extras = "map[string][]string{" + ", ".join(pairs) + "}" if extra else "map[string][]string(nil)"
    who = f'&user.DefaultInfo{{Name:"", UID:{quoted(uid)}, Groups:{shown}, Extra:{extras}}}'
    return errors.bad_request(f"requested {who} without impersonating a user name")


# -- what he wants -------------------------------------------------------------------------------


def _asked(user: User, request: web.Request, raw_path: str, path: Path | None) -> Attributes:
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
