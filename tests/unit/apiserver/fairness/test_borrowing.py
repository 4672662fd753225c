"""Seats that one priority level does not need are lent to others."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from services.apiserver.authentication.users import User
from services.apiserver.authorization.attributes import Attributes
from services.apiserver.fairness.borrowing import Claim, Range, allocate, limits
from services.apiserver.fairness.demand import REMEMBERED, Demand
from services.apiserver.fairness.fairness import LENT_SECONDS, Fairness
from tests.support.clock import ManualClock, settle


@pytest.mark.parametrize(
    ("total", "ranges", "given"),
    [
        (10, [(0, 100, 1), (0, 100, 4)], [2, 8]),  # in proportion to what each wants
        (10, [(0, 100, 1), (0, 5, 4)], [5, 5]),  # one may borrow no more
        (10, [(4, 100, 4), (0, 100, 16)], [4, 6]),  # one lends no more
        (10, [(2, 4, 2), (3, 6, 3)], [4, 6]),  # all that there may be
        (5, [(2, 4, 2), (3, 6, 3)], [2, 3]),  # as little as there may be
        (20, [(2, 4, 2), (3, 6, 3)], [4, 6]),  # more than they may have
        (3, [], []),
    ],
)
def test_what_is_dealt_out(
    total: float, ranges: list[tuple[float, float, float]], given: list[float]
) -> None:
    assert allocate(total, [Range(*each) for each in ranges]) == pytest.approx(given)


def test_whatever_they_want_the_bounds_hold_and_nothing_is_left_over() -> None:
    chance = random.Random(7)
    for _ in range(500):
        ranges = []
        for _ in range(chance.randint(1, 9)):
            lower = chance.choice((0, chance.randint(0, 50)))
            ranges.append(Range(lower, lower + chance.randint(0, 80), max(lower, chance.uniform(0.001, 200))))
        total = chance.uniform(sum(each.lower for each in ranges), sum(each.upper for each in ranges))
        given = allocate(total, ranges)
        assert sum(given) == pytest.approx(total)
        for each, seats in zip(ranges, given, strict=True):
            assert each.lower - 1e-9 <= seats <= each.upper + 1e-9
        # Who is between its bounds has the same factor as everybody else there.
        factors = [
            seats / each.target
            for each, seats in zip(ranges, given, strict=True)
            if each.lower + 1e-6 < seats < each.upper - 1e-6
        ]
        assert factors == pytest.approx(factors[:1] * len(factors))


def claim(nominal: int, lends: int = 0, borrows: int = 100, most: int = 0, **more: Any) -> Claim:
    return Claim(nominal, nominal - lends, nominal + borrows, most, more.pop("smoothed", float(most)), **more)


def test_a_busy_level_gets_what_an_idle_one_lends() -> None:
    idle, busy = claim(50, lends=40), claim(50, lends=40, most=300)
    assert limits([idle, busy]) == [10, 90]
    assert limits([busy, busy]) == [50, 50]
    assert limits([idle, claim(50, borrows=10, most=300)]) == [40, 60]
    assert limits([claim(50, lends=0), busy]) == [50, 50]


def test_what_was_borrowed_goes_back_to_who_needs_it() -> None:
    borrower, owner = claim(50, lends=40, most=300), claim(50, lends=40, most=35, smoothed=30)
    assert limits([owner, borrower]) == [35, 65]


def test_who_is_exempt_takes_what_it_wants_and_the_others_have_what_is_left() -> None:
    exempt = claim(0, most=30, exempt=True)
    one, other = claim(50, lends=25, most=50), claim(50, lends=25, most=50)
    assert limits([exempt, one, other]) == [30, 35, 35]  # 40 lent out of 50, and 20 of them are left
    assert limits([exempt._replace(most=80), one, other]) == [80, 25, 25]
    assert limits([claim(20, lends=10, exempt=True), one, other]) == [10, 60, 60]


def test_a_peak_counts_at_once_and_fades_slowly() -> None:
    demand = Demand(0.0)
    demand.note(10, 0.0)
    demand.note(30, 5.0)
    demand.observe(10.0)
    assert demand.most == 30
    assert demand.smoothed == pytest.approx(30)  # the mean, 20, and its spread, 10
    demand.note(0, 10.0)
    demand.observe(20.0)
    assert demand.most == 30  # as the period began
    assert demand.smoothed == pytest.approx(30 * REMEMBERED)
    demand.observe(20.0)
    assert demand.most == 0
    assert demand.smoothed == pytest.approx(30 * REMEMBERED)  # no time has passed


async def test_levels_lend_each_other_seats_while_the_server_runs() -> None:
    clock = ManualClock()
    fairness = Fairness(clock, seats=100)
    asked = Attributes(User("bob", ("system:authenticated",)), "get", "default", resource="pods")
    level, done = fairness.place(asked).level, asyncio.Event()
    assert (level.shape.name, level.shape.seats) == ("global-default", 9)

    async def request() -> None:
        async with fairness.seat(asked):
            await done.wait()

    async with asyncio.TaskGroup() as group:
        running = group.create_task(fairness.run())
        tasks = [group.create_task(request()) for _ in range(90)]
        await settle()
        began = level.limit
        assert (level.running, level.waiting) == (began, 90 - began)
        await clock.advance(LENT_SECONDS + 1)
        assert began < level.limit < 90  # the others keep what they do not lend
        assert (level.running, level.waiting) == (level.limit, 90 - level.limit)
        assert fairness.levels["catch-all"].limit >= fairness.levels["catch-all"].shape.seats
        done.set()
        await asyncio.gather(*tasks)
        running.cancel()


async def test_who_waits_goes_on_waiting_when_only_shares_change() -> None:
    fairness = Fairness(ManualClock(), seats=8)
    level = fairness.levels["workload-low"]
    fairness.configure([], [])
    assert fairness.levels["workload-low"] is level
    queuing = {"queues": 8, "handSize": 2, "queueLengthLimit": 5}
    limited = {"nominalConcurrencyShares": 7, "limitResponse": {"type": "Queue", "queuing": queuing}}
    changed = {"metadata": {"name": "workload-low"}, "spec": {"type": "Limited", "limited": limited}}
    fairness.configure([], [changed])
    anew = fairness.levels["workload-low"]
    assert anew is not level
    assert (anew.shape.queues, anew.shape.lends, anew.shape.borrows) == (8, 0, 8)
