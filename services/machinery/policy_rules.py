"""RBAC rules: what one allows, what several allow together, and how to say it.

A rule is its JSON. `allows_resource` and `allows_path` decide a request, `uncovered` compares rights with
rights, and `compacted` puts rules into the order and the form in which upstream shows them. Pure.
Upstream: `k8s.io/component-helpers/auth/rbac/validation`, `pkg/apis/rbac/v1/evaluation_helpers.go`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from services.machinery.field_errors import quoted

Rule = Mapping[str, Any]
ALL = "*"


def allows_resource(rule: Rule, verb: str, group: str, resource: str, subresource: str, name: str) -> bool:
    """Whether the rule lets do that; `name` empty for requests that name no object."""
    verbs = rule.get("verbs") or ()
    if verb not in verbs and ALL not in verbs:
        return False
    groups = rule.get("apiGroups") or ()
    if group not in groups and ALL not in groups:
        return False
    if not _has_resource(rule.get("resources") or (), resource, subresource):
        return False
    names = rule.get("resourceNames")
    return not names or name in names


def _has_resource(resources: Iterable[str], resource: str, subresource: str) -> bool:
    wanted = f"{resource}/{subresource}" if subresource else resource
    accepted = (ALL, wanted, f"{ALL}/{subresource}" if subresource else ALL)
    return any(each in accepted for each in resources)


def allows_path(rule: Rule, verb: str, path: str) -> bool:
    """The same for a URL that is no resource's."""
    verbs = rule.get("verbs") or ()
    if verb not in verbs and ALL not in verbs:
        return False
    return any(_covers_path(url, path) for url in rule.get("nonResourceURLs") or ())


def _covers_path(url: str, path: str) -> bool:
    return url in (ALL, path) or (url.endswith(ALL) and path.startswith(url.rstrip(ALL)))


# -- rights compared with rights -----------------------------------------------------------------


def broken_down(rule: Rule) -> Iterator[dict[str, list[str]]]:
    """The rule as rules of one verb and one resource or path each."""
    for group in rule.get("apiGroups") or ():
        for resource in rule.get("resources") or ():
            for verb in rule.get("verbs") or ():
                one = {"verbs": [verb], "apiGroups": [group], "resources": [resource]}
                for name in rule.get("resourceNames") or ():
                    yield {**one, "resourceNames": [name]}
                if not rule.get("resourceNames"):
                    yield one
    for url in rule.get("nonResourceURLs") or ():
        for verb in rule.get("verbs") or ():
            yield {"verbs": [verb], "nonResourceURLs": [url]}


def uncovered(wanted: Iterable[Rule], held: Iterable[Rule]) -> list[dict[str, list[str]]]:
    """What of `wanted` nobody could do who holds `held`, broken down."""
    held = list(held)
    return [
        part for rule in wanted for part in broken_down(rule) if not any(_covers(one, part) for one in held)
    ]


def _covers(held: Rule, part: Rule) -> bool:
    if part.get("nonResourceURLs"):
        return allows_path(held, part["verbs"][0], part["nonResourceURLs"][0])
    resource, _, subresource = part["resources"][0].partition("/")
    names = held.get("resourceNames")
    if names and not part.get("resourceNames"):
        return False  # some objects are not all
    name = part["resourceNames"][0] if part.get("resourceNames") else ""
    return allows_resource(held, part["verbs"][0], part["apiGroups"][0], resource, subresource, name)


# -- how rules are shown -------------------------------------------------------------------------


def compacted(rules: Iterable[Rule]) -> list[dict[str, list[str]]]:
    """One rule for each resource, with all its verbs, in the order in which rules are listed."""
    simple: dict[tuple[str, str, str | None], dict[str, list[str]]] = {}
    out = []
    for rule in rules:
        groups, resources = rule.get("apiGroups") or [], rule.get("resources") or []
        names = rule.get("resourceNames") or []
        if rule.get("nonResourceURLs") or len(groups) != 1 or len(resources) != 1 or len(names) > 1:
            out.append({field: list(values) for field, values in rule.items()})
            continue
        key = (groups[0], resources[0], names[0] if names else None)
        if key in simple:
            simple[key]["verbs"] += rule.get("verbs") or ()
        else:
            simple[key] = {field: list(values) for field, values in rule.items()}
            out.append(simple[key])
    return sorted(out, key=_order)


_ORDER = ("verbs", "apiGroups", "resources", "resourceNames", "nonResourceURLs")


def _order(rule: Rule) -> str:
    return ",".join(f"{field}:[{' '.join(rule.get(field) or ())}]" for field in _ORDER)


_SHOWN = (
    ("APIGroups", "apiGroups"), ("Resources", "resources"), ("NonResourceURLs", "nonResourceURLs"),
    ("ResourceNames", "resourceNames"), ("Verbs", "verbs"),
)  # fmt: skip


def text(rule: Rule) -> str:
    """`{APIGroups:["apps"], Resources:["deployments"], Verbs:["get" "list"]}`"""
    parts = [f"{go}:{quoted_list(rule[field])}" for go, field in _SHOWN if rule.get(field)]
    return "{" + ", ".join(parts) + "}"


def quoted_list(values: Iterable[str]) -> str:
    """Go's %q of a slice of strings."""
    return "[" + " ".join(quoted(value) for value in values) + "]"


def combined(rule: Rule) -> str:
    """`deployments.apps/scale`: the rule's first resource with its group; empty where it has none."""
    resources, groups = rule.get("resources"), rule.get("apiGroups")
    if not resources:
        return ""
    resource, slash, subresource = resources[0].partition("/")
    group = f".{groups[0]}" if groups and groups[0] else ""
    return f"{resource}{group}{slash}{subresource}"
