"""One leads; the next takes over at once after a graceful stop, after the lease after a crash."""

from __future__ import annotations

import asyncio

import pytest

from services.api.coordination_v1 import Lease
from services.client.client import Client
from services.client.leader import LeaderElector, LeadershipLost
from tests.support.clock import ManualClock, settle
from tests.support.fake_api import FakeApi


class World:
    def __init__(self) -> None:
        self.clock = ManualClock()
        self.api = FakeApi(self.clock)
        self.leading: list[str] = []

    def start(self, identity: str, api: FakeApi | None = None) -> asyncio.Task[None]:
        elector = LeaderElector(Client(api or self.api), self.clock, "scheduler", identity)

        async def lead() -> None:
            self.leading.append(identity)
            await asyncio.Event().wait()

        return asyncio.ensure_future(elector.run(lead))


@pytest.fixture
def world() -> World:
    return World()


async def stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_graceful_stop_hands_over_at_once(world: World) -> None:
    first = world.start("a")
    await world.clock.advance(1)
    second = world.start("b")
    await world.clock.advance(60)
    assert world.leading == ["a"]
    await stop(first)
    await world.clock.advance(2)
    assert world.leading == ["a", "b"]
    lease = world.api.one(Lease, "scheduler", "kube-system")
    assert lease.spec.holder_identity == "b"
    assert lease.spec.lease_transitions == 1
    await stop(second)


async def test_a_silent_leader_is_replaced_after_the_lease(world: World) -> None:
    spec = {"holderIdentity": "dead", "leaseDurationSeconds": 15, "renewTime": "2026-01-01T00:00:00.000000Z"}
    from services.api.kinds import resource_of

    metadata = {"name": "scheduler", "namespace": "kube-system"}
    world.api.put_data(resource_of(Lease), {"metadata": metadata, "spec": spec})
    task = world.start("b")
    await world.clock.advance(14)
    assert world.leading == []
    await world.clock.advance(3)
    assert world.leading == ["b"]
    await stop(task)


async def test_a_leader_that_cannot_renew_gives_up(world: World) -> None:
    task = world.start("a")
    await world.clock.advance(5)
    assert world.leading == ["a"]
    world.api.set_down(True)
    await world.clock.advance(10)
    assert not task.done()
    await world.clock.advance(3)
    with pytest.raises(LeadershipLost):
        await task
    await settle()


async def test_a_leader_survives_a_short_outage(world: World) -> None:
    task = world.start("a")
    await world.clock.advance(5)
    world.api.set_down(True)
    await world.clock.advance(8)
    world.api.set_down(False)
    await world.clock.advance(60)
    assert world.leading == ["a"]
    assert not task.done()
    await stop(task)
