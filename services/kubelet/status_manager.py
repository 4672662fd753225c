"""Writes Pod statuses to the API server: only what changed, the newest first and only once.

`set` takes a status in and returns; a few workers write. While one is being written newer ones
replace each other, so a Pod that changes faster than the server answers costs fewer writes. A
terminating Pod that is finished is deleted here, with grace 0 and its uid as precondition: the one
point where a Pod really goes. What fails is tried again with back-off; a Pod that is gone, or is
another one of that name, is forgotten. Upstream: `pkg/kubelet/status/status_manager.go`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field

from services.api import errors
from services.api.core_v1 import Pod
from services.api.kinds import resource_of
from services.client import codec
from services.client.client import Client
from services.client.token_bucket import TokenBucket
from services.client.transport import PatchType, Target, WriteOptions
from services.kubelet import pod_status
from services.kubelet.container_status import Status, as_data
from services.kubelet.timers import Timers
from services.machinery import trace
from services.machinery.backoff import Backoff
from services.machinery.clock import Clock
from services.process.logging import Logger

FIELD_MANAGER = "kubelet"
WRITES_IN_FLIGHT_MAX = 16
# "ContainerCreating" is worth a write of its own, but not when hundreds of Pods start together: then
# it waits this long, and most containers run by then and need one write, not two.
PRELIMINARY_PER_SECOND = 10.0
PRELIMINARY_BURST = 20
PRELIMINARY_SECONDS = 0.5
SETTLE_SECONDS = 0.05
_WATCHED = ("Ready", "ContainersReady", "Initialized", "PodReadyToStartContainers")


@dataclass(slots=True)
class _Entry:
    namespace: str
    name: str
    uid: str
    reported: Status  # what the API server has, as far as we know
    wanted: Status
    cause: str = ""
    delete: bool = False
    queued: bool = False
    writing: bool = False
    backoff: Backoff = field(default_factory=lambda: Backoff(0.2, 10))


class StatusManager:
    def __init__(self, client: Client, timers: Timers, clock: Clock, log: Logger) -> None:
        self._client, self._timers, self._log = client, timers, log
        self._entries: dict[str, _Entry] = {}
        self._queue: deque[_Entry] = deque()
        self._ready = asyncio.Semaphore(0)
        self._clock = clock
        self._preliminary = TokenBucket(PRELIMINARY_PER_SECOND, PRELIMINARY_BURST, clock.monotonic())

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(WRITES_IN_FLIGHT_MAX):
                group.create_task(self._work())

    def set(self, pod: Pod, status: Status) -> None:
        """This is the Pod's status now."""
        entry = self._entry(pod)
        if entry.wanted == status:
            return
        entry.wanted = status
        entry.cause = trace.current()
        if status.get("phase") == "Pending" and not self._preliminary.try_take(self._clock.monotonic()):
            self._timers.after(PRELIMINARY_SECONDS, lambda: self._enqueue_unless_written(entry))
        else:
            self._enqueue(entry)

    async def settled(self) -> None:
        """Returns when everything is written that was to be written when it was asked."""
        while any(e.queued or e.writing or e.reported is not e.wanted for e in self._entries.values()):
            await self._clock.sleep(SETTLE_SECONDS)

    def delete(self, pod: Pod) -> None:
        """The Pod is finished: once its last status is written, it may go."""
        entry = self._entry(pod)
        entry.delete = True
        entry.cause = trace.current() or entry.cause
        self._enqueue(entry)

    def forget(self, uid: str) -> None:
        """The API server has it no more."""
        self._entries.pop(uid, None)

    def reconcile(self, pod: Pod) -> None:
        """If somebody else has written a status that is not ours, ours is written again."""
        entry = self._entries.get(pod.metadata.uid or "")
        if entry is None or entry.queued or entry.writing or entry.reported is not entry.wanted:
            return
        ours = {c["type"]: c["status"] for c in entry.reported.get("conditions", ())}
        theirs = {c.type: c.status for c in pod.status.conditions}
        different = any(kind in ours and theirs.get(kind) != ours[kind] for kind in _WATCHED)
        if different or pod.status.phase != entry.reported.get("phase"):
            entry.reported = as_data(pod.status)
            self._enqueue(entry)

    def _entry(self, pod: Pod) -> _Entry:
        uid = pod.metadata.uid or ""
        entry = self._entries.get(uid)
        if entry is None:
            reported = as_data(pod.status)
            entry = _Entry(pod.metadata.namespace or "", pod.metadata.name or "", uid, reported, reported)
            self._entries[uid] = entry
        return entry

    def _enqueue_unless_written(self, entry: _Entry) -> None:
        if entry.reported is not entry.wanted:
            self._enqueue(entry)

    def _enqueue(self, entry: _Entry) -> None:
        if entry.queued or entry.writing:
            return  # Whoever has it looks once more when done.
        entry.queued = True
        self._queue.append(entry)
        self._ready.release()

    async def _work(self) -> None:
        while True:
            await self._ready.acquire()
            entry = self._queue.popleft()
            entry.queued = False
            if self._entries.get(entry.uid) is not entry:
                continue
            entry.writing = True
            try:
                with trace.scope(entry.cause):
                    settled = await self._write(entry)
            finally:
                entry.writing = False
            if not settled:
                self._enqueue(entry)

    async def _write(self, entry: _Entry) -> bool:
        """Returns False when there is more to write already."""
        wanted = entry.wanted
        try:
            await self._patch(entry, wanted)
            if entry.wanted is not wanted:
                return False
            if entry.delete:
                await self._client.delete(Pod, entry.name, entry.namespace, grace_seconds=0, uid=entry.uid)
                self._log.debug("Deleted the Pod from the API server", pod=_text(entry))
                self.forget(entry.uid)
        except errors.ApiError as error:
            another = errors.is_conflict(error) and "uid" in error.message.lower()
            if errors.is_not_found(error) or another:
                self.forget(entry.uid)
                return True
            self._retry(entry, error)
        else:
            entry.backoff.forget()
        return True

    async def _patch(self, entry: _Entry, wanted: Status) -> None:
        change = pod_status.patch(entry.uid, entry.reported, wanted)
        if change is not None:
            # Past the typed client: the answer is a whole Pod, and nobody here would read it.
            target = Target(resource_of(Pod), entry.namespace, entry.name, "status")
            await self._client.transport.patch(
                target, codec.dumps(change), PatchType.STRATEGIC, WriteOptions(field_manager=FIELD_MANAGER)
            )
        entry.reported = wanted

    def _retry(self, entry: _Entry, error: errors.ApiError) -> None:
        delay = entry.backoff.next()
        # A server that is away is a state of the cluster, not a story of each Pod.
        tell = self._log.debug if error.code >= 500 else self._log.warning
        tell("Could not write the Pod's status; trying again", pod=_text(entry), error=error.message)
        self._timers.after(delay, lambda: self._enqueue(entry))


def _text(entry: _Entry) -> str:
    return f"{entry.namespace}/{entry.name}"
