"""FlowSchemas: which of them a request matches first, and of which flow it is then. Pure.

A flow is one user's requests, or one namespace's, or all that the schema matches. The rules are those of
flowcontrol.apiserver.k8s.io/v1; a schema without a rule that matches leaves the request to the next.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from services.apiserver.authentication.users import User, account_of
from services.apiserver.authorization.attributes import Attributes

Json = dict[str, Any]
_ALL = "*"


@dataclass(frozen=True, slots=True)
class Schema:
    """One FlowSchema; `by` is what parts its requests: `ByUser`, `ByNamespace`, or nothing."""

    name: str
    uid: str
    precedence: int
    level: str
    by: str
    rules: tuple[Json, ...]

    def flow(self, asked: Attributes) -> tuple[str, str]:
        match self.by:
            case "ByUser":
                return self.name, asked.user.name
            case "ByNamespace":
                return self.name, asked.namespace
        return self.name, ""

    def matches(self, asked: Attributes) -> bool:
        return any(_rule(rule, asked) for rule in self.rules)


def read(objects: Iterable[Json]) -> tuple[Schema, ...]:
    """FlowSchemas in the order in which they are asked."""
    found = []
    for obj in objects:
        meta, spec = obj["metadata"], obj["spec"]
        schema = Schema(
            meta["name"],
            meta.get("uid", ""),
            spec.get("matchingPrecedence", 1000),
            (spec.get("priorityLevelConfiguration") or {}).get("name", ""),
            (spec.get("distinguisherMethod") or {}).get("type", ""),
            tuple(spec.get("rules") or ()),
        )
        found.append(schema)
    return tuple(sorted(found, key=lambda each: (each.precedence, each.name)))


def first(schemas: Iterable[Schema], asked: Attributes) -> Schema | None:
    return next((schema for schema in schemas if schema.matches(asked)), None)


def _rule(rule: Json, asked: Attributes) -> bool:
    if not any(_is(subject, asked.user) for subject in rule.get("subjects") or ()):
        return False
    if asked.path:
        return any(_path(each, asked) for each in rule.get("nonResourceRules") or ())
    return any(_resource(each, asked) for each in rule.get("resourceRules") or ())


def _is(subject: Json, user: User) -> bool:
    match subject.get("kind"):
        case "User":
            name = (subject.get("user") or {}).get("name", "")
            return name in (_ALL, user.name)
        case "Group":
            name = (subject.get("group") or {}).get("name", "")
            return name == _ALL or name in user.groups
        case "ServiceAccount":
            wanted = subject.get("serviceAccount") or {}
            account = account_of(user.name)
            if account is None or wanted.get("namespace") != account[0]:
                return False
            return wanted.get("name") in (_ALL, account[1])
    return False


def _path(rule: Json, asked: Attributes) -> bool:
    if not _in(asked.verb, rule.get("verbs")):
        return False
    for pattern in rule.get("nonResourceURLs") or ():
        if pattern in (_ALL, asked.path):
            return True
        if pattern.endswith("/*") and asked.path.startswith(pattern[:-1]):
            return True
    return False


def _resource(rule: Json, asked: Attributes) -> bool:
    named = f"{asked.resource}/{asked.subresource}" if asked.subresource else asked.resource
    if not (
        _in(asked.verb, rule.get("verbs"))
        and _in(asked.group, rule.get("apiGroups"))
        and _in(named, rule.get("resources"))
    ):
        return False
    if not asked.namespace:
        return bool(rule.get("clusterScope"))
    return _in(asked.namespace, rule.get("namespaces"))


def _in(value: str, given: list[str] | None) -> bool:
    return given is not None and (value in given or _ALL in given)
