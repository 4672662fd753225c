"""What runs emulated processes: a scheduler of coroutines with neither tasks nor timers of asyncio.

Thousands of containers mostly wait. So a process here is a plain coroutine that suspends on a
`Future` of ours; while it waits it costs its own frames and nothing else. Timers share one heap, and
one asyncio task sleeps until the earliest is due. Code of emulated programs is therefore free of
asyncio and of any clock, and may be stopped at every `await`.

A process that computes without end would hold up the node: programs that loop call `Kernel.breathe`
(the shell does it for them), which lets others run and limits what one loop may take of the real CPU.
A program that raises what it should not ends with `Task.error`, which its owner reports; it never
takes the kernel with it. Upstream concept: the operating system's scheduler.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextlib import suppress
from itertools import count
from typing import Any, Generic, TypeVar

from services.machinery.clock import Clock

T = TypeVar("T")

BURST_STEPS_MAX = 1_000  # tasks resumed in a row before asyncio gets its turn
BREATH_SECONDS = 0.02  # how long a busy loop pauses at each breath
SLEEP_SECONDS_MAX = 86_400.0  # of asyncio at a time: event loops cannot sleep for ages
TIMER_SLACK_SECONDS = 0.001  # a timer due this soon is due


class Killed(BaseException):
    """Thrown into a coroutine to end it; not an Exception, so that programs do not catch it."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Future(Generic[T]):
    """A value that is there later. Waiters resume in the order they came."""

    __slots__ = ("_callbacks", "_value", "done")

    def __init__(self) -> None:
        self.done = False
        self._value: T | None = None
        self._callbacks: list[Callable[[], None]] | None = None

    def set(self, value: T) -> None:
        """Sets it once; later values are dropped."""
        if self.done:
            return
        self.done, self._value = True, value
        callbacks, self._callbacks = self._callbacks, None
        for callback in callbacks or ():
            callback()

    def value(self) -> T:
        return self._value  # type: ignore[return-value]

    def on_done(self, callback: Callable[[], None]) -> None:
        if self.done:
            callback()
        elif self._callbacks is None:
            self._callbacks = [callback]
        else:
            self._callbacks.append(callback)

    def forget(self, callback: Callable[[], None]) -> None:
        if self._callbacks is not None and callback in self._callbacks:
            self._callbacks.remove(callback)

    def __await__(self) -> Generator[Future[T], None, T]:
        while not self.done:
            yield self
        return self._value  # type: ignore[return-value]


class Unless(Generic[T]):
    """`await Unless(coroutine, disturbed)`: its value, or None when it still waited as `disturbed` came.

    The coroutine runs inside whoever awaits, as if it were awaited plainly, and is closed when given up.
    """

    __slots__ = ("_coroutine", "_disturbed")

    def __init__(self, coroutine: Coroutine[Any, Any, T], disturbed: Future[None]) -> None:
        self._coroutine, self._disturbed = coroutine, disturbed

    def __await__(self) -> Generator[Future[None], None, T | None]:
        try:
            while True:
                try:
                    waiting = self._coroutine.send(None)
                except StopIteration as stop:
                    return stop.value  # type: ignore[no-any-return]
                yield from self._either(waiting)
                if self._disturbed.done and not waiting.done:
                    return None
        finally:
            self._coroutine.close()

    def _either(self, waiting: Future[Any]) -> Generator[Future[None], None, None]:
        either: Future[None] = Future()

        def come() -> None:
            either.set(None)

        waiting.on_done(come)
        self._disturbed.on_done(come)
        try:
            yield from either.__await__()
        finally:
            waiting.forget(come)
            self._disturbed.forget(come)


class Task(Generic[T]):
    """A coroutine being driven."""

    __slots__ = ("_coroutine", "_kernel", "_running", "_waiting", "error", "finished")

    def __init__(self, kernel: Kernel, coroutine: Coroutine[Any, Any, T]) -> None:
        self._kernel = kernel
        self._coroutine: Coroutine[Any, Any, T] | None = coroutine
        self._waiting: Future[Any] | None = None
        self._running = False
        self.finished: Future[T | None] = Future()
        self.error: BaseException | None = None

    def kill(self, status: int) -> None:
        """Ends it now: its `finally` blocks run, but may not wait any more."""
        if self._coroutine is None:
            return
        if self._running:  # it is killing itself: at its next wait
            self._kernel.kill_later(self, status)
            return
        if self._waiting is not None:
            self._waiting.forget(self.wake)
        try:
            self._coroutine.throw(Killed(status))
        except StopIteration as stop:
            self._end(stop.value, None)
        except BaseException as error:
            self._end(None, error)
        else:
            coroutine = self._coroutine
            self._end(None, Killed(status))
            with suppress(RuntimeError):  # it insists on waiting: it is dropped as it is
                coroutine.close()

    def wake(self) -> None:
        self._kernel.ready(self)

    def step(self) -> None:
        coroutine = self._coroutine
        if coroutine is None or self._running:
            return
        self._waiting = None
        self._running = True
        outer, self._kernel.running = self._kernel.running, self
        try:
            waiting = coroutine.send(None)
        except StopIteration as stop:
            self._end(stop.value, None)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt | SystemExit):
                raise
            self._end(None, error)
        else:
            self._waiting = waiting
            waiting.on_done(self.wake)
        finally:
            self._running = False
            self._kernel.running = outer

    def result(self) -> T:
        if self.error is not None:
            raise self.error
        return self.finished.value()  # type: ignore[return-value]

    def _end(self, value: T | None, error: BaseException | None) -> None:
        self._coroutine, self._waiting, self.error = None, None, error
        self.finished.set(value)


class Timer:
    """A future that the clock sets; `cancel` it when nobody waits any more."""

    __slots__ = ("cancelled", "future")

    def __init__(self) -> None:
        self.future: Future[None] = Future()
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class Kernel:
    """One for a whole process, however many machines it emulates. `run` must be running."""

    def __init__(self, clock: Clock, report: Callable[[Exception], None] = lambda error: None) -> None:
        """`report` hears of faults in callbacks of timers, which belong to no task."""
        self.clock, self.report = clock, report
        self._ready: deque[Task[Any]] = deque()
        self._dying: deque[tuple[Task[Any], int]] = deque()
        self._timers: list[tuple[float, int, Timer]] = []
        self._order = count()
        self._draining = False
        self._armed = float("inf")
        self._rearm = asyncio.Event()
        self._outside: set[asyncio.Task[Any]] = set()
        self.running: Task[Any] | None = None  # whose code is being run at this moment

    def spawn(self, coroutine: Coroutine[Any, Any, T]) -> Task[T]:
        """Runs it at once, until it first waits."""
        task = self.prepare(coroutine)
        self.ready(task)
        return task

    def prepare(self, coroutine: Coroutine[Any, Any, T]) -> Task[T]:
        """A task that runs once it is handed to `ready`."""
        return Task(self, coroutine)

    async def call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """For asyncio: runs a coroutine of this kernel and waits for its end."""
        task = self.spawn(coroutine)
        if not task.finished.done:
            await self._join(task)
        return task.result()

    async def wait(self, future: Future[T]) -> T:
        """For asyncio: waits for a future of this kernel."""
        if not future.done:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()

            def arrived() -> None:
                if not waiter.done():
                    waiter.set_result(None)

            future.on_done(arrived)
            try:
                await waiter
            finally:
                future.forget(arrived)
        return future.value()

    async def outside(self, awaitable: Awaitable[T]) -> T:
        """For programs: waits for something of asyncio (a connection to another machine)."""
        done: Future[None] = Future()
        task = asyncio.ensure_future(awaitable)
        self._outside.add(task)
        task.add_done_callback(self._outside.discard)
        task.add_done_callback(lambda _: done.set(None))
        try:
            await done
        except BaseException:
            task.cancel()
            raise
        return task.result()

    def timer(self, seconds: float) -> Timer:
        timer = Timer()
        due = self.clock.monotonic() + max(seconds, 0.0)
        heapq.heappush(self._timers, (due, next(self._order), timer))
        if due < self._armed:
            self._rearm.set()
        return timer

    async def sleep(self, seconds: float) -> None:
        timer = self.timer(seconds)
        try:
            await timer.future
        finally:
            timer.cancel()

    async def breathe(self) -> None:
        await self.sleep(BREATH_SECONDS)

    async def run(self) -> None:
        """Fires the timers; ends only by cancellation."""
        try:
            while True:
                self._fire()
                self._armed = self._timers[0][0] if self._timers else float("inf")
                self._rearm.clear()
                delay = self._armed - self.clock.monotonic() if self._timers else None
                if delay is not None:
                    delay = min(max(delay, 0.0), SLEEP_SECONDS_MAX)
                try:
                    async with self.clock.timeout(delay):
                        await self._rearm.wait()
                except TimeoutError:
                    pass
        finally:
            for task in self._outside:
                task.cancel()

    def _fire(self) -> None:
        now = self.clock.monotonic() + TIMER_SLACK_SECONDS
        while self._timers and (self._timers[0][0] <= now or self._timers[0][2].cancelled):
            timer = heapq.heappop(self._timers)[2]
            if not timer.cancelled:
                try:
                    timer.future.set(None)
                except Exception as error:  # the edge of emulated programs: what one set up fails alone
                    self.report(error)

    def ready(self, task: Task[Any]) -> None:
        self._ready.append(task)
        if not self._draining:
            self._drain()

    def kill_later(self, task: Task[Any], status: int) -> None:
        self._dying.append((task, status))

    def _drain(self) -> None:
        self._draining = True
        steps = 0
        try:
            while self._ready:
                if steps == BURST_STEPS_MAX:
                    asyncio.get_running_loop().call_soon(self._drain_more)
                    return
                steps += 1
                self._ready.popleft().step()
                while self._dying:
                    task, status = self._dying.popleft()
                    task.kill(status)
        finally:
            if not self._ready:
                self._draining = False

    def _drain_more(self) -> None:
        self._drain()

    async def _join(self, task: Task[Any]) -> None:
        try:
            await self.wait(task.finished)
        except asyncio.CancelledError:
            task.kill(137)
            raise
