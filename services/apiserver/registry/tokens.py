"""`serviceaccounts/NAME/token`: a token in the name of an account, bound to a Pod, Node or Secret.

Upstream: pkg/registry/core/serviceaccount/storage/token.go, pkg/serviceaccount/claims.go.
"""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from typing import Any

import orjson

from services.api import errors, kinds
from services.api.errors import ApiError
from services.apiserver.authentication.acting import acting
from services.apiserver.registry import extending, metadata
from services.apiserver.registry.ownership import Ownership
from services.apiserver.registry.request import Answer, Item, Target, WriteOptions
from services.apiserver.registry.store import Store
from services.apiserver.rules import node_restriction
from services.apiserver.rules.strategy import strategy_for
from services.apiserver.token_issuer import TokenIssuer
from services.machinery.clock import rfc3339
from services.machinery.field_errors import invalid
from services.machinery.schema import schema_of

Json = dict[str, Any]

SECONDS_MIN, SECONDS_MAX = 600, 1 << 32
# What admission's volume asks for. Old programs read their token only once: theirs lives for a year, and
# says from when on it should have been renewed.
PROJECTED_SECONDS = 3607
EXTENDED_SECONDS = 365 * 24 * 3600
_BINDABLE = ("Pod", "Node", "Secret")


class TokenRequests:
    def __init__(self, store: Store, issuer: TokenIssuer) -> None:
        self._store, self._issuer = store, issuer
        self._strategy = strategy_for(store.resource, "token")
        schema = schema_of("authentication.k8s.io/v1", "TokenRequest")
        assert schema is not None
        self._ownership = Ownership(store.resource, schema, "authentication.k8s.io/v1")

    async def create(self, target: Target, body: bytes, options: WriteOptions) -> Answer:
        """ApiError 400, 404, 409, 422."""
        decoded = self._strategy.decode(body, options.field_validation)
        request, ctx = decoded.obj, self._store.context()
        # Every Pod that starts asks: what the cache shows will do, and only a refusal asks etcd.
        seen = self._store.find(target.namespace, target.name)
        found = seen or await self._store.get(target.namespace, target.name)
        account = orjson.loads(found.value)
        metadata.match_target(self._store.resource, request, target.namespace, target.name)
        self._strategy.default(request)
        self._ownership.track(None, request, options.field_manager, "token", ctx.now)
        await extending.posting(self._store, target, request, options)
        metadata.before_create(request, ctx.now, ctx.random)
        spec = request["spec"]
        if not spec.get("audiences"):
            spec["audiences"] = list(self._issuer.audiences)
        _check(spec)
        bound = await self._bound_to(spec.get("boundObjectRef"), account)
        node_restriction.token(spec.get("boundObjectRef"), bound.get("pod"), target.name, acting())
        spec.setdefault("boundObjectRef", None)
        identifier = str(uuid.UUID(int=ctx.random.getrandbits(128), version=4))
        claims = claims_of(account, spec, bound, ctx.now, identifier, self._issuer)
        token = await self._issuer.sign(claims)
        expires = ctx.now + timedelta(seconds=spec["expirationSeconds"])
        request["status"] = {"token": token, "expirationTimestamp": rfc3339(expires)}
        item = Item(orjson.dumps(request), 0, target.namespace, target.name)
        return Answer(item, tuple(decoded.warnings))

    async def _bound_to(self, reference: Json | None, account: Json) -> dict[str, Json]:
        """The objects that the token is bound to, by claim: with a Pod comes its node."""
        if not reference:
            return {}
        kind, name = reference.get("kind", ""), reference.get("name", "")
        resource = kinds.resource_of_kind("v1", kind)
        if reference.get("apiVersion") != "v1" or kind not in _BINDABLE or resource is None:
            shown = f"{reference.get('apiVersion', '')}, Kind={kind}"
            raise errors.bad_request(f"cannot bind token to object of type {shown}")
        namespace = account["metadata"].get("namespace", "") if resource.namespaced else ""
        found = await self._find(resource, namespace, name)
        uid = reference.get("uid")
        if uid and uid != found["metadata"]["uid"]:
            raise _another(kind, name, uid)
        claims = {kind.lower(): found}
        if kind == "Pod":
            who = account["metadata"]["name"]
            if found["spec"].get("serviceAccountName", "") != who:
                why = f'cannot bind token for serviceaccount "{who}" to pod running with different'
                raise errors.bad_request(f"{why} serviceaccount name.")
            claims |= self._node_of(found)
        return claims

    async def _find(self, resource: kinds.Resource, namespace: str, name: str) -> Json:
        """As last seen; a cache that lacks it is waited for once."""
        for attempt in range(2):
            ctx = self._store.context()
            found = ctx.lookup(resource, namespace, name)
            if found is not None:
                return found
            if not attempt:
                await self._store.catch_up(ctx)
        raise errors.not_found(resource, name)

    def _node_of(self, pod: Json) -> dict[str, Json]:
        name = pod["spec"].get("nodeName")
        nodes = kinds.resource_of_kind("v1", "Node")
        if not name or nodes is None:
            return {}
        found = self._store.context().lookup(nodes, "", name)
        return {"node": found or {"metadata": {"name": name}}}


def _check(spec: Json) -> None:
    seconds = spec["expirationSeconds"]
    why = ""
    if seconds < SECONDS_MIN:
        why = "may not specify a duration less than 10 minutes"
    elif seconds > SECONDS_MAX:
        why = "may not specify a duration larger than 2^32 seconds"
    if why:
        cause = invalid("spec.expirationSeconds", seconds, why)
        raise errors.invalid("authentication.k8s.io", "TokenRequest", "", [cause])


def _another(kind: str, name: str, uid: str) -> ApiError:
    why = (
        f"the UID in the bound object reference ({uid}) does not match the UID in record. The object might"
        " have been deleted and then recreated"
    )
    message = f'Operation cannot be fulfilled on {kind} "{name}": {why}'
    return errors.failure(409, "Conflict", message, {"name": name, "kind": kind})


def claims_of(
    account: Json, spec: Json, bound: dict[str, Json], now: datetime, identifier: str, issuer: TokenIssuer
) -> Json:
    """What the token says. Pure."""
    meta = account["metadata"]
    seconds, start = spec["expirationSeconds"], int(now.timestamp())
    private: Json = {"namespace": meta["namespace"]}
    for kind in ("node", "pod", "secret"):
        if kind in bound:
            private[kind] = _reference(bound[kind])
    private["serviceaccount"] = _reference(account)
    lifetime = seconds
    if seconds == PROJECTED_SECONDS and "pod" in bound and tuple(spec["audiences"]) == issuer.audiences:
        lifetime = EXTENDED_SECONDS
        private["warnafter"] = start + seconds
    return {
        "aud": spec["audiences"],
        "exp": start + lifetime,
        "iat": start,
        "iss": issuer.issuer,
        "jti": identifier,
        "kubernetes.io": private,
        "nbf": start,
        "sub": f"system:serviceaccount:{meta['namespace']}:{meta['name']}",
    }


def _reference(obj: Json) -> Json:
    meta = obj["metadata"]
    return {name: meta[name] for name in ("name", "uid") if meta.get(name)}
