"""Judging in turns: the same results, and the loop goes on meanwhile."""

from __future__ import annotations

import asyncio
import threading

import pytest

from services.apiserver.cel import CostExceeded, Environment, EvaluationError, Program, types
from services.apiserver.strands import AT_ONCE, STRANDS_MAX, Strands
from services.machinery import turns
from tests.support.clock import ManualClock
from tests.support.strands import in_turns, strand_threads

NUMBERS = Environment({"a": types.list_of(types.INT)})


def program(text: str) -> Program:
    return NUMBERS.compile(text)


class Rounds:
    """Counts how often the loop gets round to others."""

    def __init__(self) -> None:
        self.count = 0
        self._going = True

    async def run(self) -> None:
        while self._going:
            self.count += 1
            await asyncio.sleep(0)

    def stop(self) -> None:
        self._going = False


async def test_short_work_is_done_at_once() -> None:
    where = await Strands(ManualClock()).judge(threading.current_thread)
    assert where is threading.main_thread()
    assert not strand_threads()


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a.all(x, a.all(y, x + y >= 0))", True),
        ("a.exists(x, a.exists(y, x + y < 0))", False),
        ("a.map(x, a.filter(y, y < x).size()).sum()", 125 * 249),
        ("a.exists_one(x, a.all(y, y <= x))", True),
    ],
)
async def test_long_work_has_the_same_result_in_turns(text: str, wanted: object) -> None:
    found, variables = program(text), {"a": list(range(250))}
    rounds = Rounds()
    async with asyncio.TaskGroup() as group:
        group.create_task(rounds.run())
        value, cost = await Strands(ManualClock()).judge(lambda: found.evaluate(variables))
        rounds.stop()
    assert (value, cost) == found.evaluate(variables)
    assert value == wanted
    assert cost > AT_ONCE
    assert rounds.count > 20
    assert not strand_threads()


async def test_limits_and_faults_rise_from_a_strand() -> None:
    endless = program("a.all(x, a.all(y, a.all(z, x + y + z >= 0)))")
    failing = program("a.all(x, a.all(y, x + y >= 0)) && a[1000] == 1")
    variables = {"a": list(range(250))}
    strands = Strands(ManualClock())
    with pytest.raises(CostExceeded):
        await strands.judge(lambda: endless.evaluate(variables, 200_000))
    with pytest.raises(EvaluationError, match="index out of bounds: 1000"):
        await strands.judge(lambda: failing.evaluate(variables))
    assert not strand_threads()


async def test_who_is_cancelled_leaves_no_thread() -> None:
    endless = program("a.all(x, a.all(y, a.all(z, x + y + z >= 0)))")
    strands = Strands(ManualClock())
    task = asyncio.ensure_future(strands.judge(lambda: endless.evaluate({"a": list(range(250))})))
    await in_turns(task)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not strand_threads()


async def test_many_share_one_slice_of_each_round() -> None:
    """Between two slices the loop gets round, however many there are; more than the bound wait."""
    strands, slices, rounds = Strands(ManualClock()), list[int](), Rounds()

    def work() -> bool:
        for _ in range(20):
            if threading.current_thread().name == "strand":  # and not the attempt at once
                slices.append(rounds.count)
            turns.done(AT_ONCE)
        return True

    async with asyncio.TaskGroup() as group:
        group.create_task(rounds.run())
        many = [group.create_task(strands.judge(work)) for _ in range(STRANDS_MAX + 4)]
        while not all(each.done() for each in many):
            assert len(strand_threads()) <= STRANDS_MAX
            await asyncio.sleep(0)
        rounds.stop()
    assert len(slices) == 20 * len(many)
    assert len(set(slices)) == len(slices)
