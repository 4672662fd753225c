"""The scheduling queue: which Pod is next, and when one that was turned down is worth another look.

Three parts, as upstream's `SchedulingQueue`:

- *active*: a heap; its first Pod is tried next;
- *backoff*: Pods that failed a moment ago, each until its backoff (1 s doubling to 10 s) is over. When
  nothing is active, the next of those that a plugin rejected goes early: an idle scheduler need not wait;
- *unschedulable*: Pods that no node takes, kept by the plugins that rejected them. A cluster event
  moves only Pods that one of their own plugins registered for it and whose hint agrees.

A Pod in neither part is *in flight*: being decided. Events that arrive meanwhile are kept, and when
the Pod comes back rejected it is judged by them as if it had been waiting, so that no wake-up is lost.
After five minutes a Pod is tried again whatever happened, in case a wake-up was missed after all.

Pure: the caller tells the time (seconds, monotonic) and gets no callbacks.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count, takewhile
from typing import Any

from services.scheduler.framework.events import Happening
from services.scheduler.framework.interface import Plugin
from services.scheduler.framework.pod_info import PodInfo
from services.scheduler.framework.status import SUCCESS, Status

BACKOFF_INITIAL_SECONDS = 1.0
BACKOFF_MAX_SECONDS = 10.0
UNSCHEDULABLE_MAX_SECONDS = 300.0
IN_FLIGHT_EVENTS_MAX = 10_000  # Beyond it the oldest go, and Pods in flight since then are simply retried.


@dataclass(slots=True, eq=False)
class QueuedPod:
    """A waiting Pod with its history in the queue."""

    info: PodInfo
    added_at: float
    """When it last entered the queue: Pods of one priority go in this order."""
    cause: str = ""
    attempts: int = 0
    rejections: int = 0
    """How often plugins turned it down: lengthens the backoff."""
    errors_in_a_row: int = 0
    rejected_by: set[str] = field(default_factory=set)
    gated: bool = False
    backoff_until: float = 0.0
    message: str = ""
    """Why it was turned down last."""


class SchedulingQueue:
    def __init__(
        self,
        sort_key: Callable[[QueuedPod], tuple[Any, ...]],
        plugins: Mapping[str, Plugin],
        pre_enqueue: Callable[[PodInfo], Status] = lambda pod: SUCCESS,
    ) -> None:
        self._sort_key, self._plugins, self._pre_enqueue = sort_key, plugins, pre_enqueue
        self._active = _Heap()
        self._backoff = _Heap()
        self._error_backoff = _Heap()
        self._unschedulable: dict[str, QueuedPod] = {}
        self._unschedulable_by: dict[str, dict[str, QueuedPod]] = {}
        self._gated: dict[str, QueuedPod] = {}
        self._in_flight: dict[str, int] = {}
        self._events: deque[tuple[int, Happening]] = deque()
        self._next_event = 1

    # What is where.

    def __len__(self) -> int:
        return sum(self.lengths().values())

    def lengths(self) -> dict[str, int]:
        return {
            "active": len(self._active),
            "backoff": len(self._backoff) + len(self._error_backoff),
            "unschedulable": len(self._unschedulable),
            "gated": len(self._gated),
        }

    def find(self, uid: str) -> QueuedPod | None:
        for heap in (self._active, self._backoff, self._error_backoff):
            if (pod := heap.get(uid)) is not None:
                return pod
        return self._unschedulable.get(uid) or self._gated.get(uid)

    def in_flight(self, uid: str) -> bool:
        return uid in self._in_flight

    def has_ready(self) -> bool:
        return bool(self._active) or bool(self._backoff)

    def next_deadline(self) -> float | None:
        """When `flush` has something to do next, if nothing else happens."""
        deadlines = [heap.first_key()[0] for heap in (self._backoff, self._error_backoff) if heap]
        # The map is in the order of arrival, so its first is the one that waits longest.
        if oldest := next(iter(self._unschedulable.values()), None):
            deadlines.append(oldest.added_at + UNSCHEDULABLE_MAX_SECONDS)
        return min(deadlines, default=None)

    # Pods come, change and go.

    def add(self, info: PodInfo, now: float, cause: str = "") -> QueuedPod:
        """A Pod that has no node yet. Returns its place in the queue; `gated` says that it must wait."""
        known = self.find(info.uid)
        if known is not None:
            self._replace(known, info, cause)
            return known
        pod = QueuedPod(info, now, cause)
        self._enqueue(pod, now)
        return pod

    def update(self, info: PodInfo, happenings: Iterable[Happening], now: float, cause: str = "") -> None:
        """The waiting Pod was edited; `happenings` says in which respects."""
        pod = self.find(info.uid)
        if pod is None:
            if info.uid in self._in_flight:
                for happening in happenings:
                    self._remember(happening)
            else:
                self.add(info, now, cause)
            return
        self._replace(pod, info, cause)
        if pod.gated:
            del self._gated[info.uid]
            self._enqueue(pod, now)
        elif info.uid in self._unschedulable and any(
            self._worth_retrying(pod, happening) for happening in happenings
        ):
            self._requeue(pod, now)

    def delete(self, uid: str) -> None:
        pod = self.find(uid)
        if pod is not None:
            self._take_out(pod)

    # One Pod is tried.

    def pop(self) -> QueuedPod | None:
        """The next Pod, now in flight until `done`, `put_back` or `retry`; None when there is none."""
        pod = self._active.pop() if self._active else self._backoff.pop() if self._backoff else None
        if pod is None:
            return None
        pod.attempts += 1
        pod.backoff_until = 0.0
        self._in_flight[pod.info.uid] = self._next_event
        return pod

    def done(self, uid: str) -> None:
        """The Pod is decided; events are no longer kept for it."""
        self._in_flight.pop(uid, None)
        # The dict is in the order of the pops, so its first holds the oldest event still needed.
        oldest = next(iter(self._in_flight.values()), self._next_event)
        while self._events and self._events[0][0] < oldest:
            self._events.popleft()

    def put_back(self, pod: QueuedPod, now: float) -> None:
        """Plugins turned it down: wait for their events, unless one of them happened meanwhile."""
        if not pod.rejected_by:
            self.retry(pod, now)  # Nobody's events to wait for.
            return
        since = self._in_flight.get(pod.info.uid, self._next_event)
        missed = [happening for number, happening in self._events if number >= since]
        lost_some = bool(self._events) and self._events[0][0] > since
        self.done(pod.info.uid)
        if self.find(pod.info.uid) is not None:
            return
        pod.added_at = now
        pod.rejections += 1
        pod.errors_in_a_row = 0
        if lost_some or any(self._worth_retrying(pod, h) for h in missed):
            self._requeue(pod, now)
        else:
            self._enter_unschedulable(pod)

    def retry(self, pod: QueuedPod, now: float) -> None:
        """Something broke, which no event will tell us is mended: try again after a backoff."""
        self.done(pod.info.uid)
        if self.find(pod.info.uid) is not None:
            return
        pod.added_at = now
        pod.rejected_by = set()
        pod.errors_in_a_row += 1
        pod.backoff_until = now + _backoff_seconds(pod.errors_in_a_row)
        self._error_backoff.push(pod, (pod.backoff_until, *self._sort_key(pod)))

    # Time passes, things happen.

    def happened(self, happening: Happening, now: float, *, spare: str = "") -> list[QueuedPod]:
        """Wakes what this can help; returns the Pods that were woken. Not the one whose uid is `spare`."""
        self._remember(happening)
        candidates: dict[str, QueuedPod] = {}
        for name, rejected in self._unschedulable_by.items():
            if happening.event in self._plugins[name].wakes_on:
                candidates |= rejected
        woken = [
            pod
            for pod in candidates.values()
            if pod.info.uid != spare and self._worth_retrying(pod, happening)
        ]
        for pod in woken:
            self._requeue(pod, now)
        return woken

    def flush(self, now: float) -> list[QueuedPod]:
        """Ends backoffs that are over; returns the Pods whose long wait suggests a lost wake-up."""
        for heap in (self._backoff, self._error_backoff):
            while heap and heap.first_key()[0] <= now:
                pod = heap.pop()
                self._active.push(pod, self._sort_key(pod))
        waiting = self._unschedulable.values()
        stuck = list(takewhile(lambda pod: pod.added_at + UNSCHEDULABLE_MAX_SECONDS <= now, waiting))
        for pod in stuck:
            self._requeue(pod, now)
        return stuck

    # Within.

    def _enqueue(self, pod: QueuedPod, now: float) -> None:
        status = self._pre_enqueue(pod.info)
        if not status.ok:
            pod.gated = True
            self._gated[pod.info.uid] = pod
            return
        if pod.gated:
            pod.gated, pod.added_at = False, now
        self._active.push(pod, self._sort_key(pod))

    def _requeue(self, pod: QueuedPod, now: float) -> None:
        """Back to active, by way of what is left of its backoff, which runs from its last attempt."""
        self._leave_unschedulable(pod)
        pod.backoff_until = pod.added_at + _backoff_seconds(pod.rejections)
        if pod.backoff_until > now:
            self._backoff.push(pod, (pod.backoff_until, *self._sort_key(pod)))
        else:
            self._active.push(pod, self._sort_key(pod))

    def _worth_retrying(self, pod: QueuedPod, happening: Happening) -> bool:
        return any(
            happening.event in plugin.wakes_on and plugin.queueing_hint(pod.info, happening)
            for plugin in (self._plugins[name] for name in pod.rejected_by)
        )

    def _remember(self, happening: Happening) -> None:
        if not self._in_flight:
            return
        self._events.append((self._next_event, happening))
        self._next_event += 1
        if len(self._events) > IN_FLIGHT_EVENTS_MAX:
            self._events.popleft()

    def _replace(self, pod: QueuedPod, info: PodInfo, cause: str) -> None:
        pod.info, pod.cause = info, cause or pod.cause
        if pod.info.uid in self._active:
            self._active.push(pod, self._sort_key(pod))  # its priority cannot change, but its key might

    def _enter_unschedulable(self, pod: QueuedPod) -> None:
        self._unschedulable[pod.info.uid] = pod
        for name in pod.rejected_by:
            self._unschedulable_by.setdefault(name, {})[pod.info.uid] = pod

    def _leave_unschedulable(self, pod: QueuedPod) -> None:
        self._unschedulable.pop(pod.info.uid, None)
        for name in pod.rejected_by:
            if (rejected := self._unschedulable_by.get(name)) is not None:
                rejected.pop(pod.info.uid, None)
                if not rejected:
                    del self._unschedulable_by[name]

    def _take_out(self, pod: QueuedPod) -> None:
        for heap in (self._active, self._backoff, self._error_backoff):
            heap.remove(pod.info.uid)
        self._gated.pop(pod.info.uid, None)
        self._leave_unschedulable(pod)


def _backoff_seconds(failures: int) -> float:
    if failures == 0:
        return 0.0
    return float(min(BACKOFF_INITIAL_SECONDS * 2 ** min(failures - 1, 10), BACKOFF_MAX_SECONDS))


class _Heap:
    """A heap by key from which an entry can also be taken by uid; taken entries are passed over later."""

    def __init__(self) -> None:
        self._entries: list[tuple[tuple[Any, ...], int, str]] = []
        self._live: dict[str, tuple[int, QueuedPod]] = {}
        self._numbers = count()

    def __len__(self) -> int:
        return len(self._live)

    def __contains__(self, uid: str) -> bool:
        return uid in self._live

    def __iter__(self) -> Iterator[QueuedPod]:
        return (pod for _, pod in self._live.values())

    def get(self, uid: str) -> QueuedPod | None:
        found = self._live.get(uid)
        return found[1] if found else None

    def push(self, pod: QueuedPod, key: tuple[Any, ...]) -> None:
        number = next(self._numbers)
        self._live[pod.info.uid] = (number, pod)
        heapq.heappush(self._entries, (key, number, pod.info.uid))

    def remove(self, uid: str) -> None:
        self._live.pop(uid, None)

    def first_key(self) -> tuple[Any, ...]:
        """The key of the first entry. IndexError when empty."""
        self._drop_taken()
        return self._entries[0][0]

    def pop(self) -> QueuedPod:
        self._drop_taken()
        uid = heapq.heappop(self._entries)[2]
        return self._live.pop(uid)[1]

    def _drop_taken(self) -> None:
        entries, live = self._entries, self._live
        while entries and (entries[0][2] not in live or live[entries[0][2]][0] != entries[0][1]):
            heapq.heappop(entries)
