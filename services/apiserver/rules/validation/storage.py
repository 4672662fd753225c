"""PersistentVolumes and the classes of volumes.

What of them may never change is here too: a volume's source, all
of a class but its permission to grow. Upstream: `pkg/apis/core/validation`, `pkg/apis/storage/validation`.
"""

from __future__ import annotations

import posixpath
from typing import Any

from services.apiserver.rules.internal_form import difference
from services.apiserver.rules.validation import names, resources, scheduling
from services.apiserver.rules.validation.claims import NOT_TAKEN_BACK, access_modes, class_name, volume_mode
from services.apiserver.rules.validation.meta import (
    immutable,
    object_meta,
    object_meta_update,
)
from services.apiserver.rules.validation.paths import no_backsteps
from services.apiserver.rules.validation.volumes import SOURCE_CHECKS, csi_driver_name
from services.machinery import quantity
from services.machinery.field_errors import (
    Causes,
    duplicate,
    forbidden,
    invalid,
    not_supported,
    required,
    too_long,
)

Json = dict[str, Any]

RECLAIM_POLICIES = ("Delete", "Recycle", "Retain")
PARAMETERS_MAX, PARAMETERS_BYTES_MAX = 512, 256 * 1024
BINDING_MODES = ("Immediate", "WaitForFirstConsumer")
_NOT_SOURCES = frozenset(
    (
        *("capacity", "accessModes", "claimRef", "persistentVolumeReclaimPolicy", "storageClassName"),
        *("mountOptions", "volumeMode", "nodeAffinity", "volumeAttributesClassName"),
    )
)
_SECRETS = (
    "controllerPublishSecretRef",
    "controllerExpandSecretRef",
    "nodePublishSecretRef",
    "nodeExpandSecretRef",
)
_GROWS = "controllerExpandSecretRef"


# ---- PersistentVolumes -------------------------------------------------------------------------


def persistent_volume(obj: Json, out: Causes) -> None:
    object_meta(obj["metadata"], False, names.dns1123_subdomain, out)
    spec = obj["spec"]
    if not spec.get("accessModes"):
        out.append(required("spec.accessModes"))
    access_modes(spec.get("accessModes") or [], "spec.accessModes", out)
    _capacity(spec.get("capacity") or {}, out)
    policy = spec.get("persistentVolumeReclaimPolicy")
    if policy and policy not in RECLAIM_POLICIES:
        out.append(not_supported("spec.persistentVolumeReclaimPolicy", policy, RECLAIM_POLICIES))
    _node_affinity(spec.get("nodeAffinity"), out)
    _source(spec, out)
    host_path = spec.get("hostPath")
    if host_path and posixpath.normpath(host_path.get("path", "")).strip("/") == "" and policy == "Recycle":
        why = "may not be 'recycle' for a hostPath mount of '/'"
        out.append(forbidden("spec.persistentVolumeReclaimPolicy", why))
    class_name(spec.get("storageClassName"), "spec.storageClassName", out)
    volume_mode(spec, "spec", out)
    chosen = spec.get("volumeAttributesClassName")
    if chosen == "":
        out.append(required("spec.volumeAttributesClassName", "an empty string is disallowed"))
    class_name(chosen, "spec.volumeAttributesClassName", out)
    if chosen is not None and spec.get("csi") is None:
        out.append(required("spec.csi", "has to be specified when using volumeAttributesClassName"))


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
        if (spec.get("nodeAffinity") or {}).get("required") is None:
            out.append(required("spec.nodeAffinity", "Local volume requires node affinity"))
    elif name == "csi":
        _csi(source, out)
    elif check := SOURCE_CHECKS.get(name):
        check(source, f"spec.{name}", out)


def _csi(source: Json, out: Causes) -> None:
    csi_driver_name(source.get("driver", ""), "spec.csi.driver", out)
    if not source.get("volumeHandle"):
        out.append(required("spec.csi.volumeHandle"))
    for field in _SECRETS:
        reference = source.get(field)
        if reference is None:
            continue
        for part in ("name", "namespace"):
            if not reference.get(part):
                out.append(required(f"spec.csi.{field}.{part}"))


def persistent_volume_update(new: Json, old: Json, out: Causes) -> None:
    persistent_volume(new, out)
    object_meta_update(new["metadata"], old["metadata"], out)
    before, after = _volume_source(old["spec"]), _volume_source(new["spec"])
    was, now = before.get("csi") or {}, after.get("csi") or {}
    if was and now and _GROWS not in was:
        # The secret for growing may be given later.
        after["csi"] = {name: value for name, value in now.items() if name != _GROWS}
    if before != after:
        shown = difference("PersistentVolumeSpec", before, after, _NOT_SOURCES)
        why = f"spec.persistentvolumesource is immutable after creation\n{shown}"
        out.append(forbidden("spec.persistentvolumesource", why))
    immutable(new["spec"].get("volumeMode"), old["spec"].get("volumeMode"), "volumeMode", out)
    held = old["spec"].get("nodeAffinity")
    if held is not None:
        immutable(new["spec"].get("nodeAffinity"), held, "nodeAffinity", out)
    chosen, had = (obj["spec"].get("volumeAttributesClassName") for obj in (new, old))
    if had is not None and chosen is None:
        out.append(forbidden("spec.volumeAttributesClassName", NOT_TAKEN_BACK))


def _volume_source(spec: Json) -> Json:
    return {name: value for name, value in spec.items() if name not in _NOT_SOURCES}


def persistent_volume_status(new: Json, old: Json, out: Causes) -> None:
    object_meta_update(new["metadata"], old["metadata"], out)


# ---- Classes -----------------------------------------------------------------------------------


def _provisioner(name: str, path: str, out: Causes) -> None:
    if not name:
        out.append(required(path))
    else:
        lower = name.lower()  # Capitals are forgiven, and not shown.
        names.check(names.qualified_name(lower), path, lower, out)


def _parameters(obj: Json, out: Causes) -> None:
    given = obj.get("parameters") or {}
    if len(given) > PARAMETERS_MAX:
        out.append(too_long("parameters", PARAMETERS_MAX))
        return
    if "" in given:
        out.append(invalid("parameters", "", "field can not be empty."))
    if sum(len(key.encode()) + len(value.encode()) for key, value in given.items()) > PARAMETERS_BYTES_MAX:
        out.append(too_long("parameters", PARAMETERS_BYTES_MAX))


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
    _topologies(obj.get("allowedTopologies") or [], out)


def _topologies(terms: list[Json], out: Causes) -> None:
    """Where volumes of a class may be: values of labels, each term another choice."""
    seen: set[frozenset[tuple[str, frozenset[str]]]] = set()
    for index, term in enumerate(terms):
        path, keys = f"allowedTopologies[{index}].matchLabelExpressions", dict[str, frozenset[str]]()
        for at, expression in enumerate(term.get("matchLabelExpressions") or ()):
            here, key, values = f"{path}[{at}]", expression.get("key", ""), expression.get("values") or []
            if not values:
                out.append(required(f"{here}.values"))
            for number, value in enumerate(values):
                if value in values[:number]:
                    out.append(duplicate(f"{here}.values[{number}]", value))
            names.check(names.qualified_name(key), f"{here}.key", key, out)
            if key in keys:
                out.append(duplicate(f"{here}.key", key))
            keys[key] = frozenset(values)
        choice = frozenset(keys.items())
        if choice in seen:
            out.append(duplicate(path, ""))
        seen.add(choice)


def storage_class_update(new: Json, old: Json, out: Causes) -> None:
    storage_class(new, out)
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
    _parameters(obj, out)
    if not obj.get("parameters"):
        out.append(required("parameters", "must contain at least one key/value pair"))


def attributes_class_update(new: Json, old: Json, out: Causes) -> None:
    object_meta_update(new["metadata"], old["metadata"], out)
    for field in ("driverName", "parameters"):
        if (new.get(field) or None) != (old.get(field) or None):
            out.append(forbidden(field, f"updates to {field} are forbidden."))
    attributes_class(new, out)
