"""Deployment, ReplicaSet, ReplicationController, ControllerRevision and the Scale of the first three."""

from __future__ import annotations

import re
from typing import Any

from services.apiserver.rules.validation import names
from services.apiserver.rules.validation.meta import (
    NOT_NEGATIVE,
    changed,
    immutable,
    label_selector,
    not_negative,
    object_meta,
    object_meta_update,
    selects,
    shown_selector,
)
from services.apiserver.rules.validation.pod_spec import template
from services.machinery.field_errors import Causes, forbidden, invalid, not_supported, required

Json = dict[str, Any]

_NOT_SELECTED = "`selector` does not match template `labels`"
_PERCENT = re.compile(r"[0-9]+%")
_INT64_MAX, _DIGITS_MAX = (1 << 63) - 1, 19


def deployment(obj: Json, out: Causes) -> None:
    object_meta(obj["metadata"], True, names.dns1123_subdomain, out)
    _deployment_spec(obj["spec"], out)


def deployment_update(new: Json, old: Json, out: Causes) -> None:
    object_meta_update(new["metadata"], old["metadata"], out)
    if new["spec"] != old["spec"]:
        _deployment_spec(new["spec"], out)
        _same_selector(new["spec"], old["spec"], out)


def _same_selector(spec: Json, before: Json, out: Causes) -> None:
    immutable(
        shown_selector(spec.get("selector")), shown_selector(before.get("selector")), "spec.selector", out
    )


def _deployment_spec(spec: Json, out: Causes) -> None:
    not_negative(spec, "replicas", "spec", out)
    selector = spec.get("selector")
    usable = _selector(selector, "deployment", out)
    if usable:
        _template(spec.get("template", {}), selector, out, "Deployment")
    _strategy(spec["strategy"], "spec.strategy", out)
    for field in ("minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds"):
        not_negative(spec, field, "spec", out)
    deadline, ready = spec.get("progressDeadlineSeconds"), spec.get("minReadySeconds", 0)
    if deadline is not None and deadline <= ready:
        out.append(invalid("spec.progressDeadlineSeconds", deadline, "must be greater than minReadySeconds"))


def _selector(selector: Json | None, kind: str, out: Causes) -> bool:
    """Whether the selector can be used to look at the template at all."""
    if selector is None:
        out.append(required("spec.selector"))
        return True
    before = len(out)
    label_selector(selector, "spec.selector", out)
    faulty = len(out) > before
    if not selector.get("matchLabels") and not selector.get("matchExpressions"):
        out.append(invalid("spec.selector", selector, f"empty selector is invalid for {kind}"))
    if faulty:
        out.append(invalid("spec.selector", shown_selector(selector), "invalid label selector"))
    return not faulty


def _template(found: Json, selector: Json | None, out: Causes, kind: str) -> None:
    path = "spec.template"
    if selector is None or selector.get("matchLabels") or selector.get("matchExpressions"):
        labels = found.get("metadata", {}).get("labels")
        if not selects(selector, labels or {}):
            out.append(invalid(f"{path}.metadata.labels", _sorted(labels), _NOT_SELECTED))
    template(found, path, out)
    always_restarted(found, out, kind)


def _sorted(labels: dict[str, str] | None) -> dict[str, str] | None:
    return None if labels is None else dict(sorted(labels.items()))


def always_restarted(found: Json, out: Causes, kind: str) -> None:
    spec = found.get("spec", {})
    if spec.get("restartPolicy", "") != "Always":
        policy = spec.get("restartPolicy", "")
        out.append(not_supported("spec.template.spec.restartPolicy", policy, ("Always",)))
    if spec.get("activeDeadlineSeconds") is not None:
        why = f"activeDeadlineSeconds in {kind} is not Supported"
        out.append(forbidden("spec.template.spec.activeDeadlineSeconds", why))


def _strategy(strategy: Json, path: str, out: Causes) -> None:
    kind, rolling = strategy.get("type", ""), strategy.get("rollingUpdate")
    if kind == "Recreate":
        if rolling is not None:
            why = "may not be specified when strategy `type` is 'Recreate'"
            out.append(forbidden(f"{path}.rollingUpdate", why))
    elif kind == "RollingUpdate":
        if rolling is None:
            why = "this should be defaulted and never be nil"
            out.append(required(f"{path}.rollingUpdate", why))
        else:
            _rolling_update(rolling, f"{path}.rollingUpdate", out)
    else:
        shown = {"Type": kind, "RollingUpdate": _rolling_shown(rolling)}
        out.append(not_supported(path, shown, ("Recreate", "RollingUpdate")))


def _rolling_shown(rolling: Json | None) -> Json | None:
    if rolling is None:
        return None
    return {"MaxUnavailable": rolling.get("maxUnavailable", 0), "MaxSurge": rolling.get("maxSurge", 0)}


def _rolling_update(rolling: Json, path: str, out: Causes) -> None:
    unavailable, surge = rolling.get("maxUnavailable", 0), rolling.get("maxSurge", 0)
    count_or_percent(unavailable, f"{path}.maxUnavailable", out)
    count_or_percent(surge, f"{path}.maxSurge", out)
    if number(unavailable) == 0 and number(surge) == 0:
        out.append(invalid(f"{path}.maxUnavailable", unavailable, "may not be 0 when `maxSurge` is 0"))
    if (percent(unavailable) or 0) > 100:
        out.append(invalid(f"{path}.maxUnavailable", unavailable, "must not be greater than 100%"))


def count_or_percent(value: int | str, path: str, out: Causes) -> None:
    if isinstance(value, int):
        if value < 0:
            out.append(invalid(path, value, NOT_NEGATIVE))
    elif not _PERCENT.fullmatch(value):
        why = (
            "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%',"
            " regex used for validation is '[0-9]+%')"
        )
        out.append(invalid(path, value, why))


def number(value: int | str) -> int:
    """A count, or the number before the percent sign; 0 for what is neither."""
    return value if isinstance(value, int) else percent(value) or 0


def percent(value: int | str) -> int | None:
    if isinstance(value, str) and _PERCENT.fullmatch(value):
        digits = value[:-1].lstrip("0")
        return int(digits or "0") if len(digits) < _DIGITS_MAX else _INT64_MAX
    return None


_MORE_THAN_REPLICAS = "cannot be greater than status.replicas"


def _status_counts(status: Json, fields: tuple[str, ...], out: Causes) -> None:
    for field in ("replicas", *fields, "observedGeneration"):
        not_negative(status, field, "status", out)


def deployment_status(new: Json, old: Json, out: Causes) -> None:
    object_meta_update(new["metadata"], old["metadata"], out)
    status = new["status"]
    fields = ("updatedReplicas", "readyReplicas", "availableReplicas", "unavailableReplicas")
    for field in ("observedGeneration", "replicas", *fields):
        not_negative(status, field, "status", out)
    collisions, before = status.get("collisionCount"), old["status"].get("collisionCount")
    if collisions is not None:
        not_negative(status, "collisionCount", "status", out)
    _compared(status, ("updatedReplicas", "readyReplicas", "availableReplicas"), out)
    if before is not None and (collisions is None or collisions < before):
        out.append(invalid("status.collisionCount", collisions, "cannot be decremented"))


def _compared(status: Json, fields: tuple[str, ...], out: Causes) -> None:
    replicas = status.get("replicas", 0)
    for field in fields:
        if status.get(field, 0) > replicas:
            out.append(invalid(f"status.{field}", status.get(field, 0), _MORE_THAN_REPLICAS))
    if status.get("availableReplicas", 0) > status.get("readyReplicas", 0):
        why = "cannot be greater than readyReplicas"
        out.append(invalid("status.availableReplicas", status.get("availableReplicas", 0), why))


def replica_set(obj: Json, out: Causes) -> None:
    object_meta(obj["metadata"], True, names.dns1123_subdomain, out)
    _replica_set_spec(obj["spec"], out)


def replica_set_update(new: Json, old: Json, out: Causes) -> None:
    if new["spec"] != old["spec"] or changed(new["metadata"], old["metadata"]):
        replica_set(new, out)
    object_meta_update(new["metadata"], old["metadata"], out)
    if new["spec"] != old["spec"]:
        _replica_set_spec(new["spec"], out)
        _same_selector(new["spec"], old["spec"], out)


def _replica_set_spec(spec: Json, out: Causes) -> None:
    not_negative(spec, "replicas", "spec", out)
    not_negative(spec, "minReadySeconds", "spec", out)
    selector = spec.get("selector")
    if _selector(selector, "replicaset", out):
        _template(spec.get("template", {}), selector, out, "ReplicaSet")


def replicas_status(new: Json, old: Json, out: Causes) -> None:
    """Of ReplicaSets and ReplicationControllers."""
    object_meta_update(new["metadata"], old["metadata"], out)
    fields = ("fullyLabeledReplicas", "readyReplicas", "availableReplicas")
    _status_counts(new["status"], fields, out)
    _compared(new["status"], fields, out)


def replication_controller(obj: Json, out: Causes) -> None:
    object_meta(obj["metadata"], True, names.dns1123_subdomain, out)
    _replication_controller_spec(obj["spec"], out)


def replication_controller_update(new: Json, old: Json, out: Causes) -> None:
    if new["spec"] != old["spec"] or changed(new["metadata"], old["metadata"]):
        replication_controller(new, out)
    object_meta_update(new["metadata"], old["metadata"], out)
    if new["spec"] != old["spec"]:
        _replication_controller_spec(new["spec"], out)


def _replication_controller_spec(spec: Json, out: Causes) -> None:
    not_negative(spec, "minReadySeconds", "spec", out)
    selector = spec.get("selector")
    if not selector:
        out.append(required("spec.selector"))
    not_negative(spec, "replicas", "spec", out)
    found = spec.get("template")
    if found is None:
        out.append(required("spec.template"))
        return
    labels = found.get("metadata", {}).get("labels")
    if selector and not selects({"matchLabels": selector}, labels or {}):
        out.append(invalid("spec.template.metadata.labels", _sorted(labels), _NOT_SELECTED))
    template(found, "spec.template", out)
    always_restarted(found, out, "ReplicationController")


def controller_revision(obj: Json, out: Causes) -> None:
    object_meta(obj["metadata"], True, names.dns1123_subdomain, out)
    if obj.get("data") is None:
        out.append(required("data", "data is mandatory"))
    elif not isinstance(obj["data"], dict):
        out.append(invalid("data", obj["data"], "data must be a valid JSON object"))
    not_negative(obj, "revision", "", out)


def controller_revision_update(new: Json, old: Json, out: Causes) -> None:
    object_meta_update(new["metadata"], old["metadata"], out)
    controller_revision(new, out)
    immutable(new.get("data"), old.get("data"), "data", out)


def scale(obj: Json, out: Causes) -> None:
    object_meta(obj["metadata"], True, names.dns1123_subdomain, out)
    not_negative(obj["spec"], "replicas", "spec", out)
