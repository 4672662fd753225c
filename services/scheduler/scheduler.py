"""The scheduling loop: takes Pods from the queue one by one, decides, assumes, and binds beside that.

    pop → snapshot → decide → assume → Reserve → Permit ─► (own task) PreBind → Bind → PostBind
                        │                                          │
                        └ no node fits: say why, put back          └ failed: unreserve, forget, retry

Deciding is serial and never waits, so each decision counts all that were made before it; binding
is many at a time, since it only waits for the API server. A decision is ours until the watch confirms it: if
writing it fails in any way, all of it is taken back and the Pod is tried again, unless it is gone
or has a node already. Upstream: `schedule_one.go`.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from dataclasses import dataclass

from services.api.core_v1 import Pod
from services.api.errors import ApiError
from services.client.recorder import EventRecorder
from services.client.store import Store
from services.machinery import trace
from services.machinery.clock import Clock
from services.process.logging import Logger
from services.scheduler import explain
from services.scheduler.algorithm import Algorithm, PluginError
from services.scheduler.cache import Cache
from services.scheduler.explain import Explanation
from services.scheduler.framework.events import ClusterEvent, Happening
from services.scheduler.framework.fit_error import NO_NODES, Diagnosis, FitError
from services.scheduler.framework.interface import CycleState
from services.scheduler.framework.pod_info import PodInfo
from services.scheduler.framework.runtime import Framework
from services.scheduler.framework.status import SUCCESS, Code, Status
from services.scheduler.queue import QueuedPod, SchedulingQueue
from services.scheduler.snapshot import Snapshot
from services.scheduler.status_writer import StatusWriter
from services.scheduler.waiting import WaitingPods

BINDINGS_MAX = 128  # At this many unanswered bindings, deciding waits for one of them.
DECISIONS_KEPT = 256
MESSAGE_LENGTH_MAX = 1024  # of an Event, as upstream cuts it


@dataclass(slots=True)
class Parts:
    """What the loop works with."""

    framework: Framework
    queue: SchedulingQueue
    cache: Cache
    algorithm: Algorithm
    pods: Store[Pod]
    recorder: EventRecorder
    statuses: StatusWriter
    clock: Clock
    log: Logger


class Scheduler:
    def __init__(self, parts: Parts) -> None:
        self._framework, self._queue, self._cache = parts.framework, parts.queue, parts.cache
        self._algorithm, self._pods = parts.algorithm, parts.pods
        self._recorder, self._statuses = parts.recorder, parts.statuses
        self._clock, self._log = parts.clock, parts.log
        self._snapshot = Snapshot()
        self._slots = asyncio.Semaphore(BINDINGS_MAX)
        self._ready = asyncio.Event()
        self._alarm_changed = asyncio.Event()
        self._alarm_at: float | None = None
        self.waiting = WaitingPods(parts.clock)
        self.decisions: deque[Explanation] = deque(maxlen=DECISIONS_KEPT)
        """The last decisions, for whoever wants to look."""

    def wake(self) -> None:
        """To be called after anything was done to the queue or the cache."""
        if self._queue.has_ready():
            self._ready.set()
        deadline = self._queue.next_deadline()
        if deadline is not None:
            self._set_alarm(deadline)

    async def run(self) -> None:
        """Schedules until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._statuses.run(), name="status writer")
            group.create_task(self._watch_time(), name="backoff and expiry")
            self.wake()
            while True:
                await self._slots.acquire()
                pod = await self._next_pod()
                with trace.scope(pod.cause):
                    if not self._try_one(pod, group):
                        self._slots.release()
                # Bindings and watch events get their turn between two decisions.
                await self._clock.sleep(0)

    async def _next_pod(self) -> QueuedPod:
        while (pod := self._queue.pop()) is None:
            self._ready.clear()
            await self._ready.wait()
        return pod

    # The scheduling cycle.

    def _try_one(self, pod: QueuedPod, group: asyncio.TaskGroup) -> bool:
        """Whether a binding was started, which then owns the slot."""
        try:
            return self._schedule_one(pod, group)
        except Exception as error:
            # The one loop to which errors rise: a plugin that cannot cope with one Pod must not stop all.
            self._broke(pod, error)
            return False

    def _schedule_one(self, pod: QueuedPod, group: asyncio.TaskGroup) -> bool:
        info = pod.info
        if self._skip(info):
            self._queue.done(info.uid)
            return False
        state = CycleState()
        self._snapshot.update(self._cache)
        try:
            decision = self._algorithm.decide(self._snapshot, info, state)
        except FitError as error:
            self._no_fit(pod, state, error)
            return False
        except PluginError as error:
            self._failed(pod, str(error))
            return False
        node_name = decision.node_name
        self._cache.assume(info, node_name)
        status = self._framework.run_reserve(state, info, node_name)
        waits: dict[str, float] = {}
        if status.ok:
            status, waits = self._framework.run_permit(state, info, node_name)
        if not status.ok and status.code is not Code.WAIT:
            self._turned_down(pod, state, node_name, status)
            return False
        self._tell(pod, explain.chosen(str(info.key), decision))
        if self._log.is_enabled_for(logging.DEBUG):
            self._log.debug("How the nodes compared", pod=str(info.key), table=explain.table(decision))
        group.create_task(self._bind(pod, state, node_name, waits), name=f"bind {info.key}")
        return True

    def _skip(self, info: PodInfo) -> bool:
        """Whether the Pod needs no node after all: it is going, or has one already."""
        if info.terminating:
            self._recorder.event(
                info.pod, "Warning", "FailedScheduling", f"skip schedule deleting pod: {info.key}"
            )
            return True
        return self._cache.pod(info.uid) is not None

    # The binding cycle.

    async def _bind(self, pod: QueuedPod, state: CycleState, node_name: str, waits: dict[str, float]) -> None:
        info = pod.info
        try:
            status = await self.waiting.wait(info, waits) if waits else SUCCESS
            if not status.ok:
                self._turned_down(pod, state, node_name, status)
                return
            # From here on a failure is an error and not a rejection: no event could help.
            self._queue.done(info.uid)
            problem = await self._write_binding(info, state, node_name)
            if problem:
                self._take_back(pod, state, node_name)
                self._failed(pod, problem)
                self._freed(pod)
                return
            self._recorder.event(
                info.pod, "Normal", "Scheduled", f"Successfully assigned {info.key} to {node_name}"
            )
            await self._framework.run_post_bind(state, info, node_name)
        except Exception as error:
            self._framework.run_unreserve(state, info, node_name)
            self._broke(pod, error)
        finally:
            self._slots.release()

    async def _write_binding(self, info: PodInfo, state: CycleState, node_name: str) -> str:
        """What went wrong; empty when the binding is written."""
        try:
            status = await self._framework.run_pre_bind(state, info, node_name)
            if status.ok:
                status = await self._framework.run_bind(state, info, node_name)
        except ApiError as error:
            return f'running Bind plugin "DefaultBinder": {error.message}'
        if not status.ok:
            return f'running plugin "{status.plugin}": {status.message}'
        expiry = self._cache.finish_binding(info.uid, self._clock.monotonic())
        if expiry is not None:
            self._set_alarm(expiry)
        self._log.debug("Bound the Pod", **_names(info), node=node_name)
        return ""

    # What did not work.

    def _no_fit(self, pod: QueuedPod, state: CycleState, error: FitError) -> None:
        diagnosis = error.diagnosis
        if error.node_count:
            _, status = self._framework.run_post_filter(state, pod.info, self._snapshot, diagnosis.statuses)
            diagnosis.post_filter_message = status.message
        pod.rejected_by = set(diagnosis.rejected_by)
        self._unschedulable(pod, str(error))

    def _turned_down(self, pod: QueuedPod, state: CycleState, node_name: str, status: Status) -> None:
        """Reserve or Permit said no to the node that was chosen."""
        self._take_back(pod, state, node_name)
        if status.rejected:
            diagnosis = Diagnosis()
            diagnosis.refuse(node_name, status)
            pod.rejected_by = set(diagnosis.rejected_by)
            self._unschedulable(pod, str(FitError(1, diagnosis)))
        else:
            self._failed(pod, status.message)
        self._freed(pod)

    def _unschedulable(self, pod: QueuedPod, message: str) -> None:
        details: dict[str, str | int] = {"why": message}
        if message != NO_NODES:
            details["rejected_by"] = ",".join(sorted(pod.rejected_by))
        sentence = "No node fits the Pod: it waits for a change that could help"
        self._tell(
            pod, Explanation(str(pod.info.key), "", sentence, details), repeated=message == pod.message
        )
        pod.message = message
        latest = self._still_waiting(pod)
        if latest is not None:
            self._queue.put_back(pod, self._clock.monotonic())
            self._report(latest, "Unschedulable", message)
        self.wake()

    def _failed(self, pod: QueuedPod, message: str) -> None:
        """Something broke. What is retried needs no event to wake it."""
        latest = self._still_waiting(pod)
        if latest is not None:
            self._queue.retry(pod, self._clock.monotonic())
            self._log.warning(
                "Could not schedule the Pod: will try again", **_names(pod.info), why=message,
                attempt=pod.attempts,
            )  # fmt: skip
            self._report(latest, "SchedulerError", message)
        else:
            self._log.info(
                "Could not schedule the Pod, which is gone or bound", **_names(pod.info), why=message
            )
        self.wake()

    def _broke(self, pod: QueuedPod, error: Exception) -> None:
        """Our own fault, so the stack is in the log."""
        self._log.error("A plugin failed", **_names(pod.info), exc_info=error)
        self._cache.forget(pod.info.uid)
        self._failed(pod, f"{type(error).__name__}: {error}")

    def _still_waiting(self, pod: QueuedPod) -> Pod | None:
        """The Pod as the watch shows it now, put into the queue's entry; None when it is gone or bound."""
        latest = self._pods.get(pod.info.key)
        if latest is None or latest.metadata.uid != pod.info.pod.metadata.uid or latest.spec.node_name:
            self._queue.done(pod.info.uid)
            return None
        pod.info = pod.info.seen_as(latest)
        return latest

    def _take_back(self, pod: QueuedPod, state: CycleState, node_name: str) -> None:
        self._framework.run_unreserve(state, pod.info, node_name)
        self._cache.forget(pod.info.uid)

    def _freed(self, pod: QueuedPod) -> None:
        """The room that an assumption held may help others, if not the Pod itself."""
        gone = Happening(ClusterEvent.POD_REMOVED, old=pod.info.pod)
        if self._queue.happened(gone, self._clock.monotonic(), spare=pod.info.uid):
            self.wake()

    def _report(self, pod: Pod, reason: str, message: str) -> None:
        text = message if len(message) <= MESSAGE_LENGTH_MAX else f"{message[: MESSAGE_LENGTH_MAX - 4]} ..."
        self._recorder.event(pod, "Warning", "FailedScheduling", text)
        self._statuses.not_scheduled(pod, reason, message)

    def _tell(self, pod: QueuedPod, explanation: Explanation, *, repeated: bool = False) -> None:
        """One line a decision; a refusal for the very same reasons as before is not news."""
        self.decisions.append(explanation)
        again = {"attempt": pod.attempts} if pod.attempts > 1 else {}
        say = self._log.debug if repeated else self._log.info
        say(explanation.sentence, **_names(pod.info), **explanation.details, **again)

    # Time.

    def _set_alarm(self, deadline: float) -> None:
        if self._alarm_at is None or deadline < self._alarm_at:
            self._alarm_at = deadline
            self._alarm_changed.set()

    async def _watch_time(self) -> None:
        """Ends backoffs and drops what expired, exactly when it is due."""
        while True:
            now = self._clock.monotonic()
            wait = None if self._alarm_at is None else self._alarm_at - now
            if wait is None or wait > 0:
                try:
                    async with self._clock.timeout(wait):
                        await self._alarm_changed.wait()
                except TimeoutError:
                    pass
                self._alarm_changed.clear()
                continue
            self._alarm_at = None
            self._flush(now)

    def _flush(self, now: float) -> None:
        for pod in self._queue.flush(now):
            self._log.debug("Waited for long: trying again whatever happened", **_names(pod.info))
        for info in self._cache.expire(now):
            self._log.warning(
                "The watch never showed the Pod on the node that it was bound to", **_names(info)
            )
        if (expiry := self._cache.next_expiry()) is not None:
            self._set_alarm(expiry)
        self.wake()


def _names(info: PodInfo) -> dict[str, str]:
    return {"kind": "Pod", "namespace": info.key.namespace, "name": info.key.name}
