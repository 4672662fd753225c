"""What the scheduler knows of claims and volumes, and what it writes to have them bound.

Two writes: a volume that exists already is promised to a claim (its claimRef), or a claim is told
for which node a volume shall be made. The volume controller does the rest; `bound` waits for it.
Upstream: pkg/scheduler/framework/plugins/volumebinding/binder.go.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from services.api.core_v1 import PersistentVolume, PersistentVolumeClaim
from services.api.object import Object, ObjectKey
from services.api.storage_v1 import StorageClass
from services.client.client import Client
from services.client.informer import InformerFactory
from services.machinery.clock import Clock
from services.machinery.volume_matching import BIND_COMPLETED, BOUND_BY_CONTROLLER, SELECTED_NODE, class_of
from services.scheduler.framework.events import ClusterEvent

BIND_SECONDS_MAX = 600.0  # upstream's bindTimeoutSeconds
WATCHED: dict[type[Object], ClusterEvent] = {
    PersistentVolumeClaim: ClusterEvent.CLAIM_CHANGED,
    PersistentVolume: ClusterEvent.VOLUME_CHANGED,
    StorageClass: ClusterEvent.STORAGE_CLASS_ADDED,
}


class Volumes:
    def __init__(self, client: Client, informers: InformerFactory, clock: Clock) -> None:
        self._client, self._clock = client, clock
        claims = informers.informer(PersistentVolumeClaim)
        volumes = informers.informer(PersistentVolume)
        self._claims, self._volumes = claims.store, volumes.store
        self._classes = informers.informer(StorageClass).store
        self._volumes.add_index("class", lambda volume: (class_of(volume),))
        self._changed = asyncio.Event()
        claims.add_handler(self._notice, lambda old, new, cause: self._notice(new, cause), self._notice)

    def claim(self, namespace: str, name: str) -> PersistentVolumeClaim | None:
        return self._claims.get(ObjectKey(namespace, name))

    def volume(self, name: str) -> PersistentVolume | None:
        return self._volumes.get(ObjectKey("", name))

    def storage_class(self, name: str) -> StorageClass | None:
        return self._classes.get(ObjectKey("", name))

    def of_class(self, name: str) -> Iterable[PersistentVolume]:
        return self._volumes.by_index("class", name)

    async def promise(self, volume: PersistentVolume, claim: PersistentVolumeClaim) -> None:
        """409 when the volume was changed meanwhile."""
        reference = {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "namespace": claim.metadata.namespace,
            "name": claim.metadata.name,
            "uid": claim.metadata.uid,
            "resourceVersion": claim.metadata.resource_version,
        }
        metadata: dict[str, Any] = {"resourceVersion": volume.metadata.resource_version}
        if volume.spec.claim_ref is None:
            metadata["annotations"] = {BOUND_BY_CONTROLLER: "yes"}
        change = {"metadata": metadata, "spec": {"claimRef": reference}}
        await self._client.patch(PersistentVolume, volume.metadata.name or "", "", change)

    async def ask_for(self, claim: PersistentVolumeClaim, node: str) -> None:
        metadata = {"uid": claim.metadata.uid, "annotations": {SELECTED_NODE: node}}
        await self._client.patch(
            PersistentVolumeClaim, claim.key.name, claim.key.namespace, {"metadata": metadata}
        )

    async def bound(self, claims: Iterable[ObjectKey]) -> str:
        """Waits until all are. What went wrong; empty when nothing did."""
        waiting = list(claims)
        try:
            async with self._clock.timeout(BIND_SECONDS_MAX):
                while waiting:
                    self._changed.clear()
                    for key in [*waiting]:
                        found = self._claims.get(key)
                        if found is None:
                            what = f'error getting PVC "{key.namespace}/{key.name}"'
                            return f"{what}: could not find v1.PersistentVolumeClaim"
                        if found.spec.volume_name and BIND_COMPLETED in found.metadata.annotations:
                            waiting.remove(key)
                    if waiting:
                        await self._changed.wait()
        except TimeoutError:
            return "binding volumes: context deadline exceeded"
        return ""

    def _notice(self, claim: PersistentVolumeClaim, cause: str) -> None:
        self._changed.set()
