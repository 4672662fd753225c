"""The cells of volumes, claims, classes and of what CSI drivers keep in the API. Pure, as `rows`."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from services.machinery import quantity
from services.machinery.duration import since

Json = dict[str, Any]
Cells = list[Any]

UNSET = "<unset>"
_BETA_CLASS = "volume.beta.kubernetes.io/storage-class"
_IS_DEFAULT = (
    "storageclass.kubernetes.io/is-default-class",
    "storageclass.beta.kubernetes.io/is-default-class",
)
_SHORT_MODES = {
    "ReadWriteOnce": "RWO",
    "ReadOnlyMany": "ROX",
    "ReadWriteMany": "RWX",
    "ReadWriteOncePod": "RWOP",
}


def access_modes(modes: Iterable[str] | None) -> str:
    """`RWO,ROX`, each once and in upstream's order whatever theirs is."""
    found = set(modes or ())
    return ",".join(short for mode, short in _SHORT_MODES.items() if mode in found)


def class_of(obj: Json) -> str:
    """The StorageClass of a volume or claim; old ones name it in an annotation."""
    annotations = obj["metadata"].get("annotations") or {}
    return str(annotations.get(_BETA_CLASS) or obj.get("spec", {}).get("storageClassName") or "")


def _name(obj: Json) -> str:
    return str(obj["metadata"].get("name", ""))


def _age(obj: Json, now: datetime) -> str:
    return since(obj["metadata"].get("creationTimestamp"), now)


def _phase(obj: Json) -> str:
    return (
        "Terminating" if obj["metadata"].get("deletionTimestamp") else obj.get("status", {}).get("phase", "")
    )


def persistent_volume(obj: Json, now: datetime) -> Cells:
    spec, status = obj.get("spec", {}), obj.get("status", {})
    claim = spec.get("claimRef")
    return [
        _name(obj),
        quantity.canonical(str((spec.get("capacity") or {}).get("storage", "0"))),
        access_modes(spec.get("accessModes")),
        spec.get("persistentVolumeReclaimPolicy", ""),
        _phase(obj),
        f"{claim.get('namespace', '')}/{claim.get('name', '')}" if claim else "",
        class_of(obj),
        spec.get("volumeAttributesClassName") or UNSET,
        status.get("reason", ""),
        _age(obj, now),
        spec.get("volumeMode") or UNSET,
    ]


def claim(obj: Json, now: datetime) -> Cells:
    spec, status = obj.get("spec", {}), obj.get("status", {})
    capacity = modes = ""
    if spec.get("volumeName"):
        modes = access_modes(status.get("accessModes"))
        capacity = quantity.canonical(str((status.get("capacity") or {}).get("storage", "0")))
    return [
        _name(obj),
        _phase(obj),
        spec.get("volumeName", ""),
        capacity,
        modes,
        class_of(obj),
        spec.get("volumeAttributesClassName") or UNSET,
        _age(obj, now),
        spec.get("volumeMode") or UNSET,
    ]


def storage_class(obj: Json, now: datetime) -> Cells:
    annotations = obj["metadata"].get("annotations") or {}
    default = any(annotations.get(name) == "true" for name in _IS_DEFAULT)
    return [
        f"{_name(obj)} (default)" if default else _name(obj),
        obj.get("provisioner", ""),
        obj.get("reclaimPolicy") or "Delete",
        obj.get("volumeBindingMode") or "Immediate",
        bool(obj.get("allowVolumeExpansion")),
        _age(obj, now),
    ]


def attributes_class(obj: Json, now: datetime) -> Cells:
    return [_name(obj), obj.get("driverName", ""), _age(obj, now)]


def csi_driver(obj: Json, now: datetime) -> Cells:
    spec = obj.get("spec", {})
    audiences = [request.get("audience", "") for request in spec.get("tokenRequests") or ()]
    return [
        _name(obj),
        bool(spec.get("attachRequired", True)),
        bool(spec.get("podInfoOnMount")),
        bool(spec.get("storageCapacity")),
        ",".join(audiences) if audiences else UNSET,
        bool(spec.get("requiresRepublish")),
        ",".join(spec.get("volumeLifecycleModes") or ()) or "<none>",
        _age(obj, now),
    ]


def csi_node(obj: Json, now: datetime) -> Cells:
    return [_name(obj), len(obj.get("spec", {}).get("drivers") or ()), _age(obj, now)]


def volume_attachment(obj: Json, now: datetime) -> Cells:
    spec = obj.get("spec", {})
    return [
        _name(obj),
        spec.get("attacher", ""),
        (spec.get("source") or {}).get("persistentVolumeName", ""),
        spec.get("nodeName", ""),
        bool(obj.get("status", {}).get("attached")),
        _age(obj, now),
    ]
