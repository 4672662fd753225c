"""The cluster's own provisioner: a folder of a node for each claim on class `standard`.

What minikube's storage-provisioner is: the class is the default one and exists from the cluster's
first moment (who deletes it gets rid of it until the next start). A volume belongs to the node that
the scheduler picked for its first Pod; with a class of binding mode Immediate, to whichever node a
Pod runs on. The kubelet makes the folder. Deleting the volume leaves the folder on its node: each
volume has a path of its own, so that nobody finds another's data.
"""

from __future__ import annotations

import asyncio

from services.api.core_v1 import (
    HostPathVolumeSource,
    NodeSelector,
    NodeSelectorRequirement,
    NodeSelectorTerm,
    ObjectReference,
    PersistentVolume,
    PersistentVolumeClaim,
    PersistentVolumeSpec,
    VolumeNodeAffinity,
)
from services.api.errors import ApiError, is_already_exists, is_not_found
from services.api.meta_v1 import ObjectMeta
from services.api.object import ObjectKey
from services.api.storage_v1 import StorageClass
from services.client.controller import Controller, ControllerContext, For
from services.machinery import volume_matching as matching
from services.machinery.volume_matching import PROVISIONED_BY, PROVISIONER, SELECTED_NODE

IDENTITY = "k8s.io/minikube-hostpath"
FOLDER = "/tmp/hostpath-provisioner"
CLASS = "standard"
HOSTNAME = "kubernetes.io/hostname"


def default_class() -> StorageClass:
    return StorageClass(
        metadata=ObjectMeta(name=CLASS, annotations={"storageclass.kubernetes.io/is-default-class": "true"}),
        provisioner=IDENTITY,
        reclaim_policy="Delete",
        volume_binding_mode=matching.WAIT,
        allow_volume_expansion=False,
    )


def volume_for(claim: PersistentVolumeClaim, storage_class: StorageClass) -> PersistentVolume:
    """The volume that a claim gets. Pure."""
    name = f"pvc-{claim.metadata.uid}"
    reference = ObjectReference(
        api_version="v1",
        kind="PersistentVolumeClaim",
        namespace=claim.metadata.namespace,
        name=claim.metadata.name,
        uid=claim.metadata.uid,
        resource_version=claim.metadata.resource_version,
    )
    requests = claim.spec.resources.requests if claim.spec.resources else {}
    node = claim.metadata.annotations.get(SELECTED_NODE)
    spec = PersistentVolumeSpec(
        access_modes=claim.spec.access_modes,
        capacity={"storage": requests.get("storage", "0")},
        claim_ref=reference,
        host_path=HostPathVolumeSource(path=f"{FOLDER}/{name}", type=""),
        mount_options=storage_class.mount_options,
        node_affinity=_on(node) if node else None,
        persistent_volume_reclaim_policy=storage_class.reclaim_policy or "Delete",
        storage_class_name=matching.class_of(claim),
        volume_mode=claim.spec.volume_mode,
    )
    return PersistentVolume(metadata=ObjectMeta(name=name, annotations={PROVISIONED_BY: IDENTITY}), spec=spec)


def _on(node: str) -> VolumeNodeAffinity:
    requirement = NodeSelectorRequirement(key=HOSTNAME, operator="In", values=[node])
    term = NodeSelectorTerm(match_expressions=[requirement])
    return VolumeNodeAffinity(required=NodeSelector(node_selector_terms=[term]))


class HostPathProvisioner(Controller[PersistentVolumeClaim]):
    name = "hostpath-provisioner"
    event_source = f"{IDENTITY}_minikube"
    watches = (For(PersistentVolumeClaim),)

    async def start(self) -> None:
        """The default class, once in each life of this process."""
        try:
            await self.client.create(default_class())
        except ApiError as error:
            if not is_already_exists(error):
                self.log.warning("Could not make the default StorageClass", reason=error.message)

    async def reconcile(self, claim: PersistentVolumeClaim) -> None:
        if claim.metadata.annotations.get(PROVISIONER) != IDENTITY or claim.spec.volume_name:
            return
        if claim.metadata.deletion_timestamp:
            return
        found = self.context.informers.store(StorageClass).get(ObjectKey("", matching.class_of(claim)))
        if found is None:
            return
        where = f"{claim.key.namespace}/{claim.key.name}"
        if claim.spec.volume_mode == "Block":
            why = f'failed to provision volume with StorageClass "{found.key.name}": no Block volumes here'
            self.recorder.event(claim, "Warning", "ProvisioningFailed", why)
            return
        volume = volume_for(claim, found)
        message = f'External provisioner is provisioning volume for claim "{where}"'
        self.recorder.event(claim, "Normal", "Provisioning", message)
        try:
            await self.client.create(volume)
        except ApiError as error:
            if not is_already_exists(error):
                raise
            return
        message = f"Successfully provisioned volume {volume.metadata.name}"
        self.recorder.event(claim, "Normal", "ProvisioningSucceeded", message)
        self.log.info(
            "Provisioned a volume", kind="PersistentVolumeClaim", namespace=claim.key.namespace,
            name=claim.key.name, volume=volume.metadata.name,
        )  # fmt: skip


class HostPathDeleter(Controller[PersistentVolume]):
    """Deletes what the provisioner made, once its claim is gone."""

    name = "hostpath-deleter"
    event_source = f"{IDENTITY}_minikube"
    watches = (For(PersistentVolume),)

    async def reconcile(self, volume: PersistentVolume) -> None:
        if volume.metadata.annotations.get(PROVISIONED_BY) != IDENTITY or volume.status.phase != "Released":
            return
        if volume.spec.persistent_volume_reclaim_policy != "Delete" or volume.metadata.deletion_timestamp:
            return
        try:
            await self.client.delete(PersistentVolume, volume.key.name, uid=volume.metadata.uid or "")
        except ApiError as error:
            if not is_not_found(error):
                raise


class HostPathStorage:
    """Both, as one."""

    def __init__(self, context: ControllerContext) -> None:
        context.informers.informer(StorageClass)
        self._parts = (HostPathProvisioner(context), HostPathDeleter(context))

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for part in self._parts:
                group.create_task(part.run())
