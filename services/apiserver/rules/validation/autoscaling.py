"""HorizontalPodAutoscalers, as autoscaling/v2 has them: bounds, what to scale, by which metrics, how fast."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from services.apiserver.rules.validation import names
from services.apiserver.rules.validation.meta import not_negative, object_meta, object_meta_update
from services.apiserver.rules.validation.resources import container_name
from services.machinery import quantity
from services.machinery.field_errors import Causes, forbidden, invalid, not_supported, required

Json = dict[str, Any]

_STABILIZATION_SECONDS_MAX = 3600
_PERIOD_SECONDS_MAX = 1800
_TYPES = ("ContainerResource", "External", "Object", "Pods", "Resource")
_FIELDS = {
    "Object": "object",
    "External": "external",
    "Pods": "pods",
    "Resource": "resource",
    "ContainerResource": "containerResource",
}
_SCALING_TO_ZERO = "must specify at least one Object or External metric to support scaling to zero replicas"


def autoscaler(obj: Json, out: Causes) -> None:
    object_meta(obj["metadata"], True, names.dns1123_subdomain, out)
    _spec(obj["spec"], {}, out)


def autoscaler_update(new: Json, old: Json, out: Causes) -> None:
    object_meta_update(new["metadata"], old["metadata"], out)
    _spec(new["spec"], old["spec"], out)


def autoscaler_status(new: Json, old: Json, out: Causes) -> None:
    object_meta_update(new["metadata"], old["metadata"], out)
    for field in ("currentReplicas", "desiredReplicas"):
        not_negative(new["status"], field, "status", out)


def _spec(spec: Json, before: Json, out: Causes) -> None:
    """What an autoscaler said before there was a rule against it, it may go on saying."""
    low, high = spec.get("minReplicas"), spec.get("maxReplicas", 0)
    lowest = 0 if before.get("minReplicas") == 0 else 1
    if low is not None and low < lowest:
        out.append(invalid("spec.minReplicas", low, f"must be greater than or equal to {lowest}"))
    if high < 1:
        out.append(required("spec.maxReplicas", "must be set and greater than 0"))
    if low is not None and high < low:
        why = "must be greater than or equal to `minReplicas`"
        out.append(invalid("spec.maxReplicas", high, why))
    held = before.get("scaleTargetRef")
    _reference(spec.get("scaleTargetRef", {}), held, "spec.scaleTargetRef", out)
    metrics = spec.get("metrics") or []
    for index, metric in enumerate(metrics):
        _metric(metric, bool(before), f"spec.metrics[{index}]", out)
    kinds = {metric.get("type") for metric in metrics}
    if low == 0 and not kinds & {"Object", "External"}:
        out.append(forbidden("spec.metrics", _SCALING_TO_ZERO))
    behavior = spec.get("behavior") or {}
    for direction in ("scaleUp", "scaleDown"):
        if behavior.get(direction) is not None:
            _rules(behavior[direction], f"spec.behavior.{direction}", out)


def _reference(reference: Json, held: Json | None, path: str, out: Causes) -> None:
    for field in ("kind", "name"):
        value = reference.get(field, "")
        if not value:
            out.append(required(f"{path}.{field}"))
        else:
            names.check(names.path_segment(value), f"{path}.{field}", value, out)
    version = reference.get("apiVersion", "")
    why = _version_fault(version, reference.get("kind", ""))
    tolerated = held is not None and _version_fault(held.get("apiVersion", ""), held.get("kind", ""))
    if why and not tolerated:
        out.append(invalid(f"{path}.apiVersion", version, why))


def _version_fault(version: str, kind: str) -> str:
    if version.count("/") > 1:
        return f"unexpected GroupVersion string: {version}"
    if "/" not in version and kind != "ReplicationController":
        return "apiVersion must specify API group"
    return ""


def _metric(metric: Json, is_update: bool, path: str, out: Causes) -> None:
    kind = metric.get("type", "")
    if not kind:
        out.append(required(f"{path}.type", "must specify a metric source type"))
    if kind not in _TYPES:
        out.append(not_supported(f"{path}.type", kind, _TYPES))
    present = [field for field in _FIELDS.values() if metric.get(field) is not None]
    if present:
        _SOURCES[present[0]](metric[present[0]], f"{path}.{present[0]}", out)
    expected = _FIELDS.get(kind, "")
    if not expected:  # Said twice, as upstream does.
        out.append(not_supported(f"{path}.type", kind, _TYPES))
    elif expected not in present:
        why = "must populate information for the given metric source"
        out.append(required(f"{path}.{expected}", why))
    if len(present) != 1:
        for field in present:
            if field != expected:
                out.append(forbidden(f"{path}.{field}", "must populate the given metric source only"))


def _object(source: Json, path: str, out: Causes) -> None:
    described, target = source.get("describedObject", {}), source.get("target", {})
    _reference(described, described, f"{path}.describedObject", out)
    _identifier(source.get("metric", {}), f"{path}.metric", out)
    _target(target, f"{path}.target", out)
    if "value" not in target and "averageValue" not in target:
        why = "must set either a target value or averageValue"
        out.append(required(f"{path}.target.averageValue", why))


def _external(source: Json, path: str, out: Causes) -> None:
    target = source.get("target", {})
    _identifier(source.get("metric", {}), f"{path}.metric", out)
    _target(target, f"{path}.target", out)
    if "value" not in target and "averageValue" not in target:
        why = "must set either a target value for metric or a per-pod target"
        out.append(required(f"{path}.target.averageValue", why))
    if "value" in target and "averageValue" in target:
        why = "may not set both a target value for metric and a per-pod target"
        out.append(forbidden(f"{path}.target.value", why))


def _pods(source: Json, path: str, out: Causes) -> None:
    target = source.get("target", {})
    _identifier(source.get("metric", {}), f"{path}.metric", out)
    _target(target, f"{path}.target", out)
    if "averageValue" not in target:
        why = "must specify a positive target averageValue"
        out.append(required(f"{path}.target.averageValue", why))


def _resource(source: Json, path: str, out: Causes) -> None:
    if not source.get("name"):
        out.append(required(f"{path}.name", "must specify a resource name"))
    _amount(source.get("target", {}), f"{path}.target", out)


def _container_resource(source: Json, path: str, out: Causes) -> None:
    name, container = source.get("name", ""), source.get("container", "")
    if not name:
        out.append(required(f"{path}.name", "must specify a resource name"))
    else:
        container_name(name, f"{path}.name", out)
    if not container:
        out.append(required(f"{path}.container", "must specify a container"))
    else:
        names.check(names.dns1123_label(container), f"{path}.container", container, out)
    _amount(source.get("target", {}), f"{path}.target", out)


def _amount(target: Json, path: str, out: Causes) -> None:
    _target(target, path, out)
    if "averageUtilization" not in target and "averageValue" not in target:
        why = "must set either a target raw value or a target utilization"
        out.append(required(f"{path}.averageUtilization", why))
    if "averageUtilization" in target and "averageValue" in target:
        why = "may not set both a target raw value and a target utilization"
        out.append(forbidden(f"{path}.averageValue", why))


_SOURCES: dict[str, Callable[[Json, str, Causes], None]] = {
    "object": _object,
    "external": _external,
    "pods": _pods,
    "resource": _resource,
    "containerResource": _container_resource,
}


def _identifier(metric: Json, path: str, out: Causes) -> None:
    name = metric.get("name", "")
    if not name:
        out.append(required(f"{path}.name", "must specify a metric name"))
    else:
        names.check(names.path_segment(name), f"{path}.name", name, out)


def _target(target: Json, path: str, out: Causes) -> None:
    kind = target.get("type", "")
    if not kind:
        out.append(required(f"{path}.type", "must specify a metric target type"))
    if kind not in ("Utilization", "Value", "AverageValue"):
        out.append(invalid(f"{path}.type", kind, "must be either Utilization, Value, or AverageValue"))
    for field in ("value", "averageValue"):
        if field in target and quantity.parse(str(target[field])) <= 0:
            out.append(invalid(f"{path}.{field}", target[field], "must be positive"))
    share = target.get("averageUtilization")
    if share is not None and share < 1:
        out.append(invalid(f"{path}.averageUtilization", share, "must be greater than 0"))


def _rules(rules: Json, path: str, out: Causes) -> None:
    window, select = rules.get("stabilizationWindowSeconds"), rules.get("selectPolicy")
    here = f"{path}.stabilizationWindowSeconds"
    if window is not None and window < 0:
        out.append(invalid(here, window, "must be greater than or equal to zero"))
    if window is not None and window > _STABILIZATION_SECONDS_MAX:
        why = f"must be less than or equal to {_STABILIZATION_SECONDS_MAX}"
        out.append(invalid(here, window, why))
    if select is not None and select not in ("Max", "Min", "Disabled"):
        out.append(not_supported(f"{path}.selectPolicy", select, ("Disabled", "Max", "Min")))
    policies = rules.get("policies") or []
    if not policies:
        out.append(required(f"{path}.policies", "must specify at least one Policy"))
    for index, policy in enumerate(policies):
        _policy(policy, f"{path}.policies[{index}]", out)
    tolerance = rules.get("tolerance")
    if tolerance is not None and quantity.parse(str(tolerance)) < 0:
        out.append(invalid(f"{path}.tolerance", tolerance, "must be greater than or equal to 0"))


def _policy(policy: Json, path: str, out: Causes) -> None:
    kind, value, period = policy.get("type", ""), policy.get("value", 0), policy.get("periodSeconds", 0)
    if kind not in ("Pods", "Percent"):
        out.append(not_supported(f"{path}.type", kind, ("Percent", "Pods")))
    if value <= 0:
        out.append(invalid(f"{path}.value", value, "must be greater than zero"))
    if period <= 0:
        out.append(invalid(f"{path}.periodSeconds", period, "must be greater than zero"))
    if period > _PERIOD_SECONDS_MAX:
        why = f"must be less than or equal to {_PERIOD_SECONDS_MAX}"
        out.append(invalid(f"{path}.periodSeconds", period, why))
