"""Admission for storage: who protects what is in use, and which class a claim gets that names none.

Upstream's plugins StorageObjectInUseProtection, DefaultStorageClass and PersistentVolumeClaimResize.
"""

from __future__ import annotations

from typing import Any

from services.api import errors, kinds
from services.apiserver.rules.context import Context
from services.machinery import quantity

Json = dict[str, Any]

_CLASSES = kinds.resource_of_kind("storage.k8s.io/v1", "StorageClass")
_IS_DEFAULT = (
    "storageclass.kubernetes.io/is-default-class",
    "storageclass.beta.kubernetes.io/is-default-class",
)
_BETA_CLASS = "volume.beta.kubernetes.io/storage-class"
_PROTECTION = {
    "PersistentVolume": "kubernetes.io/pv-protection",
    "PersistentVolumeClaim": "kubernetes.io/pvc-protection",
}
_NOT_RESIZABLE = (
    "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must"
    " support resize"
)


def protect(resource: kinds.Resource, obj: Json) -> None:
    """A volume or claim in use is deleted only once nobody uses it."""
    finalizer = _PROTECTION.get(resource.kind)
    finalizers = obj["metadata"].get("finalizers", [])
    if finalizer and finalizer not in finalizers:
        obj["metadata"]["finalizers"] = [*finalizers, finalizer]


def is_default(storage_class: Json) -> bool:
    annotations = storage_class["metadata"].get("annotations", {})
    return any(annotations.get(name) == "true" for name in _IS_DEFAULT)


def default_class(obj: Json, ctx: Context) -> None:
    """A claim that says nothing of a class gets the default one; of several, the youngest."""
    if obj["spec"].get("storageClassName") is not None:
        return
    if _BETA_CLASS in obj["metadata"].get("annotations", {}) or _CLASSES is None:
        return
    found = [each["metadata"] for each in ctx.every(_CLASSES) if is_default(each)]
    if found:
        found.sort(key=lambda meta: meta["name"])
        youngest = max(meta.get("creationTimestamp", "") for meta in found)
        chosen = next(meta for meta in found if meta.get("creationTimestamp", "") == youngest)
        obj["spec"]["storageClassName"] = chosen["name"]


def check_resize(resource: kinds.Resource, new: Json, old: Json, ctx: Context) -> None:
    """ApiError 403 where a bound claim would grow that its class does not let grow."""
    now, was = _size(new), _size(old)
    if now <= was or old["status"].get("phase") != "Bound":
        return
    name = new["spec"].get("storageClassName") or ""
    found = ctx.lookup(_CLASSES, "", name) if name and _CLASSES is not None else None
    if found is None or not found.get("allowVolumeExpansion"):
        raise errors.forbidden(resource, new["metadata"]["name"], _NOT_RESIZABLE)


def _size(claim: Json) -> Any:
    requests = (claim["spec"].get("resources") or {}).get("requests", {})
    return quantity.parse(str(requests.get("storage", "0")))
