"""FlowSchemas and PriorityLevelConfigurations: whose requests are alike, and what share they get."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from services.apiserver.rules.flow_control import MANDATORY_LEVELS, MANDATORY_SCHEMAS
from services.apiserver.rules.validation import names
from services.apiserver.rules.validation.meta import object_meta
from services.machinery.field_errors import (
    Causes,
    duplicate,
    forbidden,
    invalid,
    not_supported,
    required,
)
from services.machinery.schema import definition, in_order

Json = dict[str, Any]

_PRECEDENCE_MAX = 10000
_QUEUES_MAX = 10_000_000
_HASH_BITS = 60  # what a flow's hash has for choosing its queues
_VERBS = (
    "create", "delete", "deletecollection", "get", "list", "patch", "proxy", "update", "watch",
)  # fmt: skip


def flow_schema(obj: Json, out: Causes) -> None:
    object_meta(obj["metadata"], False, names.dns1123_subdomain, out)
    spec, name = obj["spec"], obj["metadata"].get("name", "")
    _flow_schema_spec(spec, name, out)
    _fixed("FlowSchema", spec, name, MANDATORY_SCHEMAS, out)
    _conditions(obj["status"], out)


def flow_schema_update(new: Json, old: Json, out: Causes) -> None:
    flow_schema(new, out)


def priority_level(obj: Json, out: Causes) -> None:
    object_meta(obj["metadata"], False, names.dns1123_subdomain, out)
    spec, name = obj["spec"], obj["metadata"].get("name", "")
    _level_spec(spec, name, out)
    _fixed("PriorityLevelConfiguration", spec, name, MANDATORY_LEVELS, out)
    _conditions(obj["status"], out)


def priority_level_update(new: Json, old: Json, out: Causes) -> None:
    priority_level(new, out)


def status_update(new: Json, old: Json, out: Causes) -> None:
    _conditions(new["status"], out)


def _fixed(kind: str, spec: Json, name: str, mandatory: dict[str, Json], out: Causes) -> None:
    """What a server cannot do without must stay as it is; shares of the exempt level may be set."""
    if name not in mandatory:
        return
    wanted = mandatory[name]
    same = spec == wanted
    if kind == "PriorityLevelConfiguration" and spec.get("type") == "Exempt":
        same = spec.keys() <= wanted.keys() and spec["type"] == wanted["type"]
    if not same:
        shown = in_order(spec, definition(f"flowcontrol.v1.{kind}Spec"))
        out.append(invalid("spec", shown, f"spec of '{name}' must equal the fixed value"))


def _conditions(status: Json, out: Causes) -> None:
    seen: set[str] = set()
    for index, condition in enumerate(status.get("conditions") or ()):
        kind, path = condition.get("type", ""), f"status.conditions[{index}].type"
        if kind in seen:
            out.append(duplicate(path, kind))
        seen.add(kind)
        if not kind:
            out.append(required(path, "must not be empty"))


# -- FlowSchema ----------------------------------------------------------------------------------


def _flow_schema_spec(spec: Json, name: str, out: Causes) -> None:
    precedence, path = spec.get("matchingPrecedence", 0), "spec.matchingPrecedence"
    if precedence <= 0:
        out.append(invalid(path, precedence, "must be a positive value"))
    if precedence > _PRECEDENCE_MAX:
        out.append(invalid(path, precedence, f"must not be greater than {_PRECEDENCE_MAX}"))
    if precedence == 1 and name != "exempt":
        why = "only the schema named 'exempt' may have matchingPrecedence 1"
        out.append(invalid(path, precedence, why))
    method = spec.get("distinguisherMethod")
    if method is not None and method.get("type") not in ("ByNamespace", "ByUser"):
        supported = ("ByNamespace", "ByUser")
        out.append(not_supported("spec.distinguisherMethod.type", _shown_method(method), supported))
    level, path = (
        spec.get("priorityLevelConfiguration", {}).get("name", ""),
        "spec.priorityLevelConfiguration.name",
    )
    if level:
        names.check(names.dns1123_subdomain(level), path, level, out)
    else:
        out.append(required(path, "must reference a priority level"))
    for index, rule in enumerate(spec.get("rules") or ()):
        _rules(rule, f"spec.rules[{index}]", out)


def _shown_method(method: Json) -> Json:
    return {"Type": method.get("type", "")}


def _rules(rule: Json, path: str, out: Causes) -> None:
    subjects = rule.get("subjects") or []
    for index, subject in enumerate(subjects):
        _subject(subject, f"{path}.subjects[{index}]", out)
    if not subjects:
        out.append(required(f"{path}.subjects", "subjects must contain at least one value"))
    resources, others = rule.get("resourceRules") or [], rule.get("nonResourceRules") or []
    if not resources and not others:
        why = "at least one of resourceRules and nonResourceRules has to be non-empty"
        out.append(required(path, why))
    for index, each in enumerate(resources):
        _resource_rule(each, f"{path}.resourceRules[{index}]", out)
    for index, each in enumerate(others):
        _url_rule(each, f"{path}.nonResourceRules[{index}]", out)


_SUBJECTS = {"ServiceAccount": "serviceAccount", "User": "user", "Group": "group"}


def _subject(subject: Json, path: str, out: Causes) -> None:
    kind = subject.get("kind", "")
    if kind not in _SUBJECTS:
        out.append(not_supported(f"{path}.kind", kind, ("Group", "ServiceAccount", "User")))
        return
    field = _SUBJECTS[kind]
    given = subject.get(field)
    if given is None:
        out.append(required(f"{path}.{field}", f"{field} is required when subject kind is '{kind}'"))
    else:
        _CHECKS[kind](given, f"{path}.{field}", out)
    for other, name in _SUBJECTS.items():
        if other != kind and subject.get(name) is not None:
            why = f"{name} is forbidden when subject kind is not '{other}'"
            out.append(forbidden(f"{path}.{name}", why))


def _named(subject: Json, path: str, out: Causes) -> None:
    if not subject.get("name"):
        out.append(required(f"{path}.name"))


def _service_account(subject: Json, path: str, out: Causes) -> None:
    name, namespace = subject.get("name", ""), subject.get("namespace", "")
    if not name:
        out.append(required(f"{path}.name"))
    elif name != "*":
        names.check(names.dns1123_subdomain(name), f"{path}.name", name, out)
    if namespace:
        names.check(names.namespace_name(namespace), f"{path}.namespace", namespace, out)
    else:
        out.append(required(f"{path}.namespace", "must specify namespace for service account"))


_CHECKS: dict[str, Callable[[Json, str, Causes], None]] = {
    "ServiceAccount": _service_account,
    "User": _named,
    "Group": _named,
}


def _verbs(verbs: list[str], path: str, out: Causes) -> None:
    if not verbs:
        out.append(required(path, "verbs must contain at least one value"))
    elif "*" in verbs:
        if len(verbs) > 1:
            out.append(invalid(path, verbs, "if '*' is present, must not specify other verbs"))
    elif not set(verbs) <= set(_VERBS):
        out.append(not_supported(path, verbs, _VERBS))


def _resource_rule(rule: Json, path: str, out: Causes) -> None:
    _verbs(rule.get("verbs") or [], f"{path}.verbs", out)
    for field, one, many in (
        ("apiGroups", "api group", "api groups"),
        ("resources", "resource", "resources"),
    ):
        values = rule.get(field) or []
        if not values:
            out.append(required(f"{path}.{field}", f"resource rules must supply at least one {one}"))
        elif len(values) > 1 and "*" in values:
            why = f"if '*' is present, must not specify other {many}"
            out.append(invalid(f"{path}.{field}", values, why))
    _namespaces(rule, f"{path}.namespaces", out)


def _namespaces(rule: Json, path: str, out: Causes) -> None:
    values = rule.get("namespaces") or []
    if not values and not rule.get("clusterScope"):
        why = "resource rules that are not cluster scoped must supply at least one namespace"
        out.append(required(path, why))
    elif "*" in values:
        if len(values) > 1:
            out.append(invalid(path, values, "if '*' is present, must not specify other namespaces"))
    else:
        for index, name in enumerate(values):
            for fault in names.namespace_name(name):
                why = f"each member of this list must be '*' or a DNS-1123 label; {fault}"
                out.append(invalid(f"{path}[{index}]", name, why))


def _url_rule(rule: Json, path: str, out: Causes) -> None:
    _verbs(rule.get("verbs") or [], f"{path}.verbs", out)
    urls, here = rule.get("nonResourceURLs") or [], f"{path}.nonResourceURLs"
    if not urls:
        out.append(required(here, "nonResourceURLs must contain at least one value"))
    elif "*" in urls:
        if len(urls) > 1:
            why = "if '*' is present, must not specify other non-resource URLs"
            out.append(invalid(here, urls, why))
    else:
        for index, url in enumerate(urls):
            if why := _url_fault(url):
                out.append(invalid(f"{here}[{index}]", url, why))


def _url_fault(url: str) -> str:
    if not url:
        return "must not be empty"
    if not url.startswith("/"):
        return "must start with slash"
    if " " in url:
        return "must not contain white-space"
    if "//" in url:
        return "must not contain double slash"
    stars = url.count("*")
    if stars > 1 or (stars == 1 and not url.endswith("/*")):
        return "wildcard can only do suffix matching"
    return ""


# -- PriorityLevelConfiguration ------------------------------------------------------------------


def _level_spec(spec: Json, name: str, out: Causes) -> None:
    kind = spec.get("type", "")
    if (name == "exempt") != (kind == "Exempt"):
        why = "type must be 'Exempt' if and only if name is 'exempt'"
        out.append(invalid("spec.type", kind, why))
    limited, exempt = spec.get("limited"), spec.get("exempt")
    if kind == "Exempt":
        if limited is not None:
            out.append(forbidden("spec.limited", "must be nil if the type is not Limited"))
        if exempt is not None:
            _share(exempt, "spec.exempt", out)
    elif kind == "Limited":
        if exempt is not None:
            out.append(forbidden("spec.exempt", "must be nil if the type is Limited"))
        if limited is None:
            out.append(required("spec.limited", "must not be empty when type is Limited"))
        else:
            _limited(limited, "spec.limited", out)
    else:
        out.append(not_supported("spec.type", kind, ("Exempt", "Limited")))


def _share(part: Json, path: str, out: Causes) -> None:
    shares, lendable = part.get("nominalConcurrencyShares") or 0, part.get("lendablePercent") or 0
    if shares < 0:
        out.append(invalid(f"{path}.nominalConcurrencyShares", shares, "must be a non-negative integer"))
    if not 0 <= lendable <= 100:
        out.append(invalid(f"{path}.lendablePercent", lendable, "must be between 0 and 100, inclusive"))


def _limited(limited: Json, path: str, out: Causes) -> None:
    shares = limited.get("nominalConcurrencyShares") or 0
    if shares < 0:
        out.append(invalid(f"{path}.nominalConcurrencyShares", shares, "must be a non-negative integer"))
    _response(limited.get("limitResponse", {}), f"{path}.limitResponse", out)
    lendable, borrowing = limited.get("lendablePercent"), limited.get("borrowingLimitPercent")
    if lendable is not None and not 0 <= lendable <= 100:
        out.append(invalid(f"{path}.lendablePercent", lendable, "must be between 0 and 100, inclusive"))
    if borrowing is not None and borrowing < 0:
        why = "if specified, must be a non-negative integer"
        out.append(invalid(f"{path}.borrowingLimitPercent", borrowing, why))


def _response(response: Json, path: str, out: Causes) -> None:
    kind, queuing = response.get("type", ""), response.get("queuing")
    if kind == "Reject":
        if queuing is not None:
            why = "must be nil if limited.limitResponse.type is not Limited"
            out.append(forbidden(f"{path}.queuing", why))
    elif kind == "Queue":
        if queuing is None:
            why = "must not be empty if limited.limitResponse.type is Limited"
            out.append(required(f"{path}.queuing", why))
        else:
            _queuing(queuing, f"{path}.queuing", out)
    else:
        out.append(not_supported(f"{path}.type", kind, ("Queue", "Reject")))


def _queuing(queuing: Json, path: str, out: Causes) -> None:
    length, queues, hand = (queuing.get(field, 0) for field in ("queueLengthLimit", "queues", "handSize"))
    if length <= 0:
        out.append(invalid(f"{path}.queueLengthLimit", length, "must be positive"))
    if queues <= 0:
        out.append(invalid(f"{path}.queues", queues, "must be positive"))
    elif queues > _QUEUES_MAX:
        out.append(invalid(f"{path}.queues", queues, f"must not be greater than {_QUEUES_MAX}"))
    here = f"{path}.handSize"
    if hand <= 0:
        out.append(invalid(here, hand, "must be positive"))
    elif hand > queues:
        out.append(invalid(here, hand, f"should not be greater than queues ({queues})"))
    elif _entropy_bits(queues, hand) > _HASH_BITS:
        why = (
            f"required entropy bits of deckSize {queues} and handSize {hand} should not be greater than"
            f" {_HASH_BITS}"
        )
        out.append(invalid(here, hand, why))


def _entropy_bits(queues: int, hand: int) -> int:
    """What it takes to deal such a hand from such a deck."""
    return math.ceil(math.log2(queues) * hand)
