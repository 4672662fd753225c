"""Pods that a Permit plugin holds back after their node was chosen.

Each waits until all plugins that asked for it have allowed it, one of them rejects it, or its time
is up. No plugin of the default profile does this. Upstream: `runtime/waiting_pods_map.go`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from services.machinery.clock import Clock
from services.scheduler.framework.pod_info import PodInfo
from services.scheduler.framework.status import SUCCESS, Status

WAIT_SECONDS_MAX = 15 * 60.0


class WaitingPods:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._waiting: dict[str, tuple[set[str], asyncio.Future[Status]]] = {}

    async def wait(self, pod: PodInfo, waits: Mapping[str, float]) -> Status:
        """Until it is settled; the shortest wait that a plugin asked for is the limit for all."""
        verdict: asyncio.Future[Status] = asyncio.get_running_loop().create_future()
        self._waiting[pod.uid] = (set(waits), verdict)
        first, seconds = min(waits.items(), key=lambda item: item[1])
        try:
            async with self._clock.timeout(min(seconds, WAIT_SECONDS_MAX)):
                return await verdict
        except TimeoutError:
            return Status.unschedulable(
                f"rejected due to timeout after waiting {seconds:g}s at plugin {first}"
            ).by(first)
        finally:
            del self._waiting[pod.uid]

    def allow(self, uid: str, plugin: str) -> None:
        if uid in self._waiting:
            pending, verdict = self._waiting[uid]
            pending.discard(plugin)
            if not pending and not verdict.done():
                verdict.set_result(SUCCESS)

    def reject(self, uid: str, plugin: str, reason: str) -> None:
        if uid in self._waiting and not (verdict := self._waiting[uid][1]).done():
            verdict.set_result(Status.unschedulable(reason).by(plugin))
