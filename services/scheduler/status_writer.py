"""Tells users, in the Pod's status, why it was not scheduled: the condition PodScheduled.

Writes lag behind decisions without holding them up. Only the newest condition of a Pod counts, so
that what waits to be written is bounded by the Pods that wait. A Pod that is gone needs none; while
the API server is away, writes wait for it.
"""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

from services.api.core_v1 import Pod, PodCondition
from services.api.errors import ApiError
from services.client.client import Client
from services.client.transport import PatchType, Unavailable
from services.machinery import conditions, trace
from services.machinery.clock import Clock, rfc3339
from services.process.logging import Logger

WORKERS = 4
RETRY_SECONDS = 1.0
POD_SCHEDULED = "PodScheduled"


class _Write(NamedTuple):
    pod: Pod
    patch: dict[str, Any]
    cause: str


class StatusWriter:
    def __init__(self, client: Client, clock: Clock, log: Logger) -> None:
        self._client, self._clock, self._log = client, clock, log
        self._pending: dict[str, _Write] = {}
        self._filled = asyncio.Event()

    def not_scheduled(self, pod: Pod, reason: str, message: str) -> None:
        """Returns at once. Does nothing when the Pod says so already."""
        patch = condition_patch(pod, reason, message, rfc3339(self._clock.now()))
        if patch is not None:
            self._pending[pod.metadata.uid or ""] = _Write(pod, patch, trace.current())
            self._filled.set()

    async def run(self) -> None:
        """Writes until cancelled."""
        async with asyncio.TaskGroup() as group:
            for number in range(WORKERS):
                group.create_task(self._work(), name=f"status writer {number}")

    async def _work(self) -> None:
        while True:
            await self._filled.wait()
            if not self._pending:
                self._filled.clear()
                continue
            uid = next(iter(self._pending))
            await self._write(uid, self._pending.pop(uid))

    async def _write(self, uid: str, write: _Write) -> None:
        name, namespace = write.pod.key.name, write.pod.key.namespace
        with trace.scope(write.cause):
            try:
                await self._client.patch(
                    Pod, name, namespace, write.patch, patch_type=PatchType.STRATEGIC, subresource="status"
                )
            except Unavailable:
                await self._clock.sleep(RETRY_SECONDS)
                self._pending.setdefault(uid, write)
                self._filled.set()
            except ApiError as error:
                self._log.debug(
                    "The Pod's condition was not written", namespace=namespace, name=name, why=error.message
                )


def condition_patch(pod: Pod, reason: str, message: str, now: str) -> dict[str, Any] | None:
    """A patch of the Pod's status that sets PodScheduled=False; None when nothing would change."""
    generation = pod.metadata.generation
    old: PodCondition | None = conditions.get(pod.status.conditions, POD_SCHEDULED)
    if old is not None and (old.status, old.reason, old.message) == ("False", reason, message):
        return None
    since = old.last_transition_time if old is not None and old.status == "False" else now
    condition = {
        "type": POD_SCHEDULED,
        "status": "False",
        "reason": reason,
        "message": message,
        "lastTransitionTime": since,
        "observedGeneration": generation,
    }
    if generation is None:
        del condition["observedGeneration"]
    # The uid keeps the condition off another Pod that took the name meanwhile.
    return {"metadata": {"uid": pod.metadata.uid}, "status": {"conditions": [condition]}}
