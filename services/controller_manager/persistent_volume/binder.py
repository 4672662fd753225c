"""PersistentVolume controller: brings claims and volumes together, and says how each stands.

A binding is written in four steps (the volume's claimRef, its phase, the claim's volumeName, its
status); a process that dies in between goes on at the next look. Claims and volumes are looked at
one at a time, under one lock, on what the caches show and on what was written ourselves since: two
claims must not get one volume. Upstream: pkg/controller/volume/persistentvolume/pv_controller.go.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, TypeVar

from services.api import errors
from services.api.core_v1 import PersistentVolume, PersistentVolumeClaim, Pod
from services.api.object import ObjectKey
from services.api.storage_v1 import StorageClass
from services.client.controller import Controller, ControllerContext, For, Stores, Watches
from services.machinery import volume_matching as matching
from services.machinery.volume_matching import (
    BETA_PROVISIONER,
    BIND_COMPLETED,
    BOUND_BY_CONTROLLER,
    PROVISIONED_BY,
    PROVISIONER,
)

K = TypeVar("K", PersistentVolume, PersistentVolumeClaim)

RESYNC_SECONDS = 15.0  # Upstream's: an unbound claim is told again why.
EVENT_SOURCE = "persistentvolume-controller"


class Written:
    """What was last written, until the caches show it or something newer."""

    def __init__(self) -> None:
        self._objects: dict[tuple[type[Any], ObjectKey], Any] = {}
        self.lock = asyncio.Lock()

    def put(self, obj: K) -> K:
        self._objects[type(obj), obj.key] = obj
        return obj

    def newest(self, obj: K) -> K:
        """The cached object, or what we made of it since."""
        mine = self._objects.get((type(obj), obj.key))
        if mine is None:
            return obj
        if mine.metadata.uid != obj.metadata.uid or _revision(obj) >= _revision(mine):
            del self._objects[type(obj), obj.key]
            return obj
        found: K = mine
        return found

    def forget(self, kind: type[Any], key: ObjectKey) -> None:
        self._objects.pop((kind, key), None)


def _revision(obj: PersistentVolume | PersistentVolumeClaim) -> int:
    return int(obj.metadata.resource_version or 0)


def _claims_that_wait(obj: Any, stores: Stores) -> Iterable[ObjectKey]:
    """A new or changed volume or class may be what an unbound claim waits for."""
    if isinstance(obj, PersistentVolume) and obj.spec.claim_ref is not None:
        reference = obj.spec.claim_ref
        yield ObjectKey(reference.namespace or "", reference.name or "")
        return
    wanted = obj.metadata.name if isinstance(obj, StorageClass) else matching.class_of(obj)
    for claim in stores[PersistentVolumeClaim].list():
        if BIND_COMPLETED not in claim.metadata.annotations and matching.class_of(claim) == wanted:
            yield claim.key


class ClaimController(Controller[PersistentVolumeClaim]):
    name = "persistentvolume-binder"
    event_source = EVENT_SOURCE
    workers = 1
    watches = (
        For(PersistentVolumeClaim),
        Watches(PersistentVolume, map=_claims_that_wait),
        Watches(StorageClass, map=_claims_that_wait),
    )

    def __init__(self, context: ControllerContext, written: Written) -> None:
        super().__init__(context)
        self._written = written
        self._pods = context.informers.informer(Pod)

    async def reconcile(self, claim: PersistentVolumeClaim) -> None:
        async with self._written.lock:
            claim = self._written.newest(claim)
            if BIND_COMPLETED in claim.metadata.annotations:
                await self._bound(claim)
            else:
                await self._unbound(claim)

    async def reconcile_deleted(self, key: ObjectKey) -> None:
        self._written.forget(PersistentVolumeClaim, key)

    def _volumes(self) -> list[PersistentVolume]:
        return [self._written.newest(volume) for volume in self.store(PersistentVolume).list()]

    def _volume(self, name: str) -> PersistentVolume | None:
        found = self.store(PersistentVolume).get(ObjectKey("", name))
        return self._written.newest(found) if found is not None else None

    # ---- Unbound -----------------------------------------------------------------------------

    async def _unbound(self, claim: PersistentVolumeClaim) -> None:
        if claim.spec.volume_name:
            return await self._named(claim)
        storage_class = self._class(claim)
        delayed = matching.waits_for_consumer(claim, storage_class)
        volume = matching.best(self._volumes(), claim, delayed=delayed)
        if volume is not None:
            return await self._bind(volume, claim)
        if claim.metadata.deletion_timestamp:
            return None
        if delayed:
            self._say_who_is_awaited(claim)
        elif matching.class_of(claim):
            await self._provision(claim, storage_class)
        else:
            message = "no persistent volumes available for this claim and no storage class is set"
            self.recorder.event(claim, "Normal", "FailedBinding", message)
        await self._claim_phase(claim, "Pending")
        self.requeue_after(claim.key, RESYNC_SECONDS)
        return None

    def _class(self, claim: PersistentVolumeClaim) -> StorageClass | None:
        name = matching.class_of(claim)
        found: StorageClass | None = self.store(StorageClass).get(ObjectKey("", name)) if name else None
        return found

    def _say_who_is_awaited(self, claim: PersistentVolumeClaim) -> None:
        """The Pods that use it and have no node yet, or anyone at all."""
        waiting = sorted(
            pod.metadata.name or ""
            for pod in self._pods.store.list()
            if pod.metadata.namespace == claim.metadata.namespace
            and not pod.spec.node_name
            and any(
                v.persistent_volume_claim and v.persistent_volume_claim.claim_name == claim.metadata.name
                for v in pod.spec.volumes
            )
        )
        if not waiting:
            message = "waiting for first consumer to be created before binding"
            self.recorder.event(claim, "Normal", "WaitForFirstConsumer", message)
            return
        pods = f"pod {waiting[0]}" if len(waiting) == 1 else f"pods {','.join(waiting)}"
        self.recorder.event(claim, "Normal", "WaitForPodScheduled", f"waiting for {pods} to be scheduled")

    async def _provision(self, claim: PersistentVolumeClaim, storage_class: StorageClass | None) -> None:
        """Asks whoever makes volumes of that class; they read it from an annotation."""
        if storage_class is None:
            name = matching.class_of(claim)
            message = f'storageclass.storage.k8s.io "{name}" not found'
            self.recorder.event(claim, "Warning", "ProvisioningFailed", message)
            return
        who = storage_class.provisioner
        wanted = {PROVISIONER: who, BETA_PROVISIONER: who}
        if any(claim.metadata.annotations.get(key) != value for key, value in wanted.items()):
            claim = await self._change_claim(claim, {"metadata": {"annotations": wanted}})
        message = (
            f"Waiting for a volume to be created either by the external provisioner '{who}' or manually by "
            "the system administrator. If volume creation is delayed, please verify that the provisioner is "
            "running and correctly registered."
        )
        self.recorder.event(claim, "Normal", "ExternalProvisioning", message)

    async def _named(self, claim: PersistentVolumeClaim) -> None:
        """The claim asks for one volume, by its name."""
        volume = self._volume(claim.spec.volume_name or "")
        if volume is not None and volume.spec.claim_ref is None and (why := matching.mismatch(volume, claim)):
            message = f'Cannot bind to requested volume "{volume.metadata.name}": {why}'
            self.recorder.event(claim, "Warning", "VolumeMismatch", message)
        elif volume is not None and (
            volume.spec.claim_ref is None or matching.names(volume.spec.claim_ref, claim)
        ):
            return await self._bind(volume, claim)
        elif volume is not None:
            message = f'volume "{volume.metadata.name}" already bound to a different claim.'
            self.recorder.event(claim, "Warning", "FailedBinding", message)
        await self._claim_phase(claim, "Pending")
        self.requeue_after(claim.key, RESYNC_SECONDS)
        return None

    # ---- Bound -------------------------------------------------------------------------------

    async def _bound(self, claim: PersistentVolumeClaim) -> None:
        volume = self._volume(claim.spec.volume_name or "") if claim.spec.volume_name else None
        if not claim.spec.volume_name:
            why = "Bound claim has lost reference to PersistentVolume. Data on the volume is lost!"
            await self._lost(claim, "ClaimLost", why)
        elif volume is None:
            why = "Bound claim has lost its PersistentVolume. Data on the volume is lost!"
            await self._lost(claim, "ClaimLost", why)
        elif volume.spec.claim_ref is None or matching.names(volume.spec.claim_ref, claim):
            await self._bind(volume, claim)
        else:
            why = "Two claims are bound to the same volume, this one is bound incorrectly"
            await self._lost(claim, "ClaimMisbound", why)

    async def _lost(self, claim: PersistentVolumeClaim, reason: str, message: str) -> None:
        if claim.status.phase != "Lost":
            await self._change_claim(claim, {"status": {"phase": "Lost"}}, "status")
            self.recorder.event(claim, "Warning", reason, message)

    async def _bind(self, volume: PersistentVolume, claim: PersistentVolumeClaim) -> None:
        if not matching.is_bound(volume, claim):
            volume = await self._refer(volume, claim)
        if volume.status.phase != "Bound":
            volume = await self._change_volume(volume, {"status": {"phase": "Bound"}}, "status")
        notes = {} if BIND_COMPLETED in claim.metadata.annotations else {BIND_COMPLETED: "yes"}
        change: dict[str, Any] = {}
        if not claim.spec.volume_name:
            change["spec"] = {"volumeName": volume.metadata.name}
            notes[BOUND_BY_CONTROLLER] = "yes"
        if notes:
            change["metadata"] = {"annotations": notes}
            claim = await self._change_claim(claim, change)
        capacity = dict(volume.spec.capacity)
        if claim.status.phase != "Bound" or not claim.status.capacity:
            modes = list(volume.spec.access_modes)
            status = {"phase": "Bound", "accessModes": modes, "capacity": capacity}
            await self._change_claim(claim, {"status": status}, "status")

    async def _refer(self, volume: PersistentVolume, claim: PersistentVolumeClaim) -> PersistentVolume:
        reference = {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "namespace": claim.metadata.namespace,
            "name": claim.metadata.name,
            "uid": claim.metadata.uid,
            "resourceVersion": claim.metadata.resource_version,
        }
        change: dict[str, Any] = {"spec": {"claimRef": reference}}
        if not matching.names(volume.spec.claim_ref, claim):
            change["metadata"] = {"annotations": {BOUND_BY_CONTROLLER: "yes"}}
        return await self._change_volume(volume, change)

    async def _claim_phase(self, claim: PersistentVolumeClaim, phase: str) -> None:
        if claim.status.phase != phase:
            await self._change_claim(claim, {"status": {"phase": phase}}, "status")

    # ---- Writing -----------------------------------------------------------------------------

    async def _change_claim(
        self, claim: PersistentVolumeClaim, change: dict[str, Any], subresource: str = ""
    ) -> PersistentVolumeClaim:
        change.setdefault("metadata", {})["uid"] = claim.metadata.uid
        made = await self.client.patch(
            PersistentVolumeClaim, claim.key.name, claim.key.namespace, change, subresource=subresource
        )
        return self._written.put(made)

    async def _change_volume(
        self, volume: PersistentVolume, change: dict[str, Any], subresource: str = ""
    ) -> PersistentVolume:
        """409 when somebody else changed it meanwhile: what was decided may not hold any more."""
        metadata = change.setdefault("metadata", {})
        metadata["uid"], metadata["resourceVersion"] = volume.metadata.uid, volume.metadata.resource_version
        made = await self.client.patch(PersistentVolume, volume.key.name, "", change, subresource=subresource)
        return self._written.put(made)


def _volume_of_claim(claim: PersistentVolumeClaim, stores: Stores) -> Iterable[ObjectKey]:
    if claim.spec.volume_name:
        yield ObjectKey("", claim.spec.volume_name)


class VolumeController(Controller[PersistentVolume]):
    name = "persistentvolume-volumes"
    event_source = EVENT_SOURCE
    workers = 1
    watches = (For(PersistentVolume), Watches(PersistentVolumeClaim, map=_volume_of_claim))

    def __init__(self, context: ControllerContext, written: Written) -> None:
        super().__init__(context)
        self._written = written

    async def reconcile(self, volume: PersistentVolume) -> None:
        async with self._written.lock:
            await self._look(self._written.newest(volume))

    async def reconcile_deleted(self, key: ObjectKey) -> None:
        self._written.forget(PersistentVolume, key)

    async def _look(self, volume: PersistentVolume) -> None:
        reference = volume.spec.claim_ref
        if reference is None or not reference.uid:
            return await self._phase(volume, "Available")
        key = ObjectKey(reference.namespace or "", reference.name or "")
        claim = self.store(PersistentVolumeClaim).get(key)
        if claim is None or claim.metadata.uid != reference.uid:
            # The cache may lag behind the reference: only the server knows that the claim is gone.
            claim = await self._fetch(key, reference.uid)
        if claim is None:
            return await self._released(volume)
        claim = self._written.newest(claim)
        if claim.spec.volume_name == volume.metadata.name:
            return await self._phase(volume, "Bound")
        if claim.spec.volume_name:
            await self._let_go(volume)
        return None  # The claim's own look binds it.

    async def _fetch(self, key: ObjectKey, uid: str) -> PersistentVolumeClaim | None:
        try:
            claim = await self.client.get(PersistentVolumeClaim, key.name, key.namespace)
        except errors.ApiError as error:
            if not errors.is_not_found(error):
                raise
            return None
        return claim if claim.metadata.uid == uid else None

    async def _released(self, volume: PersistentVolume) -> None:
        if volume.status.phase not in ("Released", "Failed"):
            volume = await self._change(volume, {"status": {"phase": "Released", "message": None}}, "status")
        policy = volume.spec.persistent_volume_reclaim_policy
        if policy == "Recycle":
            await self._recycle(volume)
        elif policy == "Delete" and volume.status.phase == "Released":
            await self._delete(volume)

    async def _recycle(self, volume: PersistentVolume) -> None:
        await self._change(volume, {"spec": {"claimRef": None}})
        self.recorder.event(volume, "Normal", "VolumeRecycled", "Volume recycled")

    async def _delete(self, volume: PersistentVolume) -> None:
        """What somebody else made, they delete; a folder below /tmp is ours to forget."""
        if PROVISIONED_BY in volume.metadata.annotations or volume.spec.csi:
            return
        source, name = volume.spec.host_path, volume.metadata.name
        if source is None:
            why = (
                f'error getting deleter volume plugin for volume "{name}": no deletable volume plugin matched'
            )
        elif not source.path.startswith("/tmp/"):
            why = f"host_path deleter only supports /tmp/.+ but received provided {source.path}"
        else:
            await self.client.delete(PersistentVolume, name or "", uid=volume.metadata.uid or "")
            return
        await self._change(volume, {"status": {"phase": "Failed", "message": why}}, "status")
        self.recorder.event(volume, "Warning", "VolumeFailedDelete", why)

    async def _let_go(self, volume: PersistentVolume) -> None:
        """Its claim has another volume. What an administrator wrote stays but for the uid."""
        if BOUND_BY_CONTROLLER in volume.metadata.annotations:
            change: dict[str, Any] = {"spec": {"claimRef": None}}
            change["metadata"] = {"annotations": {BOUND_BY_CONTROLLER: None}}
        else:
            change = {"spec": {"claimRef": {"uid": None, "resourceVersion": None}}}
        await self._phase(await self._change(volume, change), "Available")

    async def _phase(self, volume: PersistentVolume, phase: str) -> None:
        if volume.status.phase != phase:
            await self._change(volume, {"status": {"phase": phase}}, "status")

    async def _change(
        self, volume: PersistentVolume, change: dict[str, Any], subresource: str = ""
    ) -> PersistentVolume:
        metadata = change.setdefault("metadata", {})
        metadata["uid"], metadata["resourceVersion"] = volume.metadata.uid, volume.metadata.resource_version
        made = await self.client.patch(PersistentVolume, volume.key.name, "", change, subresource=subresource)
        return self._written.put(made)


class PersistentVolumeController:
    """Both, as one: they share what was written, and never run at the same time."""

    def __init__(self, context: ControllerContext) -> None:
        written = Written()
        self._parts = (ClaimController(context, written), VolumeController(context, written))

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for part in self._parts:
                group.create_task(part.run())
