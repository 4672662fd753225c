"""autoscaling/v1 HorizontalPodAutoscalers as v2 sees them, and back.

v1 knows one metric, the share of CPU; everything else that v2 can say travels in annotations, in shapes
of their own: metrics as the first beta had them, `behavior` with the names that its fields have in Go.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

from services.apiserver.rules import strict
from services.apiserver.rules.defaults_autoscaling import autoscaler
from services.machinery.schema import Schema, definition

Json = dict[str, Any]

_METRICS = "autoscaling.alpha.kubernetes.io/metrics"
_CURRENT = "autoscaling.alpha.kubernetes.io/current-metrics"
_CONDITIONS = "autoscaling.alpha.kubernetes.io/conditions"
_BEHAVIOR = "autoscaling.alpha.kubernetes.io/behavior"
ANNOTATIONS = (_METRICS, _CURRENT, _BEHAVIOR, _CONDITIONS)
_UNSAID = ("metrics", "behavior")
_BEHAVIOR_DEPTH_MAX = 3
_CPU = "targetCPUUtilizationPercentage"
_CURRENT_CPU = "currentCPUUtilizationPercentage"

# Of a source of metrics: the names of its target's fields, and the others', in the old shape.
_TARGETS: dict[str, dict[str, str]] = {
    "object": {"value": "targetValue", "averageValue": "averageValue"},
    "pods": {"averageValue": "targetAverageValue"},
    "resource": {"averageUtilization": "targetAverageUtilization", "averageValue": "targetAverageValue"},
    "containerResource": {
        "averageUtilization": "targetAverageUtilization",
        "averageValue": "targetAverageValue",
    },
    "external": {"value": "targetValue", "averageValue": "targetAverageValue"},
}
_OBSERVED: dict[str, dict[str, str]] = {
    "object": {"value": "currentValue", "averageValue": "averageValue"},
    "pods": {"averageValue": "currentAverageValue"},
    "resource": {"averageUtilization": "currentAverageUtilization", "averageValue": "currentAverageValue"},
    "containerResource": {
        "averageUtilization": "currentAverageUtilization",
        "averageValue": "currentAverageValue",
    },
    "external": {"value": "currentValue", "averageValue": "currentAverageValue"},
}
# Amounts that Go's structs always write.
_WRITTEN = ("targetValue", "targetAverageValue", "currentValue", "currentAverageValue")
_TARGET_TYPES = {"averageUtilization": "Utilization", "value": "Value", "averageValue": "AverageValue"}


# -- from v2 -------------------------------------------------------------------------------------


def from_stored(obj: Json) -> Json:
    spec, status = obj.get("spec", {}), obj.get("status") or {}
    metrics, current = spec.get("metrics") or [], status.get("currentMetrics") or []
    made = {name: value for name, value in spec.items() if name not in _UNSAID}
    for metric in metrics:
        if (share := _cpu_share(metric, "target")) is not None:
            made[_CPU] = share
    hidden: Json = {}
    if others := [metric for metric in metrics if _cpu_share(metric, "target") is None]:
        hidden[_METRICS] = [_old_shape(metric, "target", _TARGETS) for metric in others]
    if current:
        hidden[_CURRENT] = [_old_shape(metric, "current", _OBSERVED) for metric in current]
    if spec.get("behavior") is not None:
        hidden[_BEHAVIOR] = _go(
            spec["behavior"], definition("autoscaling.v2.HorizontalPodAutoscalerBehavior")
        )
    if status.get("conditions"):
        hidden[_CONDITIONS] = status["conditions"]
    return {
        **obj,
        "metadata": _annotated(obj["metadata"], hidden),
        "spec": made,
        "status": _old_status(status),
    }


def _cpu_share(metric: Json, field: str) -> int | None:
    """The share of CPU that a metric is about, which v1 can say itself."""
    resource = metric.get("resource") or {}
    if metric.get("type") != "Resource" or resource.get("name") != "cpu":
        return None
    found: int | None = (resource.get(field) or {}).get("averageUtilization")
    return found


def _old_status(status: Json) -> Json:
    kept = ("observedGeneration", "lastScaleTime", "currentReplicas", "desiredReplicas")
    made = {"currentReplicas": 0, "desiredReplicas": 0}
    made |= {name: status[name] for name in kept if name in status}
    for metric in status.get("currentMetrics") or []:
        if (share := _cpu_share(metric, "current")) is not None:
            made[_CURRENT_CPU] = share
    return made


def _old_shape(metric: Json, field: str, names: dict[str, dict[str, str]]) -> Json:
    made: Json = {"type": metric.get("type", "")}
    for source, amounts in names.items():
        if (given := metric.get(source)) is not None:
            made[source] = _flat(source, given, given.get(field) or {}, amounts)
    return made


def _flat(source: str, given: Json, values: Json, amounts: dict[str, str]) -> Json:
    made: Json = {}
    if source == "object":
        made["target"] = given.get("describedObject", {})
    if "metric" in given:
        made["metricName"] = given["metric"].get("name", "")
        if (selector := given["metric"].get("selector")) is not None:
            made["metricSelector" if source == "external" else "selector"] = selector
    for field in ("name", "container"):
        if field in given:
            made[field] = given[field]
    for name, old in amounts.items():
        if name in values:
            made[old] = values[name]
        elif old in _WRITTEN and name != "averageUtilization" and not _optional(source, old):
            made[old] = "0"
    return made


def _optional(source: str, old: str) -> bool:
    if source == "external":
        return old != "currentValue"
    return source in ("resource", "containerResource") and old.startswith("target")


def _annotated(metadata: Json, hidden: Json) -> Json:
    if not hidden:
        return metadata
    texts = {key: orjson.dumps(value).decode() for key, value in hidden.items()}
    return {**metadata, "annotations": {**metadata.get("annotations", {}), **texts}}


def _go(value: Any, schema: Schema) -> Any:
    """As Go writes a struct without tags: every field, by its own name."""
    if schema.items is not None:
        return [_go(each, schema.items) for each in value]
    if schema.type != "struct":
        return value
    return {
        _capital(name): _go(value[name], field.schema) if value.get(name) is not None else None
        for name, field in schema.fields.items()
    }


def _capital(name: str) -> str:
    return name[:1].upper() + name[1:]


# -- to v2 ---------------------------------------------------------------------------------------


def to_stored(obj: Json) -> Json:
    spec, status = {**obj.get("spec", {})}, {**(obj.get("status") or {})}
    annotations = obj["metadata"].get("annotations") or {}
    share, current = spec.pop(_CPU, None), status.pop(_CURRENT_CPU, None)
    metrics = _well_formed(
        "autoscaling.v2.MetricSpec",
        [_new_shape(each, "target", _TARGETS) for each in _read(annotations, _METRICS, list)],
    )
    if share is not None:
        target = {"type": "Utilization", "averageUtilization": share}
        metrics.append({"type": "Resource", "resource": {"name": "cpu", "target": target}})
    if metrics:
        spec["metrics"] = metrics
    behaviors = [dict(_from_go(_read(annotations, _BEHAVIOR, dict)))]
    if behavior := _well_formed("autoscaling.v2.HorizontalPodAutoscalerBehavior", behaviors):
        spec["behavior"] = behavior[0]
    observed = _well_formed(
        "autoscaling.v2.MetricStatus",
        [_new_shape(each, "current", _OBSERVED) for each in _read(annotations, _CURRENT, list)],
    )
    if not observed and current is not None:
        observed = [
            {"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": current}}}
        ]
    status["currentMetrics"] = observed or None
    conditions = _read(annotations, _CONDITIONS, list)
    if conditions := _well_formed("autoscaling.v2.HorizontalPodAutoscalerCondition", conditions):
        status["conditions"] = conditions
    if not status.get("currentReplicas"):
        status.pop("currentReplicas", None)
    made = {**obj, "metadata": _bare(obj["metadata"]), "spec": spec, "status": status}
    autoscaler(made)  # What v1 could not say is filled in as v2 does it.
    return made


def as_observed(obj: Json) -> Json:
    """The same with the share of CPU where it was: v1 only knows that among the values observed."""
    made = to_stored(obj)
    observed = made["status"].get("currentMetrics") or []
    shares = [metric for metric in made["spec"]["metrics"] if _cpu_share(metric, "target") is not None]
    places = [index for index, metric in enumerate(observed) if _is_cpu(metric)]
    if shares and places:
        others = [metric for metric in made["spec"]["metrics"] if metric not in shares]
        made["spec"]["metrics"] = [*others[: places[0]], *shares, *others[places[0] :]]
    return made


def _is_cpu(metric: Json) -> bool:
    return metric.get("type") == "Resource" and (metric.get("resource") or {}).get("name") == "cpu"


def _read(annotations: Json, key: str, kind: type[list[Any]] | type[dict[str, Any]]) -> Any:
    """What an annotation holds; nothing where it cannot be read: upstream passes over it."""
    try:
        found = orjson.loads(annotations.get(key) or "null")
    except orjson.JSONDecodeError:
        return kind()
    fits = isinstance(found, kind) and (kind is dict or all(isinstance(each, dict) for each in found))
    return found if fits else kind()


def _well_formed(name: str, values: list[Json]) -> list[Json]:
    """What an annotation held, if all of it has its type's form; else nothing: anybody may write there."""
    schema = definition(name)
    try:
        return [strict.inspect(value, schema).obj for value in values if value]
    except strict.Unreadable:
        return []


def _new_shape(metric: Json, field: str, names: dict[str, dict[str, str]]) -> Json:
    made: Json = {"type": metric.get("type", "")}
    for source, amounts in names.items():
        given = metric.get(source)
        if given is not None:
            made[source] = _deep(source, given, field, amounts) if isinstance(given, dict) else given
    return made


def _deep(source: str, given: Json, field: str, amounts: dict[str, str]) -> Json:
    made: Json = {}
    if source == "object":
        made["describedObject"] = given.get("target", {})
    if source in ("object", "pods", "external"):
        made["metric"] = {"name": given.get("metricName", "")}
        if (selector := given.get("metricSelector" if source == "external" else "selector")) is not None:
            made["metric"]["selector"] = selector
    for name in ("name", "container"):
        if name in given:
            made[name] = given[name]
    values = {name: given[old] for name, old in amounts.items() if old in given}
    if field == "target":
        kind = next((text for name, text in _TARGET_TYPES.items() if name in values), "Value")
        values = {"type": "AverageValue" if source == "pods" else kind, **values}
    made[field] = values
    return made


def _from_go(value: Json, depth: int = 0) -> Iterator[tuple[str, Any]]:
    """What is nested deeper than `behavior` ever is stays as it is: its form says what to do with it."""

    def inner(each: Any) -> Any:
        nested = isinstance(each, dict) and depth < _BEHAVIOR_DEPTH_MAX
        return dict(_from_go(each, depth + 1)) if nested else each

    for name, each in value.items():
        if each is not None:
            made = [inner(item) for item in each] if isinstance(each, list) else inner(each)
            yield name[:1].lower() + name[1:], made


def _bare(metadata: Json) -> Json:
    """Without what only travels."""
    if not any(key in metadata.get("annotations", ()) for key in ANNOTATIONS):
        return metadata
    kept = {key: text for key, text in metadata["annotations"].items() if key not in ANNOTATIONS}
    made = {name: value for name, value in metadata.items() if name != "annotations"}
    return {**made, "annotations": kept} if kept else made
