"""Judging that takes long goes on beside everything else, a slice at a time.

Rules that users write (x-kubernetes-validations, admission policies) may take seconds before they meet their
limit, and there is one event loop. So `Strands.judge` begins such work at once, and nearly always ends there;
what counts more than `AT_ONCE` is begun anew on a thread. That thread never runs beside the loop: the loop
lends it a slice, waits, and goes through everything else that is ready before it lends the next one. So
the work sees nothing change under its hands that a coroutine would not see change at an `await`, and needs
no locks; the thread is there for its stack alone. Upstream has a goroutine for each request instead.

Work given here has no effect but its result, since it may be begun twice. All strands together get one slice
in each round of the loop; of more than `STRANDS_MAX` the last ones wait. Whoever is cancelled leaves no
thread behind.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import copy_context
from threading import Lock, Thread
from typing import Generic, TypeVar

from services.machinery import turns
from services.machinery.clock import Clock
from services.machinery.turns import Turn, TurnOver

T = TypeVar("T")

AT_ONCE, SLICE = 5_000, 1_000  # units of a microsecond or two
STRANDS_MAX = 16


class _Abandoned(BaseException):
    """Nobody waits for the result any more."""


class _Strand(Turn, Generic[T]):
    """Work on a thread of its own. `step` is the loop's side, `over` the work's."""

    __slots__ = ("_abandoned", "_back", "_context", "_fault", "_go", "_result", "_thread", "_work", "done")

    def __init__(self, work: Callable[[], T]) -> None:
        super().__init__(SLICE)
        self._work, self._context = work, copy_context()
        self._go, self._back = Lock(), Lock()
        self._go.acquire()
        self._back.acquire()
        self.done = self._abandoned = False
        self._result: list[T] = []
        self._fault: BaseException | None = None
        self._thread = Thread(target=self._run, name="strand", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        self._go.acquire()
        try:
            if not self._abandoned:
                self._result.append(self._context.run(self._limited))
        except BaseException as error:  # raised again where the result is waited for
            self._fault = error
        finally:
            self.done = True
            self._back.release()

    def _limited(self) -> T:
        with turns.limited(self):
            return self._work()

    def over(self) -> None:
        self.left = SLICE
        self._back.release()
        self._go.acquire()
        if self._abandoned:
            raise _Abandoned

    def step(self) -> None:
        """Runs it until its slice is over, or it is done."""
        self._go.release()
        self._back.acquire()

    def result(self) -> T:
        if self._fault is not None:
            raise self._fault
        return self._result[0]

    def end(self) -> None:
        """Whatever is left to do is not done any more."""
        self._abandoned = True
        while not self.done:
            self.step()
        self._thread.join()


class Strands:
    """Of one server."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._places, self._next = asyncio.Semaphore(STRANDS_MAX), asyncio.Lock()

    async def judge(self, work: Callable[[], T]) -> T:
        """What the work answers, or raises. It may be called twice."""
        try:
            with turns.limited(Turn(AT_ONCE)):
                return work()
        except TurnOver:
            pass
        async with self._places:
            strand = _Strand(work)
            try:
                while not strand.done:
                    async with self._next:  # in turn
                        strand.step()
                        await self._clock.sleep(0)
            finally:
                strand.end()
            return strand.result()


__all__ = ["AT_ONCE", "SLICE", "Strands"]
