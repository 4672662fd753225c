"""Defaults of FlowSchemas, PriorityLevelConfigurations and APIServices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Json = dict[str, Any]


def flow_schema(obj: Json) -> None:
    if not obj["spec"].get("matchingPrecedence"):
        obj["spec"]["matchingPrecedence"] = 1000


def priority_level(obj: Json) -> None:
    exempt, limited = obj["spec"].get("exempt"), obj["spec"].get("limited")
    if exempt is not None:
        exempt.setdefault("nominalConcurrencyShares", 0)
        exempt.setdefault("lendablePercent", 0)
    if limited is None:
        return
    if limited.get("nominalConcurrencyShares") is None:
        limited["nominalConcurrencyShares"] = 30
    limited.setdefault("lendablePercent", 0)
    queuing = limited.get("limitResponse", {}).get("queuing")
    if queuing is not None:
        for field, value in (("handSize", 8), ("queues", 64), ("queueLengthLimit", 50)):
            queuing[field] = queuing.get(field) or value


def api_service(obj: Json) -> None:
    service = obj["spec"].get("service")
    if service is not None:
        service.setdefault("port", 443)


DEFAULTS: dict[str, Callable[[Json], None]] = {
    "FlowSchema": flow_schema,
    "PriorityLevelConfiguration": priority_level,
    "APIService": api_service,
}
