"""Admission plugin Priority: gives a Pod the number behind the name of its PriorityClass.

Without a name the class that is the cluster's default counts, where there is one. The system's two classes
are known before anybody has made them. Upstream: plugin/pkg/admission/priority.
"""

from __future__ import annotations

from typing import Any

from services.api import errors, kinds, scheduling_v1
from services.apiserver.rules.context import Context
from services.apiserver.rules.validation.priority import SYSTEM_CLASSES

Json = dict[str, Any]

_CLASSES = kinds.resource_of(scheduling_v1.PriorityClass)
_ANY_LOWER = "PreemptLowerPriority"


def complete(resource: kinds.Resource, obj: Json, ctx: Context) -> None:
    """ApiError (403) for an unknown class, and for numbers that are not the class's."""
    spec = obj["spec"]
    shown = str(obj["metadata"].get("name") or obj["metadata"].get("generateName", ""))
    name = spec.get("priorityClassName", "")
    if name:
        found = ctx.lookup(_CLASSES, "", name)
        if found is None and name in SYSTEM_CLASSES:
            found = {"value": SYSTEM_CLASSES[name]}
        if found is None:
            raise errors.forbidden(resource, shown, f"no PriorityClass with name {name} was found")
    elif (found := default_class(ctx)) is not None:
        spec["priorityClassName"] = found["metadata"]["name"]
    found = found or {}
    value, given = found.get("value", 0), spec.get("priority")
    if given is not None and given != value:
        why = (
            f"the integer value of priority ({given}) must not be provided in pod spec; priority admission"
            f" controller computed {value} from the given PriorityClass name"
        )
        raise errors.forbidden(resource, shown, why)
    spec["priority"] = value
    policy = found.get("preemptionPolicy", _ANY_LOWER)
    preemption = spec.setdefault("preemptionPolicy", policy)
    if preemption != policy:
        why = (
            f"the string value of PreemptionPolicy ({preemption}) must not be provided in pod spec; priority"
            f" admission controller computed {policy} from the given PriorityClass name"
        )
        raise errors.forbidden(resource, shown, why)


def default_class(ctx: Context) -> Json | None:
    """Of several, the one with the smallest value."""
    found = [each for each in ctx.every(_CLASSES) if each.get("globalDefault")]
    return min(found, key=lambda each: each.get("value", 0), default=None)


def only_default(resource: kinds.Resource, obj: Json, ctx: Context) -> None:
    """ApiError (403) for a second default."""
    if not obj.get("globalDefault"):
        return
    default, name = default_class(ctx), obj["metadata"].get("name", "")
    if default is not None and default["metadata"]["name"] != name:
        other = default["metadata"]["name"]
        why = f"PriorityClass {other} is already marked as default. Only one default can exist"
        raise errors.forbidden(resource, name, why)
