"""Columns and cells of resource.k8s.io: device classes, claims and their templates, slices."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from services.apiserver.tables.columns import AGE, Column, column
from services.apiserver.tables.descriptions import DESCRIPTIONS as COMMON
from services.apiserver.tables.rows import age_of, name_of

Json = dict[str, Any]
Cells = list[Any]

_STATE = "A summary of the current state (allocated, pending, reserved, etc.)."
_NODE = (
    "NodeName identifies the node which provides the resources in this pool. A field selector can be used to "
    "list only ResourceSlice objects belonging to a certain node.\n\nThis field can be used to limit access "
    "from nodes to ResourceSlices with the same node name. It also indicates to autoscalers that adding new "
    "nodes of the same type as some old node might also make new resources available.\n\nExactly one of "
    "NodeName, NodeSelector, AllNodes, and PerDeviceNodeSelection must be set. This field is immutable."
)
_DRIVER = (
    "Driver identifies the DRA driver providing the capacity information. A field selector can be used to "
    "list only ResourceSlice objects with a certain driver name.\n\nMust be a DNS subdomain and should end "
    "with a DNS domain owned by the vendor of the driver. It should use only lower case characters. This "
    "field is immutable."
)
_POOL = (
    "Name is used to identify the pool. For node-local devices, this is often the node name, but this is not "
    "required.\n\nIt must not be longer than 253 characters and must consist of one or more DNS sub-domains "
    "separated by slashes. This field is immutable."
)
_NAME: Column = {**column("Name", COMMON["name"]), "format": "name"}
COLUMNS: dict[str, list[Column]] = {
    "DeviceClass": [_NAME, AGE],
    "ResourceClaim": [_NAME, column("State", _STATE), AGE],
    "ResourceClaimTemplate": [_NAME, AGE],
    "ResourceSlice": [
        _NAME,
        column("Node", _NODE),
        column("Driver", _DRIVER),
        column("Pool", _POOL),
        AGE,
    ],
}


def _named(obj: Json, now: datetime) -> Cells:
    return [name_of(obj), age_of(obj, now)]


def _claim(obj: Json, now: datetime) -> Cells:
    return [name_of(obj), claim_state(obj), age_of(obj, now)]


def claim_state(obj: Json) -> str:
    """`allocated,reserved`, `pending`, `deleted`."""
    status, is_deleted = obj.get("status") or {}, bool(obj["metadata"].get("deletionTimestamp"))
    states = ["deleted"] if is_deleted else []
    if status.get("allocation") is not None:
        states.append("allocated")
        if status.get("reservedFor"):
            states.append("reserved")
    elif not is_deleted:
        states.append("pending")
    return ",".join(states)


def _slice(obj: Json, now: datetime) -> Cells:
    spec = obj.get("spec", {})
    where = spec.get("nodeName") or ""
    return [
        name_of(obj),
        where,
        spec.get("driver", ""),
        spec.get("pool", {}).get("name", ""),
        age_of(obj, now),
    ]


ROWS: dict[str, Callable[[Json, datetime], Cells]] = {
    "DeviceClass": _named,
    "ResourceClaim": _claim,
    "ResourceClaimTemplate": _named,
    "ResourceSlice": _slice,
}
