"""PriorityClasses: which Pods go first. Upstream: `pkg/apis/scheduling/validation`."""

from __future__ import annotations

from typing import Any

from services.apiserver.rules.validation import names
from services.apiserver.rules.validation.meta import immutable, object_meta, object_meta_update
from services.machinery.field_errors import Causes, forbidden, not_supported, required

Json = dict[str, Any]

USER_VALUE_MAX = 1_000_000_000
SYSTEM_CLASSES = {"system-cluster-critical": 2_000_000_000, "system-node-critical": 2_000_001_000}
_PREFIX = "system-"
_POLICIES = ("PreemptLowerPriority", "Never")


def priority_class(obj: Json, out: Causes) -> None:
    object_meta(obj["metadata"], False, names.dns1123_subdomain, out)
    name, value = obj["metadata"].get("name", ""), obj.get("value", 0)
    if name.startswith(_PREFIX):
        if problem := _not_system(name, value, bool(obj.get("globalDefault"))):
            why = "priority class names with 'system-' prefix are reserved for system use only. error: "
            out.append(forbidden("metadata.name", why + problem))
    elif value > USER_VALUE_MAX:
        why = f"maximum allowed value of a user defined priority is {USER_VALUE_MAX}"
        out.append(forbidden("value", why))
    policy = obj.get("preemptionPolicy")
    if policy == "":
        out.append(required("preemptionPolicy"))
    elif policy is not None and policy not in _POLICIES:
        out.append(not_supported("preemptionPolicy", policy, _POLICIES))


def _not_system(name: str, value: int, is_default: bool) -> str:
    if name not in SYSTEM_CLASSES:
        return f"{name} is not a known system priority class"
    if value != SYSTEM_CLASSES[name]:
        return f"value of {name} PriorityClass must be {SYSTEM_CLASSES[name]}"
    return f"globalDefault of {name} PriorityClass must be false" if is_default else ""


def priority_class_update(new: Json, old: Json, out: Causes) -> None:
    object_meta_update(new["metadata"], old["metadata"], out)
    if new.get("value", 0) != old.get("value", 0):
        out.append(forbidden("value", "may not be changed in an update."))
    immutable(new.get("preemptionPolicy"), old.get("preemptionPolicy"), "preemptionPolicy", out)
