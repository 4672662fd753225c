"""`authorizer.group("").resource("pods").namespace("x").check("create").allowed()`: may the caller?

The authorizer is a value given to the evaluation: whoever evaluates decides who answers. Upstream:
`apiserver/pkg/cel/library/authz.go`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar, NamedTuple

from services.apiserver.cel.faults import EvaluationError
from services.apiserver.cel.functions import Library
from services.apiserver.cel.types import Type, opaque
from services.apiserver.cel.values import Opaque

ACCESS = Library()
_AUTHORIZER = "kubernetes.authorization.Authorizer"
_PATH, _GROUP = "kubernetes.authorization.PathCheck", "kubernetes.authorization.GroupCheck"
_RESOURCE, _DECISION = "kubernetes.authorization.ResourceCheck", "kubernetes.authorization.Decision"
CHECK_COST = 350_000  # so that an expression has two at most, as upstream

AUTHORIZER_TYPE, RESOURCE_CHECK_TYPE = opaque(_AUTHORIZER), opaque(_RESOURCE)


class Asked(NamedTuple):
    """What is asked about. `account` is the ServiceAccount to ask for instead of the caller."""

    verb: str
    path: str = ""
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    fields: str = ""
    labels: str = ""
    account: tuple[str, str] | None = None


# Whether it is allowed, why, and what went wrong.
Decide = Callable[[Asked], tuple[bool, str, str]]


@dataclass(frozen=True, slots=True)
class AuthorizerValue(Opaque):
    cel_type: ClassVar[Type] = AUTHORIZER_TYPE
    decide: Decide
    account: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Path(Opaque):
    cel_type: ClassVar[Type] = opaque(_PATH)
    decide: Decide
    asked: Asked


@dataclass(frozen=True, slots=True)
class Group(Opaque):
    cel_type: ClassVar[Type] = opaque(_GROUP)
    decide: Decide
    asked: Asked


@dataclass(frozen=True, slots=True)
class ResourceCheck(Opaque):
    cel_type: ClassVar[Type] = RESOURCE_CHECK_TYPE
    decide: Decide
    asked: Asked


@dataclass(frozen=True, slots=True)
class DecisionValue(Opaque):
    cel_type: ClassVar[Type] = opaque(_DECISION)
    is_allowed: bool
    why: str
    fault: str


@ACCESS.member("path", f"{_AUTHORIZER}, string -> {_PATH}")
def _path(authorizer: AuthorizerValue, path: str) -> Path:
    if not path:
        raise EvaluationError("path must not be empty")
    return Path(authorizer.decide, Asked("", path=path, account=authorizer.account))


@ACCESS.member("group", f"{_AUTHORIZER}, string -> {_GROUP}")
def _group(authorizer: AuthorizerValue, group: str) -> Group:
    return Group(authorizer.decide, Asked("", group=group, account=authorizer.account))


@ACCESS.member("serviceAccount", f"{_AUTHORIZER}, string, string -> {_AUTHORIZER}")
def _account(authorizer: AuthorizerValue, namespace: str, name: str) -> AuthorizerValue:
    if not namespace or not name:
        raise EvaluationError("Invalid service account name")
    return replace(authorizer, account=(namespace, name))


@ACCESS.member("resource", f"{_GROUP}, string -> {_RESOURCE}")
def _resource(group: Group, resource: str) -> ResourceCheck:
    return ResourceCheck(group.decide, group.asked._replace(resource=resource))


def _narrow(name: str, field: str) -> None:
    @ACCESS.member(name, f"{_RESOURCE}, string -> {_RESOURCE}")
    def narrowed(check: ResourceCheck, value: str) -> ResourceCheck:
        return replace(check, asked=Asked(**{**check.asked._asdict(), field: value}))


for _name, _field in (
    ("subresource", "subresource"), ("namespace", "namespace"), ("name", "name"),
    ("fieldSelector", "fields"), ("labelSelector", "labels"),
):  # fmt: skip
    _narrow(_name, _field)


@ACCESS.member("check", f"{_PATH}, string -> {_DECISION}", f"{_RESOURCE}, string -> {_DECISION}")
def _check(check: Path | ResourceCheck, verb: str) -> DecisionValue:
    return DecisionValue(*check.decide(check.asked._replace(verb=verb)))


ACCESS.costs["check"] = lambda args, result: CHECK_COST
ACCESS.member("allowed", f"{_DECISION} -> bool")(lambda decision: decision.is_allowed)
ACCESS.member("reason", f"{_DECISION} -> string")(lambda decision: decision.why)
ACCESS.member("errored", f"{_DECISION} -> bool")(lambda decision: bool(decision.fault))
ACCESS.member("error", f"{_DECISION} -> string")(lambda decision: decision.fault)
