"""Looks at what its node has left, says when it is short, and ends Pods before the machine fails.

A look every ten seconds, and at once when the machine itself says so. First what costs nobody anything is
taken back (dead containers, unused images); then one Pod goes, and the next look waits until it is
gone. Which one and why decides `eviction`. What the runtime does not answer is asked again at the next look.
Upstream: `pkg/kubelet/eviction/eviction_manager.go`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

from services.api.core_v1 import ObjectReference, Pod
from services.kubelet import eviction
from services.kubelet.configuration import HostUsage, KubeletConfiguration
from services.kubelet.cri import CriError, Usage
from services.kubelet.disk_usage import pod_usage
from services.kubelet.eviction import (
    DISK,
    MEMORY,
    SIGNALS,
    Observation,
    PodUsage,
    Pressure,
    Threshold,
)
from services.kubelet.image_gc import PERIOD_SECONDS as IMAGE_GC_SECONDS
from services.kubelet.image_gc import ImageGc
from services.kubelet.node_context import NodeContext
from services.kubelet.pod_worker import PodWorker, Stage
from services.machinery import quantity

if TYPE_CHECKING:
    from services.kubelet.kubelet import Kubelet

LOOK_SECONDS = 10.0
# With more than half of everything left, nothing can become short within the next ten seconds.
AT_EASE_SECONDS = 30.0
# A node with thousands of containers takes a while to look at: looking is at most this part of its time.
LOOK_SHARE = 1 / 50
LOOK_SECONDS_MAX = 60.0
GONE_SECONDS = 30.0  # how long an evicted Pod is waited for
HARD_GRACE_SECONDS = 1
PAGE_BYTES = 4096


class EvictionManager:
    """One node's."""

    def __init__(
        self,
        kubelet: Kubelet,
        configuration: KubeletConfiguration,
        usage: Callable[[], HostUsage],
        logs: Callable[[Pod], Path],
        node: ObjectReference,
        report: Callable[[], Awaitable[None]],
        *,
        periodic: bool,
    ) -> None:
        """`periodic` is False for hollow nodes: hundreds of them look only when they are told to."""
        self._kubelet, self._configuration, self._usage, self._logs = kubelet, configuration, usage, logs
        self._context: NodeContext = kubelet.context
        self._node, self._report, self._periodic = node, report, periodic
        self._pressure = Pressure()
        self._poked = asyncio.Event()
        self._at_ease = False
        self._images_at: float | None = None
        self.images = ImageGc(
            self._context,
            configuration,
            lambda: (r for w in kubelet.workers.values() for r in w.view.all()),
            node,
        )

    def poke(self) -> None:
        """Look now."""
        self._poked.set()

    async def run(self) -> None:
        """Until cancelled."""
        if not self._periodic:
            await self._poked.wait()
        while True:
            evicted = None
            self._poked.clear()
            begun = self._context.clock.monotonic()
            try:
                evicted = await self.look()
            except CriError as error:
                self._context.log.debug("Could not see what the node has left", error=str(error))
            if evicted is not None:
                await self._until_ended(evicted)
            else:
                await self._wait(self._context.clock.monotonic() - begun)

    async def _wait(self, took: float) -> None:
        least = AT_EASE_SECONDS if self._at_ease else LOOK_SECONDS
        seconds: float | None = max(least, min(took / LOOK_SHARE, LOOK_SECONDS_MAX))
        if not self._periodic and self._pressure.calm:
            seconds = None
        try:
            async with self._context.clock.timeout(seconds):
                await self._poked.wait()
        except TimeoutError:
            return

    async def _until_ended(self, worker: PodWorker) -> None:
        try:
            async with self._context.clock.timeout(GONE_SECONDS):
                await self._kubelet.until(lambda: worker.stage is Stage.TERMINATED)
        except TimeoutError:
            self._context.log.warning("An evicted Pod takes long to end", pod=worker.name_with_uid)

    # ---- One look ----------------------------------------------------------------------------

    async def look(self) -> PodWorker | None:
        """Says what is short, and evicts at most one Pod, which is returned."""
        context, configuration = self._context, self._configuration
        usage = await context.cri.usage()
        observed = await self._observe(usage)
        evicted = await self._over_own_limits(usage)
        due = self._pressure.look(
            (*configuration.eviction_hard, *configuration.eviction_soft),
            observed,
            context.clock.monotonic(),
            configuration.pressure_transition_seconds,
        )
        self._at_ease = self._pressure.calm and all(2 * o.available > o.capacity for o in observed.values())
        if self._pressure.conditions != context.pressure:
            context.pressure = self._pressure.conditions
            await self._report()
        if evicted is not None or not due:
            return evicted
        return await self._reclaim(due[0], observed, usage)

    async def _observe(self, usage: list[Usage]) -> dict[str, Observation]:
        context, host = self._context, self._usage()
        memory = quantity.value(context.capacity["memory"])
        disk = quantity.value(context.capacity["ephemeral-storage"])
        images = sum(image.size_bytes for image in await context.cri.images())
        used_disk = host.disk_bytes + images
        await self._collect_images(used_disk, disk)
        held = host.memory_bytes + sum(one.memory_bytes for one in usage)
        storage = Observation(_pages(disk - used_disk), disk)
        inodes = Observation(host.inodes_capacity - host.inodes, host.inodes_capacity)
        return {
            "memory.available": Observation(_pages(memory - held), memory),
            "nodefs.available": storage,
            "imagefs.available": storage,
            "nodefs.inodesFree": inodes,
            "imagefs.inodesFree": inodes,
            "pid.available": Observation(host.pids_capacity - host.pids, host.pids_capacity),
        }

    async def _collect_images(self, used: int, capacity: int) -> None:
        now = self._context.clock.monotonic()
        if self._images_at is None or now - self._images_at >= IMAGE_GC_SECONDS:
            self._images_at = now
            await self.images.collect(used, capacity)

    async def _over_own_limits(self, usage: list[Usage]) -> PodWorker | None:
        for worker in self._live():
            if not eviction.has_storage_limits(worker.pod):
                continue
            text = eviction.storage_excess(worker.pod, await self._storage_of(worker.pod, usage))
            if text:
                self._evict(worker, text, HARD_GRACE_SECONDS)
                return worker
        return None

    async def _storage_of(self, pod: Pod, usage: list[Usage]) -> PodUsage:
        uid = pod.metadata.uid or ""
        written = {one.name: one.written_bytes for one in usage if one.pod_uid == uid}
        return await asyncio.to_thread(pod_usage, pod, self._context.root, self._logs(pod), written)

    # ---- Acting ------------------------------------------------------------------------------

    async def _reclaim(
        self, threshold: Threshold, observed: dict[str, Observation], usage: list[Usage]
    ) -> PodWorker | None:
        context = self._context
        condition, resource = SIGNALS[threshold.signal]
        text = f"Attempting to reclaim {resource}"
        context.recorder.event(self._node, "Warning", "EvictionThresholdMet", text)
        context.log.warning(
            text,
            signal=threshold.signal,
            available=quantity.format(observed[threshold.signal].available, "binary"),
        )
        if condition == DISK and await self._reclaim_from_node(threshold):
            return None
        usages = await self._usages(condition, usage)
        workers = {worker.uid: worker for worker in self._live()}
        for pod in eviction.ranked([worker.pod for worker in workers.values()], usages, resource):
            if eviction.is_critical(pod):
                continue
            uid = pod.metadata.uid or ""
            why = eviction.message(
                pod, usages.get(uid, PodUsage()), resource, threshold, observed[threshold.signal]
            )
            grace = self._configuration.max_pod_grace_seconds if threshold.soft else HARD_GRACE_SECONDS
            self._evict(workers[uid], why, grace)
            return workers[uid]
        context.log.warning("There is no Pod that could be evicted", resource=resource)
        return None

    async def _reclaim_from_node(self, threshold: Threshold) -> bool:
        """Takes back what nobody needs. Whether that was enough."""
        await self._kubelet.remove_dead()
        await self.images.free_all()
        observation = (await self._observe([])).get(threshold.signal)
        return observation is not None and observation.available >= threshold.amount(observation.capacity)

    async def _usages(self, condition: str, usage: list[Usage]) -> dict[str, PodUsage]:
        if condition == MEMORY:
            memory: dict[str, dict[str, int]] = {}
            for one in usage:
                memory.setdefault(one.pod_uid, {})[one.name] = one.memory_bytes
            return {uid: PodUsage(memory=containers) for uid, containers in memory.items()}
        if condition != DISK:
            return {}
        return {worker.uid: await self._storage_of(worker.pod, usage) for worker in self._live()}

    def _live(self) -> list[PodWorker]:
        return [w for w in self._kubelet.workers.values() if w.stage is Stage.SYNC and not w.refused]

    def _evict(self, worker: PodWorker, message: str, grace_seconds: int) -> None:
        self._context.pod_event(worker.pod, "Warning", "Evicted", message)
        self._context.log.warning(
            "Evicted the Pod",
            kind="Pod",
            namespace=worker.key.namespace,
            name=worker.key.name,
            why=message.strip(),
        )
        self._kubelet.end(worker, "Evicted", message, grace_seconds)


def _pages(number: int) -> int:
    """As a machine counts: whole pages, none below zero."""
    return max(0, number) // PAGE_BYTES * PAGE_BYTES
