"""Objects as the rows that people read: what `kubectl get` prints is decided here, not there.

`table` turns decoded objects into a meta.k8s.io/v1 Table, so that any client of the API shows
the same columns. Upstream: server-side printing. Pure; it believes that objects were validated.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, cast

from services.api.kinds import Resource
from services.apiserver.rules.versions import stored_shape
from services.apiserver.tables import (
    access,
    admission,
    autoscaling,
    certificates,
    columns,
    devices,
    networking,
    pods,
    quotas,
    rows,
    scheduling,
    serving,
    usage,
    workloads,
)
from services.apiserver.tables.partial import partial_object

if TYPE_CHECKING:
    from services.apiserver.custom.resource import CustomResource  # which needs the words of this package

IncludeObject = Literal["Metadata", "None", "Object"]
_ROWS = (
    rows.ROWS
    | networking.ROWS
    | access.ROWS
    | admission.ROWS
    | scheduling.ROWS
    | serving.ROWS
    | devices.ROWS
    | workloads.ROWS
    | autoscaling.ROWS
    | certificates.ROWS
    | quotas.ROWS
    | usage.ROWS
)
_COLUMNS = (
    columns.COLUMNS
    | networking.COLUMNS
    | access.COLUMNS
    | admission.COLUMNS
    | scheduling.COLUMNS
    | serving.COLUMNS
    | devices.COLUMNS
    | workloads.COLUMNS
    | autoscaling.COLUMNS
    | certificates.COLUMNS
    | quotas.COLUMNS
    | usage.COLUMNS
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
    if hasattr(resource, "compiled") and not kind:
        return _custom(cast("CustomResource", resource), objects, list_meta, include_object, now)
    kind = kind or resource.kind
    cells_of = _ROWS.get(kind, rows.default)
    result = []
    for obj in objects:
        cells = cells_of(stored_shape(resource, obj), now)
        row: dict[str, Any] = {"cells": cells, "object": _included(obj, include_object)}
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


def _custom(
    resource: CustomResource,
    objects: Iterable[dict[str, Any]],
    list_meta: dict[str, Any],
    include_object: IncludeObject,
    now: datetime,
) -> dict[str, Any]:
    """With the columns of its definition."""
    shown = resource.compiled.columns
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": list_meta,
        "columnDefinitions": resource.compiled.column_definitions,
        "rows": [
            {
                "cells": [obj["metadata"].get("name", ""), *(column.cell(obj, now) for column in shown)],
                "object": _included(obj, include_object),
            }
            for obj in objects
        ],
    }


def _included(obj: dict[str, Any], include: IncludeObject) -> dict[str, Any] | None:
    if include == "None":
        return None
    if include == "Object":
        return obj
    return partial_object(obj)
