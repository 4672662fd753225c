"""Taint eviction controller: deletes Pods that do not tolerate their node's NoExecute taints.

A toleration may last: the Pod then goes when its shortest tolerationSeconds are over, unless the
taint goes first. How long a Pod has been tolerating is kept in memory: a new manager counts from
its own start. Upstream: pkg/controller/tainteviction.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from services.api.core_v1 import Node, Pod, Taint, Toleration
from services.api.errors import ApiError, is_conflict, is_not_found
from services.api.object import ObjectKey
from services.client.controller import Controller, ControllerContext, For, Stores, Watches
from services.client.transport import PatchType
from services.controller_manager.pod_index import add_node_index, by_node
from services.machinery.clock import rfc3339
from services.machinery.taints import NO_EXECUTE, tolerates

REASON = "TaintManagerEviction"


def tolerated_seconds(taints: Sequence[Taint], tolerations: Sequence[Toleration]) -> float | None:
    """How long a Pod may stay beside these taints: 0 not at all, None for ever."""
    used = []
    for taint in taints:
        toleration = next((each for each in tolerations if tolerates(each, taint)), None)
        if toleration is None:
            return 0.0
        used.append(toleration.toleration_seconds)
    limits = [max(seconds, 0) for seconds in used if seconds is not None]
    return float(min(limits)) if limits else None


def no_execute(node: Node | None) -> list[Taint]:
    return [taint for taint in node.spec.taints if taint.effect == NO_EXECUTE] if node else []


def _pods_on(node: Node, stores: Stores) -> Iterable[ObjectKey]:
    return [pod.key for pod in by_node(stores[Pod], node.key.name)]


def _taints_changed(old: Node | None, new: Node | None) -> bool:
    return no_execute(old) != no_execute(new)


def _placed(old: Pod | None, new: Pod | None) -> bool:
    """A Pod that got a node or other tolerations; what a kubelet reports is of no interest."""
    if old is None or new is None:
        return True
    before = (old.spec.node_name, old.spec.tolerations, old.metadata.deletion_timestamp)
    return before != (new.spec.node_name, new.spec.tolerations, new.metadata.deletion_timestamp)


class TaintEvictionController(Controller[Pod]):
    name = "taint-eviction"
    watches = (For(Pod, when=_placed), Watches(Node, map=_pods_on, when=_taints_changed))

    def __init__(self, context: ControllerContext) -> None:
        super().__init__(context)
        add_node_index(self.store(Pod))
        # Pods that will have to go: their uid, and when their time began.
        self._doomed: dict[ObjectKey, tuple[str, float]] = {}

    async def reconcile(self, pod: Pod) -> None:
        key, name = pod.key, pod.spec.node_name
        taints = no_execute(self.store(Node).get(ObjectKey("", name))) if name else []
        if pod.metadata.deletion_timestamp:
            self._doomed.pop(key, None)
            return
        seconds = tolerated_seconds(taints, pod.spec.tolerations) if taints else None
        if seconds is None:
            if self._doomed.pop(key, None) is not None:
                self.recorder.event(pod, "Normal", REASON, f"Cancelling deletion of Pod {key}")
            return
        left = self._began(pod) + seconds - self.clock.monotonic()
        if left > 0:
            self.requeue_after(key, left)
            return
        await self._evict(pod, taints)
        self._doomed.pop(key, None)

    async def reconcile_deleted(self, key: ObjectKey) -> None:
        self._doomed.pop(key, None)

    def _began(self, pod: Pod) -> float:
        uid, doomed = pod.metadata.uid or "", self._doomed.get(pod.key)
        if doomed is None or doomed[0] != uid:
            doomed = self._doomed[pod.key] = (uid, self.clock.monotonic())
        return doomed[1]

    async def _evict(self, pod: Pod, taints: Sequence[Taint]) -> None:
        key, uid = pod.key, pod.metadata.uid or ""
        self.log.info(
            "Deleting a Pod that does not tolerate its node's taints (any longer)",
            kind="Pod", namespace=key.namespace, name=key.name, node=pod.spec.node_name,
            taints=",".join(taint.key for taint in taints),
        )  # fmt: skip
        self.recorder.event(pod, "Normal", REASON, f"Marking for deletion Pod {key}")
        target = {
            "type": "DisruptionTarget",
            "status": "True",
            "reason": "DeletionByTaintManager",
            "message": "Taint manager: deleting due to NoExecute taint",
            "lastTransitionTime": rfc3339(self.clock.now()),
            "observedGeneration": pod.metadata.generation,
        }
        patch = {"metadata": {"uid": uid}, "status": {"conditions": [target]}}
        try:
            await self.client.patch(
                Pod, key.name, key.namespace, patch, patch_type=PatchType.STRATEGIC, subresource="status"
            )
            await self.client.delete(Pod, key.name, key.namespace, uid=uid)
        except ApiError as error:
            # Gone, or another Pod of that name by now: nothing is left to evict.
            if not is_not_found(error) and not is_conflict(error):
                raise
