"""Requests and limits: names of resources, quantities, and how they must agree."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from services.apiserver.rules.validation import names
from services.apiserver.rules.validation.meta import NOT_NEGATIVE
from services.machinery import quantity
from services.machinery.field_errors import Causes, duplicate, forbidden, invalid, not_supported, required

Json = dict[str, Any]

HUGE_PAGES = "hugepages-"
_CONTAINER = frozenset(("cpu", "memory", "ephemeral-storage"))
_QUOTA = frozenset(
    [
        "requests.cpu",
        "requests.memory",
        "requests.storage",
        "requests.ephemeral-storage",
        "limits.cpu",
        "limits.memory",
        "limits.ephemeral-storage",
        "pods",
        "resourcequotas",
        "services",
        "replicationcontrollers",
        "secrets",
        "configmaps",
        "persistentvolumeclaims",
        "services.nodeports",
        "services.loadbalancers",
    ]
)
_STANDARD = _CONTAINER | _QUOTA | {"storage"}
_WHOLE = frozenset(
    [
        "pods",
        "services",
        "replicationcontrollers",
        "resourcequotas",
        "secrets",
        "configmaps",
        "persistentvolumeclaims",
        "services.nodeports",
        "services.loadbalancers",
    ]
)
POD_LEVEL = ("cpu", "hugepages-", "memory")


def is_native(name: str) -> bool:
    return "/" not in name or "kubernetes.io/" in name


@lru_cache(maxsize=256)
def is_extended(name: str) -> bool:
    if is_native(name) or name.startswith("requests."):
        return False
    return not names.qualified_name(f"requests.{name}")


def overcommits(name: str) -> bool:
    """Whether requests may be lower than limits: not for what cannot be shared."""
    return is_native(name) and not name.startswith(HUGE_PAGES)


def container_name(name: str, path: str, out: Causes) -> None:
    if name in _CONTAINER:
        return
    before = len(out)
    any_name(name, path, out)
    if "/" not in name:
        if not name.startswith(HUGE_PAGES):
            out.append(invalid(path, name, "must be a standard resource for containers"))
    elif not is_native(name) and not is_extended(name) and len(out) == before:
        out.append(invalid(path, name, "doesn't follow extended resource name standard"))


def counts_in_quota(name: str) -> bool:
    """Whether a quota knows it by this name, without a prefix."""
    return name in _QUOTA or name in _CONTAINER or name.startswith((HUGE_PAGES, "requests.hugepages-"))


def any_name(name: str, path: str, out: Causes) -> None:
    if faults := names.qualified_name(name):
        names.check(faults, path, name, out)
    elif (
        "/" not in name and name not in _STANDARD and not name.startswith((HUGE_PAGES, "requests.hugepages-"))
    ):
        out.append(invalid(path, name, "must be a standard resource type or fully qualified"))


def pod_name(name: str, path: str, out: Causes) -> None:
    before = len(out)
    any_name(name, path, out)
    if len(out) == before and name not in ("cpu", "memory") and not name.startswith(HUGE_PAGES):
        out.append(not_supported(path, name, ("cpu", "memory")))


def amount(name: str, text: str, path: str, out: Causes) -> None:
    value = quantity.parse(text)
    if value < 0:
        out.append(invalid(path, text, NOT_NEGATIVE))
    if (name in _WHOLE or is_extended(name)) and quantity.milli(text) % 1000:
        out.append(invalid(path, text, "must be an integer"))


def requirements(
    found: Json,
    path: str,
    claims: frozenset[str],
    out: Causes,
    name_check: Callable[[str, str, Causes], None] = container_name,
) -> None:
    """`resources` of a container, or (with `pod_name`) of a Pod."""
    if not found:
        return
    limits, requests = found.get("limits", {}), found.get("requests", {})
    for name, text in limits.items():
        _entry(name, text, f"{path}.limits[{name}]", out, name_check)
    for name, text in requests.items():
        _entry(name, text, f"{path}.requests[{name}]", out, name_check)
        _agreement(name, text, limits.get(name), path, out)
    named = limits.keys() | requests.keys()
    if any(name.startswith(HUGE_PAGES) for name in named) and not named & {"cpu", "memory"}:
        out.append(forbidden(path, "HugePages require cpu or memory"))
    if "claims" in found:
        _claims(found["claims"], f"{path}.claims", claims, out)


def _entry(
    name: str, text: str, path: str, out: Causes, name_check: Callable[[str, str, Causes], None]
) -> None:
    name_check(name, path, out)
    amount(name, text, path, out)
    if name.startswith(HUGE_PAGES) and not _divides(name, text):
        out.append(invalid(path, text, f"{text} is not positive integer multiple of {name}"))


def _divides(name: str, text: str) -> bool:
    try:
        page = quantity.parse(name.removeprefix(HUGE_PAGES))
    except ValueError:
        return False
    return page > 0 and quantity.parse(text) % page == 0


def _agreement(name: str, text: str, limit: str | None, path: str, out: Causes) -> None:
    if limit is None:
        if not overcommits(name):
            out.append(required(f"{path}.limits", "Limit must be set for non overcommitable resources"))
        return
    if text == limit:
        return
    asked, allowed = quantity.parse(text), quantity.parse(limit)
    if asked != allowed and not overcommits(name):
        out.append(invalid(f"{path}.requests", text, f"must be equal to {name} limit of {limit}"))
    elif asked > allowed:
        why = f"must be less than or equal to {name} limit of {limit}"
        out.append(invalid(f"{path}.requests", text, why))


def _claims(claims: list[Json], path: str, known: frozenset[str], out: Causes) -> None:
    seen: set[str] = set()
    for index, claim in enumerate(claims):
        name = claim.get("name", "")
        if not name:
            out.append(required(f"{path}[{index}]"))
            continue
        if name in seen:
            out.append(duplicate(f"{path}[{index}]", name))
        seen.add(name)
        if name not in known:
            which = f": {', '.join(sorted(known))}" if known else " which is empty"
            message = f'Not found: "{name}": must be one of the names in pod.spec.resourceClaims{which}'
            out.append({"reason": "FieldValueNotFound", "message": message, "field": f"{path}[{index}]"})


def pod_level(spec: Json, path: str, claims: frozenset[str], out: Causes) -> None:
    """Pod-level `resources`: at least what the containers ask for together."""
    found = spec.get("resources")
    if not found:
        return
    if "claims" in found:
        out.append(forbidden(f"{path}.claims", "claims cannot be set for Resources at pod-level"))
    requirements(found, path, claims, out, pod_name)
    asked = found.get("requests", {})
    for name, total in _totals(spec).items():
        given = asked.get(name, "0")
        if total > quantity.parse(given):
            why = f"must be greater than or equal to aggregate container requests of {quantity.format(total)}"
            out.append(invalid(f"{path}.requests[{name}]", given, why))
    for index, container in enumerate(spec.get("containers") or ()):
        for name, limit in container.get("resources", {}).get("limits", {}).items():
            most = found.get("limits", {}).get(name)
            if most is not None and quantity.parse(limit) > quantity.parse(most):
                where = f"{path}.containers[{index}][{name}].limits"
                out.append(invalid(where, limit, f"must be less than or equal to pod limits of {most}"))


def _totals(spec: Json) -> dict[str, quantity.Exact]:
    totals: dict[str, quantity.Exact] = {}
    for container in spec.get("containers") or ():
        for name, text in container.get("resources", {}).get("requests", {}).items():
            totals[name] = totals.get(name, 0) + quantity.parse(text)
    return totals
