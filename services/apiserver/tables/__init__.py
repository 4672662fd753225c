"""Objects as the rows that people read: what `kubectl get` prints is decided here, not there.

`table` turns decoded objects into a meta.k8s.io/v1 Table, so that any client of the API shows
the same columns. Upstream: server-side printing. Pure; it believes that objects were validated.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Literal

from services.api.kinds import Resource
from services.apiserver.tables import access, columns, networking, pods, quotas, rows, scheduling, workloads
from services.apiserver.tables.partial import partial_object

IncludeObject = Literal["Metadata", "None", "Object"]
_ROWS = rows.ROWS | networking.ROWS | access.ROWS | scheduling.ROWS | workloads.ROWS | quotas.ROWS
_COLUMNS = (
    columns.COLUMNS
    | networking.COLUMNS
    | access.COLUMNS
    | scheduling.COLUMNS
    | workloads.COLUMNS
    | quotas.COLUMNS
)


def table(
    resource: Resource,
    objects: Iterable[dict[str, Any]],
    list_meta: dict[str, Any],
    include_object: IncludeObject,
    now: datetime,
    *,
    kind: str = "",
) -> dict[str, Any]:
    """The Table of a collection or of one object; `kind` where a subresource has one of its own."""
    kind = kind or resource.kind
    cells_of = _ROWS.get(kind, rows.default)
    result = []
    for obj in objects:
        row: dict[str, Any] = {"cells": cells_of(obj, now), "object": _included(obj, include_object)}
        if kind == "Pod" and (conditions := pods.conditions(obj)):
            row["conditions"] = conditions
        result.append(row)
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": list_meta,
        "columnDefinitions": _COLUMNS.get(kind, columns.DEFAULT),
        "rows": result,
    }


def _included(obj: dict[str, Any], include: IncludeObject) -> dict[str, Any] | None:
    if include == "None":
        return None
    if include == "Object":
        return obj
    return partial_object(obj)
