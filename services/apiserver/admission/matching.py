"""Whether a request concerns a webhook or a policy: rules, scope, selectors. Pure.

Upstream: `apiserver/pkg/admission/plugin/webhook/predicates`. A rule that names another version of the same
objects matches too where the match policy is Equivalent: the objects are shown in that version then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from services.api.kinds import Resource, resource_of_kind
from services.apiserver.admission.attributes import Attributes
from services.apiserver.rules.validation.meta import selects

Json = dict[str, Any]
_NAMESPACES = resource_of_kind("v1", "Namespace")
Equivalents = Callable[[Resource], Sequence[Resource]]  # the other versions of a resource


def rule_matches(rule: Json, asked: Attributes, resource: Resource) -> bool:
    """`resource` is the version of the request's resource that the rule is held against."""
    return (
        _among(asked.operation, rule.get("operations"))
        and _among(resource.group, rule.get("apiGroups"))
        and _among(resource.version, rule.get("apiVersions"))
        and any(
            _is_resource(each, resource.plural, asked.subresource) for each in rule.get("resources") or ()
        )
        and _in_scope(rule.get("scope", "*"), asked)
        and (not rule.get("resourceNames") or asked.name in rule["resourceNames"])
    )


def _among(value: str, wanted: Sequence[str] | None) -> bool:
    return bool(wanted) and ("*" in wanted or value in wanted)  # type: ignore[operator]


def _is_resource(pattern: str, plural: str, subresource: str) -> bool:
    resource, _, part = pattern.partition("/")
    return resource in ("*", plural) and part in ("*", subresource)


def _in_scope(scope: str, asked: Attributes) -> bool:
    if scope == "*":
        return True
    return asked.resource.namespaced == (scope == "Namespaced")


def matched_as(
    rules: Iterable[Json], asked: Attributes, match_policy: str, equivalents: Equivalents
) -> Resource | None:
    """The version in which the request is meant; None: it is not."""
    rules = [rule for rule in rules if _may_match(rule, asked)]
    if any(rule_matches(rule, asked, asked.resource) for rule in rules):
        return asked.resource
    if match_policy != "Equivalent" or not rules:
        return None
    for rule in rules:
        for other in equivalents(asked.resource):
            if rule_matches(rule, asked, other):
                return other
    return None


def _may_match(rule: Json, asked: Attributes) -> bool:
    """Whether it does but for the group and the version: most rules are about something else."""
    plural = asked.resource.plural
    return _among(asked.operation, rule.get("operations")) and any(
        _is_resource(each, plural, asked.subresource) for each in rule.get("resources") or ()
    )


def is_everything(selector: Json | None) -> bool:
    return not selector or not (selector.get("matchLabels") or selector.get("matchExpressions"))


def namespace_selected(selector: Json | None, asked: Attributes) -> bool:
    """By the labels of the namespace that the request is in, or is about; other cluster-wide ones pass."""
    if is_everything(selector):
        return True
    if asked.resource == _NAMESPACES:
        found = asked.obj if asked.obj and not asked.subresource else asked.old
        found = found or namespace_of(asked)
    elif not asked.namespace:
        return True
    else:
        found = namespace_of(asked)
    return selects(selector, ((found or {}).get("metadata") or {}).get("labels") or {})


def namespace_of(asked: Attributes) -> Json | None:
    assert _NAMESPACES is not None
    name = asked.name if asked.resource == _NAMESPACES else asked.namespace
    return asked.ctx.lookup(_NAMESPACES, "", name) if name else None


def object_selected(selector: Json | None, asked: Attributes) -> bool:
    """By the labels of the object as it is, or as it was."""
    if is_everything(selector):
        return True
    return any(
        selects(selector, (each.get("metadata") or {}).get("labels") or {})
        for each in (asked.obj, asked.old)
        if each and "metadata" in each
    )
