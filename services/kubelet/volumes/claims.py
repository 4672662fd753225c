"""From a claim to what it stands for: the PersistentVolume that it is bound to, and its source.

Read once when a Pod's volumes are mounted. Upstream: `desired_state_of_world_populator.go`.
"""

from __future__ import annotations

from services.api import errors
from services.api.core_v1 import Node, PersistentVolume, PersistentVolumeClaim, Pod, Volume
from services.client.client import Client
from services.kubelet.references import ConfigError
from services.machinery import node_affinity


class NotProcessed(Exception):
    """The volume is not even known yet: upstream says so when its patience ends."""


def claim_name(pod: Pod, volume: Volume) -> str:
    """The claim behind a volume; a generic ephemeral one has a claim of its own."""
    if volume.persistent_volume_claim:
        return volume.persistent_volume_claim.claim_name
    return f"{pod.metadata.name}-{volume.name}" if volume.ephemeral else ""


async def volume_of(client: Client, pod: Pod, volume: Volume) -> PersistentVolume:
    """NotProcessed where claim or volume are not ready; ApiError when the server cannot be asked."""
    namespace, name = pod.metadata.namespace or "", claim_name(pod, volume)
    try:
        claim = await client.get(PersistentVolumeClaim, name, namespace)
    except errors.ApiError as error:
        if not errors.is_not_found(error):
            raise
        why = f"failed to fetch PVC from API server: {error.message}"
        raise NotProcessed(f"error processing PVC {namespace}/{name}: {why}") from error
    if volume.ephemeral and not _owns(pod, claim):
        raise NotProcessed(
            f"error processing PVC {namespace}/{name}: PVC {namespace}/{name} was not created for pod "
            f"{namespace}/{pod.metadata.name} (pod is not owner)"
        )
    if claim.metadata.deletion_timestamp and "kubernetes.io/pvc-protection" in claim.metadata.finalizers:
        raise NotProcessed(f"error processing PVC {namespace}/{name}: PVC is being deleted")
    if claim.status.phase != "Bound" or not claim.spec.volume_name:
        raise NotProcessed(f"error processing PVC {namespace}/{name}: PVC is not bound")
    try:
        found = await client.get(PersistentVolume, claim.spec.volume_name)
    except errors.ApiError as error:
        if not errors.is_not_found(error):
            raise
        why = f"failed to get PV {claim.spec.volume_name} from PV informer: {error.message}"
        raise NotProcessed(f"error processing PVC {namespace}/{name}: {why}") from error
    owner = found.spec.claim_ref
    if owner is None or owner.uid != claim.metadata.uid:
        why = f'PersistentVolume "{claim.spec.volume_name}" is not bound to the claim'
        raise NotProcessed(f"error processing PVC {namespace}/{name}: {why}")
    return found


def _owns(pod: Pod, claim: PersistentVolumeClaim) -> bool:
    return any(o.controller and o.uid == pod.metadata.uid for o in claim.metadata.owner_references)


def check_node(volume: PersistentVolume, node: Node | None) -> None:
    """ConfigError when the volume cannot be reached from this node."""
    affinity = volume.spec.node_affinity
    required = affinity.required if affinity else None
    if required is not None and node is not None and not node_affinity.matches_selector(required, node):
        raise ConfigError("no matching NodeSelectorTerms")
