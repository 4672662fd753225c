"""Columns and cells of what tells how the API itself is served: APIServices, flow control, components."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from services.apiserver.tables.columns import AGE, Column, column
from services.apiserver.tables.descriptions import DESCRIPTIONS as COMMON
from services.apiserver.tables.rows import NONE, age_of, name_of

Json = dict[str, Any]
Cells = list[Any]

_NAME: Column = {**column("Name", COMMON["name"]), "format": "name"}
COLUMNS: dict[str, list[Column]] = {
    "APIService": [
        _NAME,
        column("Service", "The reference to the service that hosts this API endpoint."),
        column("Available", "Whether this service is available."),
        AGE,
    ],
    "FlowSchema": [
        _NAME,
        column(
            "PriorityLevel",
            "`name` is the name of the priority level configuration being referenced Required.",
        ),
        column(
            "MatchingPrecedence",
            (
                "`matchingPrecedence` is used to choose among the FlowSchemas that match a given "
                "request. The chosen FlowSchema is among those with the numerically lowest (which"
                " we take to be logically highest) MatchingPrecedence.  Each MatchingPrecedence "
                "value must be ranged in [1,10000]. Note that if the precedence is not specified,"
                " it will be set to 1000 as default."
            ),
        ),
        column(
            "DistinguisherMethod",
            (
                "`distinguisherMethod` defines how to compute the flow distinguisher for requests"
                " that match this schema. `nil` specifies that the distinguisher is disabled and "
                "thus will always be the empty string."
            ),
        ),
        AGE,
        column("MissingPL", "references a broken or non-existent PriorityLevelConfiguration"),
    ],
    "PriorityLevelConfiguration": [
        _NAME,
        column(
            "Type",
            (
                "`type` indicates whether this priority level is subject to limitation on request"
                ' execution.  A value of `"Exempt"` means that requests of this priority level '
                "are not subject to a limit (and thus are never queued) and do not detract from "
                'the capacity made available to other priority levels.  A value of `"Limited"` '
                "means that (a) requests of this priority level _are_ subject to limits and (b) "
                "some of the server's limited capacity is made available exclusively to this "
                "priority level. Required."
            ),
        ),
        column(
            "NominalConcurrencyShares",
            (
                "`nominalConcurrencyShares` (NCS) contributes to the computation of the "
                "NominalConcurrencyLimit (NominalCL) of this level. This is the number of "
                "execution seats available at this priority level. This is used both for requests"
                " dispatched from this priority level as well as requests dispatched from other "
                "priority levels borrowing seats from this level. The server's concurrency limit "
                "(ServerCL) is divided among the Limited priority levels in proportion to their "
                "NCS values:\n\nNominalCL(i)  = ceil( ServerCL * NCS(i) / sum_ncs ) sum_ncs = "
                "sum[priority level k] NCS(k)\n\nBigger numbers mean a larger nominal concurrency "
                "limit, at the expense of every other priority level.\n\nIf not specified, this "
                "field defaults to a value of 30.\n\nSetting this field to zero supports the "
                'construction of a "jail" for this priority level that is used to hold some '
                "request(s)"
            ),
        ),
        column(
            "Queues",
            (
                "`queues` is the number of queues for this priority level. The queues exist "
                "independently at each apiserver. The value must be positive.  Setting it to 1 "
                "effectively precludes shufflesharding and thus makes the distinguisher method of"
                " associated flow schemas irrelevant.  This field has a default value of 64."
            ),
        ),
        column(
            "HandSize",
            (
                "`handSize` is a small positive number that configures the shuffle sharding of "
                "requests into queues.  When enqueuing a request at this priority level the "
                "request's flow identifier (a string pair) is hashed and the hash value is used "
                "to shuffle the list of queues and deal a hand of the size specified here.  The "
                "request is put into one of the shortest queues in that hand. `handSize` must be "
                "no larger than `queues`, and should be significantly smaller (so that a few "
                "heavy flows do not saturate most of the queues).  See the user-facing "
                "documentation for more extensive guidance on setting this field.  This field has"
                " a default value of 8."
            ),
        ),
        column(
            "QueueLengthLimit",
            (
                "`queueLengthLimit` is the maximum number of requests allowed to be waiting in a "
                "given queue of this priority level at a time; excess requests are rejected.  "
                "This value must be positive.  If not specified, it will be defaulted to 50."
            ),
        ),
        AGE,
    ],
    "ComponentStatus": [
        _NAME,
        column("Status", "Status of the component conditions"),
        column("Message", "Message of the component conditions"),
        column("Error", "Error of the component conditions"),
    ],
}


def _condition(obj: Json, kind: str) -> Json:
    conditions = obj.get("status", {}).get("conditions") or obj.get("conditions") or ()
    return next((each for each in conditions if each.get("type") == kind), {})


def _api_service(obj: Json, now: datetime) -> Cells:
    service, available = obj.get("spec", {}).get("service"), _condition(obj, "Available")
    status = available.get("status", "Unknown")
    if status != "True" and available:
        status = f"{status} ({available.get('reason', '')})"
    where = "Local" if service is None else f"{service.get('namespace', '')}/{service.get('name', '')}"
    return [name_of(obj), where, status, age_of(obj, now)]


def _flow_schema(obj: Json, now: datetime) -> Cells:
    spec = obj.get("spec", {})
    return [
        name_of(obj),
        spec.get("priorityLevelConfiguration", {}).get("name", ""),
        spec.get("matchingPrecedence", 0),
        (spec.get("distinguisherMethod") or {}).get("type", NONE),
        age_of(obj, now),
        _condition(obj, "Dangling").get("status", "?"),
    ]


def _priority_level(obj: Json, now: datetime) -> Cells:
    spec = obj.get("spec", {})
    limited = spec.get("limited") or {}
    queuing = limited.get("limitResponse", {}).get("queuing") or {}
    return [
        name_of(obj),
        spec.get("type", ""),
        limited.get("nominalConcurrencyShares", NONE),
        *(queuing.get(field, NONE) for field in ("queues", "handSize", "queueLengthLimit")),
        age_of(obj, now),
    ]


def _component_status(obj: Json, now: datetime) -> Cells:
    healthy = _condition(obj, "Healthy")
    word = {"True": "Healthy", "False": "Unhealthy"}.get(healthy.get("status", ""), "Unknown")
    return [name_of(obj), word, healthy.get("message", ""), healthy.get("error", "")]


ROWS: dict[str, Callable[[Json, datetime], Cells]] = {
    "APIService": _api_service,
    "FlowSchema": _flow_schema,
    "PriorityLevelConfiguration": _priority_level,
    "ComponentStatus": _component_status,
}
