"""From watch events to the queue and the cache, and to the cluster events that wake waiting Pods.

A Pod without a node is the queue's, one with a node is the cache's. Most updates say nothing
new to a scheduler (a container started, a node's heartbeat): they cost one comparison.
Upstream: `eventhandlers.go`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from services.api.core_v1 import Node, Pod
from services.api.object import Object
from services.machinery.clock import Clock
from services.process.logging import Logger
from services.scheduler.cache import Cache
from services.scheduler.framework.events import ClusterEvent, Happening
from services.scheduler.framework.pod_info import PodInfo
from services.scheduler.queue import SchedulingQueue

# What has ended holds nothing and needs nothing. The server turns the end into a deletion.
POD_FIELDS = "status.phase!=Succeeded,status.phase!=Failed"


class EventHandlers:
    def __init__(
        self,
        queue: SchedulingQueue,
        cache: Cache,
        clock: Clock,
        wake: Callable[[], None],
        log: Logger,
        scheduler_name: str,
    ) -> None:
        self._queue, self._cache, self._clock = queue, cache, clock
        self._wake, self._log, self._scheduler_name = wake, log, scheduler_name

    # Pods.

    def pod_added(self, pod: Pod, cause: str) -> None:
        if pod.spec.node_name:
            self._bound(pod)
        elif self._responsible(pod):
            self._enqueue(pod, cause)

    def pod_updated(self, old: Pod, new: Pod, cause: str) -> None:
        if new.spec.node_name:
            if not old.spec.node_name:
                self._bound(new)
            elif _says_something_new(old, new):
                self._changed(old, new)
        elif self._responsible(new):
            self._edited(old, new, cause)

    def pod_deleted(self, pod: Pod, cause: str) -> None:
        uid = pod.metadata.uid or ""
        self._queue.delete(uid)
        if self._cache.remove_pod(uid):
            self._happened(Happening(ClusterEvent.POD_REMOVED, old=pod))

    def _responsible(self, pod: Pod) -> bool:
        return pod.spec.scheduler_name in (self._scheduler_name, None, "")

    def _enqueue(self, pod: Pod, cause: str) -> None:
        uid = pod.metadata.uid or ""
        if self._cache.is_assumed(uid) or self._queue.in_flight(uid):
            return
        queued = self._queue.add(PodInfo(pod), self._clock.monotonic(), cause)
        if queued.gated:
            gates = ",".join(gate.name for gate in pod.spec.scheduling_gates)
            self._log.info(
                "The Pod waits until its scheduling gates are removed",
                kind="Pod", namespace=pod.key.namespace, name=pod.key.name, gates=gates,
            )  # fmt: skip
        self._wake()

    def _bound(self, pod: Pod) -> None:
        uid = pod.metadata.uid or ""
        self._queue.delete(uid)
        assumed = self._cache.pod(uid)
        self._cache.add_pod(assumed.seen_as(pod) if assumed is not None else PodInfo(pod))
        self._happened(Happening(ClusterEvent.POD_ADDED, new=pod))

    def _changed(self, old: Pod, new: Pod) -> None:
        info = PodInfo(new)
        before = self._cache.pod(info.uid)
        self._cache.update_pod(info)
        if old.metadata.labels != new.metadata.labels:
            self._happened(Happening(ClusterEvent.POD_LABELS_CHANGED, old, new))
        if before is not None and any(info.requests.get(r, 0) < n for r, n in before.requests.items()):
            self._happened(Happening(ClusterEvent.POD_SCALED_DOWN, old, new))

    def _edited(self, old: Pod, new: Pod, cause: str) -> None:
        """The Pod still waits. What is being bound is read anew should that fail."""
        uid = new.metadata.uid or ""
        if self._cache.is_assumed(uid):
            return
        queued = self._queue.find(uid)
        info = queued.info.seen_as(new) if queued is not None else PodInfo(new)
        edits = list(_edits(old, new))
        # What we wrote into its status ourselves does not begin a new story.
        own_cause = cause if edits or queued is None else ""
        self._queue.update(info, edits, self._clock.monotonic(), own_cause)
        self._wake()

    # Nodes.

    def node_added(self, node: Node, cause: str) -> None:
        self._cache.add_node(node)
        self._happened(Happening(ClusterEvent.NODE_ADDED, new=node))

    def node_updated(self, old: Node, new: Node, cause: str) -> None:
        happenings = [Happening(event, old, new) for event in _node_changes(old, new)]
        if happenings or old.status.images != new.status.images:
            self._cache.update_node(new)
        for happening in happenings:
            self._happened(happening)

    def node_deleted(self, node: Node, cause: str) -> None:
        self._cache.remove_node(node.metadata.name or "")
        self._happened(Happening(ClusterEvent.NODE_REMOVED, old=node))

    # Claims, volumes, classes.

    def of_storage(self, event: ClusterEvent) -> tuple[Callable[..., None], Callable[..., None]]:
        """Handlers of one kind, for what came and what changed; what goes helps nobody."""

        def added(new: Object, cause: str) -> None:
            self._happened(Happening(event, new=new))

        def updated(old: Object, new: Object, cause: str) -> None:
            self._happened(Happening(event, old, new))

        return added, updated

    def _happened(self, happening: Happening) -> None:
        woken = self._queue.happened(happening, self._clock.monotonic())
        for pod in woken:
            self._log.debug(
                "Something changed that may help the Pod",
                kind="Pod", namespace=pod.info.key.namespace, name=pod.info.key.name,
                change=happening.event.value,
            )  # fmt: skip
        if woken:
            self._wake()


def _says_something_new(old: Pod, new: Pod) -> bool:
    """Whether it differs in what a node must make room for or a selector could see."""
    one, other = old.metadata, new.metadata
    return (
        one.generation != other.generation
        or one.labels != other.labels
        or (one.deletion_timestamp is None) != (other.deletion_timestamp is None)
        or one.uid != other.uid
    )


def _edits(old: Pod, new: Pod) -> Iterator[Happening]:
    if old.spec.scheduling_gates and not new.spec.scheduling_gates:
        yield Happening(ClusterEvent.TARGET_POD_GATES_REMOVED, old, new)
    if old.metadata.generation != new.metadata.generation or old.metadata.labels != new.metadata.labels:
        yield Happening(ClusterEvent.TARGET_POD_CHANGED, old, new)


def _node_changes(old: Node, new: Node) -> Iterator[ClusterEvent]:
    if old.status.allocatable != new.status.allocatable:
        yield ClusterEvent.NODE_ALLOCATABLE_CHANGED
    if old.metadata.labels != new.metadata.labels:
        yield ClusterEvent.NODE_LABELS_CHANGED
    if old.spec.taints != new.spec.taints or old.spec.unschedulable != new.spec.unschedulable:
        yield ClusterEvent.NODE_TAINTS_CHANGED
