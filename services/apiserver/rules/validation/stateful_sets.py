"""StatefulSets: Pods with an order, a name and storage each."""

from __future__ import annotations

from typing import Any

from services.apiserver.rules.validation import names
from services.apiserver.rules.validation.daemon_sets import collisions_only_grow
from services.apiserver.rules.validation.meta import (
    check_annotations,
    label_selector,
    labels,
    not_negative,
    object_meta,
    object_meta_update,
    selects,
)
from services.apiserver.rules.validation.pod_spec import pod_annotations, pod_spec
from services.apiserver.rules.validation.workloads import always_restarted, count_or_percent, number, percent
from services.machinery.field_errors import Causes, forbidden, invalid, not_supported, required
from services.machinery.schema import definition, in_order

Json = dict[str, Any]

_COUNTS = (
    "replicas", "readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas",
    "observedGeneration", "collisionCount",
)  # fmt: skip
_MUTABLE = (
    "replicas", "ordinals", "template", "updateStrategy", "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy", "minReadySeconds",
)  # fmt: skip
_FROZEN = (
    "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy',"
    " 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden"
)
_RETENTIONS = ("Retain", "Delete")


def stateful_set(obj: Json, out: Causes) -> None:
    object_meta(obj["metadata"], True, names.dns1123_label, out)
    _spec(obj["spec"], out, is_new=True)


def stateful_set_update(new: Json, old: Json, out: Causes) -> None:
    object_meta_update(new["metadata"], old["metadata"], out)
    spec, before = new["spec"], old["spec"]
    if spec == before:
        return
    _spec(spec, out, is_new=False, with_pod=_is_valid(before))
    fixed = ({key: value for key, value in each.items() if key not in _MUTABLE} for each in (spec, before))
    if next(fixed) != next(fixed):
        out.append(forbidden("spec", _FROZEN))


def _is_valid(spec: Json) -> bool:
    """Templates were not always looked at: those stored long ago must not stop other changes."""
    faults: Causes = []
    _spec(spec, faults, is_new=False)
    return not faults


def _spec(spec: Json, out: Causes, *, is_new: bool, with_pod: bool = True) -> None:
    policy = spec.get("podManagementPolicy", "")
    if not policy:
        out.append(required("spec.podManagementPolicy"))
    elif policy not in ("OrderedReady", "Parallel"):
        out.append(invalid("spec.podManagementPolicy", policy, "must be 'OrderedReady' or 'Parallel'"))
    _strategy(spec["updateStrategy"], "spec.updateStrategy", out)
    retention: Json | None = spec.get("persistentVolumeClaimRetentionPolicy")
    if retention is not None:
        for when in ("whenDeleted", "whenScaled"):
            if retention.get(when, "") not in _RETENTIONS:
                path = f"spec.persistentVolumeClaimRetentionPolicy.{when}"
                out.append(not_supported(path, retention.get(when, ""), _RETENTIONS))
    not_negative(spec, "replicas", "spec", out)
    not_negative(spec, "minReadySeconds", "spec", out)
    not_negative(spec.get("ordinals") or {}, "start", "spec.ordinals", out)
    service = spec.get("serviceName", "")
    if is_new and service:
        names.check(names.dns1123_label(service), "spec.serviceName", service, out)
    _selected(spec, with_pod, out)
    always_restarted(spec["template"], out, "StatefulSet")


def _strategy(strategy: Json, path: str, out: Causes) -> None:
    kind, rolling = strategy.get("type", ""), strategy.get("rollingUpdate")
    if not kind:
        out.append(required(path))
    elif kind == "OnDelete":
        if rolling is not None:
            why = "only allowed for updateStrategy 'RollingUpdate'"
            out.append(invalid(f"{path}.rollingUpdate", _shown(rolling), why))
    elif kind == "RollingUpdate":
        if rolling is not None:
            _rolling_update(rolling, f"{path}.rollingUpdate", out)
    else:
        shown = {"Type": kind, "RollingUpdate": None if rolling is None else _shown(rolling)}
        out.append(invalid(path, shown, "must be 'RollingUpdate' or 'OnDelete'"))


def _shown(rolling: Json) -> Json:
    return {"Partition": rolling.get("partition", 0), "MaxUnavailable": rolling.get("maxUnavailable")}


def _rolling_update(rolling: Json, path: str, out: Causes) -> None:
    not_negative(rolling, "partition", path, out)
    unavailable = rolling.get("maxUnavailable")
    if unavailable is None:
        return
    here = f"{path}.maxUnavailable"
    count_or_percent(unavailable, here, out)
    if number(unavailable) == 0:
        out.append(invalid(here, unavailable, "cannot be 0"))
    if (percent(unavailable) or 0) > 100:
        out.append(invalid(here, unavailable, "must not be greater than 100%"))


def _selected(spec: Json, with_pod: bool, out: Causes) -> None:
    selector = spec.get("selector")
    faults: Causes = []
    if selector is None:
        out.append(required("spec.selector"))
    else:
        label_selector(selector, "spec.selector", faults)
        out.extend(faults)
        if not selector.get("matchLabels") and not selector.get("matchExpressions"):
            out.append(invalid("spec.selector", selector, "empty selector is invalid for statefulset"))
    if faults:
        shown = in_order(selector, definition("meta.v1.LabelSelector"))
        out.append(invalid("spec.selector", shown, ""))
    else:
        _template(spec, selector, with_pod, out)


def _template(spec: Json, selector: Json | None, with_pod: bool, out: Causes) -> None:
    path, found = "spec.template", spec["template"]
    meta, pod = found.get("metadata", {}), found.get("spec", {})
    if selector is None or selector.get("matchLabels") or selector.get("matchExpressions"):
        held = meta.get("labels")
        if not selects(selector, held or {}):
            shown = None if held is None else dict(sorted(held.items()))
            why = "`selector` does not match template `labels`"
            out.append(invalid(f"{path}.metadata.labels", shown, why))
    labels(meta.get("labels", {}), f"{path}.labels", out)
    check_annotations(meta.get("annotations", {}), f"{path}.annotations", out)
    pod_annotations(meta.get("annotations", {}), pod, f"{path}.annotations", out)
    if with_pod:
        _pod(pod, spec.get("volumeClaimTemplates") or [], path, out)


def _pod(pod: Json, claims: list[Json], path: str, out: Causes) -> None:
    """The Pod as it will be: a claim template is a volume of the same name."""
    claimed = {each.get("metadata", {}).get("name", "") for each in claims}
    kept = [volume for volume in pod.get("volumes") or [] if volume.get("name") not in claimed]
    added = [{"name": name, "persistentVolumeClaim": {"claimName": name}} for name in sorted(claimed) if name]
    pod_spec({**pod, "volumes": [*kept, *added]} if added else pod, f"{path}.spec", out)
    if pod.get("ephemeralContainers"):
        why = "ephemeral containers not allowed in pod template"
        out.append(forbidden(f"{path}.spec.ephemeralContainers", why))


def stateful_set_status(new: Json, old: Json, out: Causes) -> None:
    status = new["status"]
    for field in _COUNTS:
        not_negative(status, field, "status", out)
    replicas, ready = status.get("replicas", 0), status.get("readyReplicas", 0)
    for field in _COUNTS[1:5]:
        if (count := status.get(field, 0)) > replicas:
            out.append(invalid(f"status.{field}", count, "cannot be greater than status.replicas"))
    if (available := status.get("availableReplicas", 0)) > ready:
        why = "cannot be greater than status.readyReplicas"
        out.append(invalid("status.availableReplicas", available, why))
    object_meta_update(new["metadata"], old["metadata"], out)
    collisions_only_grow(status, old["status"], out)
