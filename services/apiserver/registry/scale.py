"""The `scale` subresource: one small object through which any replicated workload is scaled.

Pure: how a Scale is read out of a workload, and what a Scale says about it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from services.api import errors
from services.api.kinds import Resource
from services.apiserver.custom.resource import CustomResource
from services.machinery import labels

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Paths:
    """Where a custom object keeps what a Scale shows: `.spec.replicas`."""

    replicas: str
    status_replicas: str
    selector: str = ""


def paths_of(resource: Resource) -> Paths | None:
    """None for a built-in kind, whose fields are where they are."""
    if not isinstance(resource, CustomResource) or not resource.compiled.scale:
        return None
    given = resource.compiled.scale
    return Paths(given["specReplicasPath"], given["statusReplicasPath"], given.get("labelSelectorPath", ""))


def _at(obj: Json, path: str, wanted: type) -> Any:
    """None where nothing is. ApiError (500) where something else is, as upstream has it."""
    from services.apiserver.crd.replicas import nested  # loaded with custom resources

    found, fault = nested(obj, path, wanted)
    if fault:
        raise errors.failure(500, "", fault)
    return found


def set_replicas(obj: Json, replicas: int, paths: Paths | None) -> None:
    """In place. ApiError (500) where there is no place for it."""
    if paths is None:
        obj["spec"]["replicas"] = replicas
        return
    _at(obj, paths.replicas, int)
    place = obj
    *above, last = paths.replicas.removeprefix(".").split(".")
    for name in above:
        place = place.setdefault(name, {})
    place[last] = replicas


def check_set(obj: Json, paths: Paths | None) -> None:
    """ApiError (500) where a custom object says nothing of replicas, as upstream has it."""
    if paths is not None and _at(obj, paths.replicas, int) is None:
        raise errors.internal(f'the spec replicas field "{paths.replicas}" does not exist')


def of(obj: Json, revision: int, paths: Paths | None = None) -> Json:
    """autoscaling/v1 Scale of anything that has replicas."""
    if paths is not None:
        replicas = _at(obj, paths.replicas, int) or 0
        status_replicas = _at(obj, paths.status_replicas, int) or 0
        selector = (_at(obj, paths.selector, str) or "") if paths.selector else ""
        return _scale(obj["metadata"], revision, replicas, status_replicas, selector)
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    selector = selector_text(spec.get("selector"))
    return _scale(obj["metadata"], revision, spec.get("replicas", 0), status.get("replicas", 0), selector)


def _scale(metadata: Json, revision: int, replicas: int, status_replicas: int, selector: str) -> Json:
    kept = ("name", "namespace", "uid", "creationTimestamp")
    scale_status: Json = {"replicas": status_replicas}
    if selector:
        scale_status["selector"] = selector
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
    for field, kind in (("metadata", "ObjectMeta"), ("spec", "ScaleSpec")):
        if not isinstance(scale.get(field) or {}, dict):
            raise errors.bad_request(
                f'Scale in version "v1" cannot be handled as a Scale: json: cannot unmarshal'
                f" {_go_type(scale[field])} into Go struct field Scale.{field} of type v1.{kind}"
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
