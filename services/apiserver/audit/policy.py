"""An audit policy: the first rule that matches says how much of a request is written down. Pure.

The form is that of audit.k8s.io/v1: an empty list in a rule matches everything, a rule that names resources
or namespaces is not about other paths, and one that names paths is not about resources. Where none matches
nothing is written.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from services.apiserver.authorization.attributes import Attributes

Json = dict[str, Any]

API_VERSION = "audit.k8s.io/v1"
LEVELS = ("None", "Metadata", "Request", "RequestResponse")
STAGES = ("RequestReceived", "ResponseStarted", "ResponseComplete", "Panic")
RULES_MAX = 1000


class BadPolicy(ValueError):
    """The text says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Decision:
    """`level` as its place in `LEVELS`."""

    level: int = 0
    omitted: frozenset[str] = frozenset()
    managed_fields: bool = True

    @property
    def name(self) -> str:
        return LEVELS[self.level]


NOTHING = Decision()


@dataclass(frozen=True, slots=True)
class Rule:
    decision: Decision
    users: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()
    verbs: frozenset[str] = frozenset()
    namespaces: frozenset[str] = frozenset()
    resources: tuple[Json, ...] = ()
    paths: tuple[str, ...] = field(default=())

    def matches(self, asked: Attributes) -> bool:
        user = asked.user
        if self.users and user.name not in self.users:
            return False
        if self.groups and self.groups.isdisjoint(user.groups):
            return False
        if self.verbs and asked.verb not in self.verbs:
            return False
        if self.resources or self.namespaces:
            return not asked.path and self._resource(asked)
        if self.paths:
            return bool(asked.path) and any(_covers(pattern, asked.path) for pattern in self.paths)
        return True

    def _resource(self, asked: Attributes) -> bool:
        if self.namespaces and asked.namespace not in self.namespaces:
            return False
        return not self.resources or any(_names(each, asked) for each in self.resources)


def _covers(pattern: str, path: str) -> bool:
    return pattern in ("*", path) or (pattern.endswith("*") and path.startswith(pattern[:-1]))


def _names(given: Json, asked: Attributes) -> bool:
    """Whether an entry of a rule's `resources` means what is asked for."""
    if given.get("group", "") != asked.group:
        return False
    names = given.get("resourceNames") or ()
    if names and asked.name not in names:
        return False
    combined = f"{asked.resource}/{asked.subresource}" if asked.subresource else asked.resource
    wanted = given.get("resources") or ()
    possible = {combined, "*", f"{asked.resource}/*"}  # the last means the resource itself, too
    if asked.subresource:
        possible.add(f"*/{asked.subresource}")
    return not wanted or not possible.isdisjoint(wanted)


class Policy:
    def __init__(self, rules: tuple[Rule, ...]) -> None:
        self._rules = rules

    def decide(self, asked: Attributes) -> Decision:
        return next((rule.decision for rule in self._rules if rule.matches(asked)), NOTHING)


def of_level(level: str) -> Policy:
    """Everything at one level; that a request was received is not said before it is answered."""
    if level not in LEVELS:
        raise BadPolicy(f"unknown level {level!r}: one of {', '.join(LEVELS)}")
    decision = Decision(LEVELS.index(level), frozenset(["RequestReceived"]))
    return Policy((Rule(decision),))


def parse(document: Any) -> Policy:
    """A decoded manifest. BadPolicy."""
    if not isinstance(document, dict) or document.get("kind") != "Policy":
        raise BadPolicy("it is no manifest of kind Policy")
    if document.get("apiVersion") != API_VERSION:
        raise BadPolicy(f"apiVersion must be {API_VERSION}, not {document.get('apiVersion')!r}")
    rules = document.get("rules")
    if not isinstance(rules, list) or not rules:
        raise BadPolicy("rules: at least one is required")
    if len(rules) > RULES_MAX:
        raise BadPolicy(f"rules: at most {RULES_MAX}")
    omitted = _stages(document, "omitStages")
    hide = bool(document.get("omitManagedFields"))
    return Policy(tuple(_rule(each, f"rules[{index}]", omitted, hide) for index, each in enumerate(rules)))


def _rule(given: Any, path: str, omitted: frozenset[str], hide: bool) -> Rule:
    if not isinstance(given, dict):
        raise BadPolicy(f"{path}: must be an object")
    level = given.get("level")
    if level not in LEVELS:
        raise BadPolicy(f"{path}.level: {level!r} is none of {', '.join(LEVELS)}")
    resources = given.get("resources") or []
    if not isinstance(resources, list) or not all(isinstance(each, dict) for each in resources):
        raise BadPolicy(f"{path}.resources: must be a list of objects")
    paths = _texts(given, "nonResourceURLs", path)
    if paths and (resources or given.get("namespaces")):
        raise BadPolicy(
            f"{path}.nonResourceURLs: rules cannot apply to both regular resources and other paths"
        )
    for each in paths:
        if each != "*" and (not each.startswith("/") or "*" in each[:-1]):
            raise BadPolicy(f"{path}.nonResourceURLs: {each!r} must begin with '/', with '*' only at its end")
    decision = Decision(
        LEVELS.index(level),
        omitted | _stages(given, "omitStages", path),
        not given.get("omitManagedFields", hide),
    )
    users, groups, verbs, namespaces = (
        frozenset(_texts(given, name, path)) for name in ("users", "userGroups", "verbs", "namespaces")
    )
    return Rule(decision, users, groups, verbs, namespaces, tuple(resources), paths)


def _texts(given: Json, name: str, path: str) -> tuple[str, ...]:
    found = given.get(name) or []
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        raise BadPolicy(f"{path}.{name}: must be a list of texts")
    return tuple(found)


def _stages(given: Json, name: str, path: str = "policy") -> frozenset[str]:
    found = _texts(given, name, path)
    unknown = [each for each in found if each not in STAGES]
    if unknown:
        raise BadPolicy(f"{path}.{name}: {unknown[0]!r} is none of {', '.join(STAGES)}")
    return frozenset(found)
