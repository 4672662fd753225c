"""The `scale` subresource: one small object through which any replicated workload is scaled.

Pure: how a Scale is read out of a workload, and what a Scale says about it.
"""

from __future__ import annotations

from typing import Any

from services.api import errors
from services.api.kinds import Resource
from services.machinery import labels

Json = dict[str, Any]


def of(obj: Json, revision: int) -> Json:
    """autoscaling/v1 Scale of a Deployment, ReplicaSet or ReplicationController."""
    metadata, spec, status = obj["metadata"], obj.get("spec") or {}, obj.get("status") or {}
    kept = ("name", "namespace", "uid", "creationTimestamp")
    scale_status: Json = {"replicas": status.get("replicas", 0)}
    selector = selector_text(spec.get("selector"))
    if selector:
        scale_status["selector"] = selector
    replicas = spec.get("replicas", 0)
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {
            **{name: metadata[name] for name in kept if name in metadata},
            "resourceVersion": str(revision),
        },
        "spec": {"replicas": replicas} if replicas else {},
        "status": scale_status,
    }


def selector_text(selector: Json | None) -> str:
    """A LabelSelector, or the plain map of a ReplicationController, as text."""
    if not selector:
        return ""
    if "matchLabels" not in selector and "matchExpressions" not in selector:
        return str(labels.from_map(selector))
    requirements = list(labels.from_map(selector.get("matchLabels") or {}).requirements)
    operators: dict[str, labels.Operator] = {
        "In": "in",
        "NotIn": "notin",
        "Exists": "exists",
        "DoesNotExist": "!",
    }
    for expression in selector.get("matchExpressions") or []:
        operator = operators[expression["operator"]]
        requirements.append(labels.requirement(expression["key"], operator, expression.get("values") or []))
    return str(labels.Selector(tuple(sorted(requirements, key=lambda r: r.key))))


def check(resource: Resource, scale: Json, name: str) -> int:
    """The replicas that a Scale asks for. ApiError 400, 422."""
    if scale.get("kind") != "Scale" or scale.get("apiVersion") != "autoscaling/v1":
        raise errors.bad_request(
            f"expected input object type to be Scale, but {scale.get('apiVersion')}, {scale.get('kind')}"
        )
    given = (scale.get("metadata") or {}).get("name", "")
    if given and given != name:
        raise errors.bad_request(
            f"the name of the object ({given}) does not match the name on the URL ({name})"
        )
    replicas = (scale.get("spec") or {}).get("replicas", 0)
    if isinstance(replicas, bool) or not isinstance(replicas, int):
        raise errors.bad_request(
            f'Scale in version "v1" cannot be handled as a Scale: json: cannot unmarshal'
            f" {_go_type(replicas)} into Go struct field ScaleSpec.spec.replicas of type int32"
        )
    if replicas < 0:
        message = f"Invalid value: {replicas}: must be greater than or equal to 0"
        cause = {"reason": "FieldValueInvalid", "message": message, "field": "spec.replicas"}
        raise errors.invalid("autoscaling", "Scale", name, [cause])
    return replicas


def _go_type(value: Any) -> str:
    names = {str: "string", bool: "bool", list: "array", dict: "object"}
    return next((name for kind, name in names.items() if isinstance(value, kind)), "number")
