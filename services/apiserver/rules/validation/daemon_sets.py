"""DaemonSets: one Pod a node, and how they are replaced by newer ones."""

from __future__ import annotations

from typing import Any

from services.apiserver.rules.validation import names
from services.apiserver.rules.validation.meta import (
    immutable,
    label_selector,
    not_negative,
    object_meta,
    object_meta_update,
    selects,
    shown_selector,
)
from services.apiserver.rules.validation.pod_spec import template
from services.apiserver.rules.validation.workloads import always_restarted, count_or_percent, number, percent
from services.machinery.field_errors import Causes, invalid, not_supported, required

Json = dict[str, Any]

_COUNTS = (
    "currentNumberScheduled", "numberMisscheduled", "desiredNumberScheduled", "numberReady",
    "observedGeneration", "updatedNumberScheduled", "numberAvailable", "numberUnavailable", "collisionCount",
)  # fmt: skip


def daemon_set(obj: Json, out: Causes) -> None:
    object_meta(obj["metadata"], True, names.dns1123_subdomain, out)
    _spec(obj["spec"], out)


def daemon_set_update(new: Json, old: Json, out: Causes) -> None:
    """Its strategy validates it whole, and then what may change, and then its spec again."""
    daemon_set(new, out)
    object_meta_update(new["metadata"], old["metadata"], out)
    _spec(new["spec"], out)
    selector, before = (shown_selector(obj["spec"].get("selector")) for obj in (new, old))
    immutable(selector, before, "spec.selector", out)


def _spec(spec: Json, out: Causes) -> None:
    selector, found = spec.get("selector"), spec["template"]
    faults: Causes = []
    label_selector(selector, "spec.selector", faults)
    out.extend(faults)
    labels = found.get("metadata", {}).get("labels")
    if not faults and not selects(selector, labels or {}):
        shown = None if labels is None else dict(sorted(labels.items()))
        why = "`selector` does not match template `labels`"
        out.append(invalid("spec.template.metadata.labels", shown, why))
    if selector is not None and not (selector.get("matchLabels") or selector.get("matchExpressions")):
        out.append(invalid("spec.selector", selector, "empty selector is invalid for daemonset"))
    template(found, "spec.template", out)
    _only_read(found.get("spec", {}).get("volumes") or [], out)
    always_restarted(found, out, "DaemonSet")
    not_negative(spec, "minReadySeconds", "spec", out)
    _strategy(spec["updateStrategy"], "spec.updateStrategy", out)
    not_negative(spec, "revisionHistoryLimit", "spec", out)


def _only_read(volumes: list[Json], out: Causes) -> None:
    """Disks that one machine writes to cannot be mounted on all."""
    for index, volume in enumerate(volumes):
        disk = volume.get("gcePersistentDisk")
        if disk is not None and not disk.get("readOnly"):
            why = (
                "must be true for replicated pods > 1; GCE PD can only be mounted on multiple machines if it"
                " is read-only"
            )
            path = f"spec.template.spec.volumes[{index}].gcePersistentDisk.readOnly"
            out.append(invalid(path, False, why))


def _strategy(strategy: Json, path: str, out: Causes) -> None:
    kind, rolling = strategy.get("type", ""), strategy.get("rollingUpdate")
    if kind == "RollingUpdate":
        if rolling is None:
            out.append(required(f"{path}.rollingUpdate"))
        else:
            _rolling_update(rolling, f"{path}.rollingUpdate", out)
    elif kind != "OnDelete":
        shown = {"Type": kind, "RollingUpdate": _shown(rolling)}
        out.append(not_supported(path, shown, ("RollingUpdate", "OnDelete")))


def _shown(rolling: Json | None) -> Json | None:
    if rolling is None:
        return None
    return {"MaxUnavailable": rolling.get("maxUnavailable", 0), "MaxSurge": rolling.get("maxSurge", 0)}


def _rolling_update(rolling: Json, path: str, out: Causes) -> None:
    values = {field: rolling.get(field, 0) for field in ("maxUnavailable", "maxSurge")}
    for field, value in values.items():
        count_or_percent(value, f"{path}.{field}", out)
    for field, value in values.items():
        if (percent(value) or 0) > 100:
            out.append(invalid(f"{path}.{field}", value, "must not be greater than 100%"))
    unavailable, surge = (number(value) for value in values.values())
    if unavailable and surge:
        why = "may not be set when maxUnavailable is non-zero"
        out.append(invalid(f"{path}.maxSurge", values["maxSurge"], why))
    if not unavailable and not surge:
        out.append(required(f"{path}.maxUnavailable", "cannot be 0 when maxSurge is 0"))


def daemon_set_status(new: Json, old: Json, out: Causes) -> None:
    object_meta_update(new["metadata"], old["metadata"], out)
    for field in _COUNTS:
        not_negative(new["status"], field, "status", out)
    collisions_only_grow(new["status"], old["status"], out)


def collisions_only_grow(status: Json, before: Json, out: Causes) -> None:
    held, now = before.get("collisionCount"), status.get("collisionCount")
    if held is not None and (now is None or now < held):
        out.append(invalid("status.collisionCount", now or 0, "cannot be decremented"))
