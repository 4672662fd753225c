"""What the status manager writes, and what it does not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.api.core_v1 import Pod
from services.api.errors import failure
from services.client.client import Client
from services.kubelet.status_manager import PRELIMINARY_BURST, PRELIMINARY_SECONDS, StatusManager
from services.kubelet.timers import Timers
from services.process.logging import get_logger
from tests.support.clock import ManualClock
from tests.support.fake_api import FakeApi
from tests.unit.kubelet.pods import pod


class Bench:
    def __init__(self) -> None:
        self.clock = ManualClock()
        self.api = FakeApi(self.clock)
        self.timers = Timers(self.clock)
        client = Client(self.api, component="kubelet")
        self.manager = StatusManager(client, self.timers, self.clock, get_logger("kubelet"))

    def add(self, name: str) -> Pod:
        made = pod(uid=f"uid-{name}", name=name)
        self.api.put(made)
        return made

    def phase(self, name: str) -> str | None:
        return self.api.one(Pod, name, "default").status.phase

    def version(self, name: str) -> str | None:
        return self.api.one(Pod, name, "default").metadata.resource_version


@asynccontextmanager
async def bench() -> AsyncIterator[Bench]:
    made = Bench()
    tasks = [asyncio.ensure_future(made.manager.run()), asyncio.ensure_future(made.timers.run())]
    try:
        yield made
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_the_newest_status_is_written_once() -> None:
    async with bench() as it:
        a = it.add("a")
        before = it.version("a")
        it.manager.set(a, {"phase": "Pending", "startTime": "2026-01-01T00:00:00Z"})
        it.manager.set(a, {"phase": "Running", "startTime": "2026-01-01T00:00:00Z"})
        await it.clock.advance(0)
        assert it.phase("a") == "Running"
        assert int(it.version("a") or 0) == int(before or 0) + 1


async def test_when_many_start_together_creating_waits_a_moment() -> None:
    async with bench() as it:
        pods = [it.add(f"p{number}") for number in range(PRELIMINARY_BURST + 2)]
        versions = [it.version(p.metadata.name or "") for p in pods]
        for each in pods:
            it.manager.set(each, {"phase": "Pending", "startTime": "2026-01-01T00:00:00Z"})
        await it.clock.advance(0)
        untouched = [p for p, v in zip(pods, versions) if it.version(p.metadata.name or "") == v]
        assert len(untouched) == 2
        it.manager.set(untouched[0], {"phase": "Running"})
        await it.clock.advance(0)
        assert it.phase(untouched[0].metadata.name or "") == "Running"
        await it.clock.advance(PRELIMINARY_SECONDS)
        late = it.api.one(Pod, untouched[1].metadata.name or "", "default")
        assert late.status.start_time == "2026-01-01T00:00:00Z"


async def test_a_finished_pod_is_deleted_after_its_last_status() -> None:
    async with bench() as it:
        a = it.add("a")
        it.api.fail_next("patch", failure(503, "ServiceUnavailable", "away"))
        it.manager.set(a, {"phase": "Failed"})
        it.manager.delete(a)
        await it.clock.advance(0)
        assert it.phase("a") == "Pending"
        await it.clock.advance(1)
        assert not it.api.all(Pod)


async def test_another_pod_of_that_name_is_left_alone() -> None:
    async with bench() as it:
        old = it.add("a")
        it.api.remove(Pod, "a", "default")
        it.api.put(pod(uid="another", name="a"))
        it.manager.set(old, {"phase": "Failed"})
        it.manager.delete(old)
        await it.clock.advance(60)
        assert [p.metadata.uid for p in it.api.all(Pod)] == ["another"]
