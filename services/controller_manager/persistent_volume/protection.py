"""Protection: a claim goes only when no Pod uses it any more, a volume only when it is not bound.

Admission adds the finalizers; these take them away. Upstream: pvcprotection and pvprotection in
pkg/controller/volume.
"""

from __future__ import annotations

from collections.abc import Iterable

from services.api.core_v1 import PersistentVolume, PersistentVolumeClaim, Pod
from services.api.object import ObjectKey
from services.client.controller import Controller, For, Stores, Watches

CLAIM_FINALIZER = "kubernetes.io/pvc-protection"
VOLUME_FINALIZER = "kubernetes.io/pv-protection"


def claims_of(pod: Pod, stores: Stores | None = None) -> Iterable[ObjectKey]:
    """The claims that a Pod's volumes name, its own ephemeral ones included."""
    namespace = pod.metadata.namespace or ""
    for volume in pod.spec.volumes:
        if volume.persistent_volume_claim:
            yield ObjectKey(namespace, volume.persistent_volume_claim.claim_name)
        elif volume.ephemeral:
            yield ObjectKey(namespace, f"{pod.metadata.name}-{volume.name}")


class ClaimProtection(Controller[PersistentVolumeClaim]):
    name = "persistentvolumeclaim-protection"
    watches = (For(PersistentVolumeClaim), Watches(Pod, map=claims_of))

    async def reconcile(self, claim: PersistentVolumeClaim) -> None:
        finalizers = claim.metadata.finalizers
        if not claim.metadata.deletion_timestamp or CLAIM_FINALIZER not in finalizers:
            return
        pods = (pod for pod in self.store(Pod).list() if pod.metadata.namespace == claim.metadata.namespace)
        # One without a node cannot start any more: its kubelet would refuse a claim that is going.
        if any(pod.spec.node_name and claim.key in claims_of(pod) for pod in pods):
            return
        rest = [name for name in finalizers if name != CLAIM_FINALIZER]
        change = {"metadata": {"finalizers": rest, "resourceVersion": claim.metadata.resource_version}}
        await self.client.patch(PersistentVolumeClaim, claim.key.name, claim.key.namespace, change)


class VolumeProtection(Controller[PersistentVolume]):
    name = "persistentvolume-protection"
    watches = (For(PersistentVolume),)

    async def reconcile(self, volume: PersistentVolume) -> None:
        finalizers = volume.metadata.finalizers
        if not volume.metadata.deletion_timestamp or VOLUME_FINALIZER not in finalizers:
            return
        if volume.status.phase == "Bound":
            return
        rest = [name for name in finalizers if name != VOLUME_FINALIZER]
        change = {"metadata": {"finalizers": rest, "resourceVersion": volume.metadata.resource_version}}
        await self.client.patch(PersistentVolume, volume.key.name, "", change)
