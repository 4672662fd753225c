"""Graceful node shutdown: the node says that it goes, and its Pods end in order, critical ones last.

Each group has its part of the time; who is not done by then ends with the machine.
Upstream: `pkg/kubelet/nodeshutdown`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from services.kubelet import eviction
from services.kubelet.configuration import KubeletConfiguration
from services.kubelet.pod_worker import PodWorker, Stage

if TYPE_CHECKING:
    from services.kubelet.kubelet import Kubelet

REASON = "Terminated"
MESSAGE = "Pod was terminated in response to imminent node shutdown."
WRITTEN_SECONDS = 5.0  # how long the API server may take to hear of it


class ShutdownManager:
    """One node's."""

    def __init__(
        self, kubelet: Kubelet, configuration: KubeletConfiguration, report: Callable[[], Awaitable[None]]
    ) -> None:
        self._kubelet, self._configuration, self._report = kubelet, configuration, report

    async def run(self, grace_seconds: int = 0, critical_seconds: int = 0) -> None:
        """Returns when all Pods have ended, or their time is over. 0: as configured."""
        context = self._kubelet.context
        total = grace_seconds or self._configuration.shutdown_grace_seconds
        critical = min(total, critical_seconds or self._configuration.shutdown_critical_seconds)
        context.shutting_down = True
        context.log.info("The node is shutting down", kind="Node", name=context.name, grace=f"{total}s")
        await self._report()
        workers = [w for w in self._kubelet.workers.values() if w.stage is Stage.SYNC]
        await self._end([w for w in workers if not eviction.is_critical(w.pod)], total - critical)
        await self._end([w for w in workers if eviction.is_critical(w.pod)], critical)
        try:
            async with context.clock.timeout(WRITTEN_SECONDS):
                await context.statuses.settled()
        except TimeoutError:
            context.log.warning("The API server did not hear of every Pod's end")

    async def _end(self, workers: list[PodWorker], seconds: int) -> None:
        clock = self._kubelet.context.clock
        for worker in workers:
            own = worker.pod.spec.termination_grace_period_seconds
            self._kubelet.end(worker, REASON, MESSAGE, min(seconds, seconds if own is None else own))
        try:
            async with clock.timeout(seconds):
                await self._kubelet.until(lambda: all(w.stage is Stage.TERMINATED for w in workers))
        except TimeoutError:
            self._kubelet.context.log.warning("Some Pods did not end in their time", seconds=seconds)
