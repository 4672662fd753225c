"""Columns and cells of PriorityClasses and PodDisruptionBudgets: which Pods go first, and how many may go."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from services.apiserver.tables.columns import AGE, Column, column
from services.apiserver.tables.descriptions import DESCRIPTIONS as COMMON
from services.machinery.duration import since

Json = dict[str, Any]
Cells = list[Any]

NOT_APPLICABLE = "N/A"
VALUE = (
    "value represents the integer value of this priority class. This is the actual priority that pods "
    "receive when they have the name of this class in their pod spec."
)
GLOBAL_DEFAULT = (
    "globalDefault specifies whether this PriorityClass should be considered as the default priority for "
    "pods that do not have any priority class. Only one PriorityClass can be marked as `globalDefault`. "
    "However, if more than one PriorityClasses exists with their `globalDefault` field set to true, the "
    "smallest value of such global default PriorityClasses will be used as the default priority."
)
PREEMPTION = (
    "preemptionPolicy is the Policy for preempting pods with lower priority. One of Never, "
    "PreemptLowerPriority. Defaults to PreemptLowerPriority if unset."
)
_NAME: Column = {**column("Name", COMMON["name"]), "format": "name"}
ALLOWED = "Calculated number of pods that may be disrupted at this time."

COLUMNS: dict[str, list[Column]] = {
    "PriorityClass": [
        _NAME,
        column("Value", VALUE, type="integer"),
        column("Global-Default", GLOBAL_DEFAULT, type="boolean"),
        AGE,
        column("PreemptionPolicy", PREEMPTION),
    ],
    "PodDisruptionBudget": [
        _NAME,
        column("Min Available", "The minimum number of pods that must be available."),
        column("Max Unavailable", "The maximum number of pods that may be unavailable."),
        column("Allowed Disruptions", ALLOWED, type="integer"),
        AGE,
    ],
}


def _priority_class(obj: Json, now: datetime) -> Cells:
    return [
        obj["metadata"].get("name", ""),
        obj.get("value", 0),
        bool(obj.get("globalDefault")),
        since(obj["metadata"].get("creationTimestamp"), now),
        obj.get("preemptionPolicy", ""),
    ]


def _budget(obj: Json, now: datetime) -> Cells:
    spec, status = obj.get("spec", {}), obj.get("status", {})
    return [
        obj["metadata"].get("name", ""),
        *(str(spec.get(field, NOT_APPLICABLE)) for field in ("minAvailable", "maxUnavailable")),
        status.get("disruptionsAllowed", 0),
        since(obj["metadata"].get("creationTimestamp"), now),
    ]


ROWS: dict[str, Callable[[Json, datetime], Cells]] = {
    "PriorityClass": _priority_class,
    "PodDisruptionBudget": _budget,
}
