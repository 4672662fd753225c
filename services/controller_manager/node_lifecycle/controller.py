"""Node lifecycle controller: notices silent nodes, marks their Pods, and taints nodes in trouble.

One node is reconciled when it or its Lease changes, and when its silence has lasted for the grace
period. What was seen when is kept in memory only: after a restart every node gets a fresh grace
period, so that a manager that was away does not declare everybody dead. Taints with NoExecute are
what empties a node; the taint eviction controller does the rest.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from services.api.coordination_v1 import Lease
from services.api.core_v1 import Node, ObjectReference, Pod, Taint
from services.api.errors import ApiError, is_not_found
from services.api.object import ObjectKey
from services.client.controller import Controller, ControllerContext, For, Stores, Watches
from services.client.transport import PatchType
from services.controller_manager.node_lifecycle import health
from services.controller_manager.node_lifecycle.zones import Zones, zone_of
from services.controller_manager.pod_index import add_node_index, by_node
from services.machinery import conditions
from services.machinery.clock import rfc3339
from services.machinery.taints import same_taint

LEASE_NAMESPACE = "kube-node-lease"
MONITOR_GRACE_SECONDS = 40.0
# Between noticing a node's trouble and emptying it: when many fall silent together, all of them are
# noticed before the first one is emptied. Upstream's node-monitor-period has the same effect.
SETTLE_SECONDS = 5.0


def _node_of(lease: Lease, stores: Stores) -> Iterable[ObjectKey]:
    return [ObjectKey("", lease.key.name)] if lease.key.namespace == LEASE_NAMESPACE else []


class NodeLifecycleController(Controller[Node]):
    name = "node-lifecycle"
    event_source = "node-controller"
    watches = (For(Node), Watches(Lease, map=_node_of))

    def __init__(self, context: ControllerContext, grace_seconds: float = MONITOR_GRACE_SECONDS) -> None:
        super().__init__(context)
        add_node_index(self.store(Pod))
        self._grace_seconds = grace_seconds
        self._sightings: dict[str, health.Sighting] = {}
        self._uids: dict[str, str] = {}
        self._zones = Zones()
        self._troubled_since: dict[str, float] = {}

    async def start(self) -> None:
        for node in self.store(Node).list():
            self._zones.put(node.key.name, zone_of(node), health.readiness(node) == "True")

    async def reconcile(self, node: Node) -> None:
        name, now_seconds = node.key.name, self.clock.monotonic()
        lease = self.store(Lease).get(ObjectKey(LEASE_NAMESPACE, name))
        last = self._sightings.get(name)
        if last is None:
            self._uids[name] = node.metadata.uid or ""
            self._tell(name, "RegisteredNode", f"Registered Node {name} in Controller")
        sighting = self._sightings[name] = health.look(last, node, lease, now_seconds)
        left = health.silence_left_seconds(sighting, self._grace_seconds, now_seconds)
        if left > 0:
            self.requeue_after(node.key, left)
        else:
            node = await self._declare_silent(node)
        self._weigh(node, now_seconds)
        await self._taint(node, now_seconds)

    async def reconcile_deleted(self, key: ObjectKey) -> None:
        if self._sightings.pop(key.name, None) is not None:
            self._zones.remove(key.name)
            self._troubled_since.pop(key.name, None)
            self._tell(key.name, "RemovingNode", f"Removing Node {key.name} from Controller")
            self._uids.pop(key.name, None)

    # Silence

    async def _declare_silent(self, node: Node) -> Node:
        found = health.silent(node, self.clock.now())
        if found != node.status.conditions:
            was_ready = health.readiness(node) == "True"
            silent = replace(node, status=replace(node.status, conditions=found))
            node = await self.client.update(silent, subresource="status")
            self.log.warning(
                "Kubelet stopped posting node status: its conditions are Unknown now",
                kind="Node", name=node.key.name, grace_seconds=self._grace_seconds,
            )  # fmt: skip
            if was_ready:
                self.recorder.event(
                    node, "Normal", "NodeNotReady", f"Node {node.key.name} status is now: NodeNotReady"
                )
        # Looked at each time: a manager may have died between the two.
        await self._mark_pods_not_ready(by_node(self.store(Pod), node.key.name))
        return node

    async def _mark_pods_not_ready(self, pods: Sequence[Pod]) -> None:
        for pod in pods:
            if not conditions.is_true(pod.status.conditions, "Ready"):
                continue
            ready = {"type": "Ready", "status": "False", "lastTransitionTime": rfc3339(self.clock.now())}
            patch = {"metadata": {"uid": pod.metadata.uid}, "status": {"conditions": [ready]}}
            try:
                await self.client.patch(
                    Pod, pod.key.name, pod.key.namespace, patch,
                    patch_type=PatchType.STRATEGIC, subresource="status",
                )  # fmt: skip
            except ApiError as error:
                if not is_not_found(error):
                    raise
                continue
            self.recorder.event(pod, "Warning", "NodeNotReady", "Node is not ready")

    # Zones

    def _weigh(self, node: Node, now_seconds: float) -> None:
        """Counts the node in its zone; when all are lost, or no longer all, every node is looked at."""
        before = self._zones.all_disrupted
        self._zones.put(node.key.name, zone_of(node), health.readiness(node) == "True")
        after = self._zones.all_disrupted
        if before == after:
            return
        for name in self._zones.names():
            # Nobody could report while all were cut off: everybody gets a fresh grace period.
            if before and (seen := self._sightings.get(name)):
                self._sightings[name] = dataclasses.replace(seen, seen_seconds=now_seconds)
            self.enqueue(ObjectKey("", name))

    # Taints

    async def _taint(self, node: Node, now_seconds: float) -> None:
        now = self.clock.now()
        taints = self._with_eviction(node, health.schedule_taints(node, now), now_seconds)
        patch: dict[str, Any] = {}
        if labels := health.legacy_labels(node):
            patch["metadata"] = {"labels": labels}
        if taints != node.spec.taints:
            patch["spec"] = {"taints": msgspec.to_builtins(taints) or None}
        if not patch:
            return
        guarded = {"resourceVersion": node.metadata.resource_version}
        patch["metadata"] = {**patch.get("metadata", {}), **guarded}
        await self.client.patch(Node, node.key.name, "", patch)
        if taints != node.spec.taints:
            self._log_taints(node, taints)

    def _with_eviction(self, node: Node, taints: list[Taint], now_seconds: float) -> list[Taint]:
        """The taint that empties the node, as soon as its zone's budget allows one more."""
        name, state = node.key.name, health.readiness(node)
        wanted = health.eviction_taint(state)
        if wanted is None:
            self._troubled_since.pop(name, None)
        reported = any(condition.type == "Ready" for condition in node.status.conditions)
        if wanted is None or not reported or self._zones.all_disrupted:
            return health.without_eviction(taints)
        if any(same_taint(wanted, taint) for taint in taints):
            return taints
        kept = health.without_eviction(taints)
        # A node that is being emptied already only changes the reason.
        if len(kept) == len(taints):
            wait = self._troubled_since.setdefault(name, now_seconds) + SETTLE_SECONDS - now_seconds
            if wait <= 0:
                wait = self._zones.budget(zone_of(node)).take(now_seconds)
            if wait > 0:
                self.requeue_after(node.key, wait)
                return taints
        return health.with_taints(kept, [wanted], self.clock.now())

    def _log_taints(self, node: Node, taints: Sequence[Taint]) -> None:
        def words(of: Sequence[Taint]) -> str:
            return ",".join(f"{taint.key}:{taint.effect}" for taint in of)

        self.log.info(
            "Changed the node's taints to follow its conditions",
            kind="Node", name=node.key.name,
            removed=words([taint for taint in node.spec.taints if taint not in taints]),
            added=words([taint for taint in taints if taint not in node.spec.taints]),
        )  # fmt: skip

    def _tell(self, name: str, reason: str, what: str) -> None:
        node = ObjectReference(api_version="v1", kind="Node", name=name, uid=self._uids[name])
        self.recorder.event(node, "Normal", reason, f"Node {name} event: {what}")
        self.log.info(what, kind="Node", name=name)
