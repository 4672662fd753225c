"""Requests of one moment go together; each gets its own answer, whatever becomes of the others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from services.client.gatherer import Gatherer
from tests.support.clock import settle


class AtMostThree:
    def __init__(self) -> None:
        self.count = 0

    def takes(self, request: int) -> bool:
        self.count += 1
        return self.count <= 3 and request < 100


class World:
    """A peer that answers with the double, refuses odd numbers, and breaks down on 13."""

    def __init__(self) -> None:
        self.messages: list[list[int]] = []
        self.open = asyncio.Event()
        self.open.set()
        self.gatherer: Gatherer[int, int] = Gatherer(self.send, AtMostThree, on_their_way_max=2)

    async def send(self, requests: list[int]) -> Sequence[int | Exception]:
        self.messages.append(requests)
        await self.open.wait()
        if 13 in requests:
            raise ConnectionError("lost")
        return [ValueError(f"odd: {request}") if request % 2 else 2 * request for request in requests]

    async def ask_all(self, *requests: int) -> list[int | BaseException]:
        return await asyncio.gather(*map(self.gatherer.ask, requests), return_exceptions=True)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World()
    task = asyncio.ensure_future(made.gatherer.run())
    await settle()
    yield made
    task.cancel()
    await asyncio.wait((task,))


async def test_a_single_one_goes_alone_and_at_once(world: World) -> None:
    assert await world.gatherer.ask(2) == 4
    assert world.messages == [[2]]


async def test_those_of_one_moment_go_together_in_order(world: World) -> None:
    assert await world.ask_all(2, 4, 6, 8) == [4, 8, 12, 16]
    assert world.messages == [[2, 4, 6], [8]]


async def test_what_fits_into_no_message_goes_alone(world: World) -> None:
    assert await world.ask_all(100, 2, 200) == [200, 4, 400]
    assert world.messages == [[100], [2], [200]]


async def test_a_refused_one_does_not_touch_the_others(world: World) -> None:
    first, second, third = await world.ask_all(2, 3, 4)
    assert (first, third) == (4, 8)
    assert str(second) == "odd: 3"


async def test_a_broken_message_breaks_what_was_in_it(world: World) -> None:
    answers = await world.ask_all(2, 13, 4, 6)
    assert [type(answer) for answer in answers] == [ConnectionError, ConnectionError, ConnectionError, int]
    assert await world.gatherer.ask(8) == 16


async def test_while_enough_are_on_their_way_the_rest_gathers(world: World) -> None:
    world.open.clear()
    asking = []
    for number in (2, 4, 6, 8):
        asking.append(asyncio.ensure_future(world.gatherer.ask(number)))
        await settle()
    assert world.messages == [[2], [4]]
    world.open.set()
    assert await asyncio.gather(*asking) == [4, 8, 12, 16]
    assert world.messages == [[2], [4], [6, 8]]


async def test_a_cancelled_caller_leaves_the_others_their_answers(world: World) -> None:
    world.open.clear()
    gone, stays = (asyncio.ensure_future(world.gatherer.ask(number)) for number in (2, 4))
    await settle()
    gone.cancel()
    world.open.set()
    assert await stays == 8
    assert gone.cancelled() or await asyncio.wait((gone,))


async def test_a_stop_cancels_who_still_waits() -> None:
    world = World()
    task = asyncio.ensure_future(world.gatherer.run())
    await settle()
    world.open.clear()
    asking = [asyncio.ensure_future(world.gatherer.ask(number)) for number in range(20)]
    await settle()
    task.cancel()
    await asyncio.wait((task, *asking))
    assert all(each.cancelled() for each in asking)


async def test_without_run_each_goes_alone() -> None:
    world = World()
    assert await world.ask_all(2, 4) == [4, 8]
    assert world.messages == [[2], [4]]
