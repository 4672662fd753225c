"""The work queue's contract: bursts collapse, nothing is lost, no key is in two workers."""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from services.client.workqueue import Item, ShutDown, WorkQueue
from tests.support.clock import ManualClock, settle


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def queue(clock: ManualClock) -> WorkQueue[str]:
    return WorkQueue(clock)


async def test_bursts_collapse_and_the_newest_cause_wins(queue: WorkQueue[str]) -> None:
    queue.add("a", "first")
    queue.add("a", "second")
    queue.add("a")
    queue.add("b")
    assert await queue.get() == Item("a", "second")
    assert await queue.get() == Item("b", "")
    assert len(queue) == 0


async def test_a_key_added_while_processed_comes_back_after_done(queue: WorkQueue[str]) -> None:
    queue.add("a")
    await queue.get()
    queue.add("a", "again")
    assert len(queue) == 0
    queue.done("a")
    assert await queue.get() == Item("a", "again")
    queue.done("a")
    assert len(queue) == 0


async def test_delayed_keys_come_when_due_in_order(queue: WorkQueue[str], clock: ManualClock) -> None:
    got: list[tuple[float, str]] = []

    async def work() -> None:
        while True:
            key, _ = await queue.get()
            got.append((clock.monotonic(), key))
            queue.done(key)

    workers = [asyncio.ensure_future(work()) for _ in range(3)]
    await settle()
    queue.add_after("late", 10)
    queue.add_after("soon", 1)
    queue.add_after("late", 20)  # Later than what is planned: does not count.
    queue.add_after("now", 0)
    await clock.advance(30)
    assert got == [(0.0, "now"), (1.0, "soon"), (10.0, "late")]
    for worker in workers:
        worker.cancel()
    await asyncio.gather(*workers, return_exceptions=True)


async def test_retries_back_off_per_key(clock: ManualClock) -> None:
    queue: WorkQueue[str] = WorkQueue(clock, retry_base_seconds=1, retry_max_seconds=5)
    moments = []
    for _ in range(4):
        queue.add_rate_limited("a")
        task = asyncio.ensure_future(queue.get())
        before = clock.monotonic()
        while not task.done():
            await clock.advance(1)
        moments.append(clock.monotonic() - before)
        queue.done("a")
    assert moments == [1, 2, 4, 5]
    queue.forget("a")
    assert queue.retries("a") == 0


async def test_shut_down_lets_what_waits_go_and_then_ends(queue: WorkQueue[str]) -> None:
    waiting = asyncio.ensure_future(queue.get())
    await settle()
    queue.shut_down()
    with pytest.raises(ShutDown):
        await waiting
    queue.add("late")
    with pytest.raises(ShutDown):
        await queue.get()


async def test_never_the_same_key_in_two_workers(queue: WorkQueue[str], clock: ManualClock) -> None:
    random = Random(1)
    inside: set[str] = set()
    processed: dict[str, int] = {}
    added: dict[str, int] = {}

    async def work() -> None:
        while True:
            key, _ = await queue.get()
            assert key not in inside
            inside.add(key)
            processed[key] = added[key]
            await clock.sleep(random.random())
            inside.discard(key)
            queue.done(key)

    workers = [asyncio.ensure_future(work()) for _ in range(4)]
    for number in range(300):
        key = random.choice("abcdef")
        added[key] = number
        queue.add_after(key, random.random()) if random.random() < 0.5 else queue.add(key)
        await clock.advance(random.random() / 4)
    await clock.advance(60)
    assert processed == added  # The last change of every key was seen.
    for worker in workers:
        worker.cancel()
    await asyncio.gather(*workers, return_exceptions=True)
