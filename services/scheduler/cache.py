"""The scheduler's belief about the cluster: which Pods are on which nodes, its own last decisions included.

A decided Pod is *assumed* on its node at once, so that the next decision counts it, and becomes
*added* when the watch shows it bound. Should that never come although the binding was written, the
assumption expires. Every change is constant work: it touches one node, which moves to the end of
the order of change, from which a snapshot (or any other reader) takes only what is new to it.

Pure; the caller tells the time. Upstream: `pkg/scheduler/backend/cache`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping

from services.api.core_v1 import Node
from services.scheduler.framework.node_info import NodeInfo
from services.scheduler.framework.pod_info import PodInfo

# Upstream never expires assumptions (0); a bound here keeps a lost watch event from holding room for ever.
ASSUMED_MAX_SECONDS = 900.0


class Cache:
    def __init__(self) -> None:
        self._nodes: OrderedDict[str, NodeInfo] = OrderedDict()
        """In the order of change, the last changed at the end."""
        self._pods: dict[str, tuple[PodInfo, str]] = {}
        self._assumed: dict[str, float | None] = {}
        """When the assumption ends; None while its binding is still being written."""
        self.nodes_version = 0
        """Grows when a node comes or goes, or moves to another zone."""
        self.images: dict[str, dict[str, int]] = {}
        """For each image the nodes that have it, with its size in bytes there."""

    # Nodes.

    def add_node(self, node: Node) -> None:
        info = self._node(node.metadata.name or "")
        was_known, old_zone, old_images = info.node is not None, info.zone, info.image_sizes
        info.set_node(node)
        if not was_known or info.zone != old_zone:
            self.nodes_version += 1
        if info.image_sizes != old_images:
            self._move_images(info.name, old_images, info.image_sizes)
        self._touch(info)

    update_node = add_node

    def remove_node(self, name: str) -> None:
        info = self._nodes.get(name)
        if info is None:
            return
        self._move_images(name, info.image_sizes, {})
        info.clear_node()
        self.nodes_version += 1
        # Its Pods' own deletions may still be on their way; the node is forgotten with the last of them.
        if info.pods:
            self._touch(info)
        else:
            del self._nodes[name]

    def node(self, name: str) -> NodeInfo | None:
        """The node as believed now; to be read, not kept."""
        return self._nodes.get(name)

    def changed_since(self, generation: int) -> Iterator[NodeInfo]:
        """The nodes that changed after that generation, the newest first."""
        for info in reversed(self._nodes.values()):
            if info.generation <= generation:
                return
            yield info

    def nodes(self) -> Iterator[NodeInfo]:
        """Those that exist."""
        return (info for info in self._nodes.values() if info.node is not None)

    # Pods.

    def assume(self, info: PodInfo, node_name: str) -> None:
        """Counts the Pod on the node before the binding is written."""
        if info.uid in self._pods:
            raise ValueError(f"the Pod {info.key} is already counted on a node")
        self._place(info, node_name)
        self._assumed[info.uid] = None

    def finish_binding(self, uid: str, now: float) -> float | None:
        """The binding is written: the watch has to show it by the returned time, if it has not yet."""
        if uid not in self._assumed:
            return None
        deadline = self._assumed[uid] = now + ASSUMED_MAX_SECONDS
        return deadline

    def forget(self, uid: str) -> None:
        """Takes an assumption back; does nothing once the watch has confirmed it."""
        if uid in self._assumed:
            self._remove(uid)

    def is_assumed(self, uid: str) -> bool:
        return uid in self._assumed

    def add_pod(self, info: PodInfo) -> None:
        """The watch shows the Pod on its node, which is true whatever was assumed."""
        node_name = info.pod.spec.node_name or ""
        known = self._pods.get(info.uid)
        if known is not None and known[1] == node_name and info.uid in self._assumed:
            self._assumed.pop(info.uid)
            old = known[0]
            if old.label_set is info.label_set and old.terminating == info.terminating:
                # As assumed: nothing changed but what the Pod is known by.
                self._pods[info.uid] = (info, node_name)
                self._nodes[node_name].pods[info.uid] = info
                return
        if known is not None:
            self._remove(info.uid)
        self._place(info, node_name)

    update_pod = add_pod

    def remove_pod(self, uid: str) -> bool:
        """Whether it was there."""
        if uid not in self._pods:
            return False
        self._remove(uid)
        return True

    def pod(self, uid: str) -> PodInfo | None:
        known = self._pods.get(uid)
        return known[0] if known else None

    def expire(self, now: float) -> list[PodInfo]:
        """Drops assumptions that the watch never confirmed; returns them."""
        overdue = [uid for uid, deadline in self._assumed.items() if deadline is not None and deadline <= now]
        infos = [self._pods[uid][0] for uid in overdue]
        for uid in overdue:
            self._remove(uid)
        return infos

    def next_expiry(self) -> float | None:
        """When `expire` has something to do next. Looks at all that is assumed."""
        return min((deadline for deadline in self._assumed.values() if deadline is not None), default=None)

    # Within.

    def _node(self, name: str) -> NodeInfo:
        info = self._nodes.get(name)
        if info is None:
            # A Pod can be seen before the node that it is on.
            info = self._nodes[name] = NodeInfo(name=name)
        return info

    def _touch(self, info: NodeInfo) -> None:
        self._nodes.move_to_end(info.name)

    def _move_images(self, node_name: str, old: Mapping[str, int], new: Mapping[str, int]) -> None:
        for image in old.keys() - new.keys():
            holders = self.images[image]
            del holders[node_name]
            if not holders:
                del self.images[image]
        for image, size in new.items():
            self.images.setdefault(image, {})[node_name] = size

    def _place(self, info: PodInfo, node_name: str) -> None:
        node = self._node(node_name)
        node.add_pod(info)
        self._touch(node)
        self._pods[info.uid] = (info, node_name)

    def _remove(self, uid: str) -> None:
        _, node_name = self._pods.pop(uid)
        self._assumed.pop(uid, None)
        node = self._nodes[node_name]
        node.remove_pod(uid)
        if node.node is None and not node.pods:
            del self._nodes[node_name]
        else:
            self._touch(node)
