"""Events are written, counted, combined and limited as upstream does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from services.api.core_v1 import Event, Pod
from services.api.meta_v1 import ObjectMeta
from services.client.client import Client
from services.client.event_correlator import COMBINED, Correlator, Occurrence
from services.client.recorder import EventRecorder
from tests.support.clock import ManualClock, settle
from tests.support.fake_api import FakeApi

POD = Pod(metadata=ObjectMeta(name="kubia", namespace="apps", uid="u", resource_version="7"))
NOW = datetime(2026, 1, 1, tzinfo=UTC)


class World:
    def __init__(self) -> None:
        self.clock = ManualClock()
        self.api = FakeApi(self.clock)
        self.recorder = EventRecorder(Client(self.api), self.clock, "kubelet", "node-1")

    def events(self) -> list[Event]:
        return self.api.all(Event)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World()
    task = asyncio.ensure_future(made.recorder.run())
    yield made
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_an_event_says_what_happened_to_whom(world: World) -> None:
    world.recorder.event(POD, "Normal", "Started", "Container started", field_path="spec.containers{c}")
    await settle()
    (event,) = world.events()
    assert event.metadata.namespace == "apps"
    assert (event.metadata.name or "").startswith("kubia.")
    assert event.involved_object.kind == "Pod"
    assert event.involved_object.uid == "u"
    assert event.involved_object.resource_version == "7"
    assert event.involved_object.field_path == "spec.containers{c}"
    assert (event.type, event.reason, event.message, event.count) == (
        "Normal",
        "Started",
        "Container started",
        1,
    )
    assert event.source is not None
    assert (event.source.component, event.source.host) == ("kubelet", "node-1")
    assert (event.reporting_component, event.reporting_instance) == ("kubelet", "node-1")
    assert event.first_timestamp == event.last_timestamp == "2026-01-01T00:00:00Z"


async def test_the_same_again_is_counted(world: World) -> None:
    for _ in range(3):
        world.recorder.event(POD, "Warning", "BackOff", "Back-off restarting")
        await world.clock.advance(10)
    (event,) = world.events()
    assert event.count == 3
    assert event.first_timestamp == "2026-01-01T00:00:00Z"
    assert event.last_timestamp == "2026-01-01T00:00:20Z"


async def test_many_similar_ones_are_combined(world: World) -> None:
    for number in range(15):
        world.recorder.event(POD, "Normal", "SuccessfulCreate", f"Created pod: p{number}")
        await settle()
    events = world.events()
    assert len(events) == 10
    combined = [event for event in events if (event.message or "").startswith(COMBINED)]
    assert [event.count for event in combined] == [6]
    assert combined[0].message == COMBINED + "Created pod: p14"


async def test_an_event_that_expired_is_written_anew(world: World) -> None:
    world.recorder.event(POD, "Warning", "BackOff", "again")
    await settle()
    (event,) = world.events()
    world.api.remove(Event, event.metadata.name or "", "apps")
    world.recorder.event(POD, "Warning", "BackOff", "again")
    await settle()
    assert [event.count for event in world.events()] == [2]


async def test_an_action_makes_an_event_with_a_series(world: World) -> None:
    scheduler = world.recorder.named("default-scheduler", "cp-1")
    for _ in range(5):
        scheduler.event(POD, "Warning", "FailedScheduling", "0/3 nodes are available", action="Scheduling")
        await settle()
    (event,) = world.events()
    assert event.action == "Scheduling"
    assert event.event_time == "2026-01-01T00:00:00.000000Z"
    assert event.reporting_component == "default-scheduler"
    assert event.reporting_instance == "default-scheduler-cp-1"
    assert event.series is not None
    assert event.series.count == 2


async def test_nothing_is_lost_while_the_server_is_away(world: World) -> None:
    world.api.set_down(True)
    world.recorder.event(POD, "Normal", "Pulled", "here")
    await world.clock.advance(12)
    world.api.set_down(False)
    await world.clock.advance(12)
    assert [event.reason for event in world.events()] == ["Pulled"]


async def test_a_stop_writes_what_is_left() -> None:
    world = World()
    task = asyncio.ensure_future(world.recorder.run())
    await settle()
    for number in range(200):
        pod = Pod(metadata=ObjectMeta(name=f"p{number}", namespace="apps", uid=f"u{number}"))
        world.recorder.event(pod, "Normal", "Killing", "Stopping container")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(world.events()) == 200


async def test_a_stop_does_not_wait_long_for_a_server_that_is_away() -> None:
    world = World()
    task = asyncio.ensure_future(world.recorder.run())
    world.api.set_down(True)
    world.recorder.event(POD, "Normal", "Killing", "Stopping container")
    await settle()
    task.cancel()
    await world.clock.advance(2)
    with pytest.raises(asyncio.CancelledError):
        await task


def test_spam_of_one_object_is_cut_after_the_burst() -> None:
    correlator = Correlator()
    involved = (("kind", "Pod"), ("name", "p"))
    written = 0
    for number in range(100):
        event = Occurrence(involved, "Warning", "Unhealthy", "probe failed", "kubelet", "n")
        written += correlator.judge(event, float(number), NOW, f"e{number}") is not None
    assert written == 25
    late = correlator.judge(event, 100.0 + 300, NOW, "late")
    assert late is not None
    assert late.times == 101
