"""All the kubelet's timers in one heap and one task: probes, back-offs, heartbeats of hundreds of nodes.

A callback is a plain function that must be quick, such as poking a worker. A timer that was
cancelled stays in the heap until it is due, and is then dropped.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from itertools import count

from services.machinery.clock import Clock


class Timer:
    """A callback to come. `cancel` may be called at any time."""

    __slots__ = ("callback",)

    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        self.callback = None


class Timers:
    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self._heap: list[tuple[float, int, Timer]] = []
        self._order = count()
        self._wake = asyncio.Event()

    def after(self, seconds: float, callback: Callable[[], None]) -> Timer:
        timer = Timer(callback)
        due = self.clock.monotonic() + max(0.0, seconds)
        heapq.heappush(self._heap, (due, next(self._order), timer))
        if self._heap[0][2] is timer:
            self._wake.set()
        return timer

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._wake.clear()
            due = self._fire()
            try:
                async with self.clock.timeout(due):
                    await self._wake.wait()
            except TimeoutError:
                pass

    def _fire(self) -> float | None:
        """Calls what is due. Returns the seconds until the next one; None when there is none."""
        while self._heap:
            wait = self._heap[0][0] - self.clock.monotonic()
            if wait > 0 and self._heap[0][2].callback is not None:
                return wait
            callback = heapq.heappop(self._heap)[2].callback
            if callback is not None:
                callback()
        return None
