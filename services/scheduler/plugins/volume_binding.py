"""VolumeBinding: a Pod runs only where its volumes are, or can be made.

A claim that is bound keeps the Pod to the nodes its volume can be reached from. One that waits for
its first Pod gets, for the node chosen, a volume that fits or a provisioner's promise of one: set
aside in Reserve, written in PreBind. One that should have been bound already is waited for.
Upstream: pkg/scheduler/framework/plugins/volumebinding.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from services.api.core_v1 import Node, PersistentVolume, PersistentVolumeClaim
from services.api.object import ObjectKey
from services.api.storage_v1 import StorageClass
from services.machinery import volume_matching as matching
from services.scheduler.framework.events import ClusterEvent, Happening
from services.scheduler.framework.interface import (
    SUCCESS,
    CycleState,
    Filter,
    NodeList,
    PreBind,
    PreFilter,
    Reserve,
    Status,
)
from services.scheduler.framework.node_info import NodeInfo
from services.scheduler.framework.pod_info import PodInfo
from services.scheduler.framework.status import SKIP
from services.scheduler.volumes import Volumes

NO_PROVISIONER = "kubernetes.io/no-provisioner"
UNBOUND = "pod has unbound immediate PersistentVolumeClaims"
CONFLICT = "node(s) didn't match PersistentVolume's node affinity"
NOTHING_TO_BIND = "node(s) didn't find available persistent volumes to bind"


@dataclass(slots=True)
class _Wants:
    """The claims of one Pod, and what was chosen for them on each node."""

    bound: list[PersistentVolume] = field(default_factory=list)
    waiting: list[tuple[PersistentVolumeClaim, StorageClass]] = field(default_factory=list)
    chosen: dict[str, list[tuple[PersistentVolumeClaim, PersistentVolume | None]]] = field(
        default_factory=dict
    )


class VolumeBinding(PreFilter, Filter, Reserve, PreBind):
    name = "VolumeBinding"
    filter_is_node_local = False
    wakes_on = (
        ClusterEvent.CLAIM_CHANGED,
        ClusterEvent.VOLUME_CHANGED,
        ClusterEvent.STORAGE_CLASS_ADDED,
        ClusterEvent.NODE_ADDED,
        ClusterEvent.NODE_LABELS_CHANGED,
    )

    def __init__(self, volumes: Volumes) -> None:
        self._volumes = volumes
        self._reserved: dict[str, str] = {}  # volume name → uid of the claim it is set aside for

    def pre_filter(self, state: CycleState, pod: PodInfo, nodes: NodeList) -> Status:
        keys = _claims_of(pod)
        if not keys:
            return SKIP
        wants = _Wants()
        for key in keys:
            refusal = self._look_up(key, pod, wants)
            if refusal is not None:
                return refusal
        state[self.name] = wants
        return SUCCESS

    def _look_up(self, key: ObjectKey, pod: PodInfo, wants: _Wants) -> Status | None:
        claim = self._volumes.claim(key.namespace, key.name)
        if claim is None:
            if key.name in _ephemeral_claims(pod):
                what = "waiting for ephemeral volume controller to create the persistentvolumeclaim"
                return Status.unresolvable(f'{what} "{key.name}"')
            return Status.unresolvable(f'persistentvolumeclaim "{key.name}" not found')
        if claim.status.phase == "Lost":
            what = f'persistentvolumeclaim "{key.name}" bound to non-existent persistentvolume'
            return Status.unresolvable(f'{what} "{claim.spec.volume_name}"')
        if claim.metadata.deletion_timestamp:
            return Status.unresolvable(f'persistentvolumeclaim "{key.name}" is being deleted')
        if claim.spec.volume_name and matching.BIND_COMPLETED in claim.metadata.annotations:
            volume = self._volumes.volume(claim.spec.volume_name)
            if volume is None:
                return Status.unresolvable(
                    "node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)"
                )
            wants.bound.append(volume)
            return None
        found = self._volumes.storage_class(matching.class_of(claim))
        if found is None or found.volume_binding_mode != matching.WAIT or claim.spec.volume_name:
            return Status.unresolvable(UNBOUND)
        wants.waiting.append((claim, found))
        return None

    def filter(self, state: CycleState, pod: PodInfo, node: NodeInfo) -> Status:
        wants: _Wants = state[self.name]
        if node.node is None:
            return Status.error("node not found")
        if not all(matching.reaches(volume, node.node) for volume in wants.bound):
            return Status.unresolvable(CONFLICT)
        chosen: list[tuple[PersistentVolumeClaim, PersistentVolume | None]] = []
        taken: set[str] = set()
        for claim, storage_class in wants.waiting:
            wanted = claim.metadata.annotations.get(matching.SELECTED_NODE)
            if wanted and wanted != node.name:
                return Status.unresolvable(CONFLICT)
            volume = self._match(claim, node.node, taken)
            if volume is None and not _can_provision(storage_class, node.node):
                return Status.unresolvable(NOTHING_TO_BIND)
            if volume is not None:
                taken.add(volume.metadata.name or "")
            chosen.append((claim, volume))
        wants.chosen[node.name] = chosen
        return SUCCESS

    def _match(self, claim: PersistentVolumeClaim, node: Node, taken: set[str]) -> PersistentVolume | None:
        uid = claim.metadata.uid or ""
        free = (
            volume
            for volume in self._volumes.of_class(matching.class_of(claim))
            if volume.metadata.name not in taken
            and self._reserved.get(volume.metadata.name or "", uid) == uid
        )
        return matching.best(free, claim, node=node)

    def reserve(self, state: CycleState, pod: PodInfo, node_name: str) -> Status:
        wants: _Wants | None = state.get(self.name)
        for claim, volume in wants.chosen.get(node_name, ()) if wants else ():
            if volume is not None:
                self._reserved[volume.metadata.name or ""] = claim.metadata.uid or ""
        return SUCCESS

    def unreserve(self, state: CycleState, pod: PodInfo, node_name: str) -> None:
        wants: _Wants | None = state.get(self.name)
        for _, volume in wants.chosen.get(node_name, ()) if wants else ():
            if volume is not None:
                self._reserved.pop(volume.metadata.name or "", None)

    async def pre_bind(self, state: CycleState, pod: PodInfo, node_name: str) -> Status:
        wants: _Wants | None = state.get(self.name)
        chosen = wants.chosen.get(node_name, []) if wants else []
        if not chosen:
            return SUCCESS
        for claim, volume in chosen:
            if volume is not None:
                await self._volumes.promise(volume, claim)
            elif matching.SELECTED_NODE not in claim.metadata.annotations:
                await self._volumes.ask_for(claim, node_name)
        fault = await self._volumes.bound(claim.key for claim, _ in chosen)
        self.unreserve(state, pod, node_name)
        return Status.error(fault) if fault else SUCCESS

    def queueing_hint(self, pod: PodInfo, happening: Happening) -> bool:
        claim = happening.new
        if isinstance(claim, PersistentVolumeClaim):
            return claim.key in _claims_of(pod)
        return True


def _claims_of(pod: PodInfo) -> list[ObjectKey]:
    namespace = pod.key.namespace
    return [
        ObjectKey(
            namespace,
            volume.persistent_volume_claim.claim_name
            if volume.persistent_volume_claim
            else f"{pod.key.name}-{volume.name}",
        )
        for volume in pod.pod.spec.volumes
        if volume.persistent_volume_claim or volume.ephemeral
    ]


def _ephemeral_claims(pod: PodInfo) -> set[str]:
    return {f"{pod.key.name}-{volume.name}" for volume in pod.pod.spec.volumes if volume.ephemeral}


def _can_provision(storage_class: StorageClass, node: Node) -> bool:
    if storage_class.provisioner in ("", NO_PROVISIONER):
        return False
    terms = storage_class.allowed_topologies
    return not terms or any(
        all(node.metadata.labels.get(e.key) in e.values for e in term.match_label_expressions)
        for term in terms
    )
