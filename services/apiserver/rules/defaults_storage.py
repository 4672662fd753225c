"""Defaults of volumes, claims and what stands behind them. In place; nothing changes the second time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from services.apiserver.rules.defaults_pods import VOLUMES

Json = dict[str, Any]


def persistent_volume(obj: Json) -> None:
    spec = obj["spec"]
    if not obj["status"].get("phase"):
        obj["status"]["phase"] = "Pending"
    if not spec.get("persistentVolumeReclaimPolicy"):
        spec["persistentVolumeReclaimPolicy"] = "Retain"
    spec.setdefault("volumeMode", "Filesystem")
    for kind, value in spec.items():
        if kind in ("hostPath", "iscsi", "rbd", "azureDisk", "scaleIO"):
            VOLUMES[kind](value)


def claim(obj: Json) -> None:
    if not obj["status"].get("phase"):
        obj["status"]["phase"] = "Pending"
    obj["spec"].setdefault("volumeMode", "Filesystem")


def storage_class(obj: Json) -> None:
    obj.setdefault("reclaimPolicy", "Delete")
    obj.setdefault("volumeBindingMode", "Immediate")


def csi_driver(obj: Json) -> None:
    spec = obj["spec"]
    spec.setdefault("attachRequired", True)
    spec.setdefault("podInfoOnMount", False)
    spec.setdefault("storageCapacity", False)
    spec.setdefault("fsGroupPolicy", "ReadWriteOnceWithFSType")
    if not spec.get("volumeLifecycleModes"):
        spec["volumeLifecycleModes"] = ["Persistent"]
    spec.setdefault("requiresRepublish", False)
    spec.setdefault("seLinuxMount", False)


DEFAULTS: dict[str, Callable[[Json], None]] = {
    "PersistentVolume": persistent_volume,
    "PersistentVolumeClaim": claim,
    "StorageClass": storage_class,
    "CSIDriver": csi_driver,
}
