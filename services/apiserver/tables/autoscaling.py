"""Columns and cells of HorizontalPodAutoscalers."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from services.apiserver.tables.columns import AGE, Column, column
from services.apiserver.tables.descriptions import DESCRIPTIONS as COMMON
from services.apiserver.tables.rows import NONE, age_of, name_of
from services.machinery.duration import UNKNOWN

Json = dict[str, Any]
Cells = list[Any]

METRICS_SHOWN_MAX = 2
_REFERENCE = (
    "scaleTargetRef points to the target resource to scale, and is used to the pods for which metrics should "
    "be collected, as well as to actually change the replica count."
)
_TARGETS = (
    "metrics contains the specifications for which to use to calculate the desired replica count (the "
    "maximum replica count across all metrics will be used).  The desired replica count is calculated "
    "multiplying the ratio between the target value and the current value by the current number of pods.  "
    "Ergo, metrics used must decrease as the pod count is increased, and vice-versa.  See the individual "
    "metric source types for more information about how each type of metric must respond. If not set, the "
    "default metric will be set to 80% average CPU utilization."
)
_MIN_PODS = (
    "minReplicas is the lower limit for the number of replicas to which the autoscaler can scale down.  It "
    "defaults to 1 pod.  minReplicas is allowed to be 0 if the alpha feature gate HPAScaleToZero is enabled "
    "and at least one Object or External metric is configured.  Scaling is active as long as at least one "
    "metric value is available."
)
_MAX_PODS = (
    "maxReplicas is the upper limit for the number of replicas to which the autoscaler can scale up. It "
    "cannot be less that minReplicas."
)
_REPLICAS = (
    "currentReplicas is current number of replicas of pods managed by this autoscaler, as last seen by the "
    "autoscaler."
)

COLUMNS: dict[str, list[Column]] = {
    "HorizontalPodAutoscaler": [
        {**column("Name", COMMON["name"]), "format": "name"},
        column("Reference", _REFERENCE),
        column("Targets", _TARGETS),
        column("MinPods", _MIN_PODS),
        column("MaxPods", _MAX_PODS),
        column("Replicas", _REPLICAS),
        AGE,
    ]
}
_SOURCES = {
    "External": "external",
    "Pods": "pods",
    "Object": "object",
    "Resource": "resource",
    "ContainerResource": "containerResource",
}


def _autoscaler(obj: Json, now: datetime) -> Cells:
    spec, status = obj.get("spec", {}), obj.get("status") or {}
    reference, low = spec.get("scaleTargetRef", {}), spec.get("minReplicas")
    return [
        name_of(obj),
        f"{reference.get('kind', '')}/{reference.get('name', '')}",
        _targets(spec.get("metrics") or [], status.get("currentMetrics") or []),
        "<unset>" if low is None else str(low),
        spec.get("maxReplicas", 0),
        status.get("currentReplicas", 0),
        age_of(obj, now),
    ]


def _targets(metrics: list[Json], observed: list[Json]) -> str:
    if not metrics:
        return NONE
    shown = [_target(metric, observed[index : index + 1]) for index, metric in enumerate(metrics)]
    text = ", ".join(shown[:METRICS_SHOWN_MAX])
    return f"{text} + {len(shown) - METRICS_SHOWN_MAX} more..." if len(shown) > METRICS_SHOWN_MAX else text


def _target(metric: Json, observed: list[Json]) -> str:
    source = _SOURCES.get(metric.get("type", ""))
    if source is None:
        return "<unknown type>"
    given = metric.get(source) or {}
    target = given.get("target", {})
    current = ((observed[0].get(source) or {}) if observed else {}).get("current", {})
    if source in ("resource", "containerResource"):
        return f"{given.get('name', '')}: {_amount(target, current)}"
    if "averageValue" in target:
        average = f"{current.get('averageValue', UNKNOWN)}/{target['averageValue']}"
        return average if source == "pods" else f"{average} (avg)"
    return f"{current.get('value', UNKNOWN)}/{target.get('value', '')}"


def _amount(target: Json, current: Json) -> str:
    if "averageValue" in target:
        return f"{current.get('averageValue', UNKNOWN)}/{target['averageValue']}"
    used, wanted = (values.get("averageUtilization") for values in (current, target))
    return f"{UNKNOWN if used is None else f'{used}%'}/{'<auto>' if wanted is None else f'{wanted}%'}"


ROWS: dict[str, Callable[[Json, datetime], Cells]] = {"HorizontalPodAutoscaler": _autoscaler}
