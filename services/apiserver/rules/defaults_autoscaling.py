"""Defaults of HorizontalPodAutoscalers, in both versions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Json = dict[str, Any]

CPU_UTILIZATION_PERCENT = 80
_PERIOD_SECONDS = 15


def _everything() -> Json:
    return {"type": "Percent", "value": 100, "periodSeconds": _PERIOD_SECONDS}


def autoscaler(obj: Json) -> None:
    spec = obj["spec"]
    spec.setdefault("minReplicas", 1)
    if not spec.get("metrics"):
        target = {"type": "Utilization", "averageUtilization": CPU_UTILIZATION_PERCENT}
        spec["metrics"] = [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]
    if spec.get("behavior") is not None:
        _behavior(spec["behavior"])


def _behavior(behavior: Json) -> None:
    """Who says something of how to scale gets the rest as it is where nothing was said."""
    up = behavior.setdefault("scaleUp", {})
    up.setdefault("stabilizationWindowSeconds", 0)
    pods = {"type": "Pods", "value": 4, "periodSeconds": _PERIOD_SECONDS}
    down = behavior.setdefault("scaleDown", {})
    for rules, policies in ((up, [pods, _everything()]), (down, [_everything()])):
        rules.setdefault("selectPolicy", "Max")
        rules.setdefault("policies", policies)


def old_autoscaler(obj: Json) -> None:
    """autoscaling/v1. What to aim at is only known once its annotations have been read."""
    obj["spec"].setdefault("minReplicas", 1)


DEFAULTS: dict[str, Callable[[Json], None]] = {"HorizontalPodAutoscaler": autoscaler}
