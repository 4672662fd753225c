"""PodDisruptionBudgets: how many of some Pods may be missing. Upstream: `pkg/apis/policy/validation`."""

from __future__ import annotations

from typing import Any

from services.apiserver.rules.validation.meta import (
    generic_object_meta,
    label_selector,
    not_negative,
    object_meta_update,
    shown_selector,
)
from services.apiserver.rules.validation.names import path_segment
from services.apiserver.rules.validation.workloads import count_or_percent, percent
from services.machinery.field_errors import Causes, invalid, not_supported

Json = dict[str, Any]

_POLICIES = ("AlwaysAllow", "IfHealthyBudget")


def budget(obj: Json, out: Causes) -> None:
    generic_object_meta(obj["metadata"], True, path_segment, out)
    _spec(obj["spec"], out)


def budget_update(new: Json, old: Json, out: Causes) -> None:
    object_meta_update(new["metadata"], old["metadata"], out)
    _spec(new["spec"], out)


def _spec(spec: Json, out: Causes) -> None:
    least, most = spec.get("minAvailable"), spec.get("maxUnavailable")
    policy = spec.get("unhealthyPodEvictionPolicy")
    if least is not None and most is not None:
        shown = {
            "MinAvailable": least,
            "Selector": shown_selector(spec.get("selector")),
            "MaxUnavailable": most,
            "UnhealthyPodEvictionPolicy": policy,
        }
        out.append(invalid("spec", shown, "minAvailable and maxUnavailable cannot be both set"))
    for field in ("minAvailable", "maxUnavailable"):
        if field in spec:
            _share(spec[field], f"spec.{field}", out)
    label_selector(spec.get("selector"), "spec.selector", out)
    if policy is not None and policy not in _POLICIES:
        out.append(not_supported("spec.unhealthyPodEvictionPolicy", policy, _POLICIES))


def _share(value: int | str, path: str, out: Causes) -> None:
    before = len(out)
    count_or_percent(value, path, out)
    if len(out) == before and (percent(value) or 0) > 100:
        out.append(invalid(path, value, "must not be greater than 100%"))


def budget_status(new: Json, old: Json, out: Causes) -> None:
    object_meta_update(new["metadata"], old["metadata"], out)
    for field in ("disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods"):
        not_negative(new["status"], field, "status", out)
