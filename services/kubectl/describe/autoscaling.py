"""HorizontalPodAutoscalers described, as autoscaling/v2 has them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from services.kubectl.describe import events
from services.kubectl.describe.writer import Writer, head, notes, rfc1123
from services.kubectl.errors import quote

Json = dict[str, Any]

UNKNOWN = "<unknown>"


def autoscaler(obj: Json, found_events: Iterable[Json] | None, now: datetime) -> str:
    writer, spec, status = Writer(), obj["spec"], obj.get("status") or {}
    head(writer, obj)
    notes(writer, obj)
    writer.line(0, "CreationTimestamp:", rfc1123(obj["metadata"].get("creationTimestamp")))
    target = spec.get("scaleTargetRef") or {}
    writer.line(0, "Reference:", f"{target.get('kind', '')}/{target.get('name', '')}")
    writer.line(0, "Metrics:", "( current / target )")
    observed = status.get("currentMetrics") or []
    for index, metric in enumerate(spec.get("metrics") or ()):
        writer.line(1, *_metric(metric, observed[index] if index < len(observed) else {}))
    writer.line(0, "Min replicas:", spec.get("minReplicas", "<unset>"))
    writer.line(0, "Max replicas:", spec.get("maxReplicas", 0))
    if spec.get("behavior") is not None:
        writer.line(0, "Behavior:")
        _direction(writer, "Scale Up", spec["behavior"].get("scaleUp"))
        _direction(writer, "Scale Down", spec["behavior"].get("scaleDown"))
    counts = f"{status.get('currentReplicas', 0)} current / {status.get('desiredReplicas', 0)} desired"
    writer.line(0, f"{target.get('kind', '')} pods:", counts)
    _conditions(writer, status.get("conditions") or [])
    events.describe(writer, found_events, now)
    return writer.text()


def _metric(metric: Json, observed: Json) -> tuple[str, ...]:
    """What it measures, and what it is and should be."""
    kind = metric.get("type", "")
    field = kind[:1].lower() + kind[1:]
    source = metric.get(field)
    if source is None:
        return (f"<unknown metric type {quote(kind)}>",)
    target, current = source.get("target") or {}, (observed.get(field) or {}).get("current") or {}
    name = quote((source.get("metric") or {}).get("name", ""))
    match kind:
        case "Pods":
            return f"{name} on pods:", _values("averageValue", current, target)
        case "External" | "Object":
            described = source.get("describedObject") or {}
            where = f" on {described.get('kind', '')}/{described.get('name', '')}" if kind == "Object" else ""
            if "averageValue" in target:
                return f"{name}{where} (target average value):", _values("averageValue", current, target)
            return f"{name}{where} (target value):", _values("value", current, target)
    what = f"resource {source.get('name', '')}"
    if kind == "ContainerResource":
        what += f' of container "{source.get("container", "")}"'
    if "averageValue" in target:
        return f"{what} on pods:", _values("averageValue", current, target)
    used, wanted = current.get("averageUtilization"), target.get("averageUtilization")
    now = UNKNOWN if used is None else f"{used}% ({current.get('averageValue', '0')})"
    goal = "<auto>" if wanted is None else f"{wanted}%"
    return f"{what} on pods  (as a percentage of request):", f"{now} / {goal}"


def _values(field: str, current: Json, target: Json) -> str:
    return f"{current.get(field, UNKNOWN)} / {target.get(field, '')}"


def _direction(writer: Writer, title: str, rules: Json | None) -> None:
    if rules is None:
        return
    writer.line(1, f"{title}:")
    if rules.get("stabilizationWindowSeconds") is not None:
        writer.line(2, f"Stabilization Window: {rules['stabilizationWindowSeconds']} seconds")
    policies = rules.get("policies") or []
    if policies:
        writer.line(2, f"Select Policy: {rules.get('selectPolicy', 'Max')}")
        writer.line(2, "Policies:")
    for policy in policies:
        kind, value, period = (policy.get(field) for field in ("type", "value", "periodSeconds"))
        writer.line(3, f"- Type: {kind}", f"Value: {value}", f"Period: {period} seconds")


def _conditions(writer: Writer, conditions: list[Json]) -> None:
    if not conditions:
        return
    writer.line(0, "Conditions:")
    writer.line(1, "Type", "Status", "Reason", "Message")
    writer.line(1, "----", "------", "------", "-------")
    for condition in conditions:
        cells = (condition.get(field, "") for field in ("type", "status", "reason", "message"))
        writer.line(1, *cells)
