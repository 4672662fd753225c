"""Pod garbage collector: removes Pods that no kubelet will ever finish.

Pods of nodes that are gone (after a quarantine, and after asking whether they really are),
terminating Pods that never got a node, and the oldest finished Pods beyond a threshold. A sweep over the
cache every twenty seconds, as upstream: what it looks for is the absence of events.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from services.api.core_v1 import Node, Pod
from services.api.errors import ApiError, is_conflict, is_not_found
from services.api.object import ObjectKey
from services.client.controller import ControllerContext
from services.client.transport import PatchType
from services.controller_manager.pod_index import BY_NODE, add_node_index, by_node
from services.machinery import pods
from services.machinery.clock import rfc3339

SWEEP_SECONDS = 20.0
QUARANTINE_SECONDS = 40.0
TERMINATED_PODS_MAX = 12_500


class PodGarbageCollector:
    name: ClassVar[str] = "pod-garbage-collector"

    def __init__(self, context: ControllerContext, terminated_max: int = TERMINATED_PODS_MAX) -> None:
        self._client, self._clock, self._log = context.client, context.clock, context.log
        self._informers = (context.informers.informer(Pod), context.informers.informer(Node))
        self._pods, self._nodes = context.informers.store(Pod), context.informers.store(Node)
        add_node_index(self._pods)
        self._terminated_max = terminated_max
        self._missing_since: dict[str, float] = {}  # names of nodes that Pods are bound to and no cache shows

    async def run(self) -> None:
        for informer in self._informers:
            await informer.wait_synced()
        while True:
            await self.sweep()
            await self._clock.sleep(SWEEP_SECONDS)

    async def sweep(self) -> None:
        everything = self._pods.list()
        for pod in surplus_terminated(everything, self._terminated_max):
            await self._remove(pod, "Deleting a finished Pod: there are too many")
        for name in await self._gone_nodes():
            for pod in by_node(self._pods, name):
                await self._remove(pod, "Deleting a Pod whose node is gone", orphaned=True)
        for pod in everything:
            if pod.metadata.deletion_timestamp and not pod.spec.node_name:
                await self._remove(pod, "Deleting a terminating Pod that never got a node")

    async def _gone_nodes(self) -> list[str]:
        """Nodes that Pods name, that have been missing through the quarantine, and that do not exist."""
        now = self._clock.monotonic()
        missing = [
            name for name in self._pods.index_values(BY_NODE) if ObjectKey("", name) not in self._nodes
        ]
        self._missing_since = {name: self._missing_since.get(name, now) for name in missing}
        return [
            name
            for name, since in self._missing_since.items()
            if now - since >= QUARANTINE_SECONDS and await self._is_gone(name)
        ]

    async def _is_gone(self, name: str) -> bool:
        try:
            await self._client.get(Node, name)
        except ApiError as error:
            return is_not_found(error)
        return False

    async def _remove(self, pod: Pod, why: str, *, orphaned: bool = False) -> None:
        key, uid = pod.key, pod.metadata.uid or ""
        self._log.info(why, kind="Pod", namespace=key.namespace, name=key.name, node=pod.spec.node_name or "")
        try:
            if not pods.is_terminated(pod):
                await self._client.patch(
                    Pod, key.name, key.namespace, self._failed(pod, orphaned),
                    patch_type=PatchType.STRATEGIC, subresource="status",
                )  # fmt: skip
            await self._client.delete(Pod, key.name, key.namespace, grace_seconds=0, uid=uid)
        except ApiError as error:
            # What could not be removed now is seen again by the next sweep.
            if not is_not_found(error) and not is_conflict(error):
                self._log.warning(
                    "Could not delete the Pod; will try again",
                    kind="Pod", namespace=key.namespace, name=key.name, reason=error.message,
                )  # fmt: skip

    def _failed(self, pod: Pod, orphaned: bool) -> dict[str, object]:
        """A Pod that nobody will finish counts as failed, so that its owner's books are right."""
        status: dict[str, object] = {"phase": "Failed"}
        if orphaned:
            target = {
                "type": "DisruptionTarget",
                "status": "True",
                "reason": "DeletionByPodGC",
                "message": "PodGC: node no longer exists",
                "lastTransitionTime": rfc3339(self._clock.now()),
                "observedGeneration": pod.metadata.generation,
            }
            status["conditions"] = [target]
        return {"metadata": {"uid": pod.metadata.uid}, "status": status}


def surplus_terminated(everything: Sequence[Pod], most: int) -> list[Pod]:
    """The oldest finished Pods beyond the threshold; a threshold of 0 keeps all."""
    finished = [pod for pod in everything if pods.is_terminated(pod) and not pod.metadata.deletion_timestamp]
    if most <= 0 or len(finished) <= most:
        return []
    finished.sort(key=lambda pod: (pod.metadata.creation_timestamp or "", pod.key))
    return finished[: len(finished) - most]
