"""ServiceAccount tokens: a signature of ours, times, audiences, and that what they are bound to still exists.

A token that was once found well signed is remembered by its hash, so that a client's next request costs no
signature; times and bound objects are looked at every time. Upstream: `pkg/serviceaccount`,
`token/cache/cached_token_authenticator.go`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any

import orjson

from services.api import kinds
from services.apiserver.authentication.users import (
    AUTHENTICATED,
    CREDENTIAL,
    User,
    account_groups,
    account_name,
)
from services.apiserver.token_issuer import TokenIssuer
from services.machinery.clock import parse_time

Json = dict[str, Any]
# Resource, namespace, name: the object as last seen, or None.
Lookup = Callable[[kinds.Resource, str, str], Json | None]

TOKENS_REMEMBERED_MAX = 1024
TOKEN_BYTES_MAX = 16 * 1024
DELETED_LEEWAY = timedelta(minutes=1)  # what is to end may use its token until then, and a moment longer
_EXTRA = "authentication.kubernetes.io"
_BOUND = {"pod": "Pod", "secret": "Secret", "node": "Node"}


class BadToken(Exception):
    """Why a token says nothing."""


class TokenAuthenticator:
    def __init__(self, issuer: TokenIssuer, lookup: Lookup, now: Callable[[], datetime]) -> None:
        self._issuer, self._lookup, self._now = issuer, lookup, now
        self._known: OrderedDict[bytes, Json] = OrderedDict()

    @property
    def issuer(self) -> TokenIssuer:
        return self._issuer

    async def user_of(self, token: str, audiences: Iterable[str] = ()) -> tuple[User, tuple[str, ...]]:
        """Whose token it is, and for which of the audiences (by default ours). BadToken."""
        claims = await self._claims(token)
        wanted = tuple(audiences) or self._issuer.audiences
        accepted = tuple(each for each in wanted if each in (claims.get("aud") or ()))
        if not accepted:
            raise BadToken(
                f"token audiences {claims.get('aud')} is invalid for the target audiences {wanted}"
            )
        moment = self._now().timestamp()
        if moment >= claims["exp"]:
            raise BadToken("service account token has expired")
        if moment < claims["nbf"]:
            raise BadToken("service account token is not valid yet")
        return self._user(claims), accepted

    async def _claims(self, token: str) -> Json:
        if len(token) > TOKEN_BYTES_MAX:
            raise BadToken("the token is too long")
        digest = hashlib.sha256(token.encode(errors="replace")).digest()
        found = self._known.get(digest)
        if found is None:
            found = await self._checked(token)
            self._known[digest] = found
            if len(self._known) > TOKENS_REMEMBERED_MAX:
                self._known.popitem(last=False)
        else:
            self._known.move_to_end(digest)
        return found

    async def _checked(self, token: str) -> Json:
        parts = token.split(".")
        if len(parts) != 3:
            raise BadToken("a token has three parts")
        try:
            header, claims = orjson.loads(_decoded(parts[0])), orjson.loads(_decoded(parts[1]))
            signature = _decoded(parts[2])
        except (binascii.Error, ValueError) as error:
            raise BadToken("the token is no JSON Web Token") from error
        if not isinstance(header, dict) or not isinstance(claims, dict):
            raise BadToken("the token is no JSON Web Token")
        if claims.get("iss") != self._issuer.issuer:
            raise BadToken("somebody else issued the token")
        signed = f"{parts[0]}.{parts[1]}".encode()
        if not await self._issuer.verify(str(header.get("alg", "")), signed, signature):
            raise BadToken("the signature is not ours")
        return claims

    def _user(self, claims: Json) -> User:
        """ServiceAccount and bound objects must be those that the token was made for."""
        private = claims["kubernetes.io"]
        namespace, account = private["namespace"], private["serviceaccount"]
        self._same("ServiceAccount", namespace, account)
        extra = {CREDENTIAL: (f"JTI={claims['jti']}",)} if claims.get("jti") else {}
        for claim, kind in _BOUND.items():
            if (reference := private.get(claim)) is None:
                continue
            if claim != "node" or "pod" not in private:  # a Pod's token says where it ran, no more
                self._same(kind, namespace if kind != "Node" else "", reference)
            extra[f"{_EXTRA}/{claim}-name"] = (reference["name"],)
            if reference.get("uid"):
                extra[f"{_EXTRA}/{claim}-uid"] = (reference["uid"],)
        groups = (*account_groups(namespace), AUTHENTICATED)
        return User(account_name(namespace, account["name"]), groups, account.get("uid", ""), extra)

    def _same(self, kind: str, namespace: str, reference: Json) -> None:
        resource = kinds.resource_of_kind("v1", kind)
        assert resource is not None
        found = self._lookup(resource, namespace, reference["name"])
        if found is None or found["metadata"].get("uid") != reference.get("uid", ""):
            raise BadToken(f"the {kind} {namespace}/{reference['name']} of the token is gone")
        deleted = found["metadata"].get("deletionTimestamp")
        if deleted and parse_time(deleted) < self._now() - DELETED_LEEWAY:
            raise BadToken(f"the {kind} {namespace}/{reference['name']} of the token is being deleted")


def _decoded(part: str) -> bytes:
    return base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)
