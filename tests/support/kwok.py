"""A double for KWOK: nodes without kubelets whose Pods are ready at once and gone at once.

Plays the part that KWOK played when golden/controllers was recorded: on the nodes kw-* Pods
become Ready as soon as they are bound and disappear as soon as they are deleted; the node man-0
only exists, and whoever wants to writes the status of its Pods.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

from msgspec.structs import replace

from services.api.core_v1 import Node, NodeSpec, NodeStatus, Pod, Taint
from services.api.errors import ApiError, is_already_exists
from services.api.meta_v1 import ObjectMeta
from services.client.client import Client
from services.client.transport import PatchType, Unavailable
from services.machinery.clock import Clock, rfc3339

CAPACITY = {"cpu": "16", "ephemeral-storage": "100Gi", "memory": "64Gi", "pods": "110"}
_HEALTHY = {"Ready": "True", "MemoryPressure": "False", "DiskPressure": "False", "PIDPressure": "False"}


def node(name: str, pool: str, taints: list[Taint] | None = None) -> Node:
    labels = {
        "kubernetes.io/arch": "amd64", "kubernetes.io/os": "linux", "kubernetes.io/hostname": name,
        "pool": pool,
    }  # fmt: skip
    made = Node(
        metadata=ObjectMeta(name=name, labels=labels),
        status=NodeStatus(capacity=CAPACITY, allocatable=CAPACITY),
    )
    return replace(made, spec=NodeSpec(taints=taints)) if taints else made


class Kwok:
    def __init__(self, client: Client, clock: Clock) -> None:
        self._client, self._clock = client, clock

    async def create_nodes(self, count: int = 3) -> None:
        made = [node(f"kw-{number}", "kwok") for number in range(count)]
        manual = Taint(key="golden/manual", effect="NoSchedule")
        made.append(node("man-0", "manual", [manual]))
        for each in made:
            try:
                await self._client.create(each)
            except ApiError as error:
                if not is_already_exists(error):
                    raise
            await self._report(each.metadata.name or "")

    async def _report(self, name: str) -> None:
        now = rfc3339(self._clock.now())
        conditions = [
            {"type": kind, "status": status, "reason": "Kwok", "message": "",
             "lastHeartbeatTime": now, "lastTransitionTime": now}
            for kind, status in _HEALTHY.items()
        ]  # fmt: skip
        address = {"type": "InternalIP", "address": "127.0.0.1"}
        status = {"conditions": conditions, "addresses": [address]}
        await self._client.patch(
            Node, name, "", {"status": status}, patch_type=PatchType.STRATEGIC, subresource="status"
        )

    async def run(self) -> None:
        """Plays the kubelets of kw-* until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                with suppress(Unavailable):
                    async for batch in self._client.watch(Pod):
                        for event in batch:
                            if event.object is not None and event.type != "DELETED":
                                group.create_task(self._play(event.object))
                await self._clock.sleep(0.1)

    async def _play(self, pod: Pod) -> None:
        if not (pod.spec.node_name or "").startswith("kw-"):
            return
        key, uid = pod.key, pod.metadata.uid or ""
        with suppress(ApiError):
            if pod.metadata.deletion_timestamp:
                if not pod.metadata.finalizers or pod.metadata.deletion_grace_period_seconds:
                    await self._client.delete(Pod, key.name, key.namespace, grace_seconds=0, uid=uid)
            elif pod.status.phase == "Pending":
                patch = {"metadata": {"uid": uid}, "status": self._running(pod)}
                await self._client.patch(
                    Pod, key.name, key.namespace, patch, patch_type=PatchType.STRATEGIC, subresource="status"
                )

    def _running(self, pod: Pod) -> dict[str, Any]:
        now = rfc3339(self._clock.now())
        return {
            "phase": "Running",
            "startTime": now,
            "hostIP": "127.0.0.1",
            "podIP": "10.244.0.9",
            "conditions": [
                {"type": kind, "status": "True", "lastTransitionTime": now}
                for kind in ("Initialized", "Ready", "ContainersReady")
            ],
            "containerStatuses": [
                {
                    "name": container.name, "image": container.image, "imageID": "", "ready": True,
                    "restartCount": 0, "state": {"running": {"startedAt": now}},
                }
                for container in pod.spec.containers
            ],
        }  # fmt: skip
