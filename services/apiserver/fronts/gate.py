"""Who asks, in whose name, and whether he may: the questions that both fronts put before anything is done.

A client certificate that our CA signed says a name and groups; a bearer token is a ServiceAccount's; who may
`impersonate` acts as somebody else. Each front reads these off its own wire and asks here. Upstream:
`apiserver/pkg/endpoints/filters`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from services.api import errors
from services.api.kinds import Resource
from services.apiserver.audit.audit import annotate, is_recorded
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
from services.apiserver.authorization import escalation, signing
from services.apiserver.authorization.attributes import Attributes
from services.apiserver.authorization.authorizer import Authorizer
from services.machinery.field_errors import quoted

GROUP = "authentication.k8s.io"
EXTRA = "impersonate-extra-"


@dataclass(frozen=True, slots=True)
class Impersonation:
    """Whom a request names."""

    name: str = ""
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.name or self.groups or self.uid or self.extra)


def certified(name: str, groups: tuple[str, ...], fingerprint: str) -> User:
    """Whom a certificate names; the fingerprint is its SHA-256, in hex."""
    return User(name, (*groups, AUTHENTICATED), extra={CREDENTIAL: (f"X509SHA256={fingerprint}",)})


class Gate:
    def __init__(self, tokens: TokenAuthenticator, authorizer: Authorizer) -> None:
        self.tokens, self.authorizer = tokens, authorizer
        self.ready = False  # until roles and bindings are known

    def guard(self, user: User, resource: Resource, subresource: str = "") -> escalation.Guard | None:
        """What a write is to be held against besides the rules of its kind."""
        if resource.group == signing.GROUP:
            return signing.guard(self.authorizer, user, resource, subresource)
        return escalation.guard(self.authorizer, user, resource)

    def require(self, asked: Attributes) -> None:
        """ApiError (403); while the server does not know its roles yet (503)."""
        if is_recorded():
            self._record(asked)
        if MASTERS in asked.user.groups:
            return
        if not self.ready and not asked.path:
            raise errors.failure(503, "ServiceUnavailable", "the API server is starting")
        self.authorizer.require(asked)

    def _record(self, asked: Attributes) -> None:
        """Why it is allowed, or that it is not. Only who writes that down pays for it."""
        decision = self.authorizer.decide(asked)
        annotate("authorization.k8s.io/decision", "allow" if decision.allowed else "forbid")
        annotate("authorization.k8s.io/reason", decision.reason)

    async def bearer(self, authorization: str) -> User:
        """Whose token the header `Authorization` bears; nobody's where it bears none. ApiError (401)."""
        scheme, _, rest = authorization.strip().partition(" ")
        token = rest.partition(" ")[0]
        if scheme.lower() != "bearer" or not token:
            return ANONYMOUS  # other ways to say who one is are not known here, as if nothing were said
        try:
            return (await self.tokens.user_of(token))[0]
        except BadToken:
            raise errors.failure(401, "Unauthorized", "Unauthorized") from None

    def impersonated(self, user: User, wanted: Impersonation) -> User:
        """In whose name the request is to be done. ApiError (400, 403)."""
        if not wanted:
            return user
        if not wanted.name:
            raise _nobody(wanted)
        self._may_impersonate(user, wanted)
        return _completed(wanted)

    def _may_impersonate(self, user: User, wanted: Impersonation) -> None:
        asked = Attributes(user, "impersonate", version="v1", resource="users", name=wanted.name)
        if account := account_of(wanted.name):
            asked = replace(asked, resource="serviceaccounts", namespace=account[0], name=account[1])
        self.authorizer.require(asked)
        asked = replace(asked, namespace="")
        for group in wanted.groups:
            self.authorizer.require(replace(asked, resource="groups", name=group))
        if wanted.uid:
            self.authorizer.require(replace(asked, group=GROUP, resource="uids", name=wanted.uid))
        for key, values in wanted.extra.items():
            for value in values:
                part = replace(asked, group=GROUP, resource="userextras", subresource=key, name=value)
                self.authorizer.require(part)


def _completed(wanted: Impersonation) -> User:
    """With the groups that such a user has anyway."""
    name, groups = wanted.name, wanted.groups
    if name == ANONYMOUS.name:
        known = UNAUTHENTICATED in groups
        return User(name, groups if known else (*groups, UNAUTHENTICATED), wanted.uid, wanted.extra)
    if (account := account_of(name)) and not groups:
        groups = account_groups(account[0])
    known = AUTHENTICATED in groups or UNAUTHENTICATED in groups
    return User(name, groups if known else (*groups, AUTHENTICATED), wanted.uid, wanted.extra)


def _nobody(wanted: Impersonation) -> errors.ApiError:
    groups = wanted.groups
    shown = "[]string{" + ", ".join(map(quoted, groups)) + "}" if groups else "[]string(nil)"
    pairs = (f"{quoted(k)}:[]string{{{', '.join(map(quoted, v))}}}" for k, v in sorted(wanted.extra.items()))
    extras = "map[string][]string{" + ", ".join(pairs) + "}" if wanted.extra else "map[string][]string(nil)"
    who = f'&user.DefaultInfo{{Name:"", UID:{quoted(wanted.uid)}, Groups:{shown}, Extra:{extras}}}'
    return errors.bad_request(f"requested {who} without impersonating a user name")
