"""Which volume suits a claim best. Pure. The scheduler and the volume controller must agree on it.

Upstream: `FindMatchingVolume` in component-helpers/storage/volume.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

from services.api.core_v1 import Node, ObjectReference, PersistentVolume, PersistentVolumeClaim
from services.api.storage_v1 import StorageClass
from services.machinery import labels, node_affinity, quantity

BIND_COMPLETED = "pv.kubernetes.io/bind-completed"
BOUND_BY_CONTROLLER = "pv.kubernetes.io/bound-by-controller"
PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"
SELECTED_NODE = "volume.kubernetes.io/selected-node"
PROVISIONER = "volume.kubernetes.io/storage-provisioner"
BETA_PROVISIONER = "volume.beta.kubernetes.io/storage-provisioner"
_BETA_CLASS = "volume.beta.kubernetes.io/storage-class"
WAIT = "WaitForFirstConsumer"


def class_of(obj: PersistentVolume | PersistentVolumeClaim) -> str:
    """Its StorageClass; old objects name it in an annotation."""
    return obj.metadata.annotations.get(_BETA_CLASS) or obj.spec.storage_class_name or ""


def size_of(obj: PersistentVolume | PersistentVolumeClaim) -> Fraction:
    if isinstance(obj, PersistentVolume):
        text = obj.spec.capacity.get("storage", "0")
    else:
        resources = obj.spec.resources
        text = resources.requests.get("storage", "0") if resources else "0"
    return Fraction(quantity.parse(str(text)))


def names(reference: ObjectReference | None, claim: PersistentVolumeClaim) -> bool:
    """Whether a volume's claimRef means this claim: an administrator may have left out the uid."""
    if reference is None:
        return False
    key = (reference.namespace or "", reference.name or "")
    if key != (claim.metadata.namespace or "", claim.metadata.name or ""):
        return False
    return not reference.uid or reference.uid == claim.metadata.uid


def is_bound(volume: PersistentVolume, claim: PersistentVolumeClaim) -> bool:
    """Whether the volume holds to the claim, uid and all."""
    reference = volume.spec.claim_ref
    return names(reference, claim) and bool(reference and reference.uid)


def waits_for_consumer(claim: PersistentVolumeClaim, storage_class: StorageClass | None) -> bool:
    """Whether the scheduler has to choose a node first."""
    if SELECTED_NODE in claim.metadata.annotations or storage_class is None:
        return False
    return storage_class.volume_binding_mode == WAIT


def mismatch(volume: PersistentVolume, claim: PersistentVolumeClaim) -> str:
    """Why a volume that a claim names cannot be its own; empty when it can."""
    if size_of(volume) < size_of(claim):
        return "requested PV is too small"
    if class_of(volume) != class_of(claim):
        return "storageClassName does not match"
    if (volume.spec.volume_mode or "Filesystem") != (claim.spec.volume_mode or "Filesystem"):
        return "incompatible volumeMode"
    if not set(claim.spec.access_modes) <= set(volume.spec.access_modes):
        return "incompatible accessMode"
    return ""


def reaches(volume: PersistentVolume, node: Node) -> bool:
    """Whether the volume can be mounted there."""
    affinity = volume.spec.node_affinity
    required = affinity.required if affinity else None
    return required is None or node_affinity.matches_selector(required, node)


def best(
    volumes: Iterable[PersistentVolume],
    claim: PersistentVolumeClaim,
    *,
    delayed: bool = False,
    node: Node | None = None,
) -> PersistentVolume | None:
    """The one meant for the claim, else the smallest that is large enough; `delayed`: only the former.

    With a node, only what can be mounted there.
    """
    fitting: list[PersistentVolume] = []
    for volume in volumes:
        if volume.metadata.deletion_timestamp or mismatch(volume, claim):
            continue
        if node is not None and not reaches(volume, node):
            continue
        if names(volume.spec.claim_ref, claim):
            return volume
        free = volume.spec.claim_ref is None and volume.status.phase == "Available"
        if free and not delayed and _selects(claim, volume):
            fitting.append(volume)
    return min(fitting, key=lambda volume: (size_of(volume), volume.metadata.name or ""), default=None)


def _selects(claim: PersistentVolumeClaim, volume: PersistentVolume) -> bool:
    selector = claim.spec.selector
    return selector is None or labels.from_label_selector(selector).matches(volume.metadata.labels)
