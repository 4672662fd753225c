"""Questions that are posted and answered at once: who am I, whose token is this, may I, what may I.

Nothing of them is stored. Upstream: `pkg/registry/authentication`, `pkg/registry/authorization`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from services.api import errors
from services.api.kinds import Resource
from services.apiserver.authentication.acting import acting
from services.apiserver.authentication.tokens import BadToken, TokenAuthenticator
from services.apiserver.authentication.users import User
from services.apiserver.authorization.attributes import Attributes
from services.apiserver.authorization.authorizer import Authorizer
from services.apiserver.registry.ownership import Ownership, check_manager
from services.apiserver.registry.request import WriteOptions
from services.apiserver.rules import decode
from services.machinery.clock import Clock, rfc3339
from services.machinery.field_errors import Causes, invalid

Json = dict[str, Any]
_EITHER = "exactly one of nonResourceAttributes or resourceAttributes must be specified"


class Reviews:
    def __init__(self, authorizer: Authorizer, tokens: TokenAuthenticator, clock: Clock) -> None:
        self._authorizer, self._tokens, self._clock = authorizer, tokens, clock
        self._answers: dict[str, Callable[[Json, User], None]] = {
            "SubjectAccessReview": self._subject_access,
            "LocalSubjectAccessReview": self._subject_access,
            "SelfSubjectAccessReview": self._self_access,
        }

    async def answer(
        self, resource: Resource, namespace: str, body: bytes, options: WriteOptions
    ) -> tuple[bytes, list[str]]:
        """The review with its status, and what the asker should know. ApiError 400, 422."""
        check_manager(options.field_manager)
        target = decode.target_for(resource.api_version, resource.kind)
        decoded = decode.decode(body, target, options.field_validation)
        review, user = decoded.obj, acting()
        match resource.kind:
            case "SelfSubjectReview":
                now = rfc3339(self._clock.now())
                review = {**review, "metadata": {**review["metadata"], "creationTimestamp": now}}
                review["status"] = {"userInfo": user.info()}
            case "SelfSubjectRulesReview":
                review = self._rules(review, user)
            case _:
                Ownership(resource).track(None, review, options.field_manager, "", self._clock.now())
                if resource.kind == "TokenReview":
                    await self._token(review)
                else:
                    _check_namespace(resource, namespace, review)
                    self._answers[resource.kind](review, user)
        return orjson.dumps(review), decoded.warnings

    # -- may they --------------------------------------------------------------------------------

    def _subject_access(self, review: Json, user: User) -> None:
        spec, out = review["spec"], Causes()
        _check_attributes(spec, out)
        if not spec.get("user") and not spec.get("groups"):
            out.append(invalid("spec.user", "", "at least one of user or group must be specified"))
        _raise(out)
        extra = {key.lower(): tuple(values or ()) for key, values in (spec.get("extra") or {}).items()}
        groups = tuple(spec.get("groups") or ())
        self._decide(review, User(spec.get("user", ""), groups, spec.get("uid", ""), extra))

    def _self_access(self, review: Json, user: User) -> None:
        out: Causes = []
        _check_attributes(review["spec"], out)
        _raise(out)
        self._decide(review, user)

    def _decide(self, review: Json, user: User) -> None:
        decision = self._authorizer.decide(_asked(review["spec"], user))
        status: Json = {"allowed": decision.allowed}
        if decision.reason:
            status["reason"] = decision.reason
        review["status"] = status

    def _rules(self, review: Json, user: User) -> Json:
        """The answer does not repeat the question."""
        namespace = review["spec"].get("namespace", "")
        if not namespace:
            raise errors.bad_request("no namespace on request")
        rules, problem = self._authorizer.rbac.rules_of(user, namespace)
        status: Json = {
            "resourceRules": [_resource_rule(rule) for rule in rules if rule.get("resources")],
            "nonResourceRules": [
                {"verbs": rule["verbs"], "nonResourceURLs": rule["nonResourceURLs"]}
                for rule in rules
                if rule.get("nonResourceURLs")
            ],
            "incomplete": bool(problem),
        }
        if problem:
            status["evaluationError"] = problem
        return {**review, "metadata": {}, "spec": {}, "status": status}

    # -- whose token -----------------------------------------------------------------------------

    async def _token(self, review: Json) -> None:
        spec = review["spec"]
        if not spec.get("token"):
            raise errors.bad_request("token is required for TokenReview in authentication")
        try:
            user, audiences = await self._tokens.user_of(spec["token"], spec.get("audiences") or ())
        except BadToken:
            review["status"] = {"user": {}, "error": "invalid bearer token"}
            return
        review["status"] = {"authenticated": True, "user": user.info(), "audiences": list(audiences)}


def _asked(spec: Json, user: User) -> Attributes:
    if (wanted := spec.get("nonResourceAttributes")) is not None:
        return Attributes(user, wanted.get("verb", ""), path=wanted.get("path", "") or "/")
    wanted = spec.get("resourceAttributes") or {}
    fields = ("verb", "namespace", "group", "version", "resource", "subresource", "name")
    return Attributes(user, *(wanted.get(field, "") for field in fields))


def _check_attributes(spec: Json, out: Causes) -> None:
    resource, path = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
    if resource is not None and path is not None:
        shown = {"Path": path.get("path", ""), "Verb": path.get("verb", "")}
        why = "cannot be specified in combination with resourceAttributes"
        out.append(invalid("spec.nonResourceAttributes", shown, why))
    elif resource is None and path is None:
        out.append(invalid("spec.resourceAttributes", None, _EITHER))


def _check_namespace(resource: Resource, namespace: str, review: Json) -> None:
    """A local review is about its own namespace."""
    if resource.kind != "LocalSubjectAccessReview":
        return
    meta = review["metadata"]
    if meta.setdefault("namespace", namespace) != namespace:
        why = "the namespace of the provided object does not match the namespace sent on the request"
        raise errors.bad_request(why)
    given = (review["spec"].get("resourceAttributes") or {}).get("namespace", "")
    if given != namespace:
        why = "must match metadata.namespace"
        _raise([invalid("spec.resourceAttributes.namespace", given, why)])


def _raise(causes: Causes) -> None:
    if causes:
        raise errors.invalid("authorization.k8s.io", "", "", causes)


def _resource_rule(rule: Json) -> Json:
    fields = ("verbs", "apiGroups", "resources", "resourceNames")
    return {field: rule[field] for field in fields if rule.get(field)}
