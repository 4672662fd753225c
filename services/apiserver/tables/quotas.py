"""Columns and cells of ResourceQuotas: what is used, of how much."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from services.apiserver.tables.columns import AGE, Column, column
from services.apiserver.tables.descriptions import DESCRIPTIONS as COMMON
from services.machinery.duration import since

Json = dict[str, Any]
Cells = list[Any]

REQUEST = "Request represents a minimum amount of cpu/memory that a container may consume."
LIMIT = (
    "Limits control the maximum amount of cpu/memory that a container may use independent of contention on "
    "the node."
)
COLUMNS: dict[str, list[Column]] = {
    "ResourceQuota": [
        {**column("Name", COMMON["name"]), "format": "name"},
        column("Request", REQUEST),
        column("Limit", LIMIT),
        AGE,
    ],
}


def _quota(obj: Json, now: datetime) -> Cells:
    status = obj.get("status") or {}
    used = status.get("used") or {}
    asked: list[str] = []
    limited: list[str] = []
    for name, hard in sorted((status.get("hard") or {}).items()):
        column = limited if name.startswith("limits.") else asked
        column.append(f"{name}: {used.get(name, '0')}/{hard}")
    meta = obj["metadata"]
    return [
        meta.get("name", ""), ", ".join(asked), ", ".join(limited), since(meta.get("creationTimestamp"), now)
    ]  # fmt: skip


ROWS: dict[str, Callable[[Json, datetime], Cells]] = {"ResourceQuota": _quota}
