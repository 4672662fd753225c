"""Ephemeral volume controller: a Pod's generic ephemeral volumes get claims that belong to the Pod.

Upstream: pkg/controller/volume/ephemeral.
"""

from __future__ import annotations

from services.api.core_v1 import PersistentVolumeClaim, Pod, Volume
from services.api.errors import ApiError, is_already_exists
from services.api.meta_v1 import ObjectMeta, OwnerReference
from services.api.object import ObjectKey
from services.client.controller import Controller, For


class EphemeralVolumeController(Controller[Pod]):
    name = "ephemeral-volume"
    event_source = "ephemeral_volume"
    watches = (
        For(Pod, when=lambda old, new: new is not None and any(v.ephemeral for v in new.spec.volumes)),
    )

    async def reconcile(self, pod: Pod) -> None:
        if pod.metadata.deletion_timestamp:
            return
        for volume in pod.spec.volumes:
            if volume.ephemeral:
                await self._claim_for(pod, volume)

    async def _claim_for(self, pod: Pod, volume: Volume) -> None:
        name = f"{pod.metadata.name}-{volume.name}"
        store = self.context.informers.store(PersistentVolumeClaim)
        found: PersistentVolumeClaim | None = store.get(ObjectKey(pod.key.namespace, name))
        if found is not None:
            if not any(owner.uid == pod.metadata.uid for owner in found.metadata.owner_references):
                text = (
                    f'PVC "{name}" (uid: "{found.metadata.uid}") was not created for the pod '
                    f'"{pod.key.name}" (uid: "{pod.metadata.uid}"), cannot use it'
                )
                self.recorder.event(pod, "Warning", "EphemeralVolumeConflict", text)
            return
        template = volume.ephemeral.volume_claim_template if volume.ephemeral else None
        if template is None:
            return
        metadata = template.metadata or ObjectMeta()
        owner = OwnerReference(
            api_version="v1", kind="Pod", name=pod.key.name, uid=pod.metadata.uid or "",
            controller=True, block_owner_deletion=True,
        )  # fmt: skip
        claim = PersistentVolumeClaim(
            metadata=ObjectMeta(
                name=name,
                namespace=pod.key.namespace,
                labels=metadata.labels,
                annotations=metadata.annotations,
                owner_references=[owner],
            ),
            spec=template.spec,
        )
        try:
            await self.client.create(claim)
        except ApiError as error:
            if not is_already_exists(error):
                raise
