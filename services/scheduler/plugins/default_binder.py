"""DefaultBinder: writes the decision as a Binding, which sets `spec.nodeName`; all else follows from that."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from services.api.core_v1 import Pod
from services.scheduler.framework.interface import SUCCESS, Bind, CycleState, Status
from services.scheduler.framework.pod_info import PodInfo


class DefaultBinder(Bind):
    name = "DefaultBinder"

    def __init__(self, write: Callable[[Pod, str], Awaitable[None]]) -> None:
        self._write = write

    async def bind(self, state: CycleState, pod: PodInfo, node_name: str) -> Status:
        await self._write(pod.pod, node_name)
        return SUCCESS
