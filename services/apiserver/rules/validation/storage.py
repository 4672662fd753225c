"""PersistentVolumes, claims on them, StorageClasses, and what CSI drivers keep in the API.

What of them may never change is here too: a claim's spec once it is written, a volume's source, all
of a class but its permission to grow. Upstream: `pkg/apis/core/validation`, `pkg/apis/storage/validation`.
"""

from __future__ import annotations

from typing import Any

from services.apiserver.rules.internal_form import difference
from services.apiserver.rules.validation import names, resources, scheduling
from services.apiserver.rules.validation.meta import (
    immutable,
    label_selector,
    object_meta,
    object_meta_update,
)
from services.apiserver.rules.validation.paths import no_backsteps
from services.apiserver.rules.validation.volumes import SOURCE_CHECKS
from services.machinery import quantity
from services.machinery.field_errors import Causes, forbidden, invalid, not_supported, required

Json = dict[str, Any]

ACCESS_MODES = ("ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod")
VOLUME_MODES = ("Block", "Filesystem")
RECLAIM_POLICIES = ("Delete", "Recycle", "Retain")
BINDING_MODES = ("Immediate", "WaitForFirstConsumer")
_NOT_SOURCES = frozenset(
    (
        *("capacity", "accessModes", "claimRef", "persistentVolumeReclaimPolicy", "storageClassName"),
        *("mountOptions", "volumeMode", "nodeAffinity", "volumeAttributesClassName"),
    )
)
_CLAIM_FROZEN = (
    "spec is immutable after creation except resources.requests and volumeAttributesClassName for"
    " bound claims"
)


def _access_modes(modes: list[str], path: str, why: str, out: Causes) -> None:
    if not modes:
        out.append(required(path, why))
    for mode in modes:
        if mode not in ACCESS_MODES:
            out.append(not_supported(path, mode, ACCESS_MODES))
    if "ReadWriteOncePod" in modes and len(modes) > 1:
        out.append(forbidden(path, "may not use ReadWriteOncePod with other access modes"))


def _volume_mode(spec: Json, path: str, out: Causes) -> None:
    mode = spec.get("volumeMode")
    if mode is not None and mode not in VOLUME_MODES:
        out.append(not_supported(f"{path}.volumeMode", mode, VOLUME_MODES))


def _class_name(name: str | None, path: str, out: Causes) -> None:
    if name:
        names.check(names.dns1123_subdomain(name), path, name, out)


# ---- PersistentVolumes -------------------------------------------------------------------------


def persistent_volume(obj: Json, out: Causes) -> None:
    object_meta(obj["metadata"], False, names.dns1123_subdomain, out)
    spec = obj["spec"]
    _access_modes(spec.get("accessModes") or [], "spec.accessModes", "", out)
    _capacity(spec.get("capacity") or {}, out)
    policy = spec.get("persistentVolumeReclaimPolicy")
    if policy and policy not in RECLAIM_POLICIES:
        out.append(not_supported("spec.persistentVolumeReclaimPolicy", policy, RECLAIM_POLICIES))
    _node_affinity(spec.get("nodeAffinity"), out)
    _source(spec, out)
    host_path = spec.get("hostPath")
    if host_path and host_path.get("path") == "/" and policy == "Recycle":
        why = "may not be 'recycle' for a hostPath mount of '/'"
        out.append(forbidden("spec.persistentVolumeReclaimPolicy", why))
    _class_name(spec.get("storageClassName"), "spec.storageClassName", out)
    _volume_mode(spec, "spec", out)


def _capacity(capacity: Json, out: Causes) -> None:
    if not capacity:
        out.append(required("spec.capacity"))
    elif "storage" not in capacity or len(capacity) > 1:
        # Upstream shows Go's print of the map here.
        shown = "map[" + " ".join(f"{name}:{text}" for name, text in sorted(capacity.items())) + "]"
        out.append(not_supported("spec.capacity", shown, ("storage",)))
    for name, text in capacity.items():
        resources.amount(name, text, f"spec.capacity[{name}]", out)
        if quantity.parse(str(text)) <= 0:
            out.append(invalid(f"spec.capacity[{name}]", str(text), "must be greater than zero"))


def _node_affinity(affinity: Json | None, out: Causes) -> None:
    if affinity is None:
        return
    selector = affinity.get("required")
    if selector is None:
        out.append(required("spec.nodeAffinity.required", "must specify required node constraints"))
    else:
        scheduling.node_selector(selector, "spec.nodeAffinity.required", out)


def _source(spec: Json, out: Causes) -> None:
    found = [name for name in spec if name not in _NOT_SOURCES and spec[name] is not None]
    if not found:
        out.append(required("spec", "must specify a volume type"))
        return
    for name in found[1:]:
        out.append(forbidden(f"spec.{name}", "may not specify more than 1 volume type"))
    name, source = found[0], spec[found[0]]
    if name == "local":
        if not source.get("path"):
            out.append(required("spec.local.path"))
        else:
            no_backsteps(source["path"], "spec.local.path", out)
        if spec.get("nodeAffinity") is None:
            out.append(required("metadata.annotations", "Local volume requires node affinity"))
    elif name == "csi":
        for field in ("driver", "volumeHandle"):
            if not source.get(field):
                out.append(required(f"spec.csi.{field}"))
    elif check := SOURCE_CHECKS.get(name):
        check(source, f"spec.{name}", out)


def persistent_volume_update(new: Json, old: Json, out: Causes) -> None:
    persistent_volume(new, out)
    object_meta_update(new["metadata"], old["metadata"], out)
    before, after = (
        {name: value for name, value in obj["spec"].items() if name not in _NOT_SOURCES} for obj in (old, new)
    )
    if before != after:
        shown = difference("PersistentVolumeSpec", before, after, _NOT_SOURCES)
        why = f"spec.persistentvolumesource is immutable after creation\n{shown}"
        out.append(forbidden("spec.persistentvolumesource", why))
    immutable(new["spec"].get("volumeMode"), old["spec"].get("volumeMode"), "volumeMode", out)
    held = old["spec"].get("nodeAffinity")
    if held is not None and held != new["spec"].get("nodeAffinity"):
        immutable(new["spec"].get("nodeAffinity"), held, "spec.nodeAffinity", out)


def persistent_volume_status(new: Json, old: Json, out: Causes) -> None:
    object_meta_update(new["metadata"], old["metadata"], out)


# ---- Claims ------------------------------------------------------------------------------------


def claim(obj: Json, out: Causes) -> None:
    object_meta(obj["metadata"], True, names.dns1123_subdomain, out)
    claim_spec(obj["spec"], "spec", out)


def claim_spec(spec: Json, path: str, out: Causes) -> None:
    modes = spec.get("accessModes") or []
    _access_modes(modes, f"{path}.accessModes", "at least 1 access mode is required", out)
    label_selector(spec.get("selector"), f"{path}.selector", out)
    storage = (spec.get("resources") or {}).get("requests", {}).get("storage")
    if storage is None:
        out.append(required(f"{path}.resources[storage]"))
    elif quantity.parse(str(storage)) <= 0:
        out.append(invalid(f"{path}.resources[storage]", str(storage), "must be greater than zero"))
    _class_name(spec.get("storageClassName"), f"{path}.storageClassName", out)
    _volume_mode(spec, path, out)


def claim_update(new: Json, old: Json, out: Causes) -> None:
    object_meta_update(new["metadata"], old["metadata"], out)
    claim(new, out)
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


def _storage(spec: Json) -> Any:
    return quantity.parse(str((spec.get("resources") or {}).get("requests", {}).get("storage", "0")))


def _but_for_what_may_change(new: Json, old: Json) -> tuple[Json, Json]:
    """The specs as they must be equal: a claim is bound once, given a class once, and may grow when bound."""
    after, before = {**new["spec"]}, {**old["spec"]}
    if not before.get("volumeName") and after.get("volumeName"):
        before["volumeName"] = after["volumeName"]
    if before.get("storageClassName") is None and after.get("storageClassName"):
        before["storageClassName"] = after["storageClassName"]
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


# ---- storage.k8s.io ----------------------------------------------------------------------------


def _provisioner(name: str, path: str, out: Causes) -> None:
    if not name:
        out.append(required(path))
    else:
        names.check(names.qualified_name(name.lower()), path, name, out)


def _parameters(obj: Json, out: Causes) -> None:
    if any(not key for key in obj.get("parameters") or {}):
        out.append(invalid("parameters", "", "field can not be empty."))


def storage_class(obj: Json, out: Causes) -> None:
    object_meta(obj["metadata"], False, names.dns1123_subdomain, out)
    _provisioner(obj.get("provisioner", ""), "provisioner", out)
    _parameters(obj, out)
    policy = obj.get("reclaimPolicy")
    if policy and policy not in ("Delete", "Retain"):
        out.append(not_supported("reclaimPolicy", policy, ("Delete", "Retain")))
    mode = obj.get("volumeBindingMode")
    if mode is None:
        out.append(required("volumeBindingMode"))
    elif mode not in BINDING_MODES:
        out.append(not_supported("volumeBindingMode", mode, BINDING_MODES))


def storage_class_update(new: Json, old: Json, out: Causes) -> None:
    object_meta_update(new["metadata"], old["metadata"], out)
    for field, why in (
        ("parameters", "updates to parameters are forbidden."),
        ("provisioner", "updates to provisioner are forbidden."),
        ("reclaimPolicy", "updates to reclaimPolicy are forbidden."),
    ):
        if (new.get(field) or None) != (old.get(field) or None):
            out.append(forbidden(field, why))
    immutable(new.get("volumeBindingMode"), old.get("volumeBindingMode"), "volumeBindingMode", out)


def attributes_class(obj: Json, out: Causes) -> None:
    object_meta(obj["metadata"], False, names.dns1123_subdomain, out)
    _provisioner(obj.get("driverName", ""), "driverName", out)
    if not obj.get("parameters"):
        out.append(required("parameters", "must contain at least one key/value pair"))
    _parameters(obj, out)


def attributes_class_update(new: Json, old: Json, out: Causes) -> None:
    object_meta_update(new["metadata"], old["metadata"], out)
    for field in ("driverName", "parameters"):
        if (new.get(field) or None) != (old.get(field) or None):
            out.append(forbidden(field, f"updates to {field} are forbidden."))


def csi_driver(obj: Json, out: Causes) -> None:
    object_meta(obj["metadata"], False, names.dns1123_subdomain, out)


def csi_driver_update(new: Json, old: Json, out: Causes) -> None:
    object_meta_update(new["metadata"], old["metadata"], out)
    for field in ("attachRequired", "volumeLifecycleModes"):
        immutable(new["spec"].get(field), old["spec"].get(field), f"spec.{field}", out)


def csi_node(obj: Json, out: Causes) -> None:
    object_meta(obj["metadata"], False, names.dns1123_subdomain, out)
    for index, driver in enumerate(obj["spec"].get("drivers") or ()):
        for field in ("name", "nodeID"):
            if not driver.get(field):
                out.append(required(f"spec.drivers[{index}].{field}"))


def csi_node_update(new: Json, old: Json, out: Causes) -> None:
    object_meta_update(new["metadata"], old["metadata"], out)
    csi_node(new, out)


def storage_capacity(obj: Json, out: Causes) -> None:
    object_meta(obj["metadata"], True, names.dns1123_subdomain, out)
    if not obj.get("storageClassName"):
        out.append(required("storageClassName"))
    _class_name(obj.get("storageClassName"), "storageClassName", out)


def storage_capacity_update(new: Json, old: Json, out: Causes) -> None:
    object_meta_update(new["metadata"], old["metadata"], out)
    for field in ("nodeTopology", "storageClassName"):
        immutable(new.get(field), old.get(field), field, out)


def volume_attachment(obj: Json, out: Causes) -> None:
    object_meta(obj["metadata"], False, names.dns1123_subdomain, out)
    spec = obj["spec"]
    for field in ("attacher", "nodeName"):
        if not spec.get(field):
            out.append(required(f"spec.{field}"))
    source = spec.get("source") or {}
    if not source.get("persistentVolumeName") and source.get("inlineVolumeSpec") is None:
        out.append(
            required("spec.source", "must specify exactly one of inlineVolumeSpec and persistentVolumeName")
        )


def volume_attachment_update(new: Json, old: Json, out: Causes) -> None:
    object_meta_update(new["metadata"], old["metadata"], out)
    immutable(new["spec"], old["spec"], "spec", out)
