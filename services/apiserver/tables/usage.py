"""Columns and cells of NodeMetrics and PodMetrics, as metrics-server shows them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from fractions import Fraction
from typing import Any

from services.apiserver.tables.columns import Column, column
from services.machinery import quantity

Json = dict[str, Any]
Cells = list[Any]

_SHOWN: list[Column] = [
    {**column("Name", "Name of the resource"), "format": "name"},
    {**column("cpu", ""), "format": "quantity"},
    {**column("memory", ""), "format": "quantity"},
    {**column("Window", ""), "format": "duration"},
]
COLUMNS: dict[str, list[Column]] = {"NodeMetrics": _SHOWN, "PodMetrics": _SHOWN}


def _node(obj: Json, now: datetime) -> Cells:
    usage = obj["usage"]
    return [obj["metadata"]["name"], usage["cpu"], usage["memory"], obj["window"]]


def _pod(obj: Json, now: datetime) -> Cells:
    used = [container["usage"] for container in obj["containers"]]
    cpu = quantity.format(sum((Fraction(quantity.parse(each["cpu"])) for each in used), Fraction()))
    memory = quantity.format(sum(quantity.value(each["memory"]) for each in used), "binary")
    return [obj["metadata"]["name"], cpu, memory, obj["window"]]


ROWS: dict[str, Callable[[Json, datetime], Cells]] = {"NodeMetrics": _node, "PodMetrics": _pod}
