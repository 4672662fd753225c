"""The rules of what tells how the API itself is served: APIServices, FlowSchemas, priority levels."""

from __future__ import annotations

from typing import Any

from services.apiserver.rules import prepare
from services.apiserver.rules.kind_rules import Rules, of_status
from services.apiserver.rules.validation import api_services, flow_control

Json = dict[str, Any]


def _api_service_create(obj: Json) -> None:
    """What this server serves itself is there at once."""
    obj["status"] = {}
    if obj["spec"].get("service") is None:
        obj["status"] = {"conditions": [locally_available(obj["metadata"].get("creationTimestamp"))]}


def locally_available(since: str | None) -> Json:
    return {
        "type": "Available",
        "status": "True",
        "lastTransitionTime": since,
        "reason": "Local",
        "message": "Local APIServices are always available",
    }


KINDS: dict[str, Rules] = {
    "APIService": Rules(
        api_services.api_service,
        api_services.api_service_update,
        _api_service_create,
        prepare.keep_status,
        allows_unconditional_update=False,
    ),
    "FlowSchema": Rules(
        flow_control.flow_schema,
        flow_control.flow_schema_update,
        prepare.with_status_create,
        prepare.with_status_update,
    ),
    "PriorityLevelConfiguration": Rules(
        flow_control.priority_level,
        flow_control.priority_level_update,
        prepare.with_status_create,
        prepare.with_status_update,
    ),
}
SUBRESOURCES: dict[tuple[str, str], Rules] = {
    ("APIService", "status"): of_status(api_services.api_service_status, prepare.status_alone),
    ("FlowSchema", "status"): of_status(flow_control.status_update, prepare.status_alone),
    ("PriorityLevelConfiguration", "status"): of_status(flow_control.status_update, prepare.status_alone),
}
