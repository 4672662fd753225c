from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from services.runtime.kernel import Future, Kernel, Killed
from services.runtime.streams import Pipe
from tests.support.clock import ManualClock


@pytest.fixture
async def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def kernel(clock: ManualClock) -> AsyncIterator[Kernel]:
    kernel = Kernel(clock)
    running = asyncio.create_task(kernel.run())
    yield kernel
    running.cancel()


async def test_runs_at_once_until_it_waits(kernel: Kernel) -> None:
    steps = []

    async def program() -> int:
        steps.append("before")
        await Future[None]()
        return 1

    task = kernel.spawn(program())
    assert steps == ["before"]
    assert not task.finished.done


async def test_timers_fire_in_order_of_their_time(kernel: Kernel, clock: ManualClock) -> None:
    order = []

    async def sleeper(seconds: float) -> None:
        await kernel.sleep(seconds)
        order.append(seconds)

    for seconds in (3, 1, 2):
        kernel.spawn(sleeper(seconds))
    await clock.advance(2.5)
    assert order == [1, 2]
    await clock.advance(1)
    assert order == [1, 2, 3]


async def test_a_shorter_timer_set_later_is_not_missed(kernel: Kernel, clock: ManualClock) -> None:
    kernel.spawn(kernel.sleep(100))
    await clock.advance(1)
    task = kernel.spawn(kernel.sleep(1))
    await clock.advance(1)
    assert task.finished.done


async def test_a_timer_that_fails_fails_alone(clock: ManualClock) -> None:
    faults: list[Exception] = []
    kernel = Kernel(clock, faults.append)
    running = asyncio.create_task(kernel.run())

    def broken() -> None:
        raise RuntimeError("a bug of ours")

    later: list[str] = []
    kernel.timer(1).future.on_done(broken)
    kernel.timer(1).future.on_done(lambda: later.append("fired"))
    await clock.advance(1)
    assert later == ["fired"]
    assert [str(fault) for fault in faults] == ["a bug of ours"]
    assert not running.done()
    running.cancel()


async def test_kill_runs_finally_and_ends_even_who_waits_there(kernel: Kernel) -> None:
    steps = []

    async def stubborn() -> None:
        try:
            await Future[None]()
        finally:
            steps.append("cleaning")
            await Future[None]()
            steps.append("never")

    task = kernel.spawn(stubborn())
    task.kill(9)
    assert steps == ["cleaning"]
    assert isinstance(task.error, Killed)
    assert task.finished.done


async def test_call_gives_asyncio_the_result_and_the_error(kernel: Kernel, clock: ManualClock) -> None:
    async def value() -> int:
        await kernel.sleep(1)
        return 7

    async def broken() -> int:
        raise ValueError("no")

    waiting = asyncio.create_task(kernel.call(value()))
    await clock.advance(1)
    assert await waiting == 7
    with pytest.raises(ValueError, match="no"):
        await kernel.call(broken())


async def test_cancelling_a_call_kills_the_program(kernel: Kernel, clock: ManualClock) -> None:
    ended = []

    async def program() -> None:
        try:
            await kernel.sleep(100)
        finally:
            ended.append(True)

    waiting = asyncio.create_task(kernel.call(program()))
    await clock.advance(1)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert ended == [True]


async def test_outside_waits_for_asyncio(kernel: Kernel, clock: ManualClock) -> None:
    async def elsewhere() -> str:
        await clock.sleep(5)
        return "answer"

    task = kernel.spawn(kernel.outside(elsewhere()))
    await clock.advance(5)
    assert task.result() == "answer"


async def test_a_pipe_makes_the_writer_wait(kernel: Kernel) -> None:
    pipe = Pipe()
    writing = kernel.spawn(pipe.write(b"x" * 100_000))
    assert not writing.finished.done
    read = 0
    while read < 100_000:
        read += len(await kernel.call(pipe.read(65536)))
    assert writing.finished.done


async def test_a_pipe_without_reader_breaks(kernel: Kernel) -> None:
    pipe = Pipe()
    pipe.close_reader()
    with pytest.raises(BrokenPipeError):
        await kernel.call(pipe.write(b"x"))


async def test_many_ready_tasks_leave_room_for_asyncio(kernel: Kernel) -> None:
    done = 0

    async def program() -> None:
        nonlocal done
        await gate
        done += 1

    gate: Future[None] = Future()
    for _ in range(5000):
        kernel.spawn(program())

    async def opener() -> None:
        gate.set(None)

    kernel.spawn(opener())
    assert done < 5000
    for _ in range(10):
        await asyncio.sleep(0)
    assert done == 5000
