"""The queue between handlers and workers: keys, each at most once, never in two workers.

Adding a key that waits is nothing; adding one that is being processed marks it dirty, and `done`
puts it back. So bursts collapse, and no event is lost. A key carries the newest cause that is
known for it. Retries wait 5 ms, 10 ms, … 1000 s, each key on its own; `forget` ends that.
Bounded by the number of keys, that is of objects. Upstream: `client-go/util/workqueue`.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from collections.abc import Hashable
from itertools import count
from typing import Generic, NamedTuple, TypeVar

from services.machinery.backoff import Backoff
from services.machinery.clock import Clock

K = TypeVar("K", bound=Hashable)

RETRY_BASE_SECONDS = 0.005
RETRY_MAX_SECONDS = 1000.0


class ShutDown(Exception):
    """The queue is closed and empty."""


class Item(NamedTuple, Generic[K]):
    key: K
    cause: str


class WorkQueue(Generic[K]):
    """All methods but `get` return at once; none may be called from another thread."""

    def __init__(
        self,
        clock: Clock,
        *,
        retry_base_seconds: float = RETRY_BASE_SECONDS,
        retry_max_seconds: float = RETRY_MAX_SECONDS,
    ) -> None:
        self._clock = clock
        self._backoff = Backoff(retry_base_seconds, retry_max_seconds)
        self._ready: deque[K] = deque()
        self._dirty: dict[K, str] = {}  # key → newest cause; waits to be processed (again)
        self._processing: set[K] = set()
        self._delayed: list[tuple[float, int, K, str]] = []
        self._delayed_until: dict[K, float] = {}  # the earliest moment of each key in the heap
        self._order = count()
        self._getters: deque[asyncio.Future[None]] = deque()
        self._timekeeper: asyncio.Future[None] | None = None
        self._shut_down = False

    def __len__(self) -> int:
        """How many keys wait to be taken now."""
        return len(self._ready)

    @property
    def delayed(self) -> int:
        return len(self._delayed_until)

    def add(self, key: K, cause: str = "") -> None:
        if self._shut_down:
            return
        if key in self._dirty:
            if cause:
                self._dirty[key] = cause
            return
        self._dirty[key] = cause
        if key not in self._processing:
            self._ready.append(key)
            self._wake_one()

    def add_after(self, key: K, seconds: float, cause: str = "") -> None:
        """Adds the key later; of several such moments for a key the earliest counts."""
        if seconds <= 0:
            self.add(key, cause)
            return
        if self._shut_down:
            return
        due = self._clock.monotonic() + seconds
        known = self._delayed_until.get(key)
        if known is not None and known <= due:
            return
        self._delayed_until[key] = due
        heapq.heappush(self._delayed, (due, next(self._order), key, cause))
        if self._delayed[0][0] == due:
            self._wake_timekeeper()

    def add_rate_limited(self, key: K, cause: str = "") -> None:
        """Adds the key after its backoff, which grows until `forget`."""
        self.add_after(key, self._backoff.next(key), cause)

    def retries(self, key: K) -> int:
        return self._backoff.failures(key)

    async def get(self) -> Item[K]:
        """The next key and its cause; `done` must follow. ShutDown when the queue is closed and empty."""
        while True:
            self._promote_due()
            if self._ready:
                key = self._ready.popleft()
                self._processing.add(key)
                item = Item(key, self._dirty.pop(key))
                if self._ready or (self._delayed and self._timekeeper is None):
                    self._wake_one()
                return item
            if self._shut_down:
                raise ShutDown
            await self._wait()

    def done(self, key: K) -> None:
        """Ends the processing; a key that was added meanwhile is ready again."""
        self._processing.discard(key)
        if key in self._dirty:
            self._ready.append(key)
            self._wake_one()

    def forget(self, key: K) -> None:
        """The key's next retry starts over at the shortest delay."""
        self._backoff.forget(key)

    def shut_down(self) -> None:
        """No more keys; those that wait now are still handed out, delayed ones are dropped."""
        self._shut_down = True
        self._delayed.clear()
        self._delayed_until.clear()
        for getter in self._getters:
            if not getter.done():
                getter.set_result(None)

    async def _wait(self) -> None:
        """One waiting worker keeps the time of the delayed keys; the others just wait."""
        getter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._getters.append(getter)
        seconds = None
        if self._delayed and self._timekeeper is None:
            self._timekeeper = getter
            seconds = max(0.0, self._delayed[0][0] - self._clock.monotonic())
        try:
            if seconds is None:
                await getter
            else:
                async with self._clock.timeout(seconds):
                    await getter
        except TimeoutError:
            pass
        except asyncio.CancelledError:
            if getter not in self._getters:
                self._wake_one()  # The wake-up was for a worker that is leaving: pass it on.
            raise
        finally:
            if self._timekeeper is getter:
                self._timekeeper = None
            if getter in self._getters:
                self._getters.remove(getter)

    def _promote_due(self) -> None:
        now = self._clock.monotonic()
        while self._delayed and self._delayed[0][0] <= now:
            due, _, key, cause = heapq.heappop(self._delayed)
            if self._delayed_until.get(key) == due:
                del self._delayed_until[key]
                self.add(key, cause)

    def _wake_one(self) -> None:
        while self._getters:
            getter = self._getters.popleft()
            if not getter.done():
                getter.set_result(None)
                return

    def _wake_timekeeper(self) -> None:
        keeper = self._timekeeper
        if keeper is not None and not keeper.done():
            keeper.set_result(None)
        elif keeper is None:
            self._wake_one()
