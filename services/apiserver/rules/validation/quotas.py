"""LimitRanges and ResourceQuotas: what one Pod or claim, and what a whole namespace, may ask for.

Upstream: `ValidateLimitRange` and `ValidateResourceQuota*` of `pkg/apis/core/validation`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from services.apiserver.rules.validation import names, resources
from services.apiserver.rules.validation.meta import (
    immutable,
    object_meta,
    object_meta_update,
)
from services.machinery import quantity
from services.machinery.field_errors import Causes, duplicate, forbidden, invalid, required

Json = dict[str, Any]

_TYPES = ("Pod", "Container", "PersistentVolumeClaim")
_BOUNDS = ("max", "min", "default", "defaultRequest", "maxLimitRequestRatio")
# The lower, the higher, which is at fault, whose value is shown, and what to say; in upstream's order.
_ORDERED = (
    ("min", "max", "min", "min", "min value {} is greater than max value {}"),
    ("min", "defaultRequest", "defaultRequest", "defaultRequest",
     "min value {} is greater than default request value {}"),
    ("defaultRequest", "max", "defaultRequest", "defaultRequest",
     "default request value {} is greater than max value {}"),
    ("defaultRequest", "default", "defaultRequest", "defaultRequest",
     "default request value {} is greater than default limit value {}"),
    ("min", "default", "default", "min", "min value {} is greater than default value {}"),
    ("default", "max", "default", "default", "default value {} is greater than max value {}"),
)  # fmt: skip

SCOPES = (
    "Terminating",
    "NotTerminating",
    "BestEffort",
    "NotBestEffort",
    "PriorityClass",
    "CrossNamespacePodAffinity",
    "VolumeAttributesClass",
)
_COMPUTE = ("cpu", "memory", "limits.cpu", "limits.memory", "requests.cpu", "requests.memory")
_SCOPED: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(SCOPES, ("pods", *_COMPUTE)),
    "BestEffort": ("pods",),
    "VolumeAttributesClass": ("requests.storage", "persistentvolumeclaims"),
}
_CONFLICTING = (("BestEffort", "NotBestEffort"), ("Terminating", "NotTerminating"))
_ONLY_EXISTS = (
    "must be 'Exist' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating,"
    " ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or"
    " ResourceQuotaScopeCrossNamespacePodAffinity"
)


# -- LimitRange ----------------------------------------------------------------------------------


def limit_range(obj: Json, out: Causes) -> None:
    object_meta(obj["metadata"], True, names.dns1123_subdomain, out)
    seen: set[str] = set()
    for index, limit in enumerate(obj["spec"].get("limits") or ()):
        path, kind = f"spec.limits[{index}]", limit.get("type", "")
        _type_name(kind, f"{path}.type", out)
        if kind in seen:
            out.append(duplicate(f"{path}.type", kind))
        seen.add(kind)
        _limit(limit, kind, path, out)


def limit_range_update(new: Json, old: Json, out: Causes) -> None:
    object_meta_update(new["metadata"], old["metadata"], out)
    limit_range(new, out)


def _type_name(kind: str, path: str, out: Causes) -> None:
    if faults := names.qualified_name(kind):
        names.check(faults, path, kind, out)
    elif "/" not in kind and kind not in _TYPES:
        out.append(invalid(path, kind, "must be a standard limit type or fully qualified"))


def _limit(limit: Json, kind: str, path: str, out: Causes) -> None:
    given = {field: limit.get(field) or {} for field in _BOUNDS}
    if kind == "Pod":
        for field in ("default", "defaultRequest"):
            if given[field]:
                out.append(forbidden(f"{path}.{field}", "may not be specified when `type` is 'Pod'"))
                given[field] = {}
    for field in ("max", "min", "default", "defaultRequest"):
        _resource_names(kind, given[field], f"{path}.{field}", out)
    if kind == "PersistentVolumeClaim" and "storage" not in {*given["min"], *given["max"]}:
        why = "either minimum or maximum storage value is required, but neither was provided"
        out.append(required(f"{path}.limits", why))
    _resource_names(kind, given["maxLimitRequestRatio"], f"{path}.maxLimitRequestRatio", out)
    for name in sorted(set[str]().union(*given.values())):
        _agree(name, {field: given[field].get(name) for field in _BOUNDS}, path, out)


def _resource_names(kind: str, given: Json, path: str, out: Causes) -> None:
    check = resources.container_name if kind in ("Pod", "Container") else resources.any_name
    for name in given:
        check(name, f"{path}[{name}]", out)


def _agree(name: str, given: dict[str, str | None], path: str, out: Causes) -> None:
    """The bounds of one resource among each other."""
    for low, high, at_fault, shown, why in _ORDERED:
        lower, higher = given[low], given[high]
        if lower is not None and higher is not None and quantity.parse(lower) > quantity.parse(higher):
            out.append(invalid(f"{path}.{at_fault}[{name}]", given[shown], why.format(lower, higher)))
    if (ratio := given["maxLimitRequestRatio"]) is not None:
        _ratio(name, ratio, given, path, out)
    default, asked = given["default"], given["defaultRequest"]
    if resources.overcommits(name) or default is None or asked is None:
        return
    if quantity.parse(default) != quantity.parse(asked):
        why = f"default value {default} must equal to defaultRequest value {asked} in {name}"
        out.append(invalid(f"{path}.defaultRequest[{name}]", asked, why))


def _ratio(name: str, ratio: str, given: dict[str, str | None], path: str, out: Causes) -> None:
    where = f"{path}.maxLimitRequestRatio[{name}]"
    if quantity.parse(ratio) < 1:
        out.append(invalid(where, ratio, f"ratio {ratio} is less than 1"))
    low, high = given["min"], given["max"]
    if low is None or high is None or not quantity.parse(low):
        return
    most = quantity.parse(high) / quantity.parse(low)
    if quantity.parse(ratio) > most:
        out.append(invalid(where, ratio, f"ratio {ratio} is greater than max/min = {float(most):f}"))


# -- ResourceQuota -------------------------------------------------------------------------------


def quota(obj: Json, out: Causes) -> None:
    object_meta(obj["metadata"], True, names.dns1123_subdomain, out)
    _spec(obj["spec"], out)
    _amounts(obj["status"], out)


def quota_update(new: Json, old: Json, out: Causes) -> None:
    object_meta_update(new["metadata"], old["metadata"], out)
    _spec(new["spec"], out)
    before, after = ({*(each["spec"].get("scopes") or ())} for each in (old, new))
    if before != after:
        immutable(new["spec"].get("scopes"), old["spec"].get("scopes"), "spec.scopes", out)


def quota_status(new: Json, old: Json, out: Causes) -> None:
    object_meta_update(new["metadata"], old["metadata"], out)
    _amounts(new["status"], out)


def _amounts(status: Json, out: Causes) -> None:
    for field in ("hard", "used"):
        _hard(status.get(field) or {}, f"status.{field}", out)


def _hard(amounts: Json, path: str, out: Causes) -> None:
    for name, text in sorted(amounts.items()):
        resources.any_name(name, f"{path}[{name}]", out)
        if "/" not in name and not resources.counts_in_quota(name):
            out.append(invalid(f"{path}[{name}]", name, "must be a standard resource for quota"))
        resources.amount(name, text, f"{path}[{name}]", out)


def _spec(spec: Json, out: Causes) -> None:
    hard = spec.get("hard") or {}
    _hard(hard, "spec.hard", out)
    if scopes := spec.get("scopes"):
        for scope in scopes:
            for why in _scope_faults(scope, hard):
                out.append(invalid("spec.scopes", scopes, why))
        if _conflict(scopes):
            out.append(invalid("spec.scopes", scopes, "conflicting scopes"))
    selector = spec.get("scopeSelector")
    if selector and (expressions := selector.get("matchExpressions")):
        _selector(selector, expressions, hard, out)


def _scope_faults(scope: str, hard: Json) -> Iterator[str]:
    if scope not in SCOPES:
        yield "unsupported scope"
    covered = _SCOPED.get(scope)
    for name in sorted(hard):
        if covered is not None and resources.counts_in_quota(name) and name not in covered:
            yield "unsupported scope applied to resource"


def _conflict(scopes: list[str]) -> bool:
    return any({*pair} <= {*scopes} for pair in _CONFLICTING)


def _selector(selector: Json, expressions: list[Json], hard: Json, out: Causes) -> None:
    path = "spec.scopeSelector.matchExpressions"
    for each in expressions:
        scope, operator, values = each.get("scopeName", ""), each.get("operator", ""), each.get("values")
        for why in _scope_faults(scope, hard):
            if why == "unsupported scope":
                out.append(invalid(f"{path}.scopeName", scope, why))
            else:
                out.append(invalid(path, selector, why))
        if (
            operator != "Exists"
            and scope in SCOPES
            and scope not in ("PriorityClass", "VolumeAttributesClass")
        ):
            out.append(invalid(f"{path}.operator", operator, _ONLY_EXISTS))
        if operator in ("In", "NotIn"):
            if not values:
                why = "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector"
                out.append(required(f"{path}.values", why))
        elif operator in ("Exists", "DoesNotExist"):
            if values:
                why = "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector"
                out.append(invalid(f"{path}.values", values, why))
        else:
            out.append(invalid(f"{path}.operator", operator, "not a valid selector operator"))
    if _conflict([each.get("scopeName", "") for each in expressions]):
        out.append(invalid(path, selector, "conflicting scopes"))
