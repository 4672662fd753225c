"""PersistentVolumeClaims: how much of which class is asked for, and the little of it that may change.

Upstream: `ValidatePersistentVolumeClaim*` of `pkg/apis/core/validation`.
"""

from __future__ import annotations

import math
from typing import Any

from services.apiserver.rules.internal_form import difference
from services.apiserver.rules.validation import names, resources
from services.apiserver.rules.validation.meta import (
    immutable,
    label_selector,
    object_meta,
    object_meta_update,
)
from services.machinery import quantity
from services.machinery.field_errors import Causes, forbidden, invalid, not_supported, required

Json = dict[str, Any]

ACCESS_MODES = ("ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod")
VOLUME_MODES = ("Block", "Filesystem")
NOT_TAKEN_BACK = "update from non-nil value to nil is forbidden"
_BETA_CLASS = "volume.beta.kubernetes.io/storage-class"
_RESIZES = (
    *("ControllerResizeInProgress", "ControllerResizeInfeasible"),
    *("NodeResizeInProgress", "NodeResizeInfeasible", "NodeResizePending"),
)
_CLAIM_FROZEN = (
    "spec is immutable after creation except resources.requests and volumeAttributesClassName for"
    " bound claims"
)


def access_modes(modes: list[str], path: str, out: Causes) -> None:
    for mode in modes:
        if mode not in ACCESS_MODES:
            out.append(not_supported(path, mode, ACCESS_MODES))
    if "ReadWriteOncePod" in modes and any(mode in ACCESS_MODES[:-1] for mode in modes):
        out.append(forbidden(path, "may not use ReadWriteOncePod with other access modes"))


def volume_mode(spec: Json, path: str, out: Causes) -> None:
    mode = spec.get("volumeMode")
    if mode is not None and mode not in VOLUME_MODES:
        out.append(not_supported(f"{path}.volumeMode", mode, VOLUME_MODES))


def class_name(name: str | None, path: str, out: Causes) -> None:
    if name:
        names.check(names.dns1123_subdomain(name), path, name, out)


def claim(obj: Json, out: Causes) -> None:
    object_meta(obj["metadata"], True, names.dns1123_subdomain, out)
    claim_spec(obj["spec"], "spec", out)


def claim_spec(spec: Json, path: str, out: Causes) -> None:
    modes = spec.get("accessModes") or []
    if not modes:
        out.append(required(f"{path}.accessModes", "at least 1 access mode is required"))
    label_selector(spec.get("selector"), f"{path}.selector", out)
    access_modes(modes, f"{path}.accessModes", out)
    storage = (spec.get("resources") or {}).get("requests", {}).get("storage")
    if storage is None:
        out.append(required(f"{path}.resources[storage]"))
    elif quantity.parse(str(storage)) <= 0:
        out.append(invalid(f"{path}.resources[storage]", str(storage), "must be greater than zero"))
    class_name(spec.get("storageClassName"), f"{path}.storageClassName", out)
    volume_mode(spec, path, out)
    _data_sources(spec, path, out)
    class_name(spec.get("volumeAttributesClassName"), f"{path}.volumeAttributesClassName", out)


def _data_sources(spec: Json, path: str, out: Causes) -> None:
    source, reference = spec.get("dataSource"), spec.get("dataSourceRef")
    for field, given in (("dataSource", source), ("dataSourceRef", reference)):
        if given is not None:
            _data_source(given, f"{path}.{field}", out)
    if source is None or reference is None:
        return
    # Upstream shows a path where the value should stand.
    if reference.get("namespace"):
        out.append(invalid(path, {}, "may not be specified when dataSourceRef.namespace is specified"))
    elif any(source.get(field) != reference.get(field) for field in ("apiGroup", "kind", "name")):
        out.append(invalid(path, {}, "must match dataSourceRef"))


def _data_source(source: Json, path: str, out: Causes) -> None:
    group, kind = source.get("apiGroup") or "", source.get("kind", "")
    for field in ("name", "kind"):
        if not source.get(field):
            out.append(required(f"{path}.{field}"))
    if not group and kind != "PersistentVolumeClaim":
        why = "must be 'PersistentVolumeClaim' when referencing the default apiGroup"
        out.append(invalid(path, kind, why))
    if group:
        names.check(names.dns1123_subdomain(group), f"{path}.apiGroup", group, out)
    if namespace := source.get("namespace"):
        names.check(names.namespace_name(namespace), f"{path}.namespace", namespace, out)


def claim_update(new: Json, old: Json, out: Causes) -> None:
    object_meta_update(new["metadata"], old["metadata"], out)
    claim(new, out)
    noted, wrote = (obj["metadata"].get("annotations", {}).get(_BETA_CLASS, "") for obj in (new, old))
    if not (wrote and not noted and new["spec"].get("storageClassName") == wrote):
        immutable(noted, wrote, f"metadata.annotations.{_BETA_CLASS}", out)
    after, before = _but_for_what_may_change(new, old)
    if after != before:
        shown = difference("PersistentVolumeClaimSpec", before, after)
        out.append(forbidden("spec", f"{_CLAIM_FROZEN}\n{shown}"))
    was, now = _storage(old["spec"]), _storage(new["spec"])
    held = quantity.parse(str((old["status"].get("capacity") or {}).get("storage", "0")))
    if now < was and now <= held:
        why = "field can not be less than status.capacity"
        out.append(forbidden("spec.resources.requests.storage", why))
    immutable(new["spec"].get("volumeMode"), old["spec"].get("volumeMode"), "volumeMode", out)
    chosen, had = (obj["spec"].get("volumeAttributesClassName") for obj in (new, old))
    if had is not None and chosen is None:
        out.append(forbidden("spec.volumeAttributesClassName", NOT_TAKEN_BACK))
    elif had is not None and not chosen and had:
        why = "update from non-nil value to an empty string is forbidden"
        out.append(forbidden("spec.volumeAttributesClassName", why))


def _storage(spec: Json) -> Any:
    return quantity.parse(str((spec.get("resources") or {}).get("requests", {}).get("storage", "0")))


def _but_for_what_may_change(new: Json, old: Json) -> tuple[Json, Json]:
    """The specs as they must be equal: a claim is bound once, given a class once, and may grow when bound."""
    after, before = {**new["spec"]}, {**old["spec"]}
    if not before.get("volumeName") and after.get("volumeName"):
        before["volumeName"] = after["volumeName"]
    chosen = after.get("storageClassName")
    wrote = old["metadata"].get("annotations", {}).get(_BETA_CLASS, chosen)
    if before.get("storageClassName") is None and chosen is not None and chosen == wrote:
        before["storageClassName"] = chosen
    if new["status"].get("phase") == "Bound":
        if (after.get("resources") or {}).get("requests"):
            held = (before.get("resources") or {}).get("requests", {}).get("storage")
            requests = {**after["resources"]["requests"], "storage": held}
            after["resources"] = {**after["resources"], "requests": requests}
        if after.get("volumeAttributesClassName") is not None:
            after["volumeAttributesClassName"] = before.get("volumeAttributesClassName")
    for spec in (after, before):
        for name in [name for name, value in spec.items() if value is None]:
            del spec[name]
    return after, before


def claim_status(new: Json, old: Json, out: Causes) -> None:
    object_meta_update(new["metadata"], old["metadata"], out)
    if not new["spec"].get("accessModes"):
        out.append(required("Spec.accessModes"))
    status = new["status"]
    for name, text in (status.get("capacity") or {}).items():
        _not_below_zero(text, f"status.capacity[{name}]", out)
    path = "status.allocatedResourceStatus"
    for name, state in (status.get("allocatedResourceStatuses") or {}).items():
        _claimed_resource(name, path, out)
        if state not in _RESIZES:
            out.append(not_supported(path, name, _RESIZES))
    for name, text in (status.get("allocatedResources") or {}).items():
        before = len(out)
        _claimed_resource(name, "status.allocatedResources", out)
        if len(out) == before:
            _not_below_zero(text, f"status.allocatedResources[{name}]", out)


def _claimed_resource(name: str, path: str, out: Causes) -> None:
    if faults := names.qualified_name(name):
        names.check(faults, path, name, out)
    elif resources.is_native(name) and name != "storage":
        out.append(not_supported(path, name, ("storage",)))


def _not_below_zero(text: str, path: str, out: Causes) -> None:
    if quantity.parse(str(text)) < 0:
        out.append(invalid(path, math.ceil(quantity.parse(str(text))), "must be a valid resource quantity"))
