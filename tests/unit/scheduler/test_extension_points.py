"""What plugins of one's own can do after the node is chosen: hold a Pod, turn it down, fail."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

from services.api.core_v1 import Event, Pod
from services.client.client import Client
from services.client.informer import InformerFactory
from services.client.recorder import EventRecorder
from services.machinery.labels import Selector
from services.process.logging import get_logger
from services.scheduler.algorithm import Algorithm
from services.scheduler.cache import Cache
from services.scheduler.event_handlers import EventHandlers
from services.scheduler.framework.events import ClusterEvent
from services.scheduler.framework.interface import (
    SUCCESS,
    CycleState,
    Filter,
    Permit,
    PostBind,
    PreBind,
    Reserve,
    Status,
)
from services.scheduler.framework.node_info import NodeInfo
from services.scheduler.framework.pod_info import PodInfo
from services.scheduler.framework.runtime import Enabled, Framework
from services.scheduler.profile import default_profile
from services.scheduler.queue import SchedulingQueue
from services.scheduler.scheduler import Parts, Scheduler
from services.scheduler.status_writer import StatusWriter
from services.scheduler.volumes import Volumes
from tests.support.clock import ManualClock, settle
from tests.support.fake_api import FakeApi

from .objects import make_node, make_pod


class Recorded(Reserve, Permit, PreBind, PostBind):
    """Says what it is told to and writes down what it is asked."""

    name = "Recorded"
    wakes_on = (ClusterEvent.NODE_LABELS_CHANGED,)

    def __init__(self, permit: Status = SUCCESS, pre_bind: Status = SUCCESS) -> None:
        self.calls: list[str] = []
        self._permit, self._pre_bind = permit, pre_bind

    def reserve(self, state: CycleState, pod: PodInfo, node_name: str) -> Status:
        self.calls.append("reserve")
        return SUCCESS

    def unreserve(self, state: CycleState, pod: PodInfo, node_name: str) -> None:
        self.calls.append("unreserve")

    def permit(self, state: CycleState, pod: PodInfo, node_name: str) -> Status:
        self.calls.append("permit")
        return self._permit

    async def pre_bind(self, state: CycleState, pod: PodInfo, node_name: str) -> Status:
        self.calls.append("pre_bind")
        answer, self._pre_bind = self._pre_bind, SUCCESS
        return answer

    async def post_bind(self, state: CycleState, pod: PodInfo, node_name: str) -> None:
        self.calls.append("post_bind")


class Buggy(Filter):
    name = "Buggy"
    filter_is_node_local = False

    def filter(self, state: CycleState, pod: PodInfo, node: NodeInfo) -> Status:
        if pod.key.name == "poison":
            raise KeyError("never thought of that")
        return SUCCESS


@asynccontextmanager
async def running(*extra: Enabled) -> AsyncIterator[tuple[FakeApi, ManualClock, Scheduler]]:
    clock = ManualClock()
    api = FakeApi(clock)
    api.put(make_node("n1", cpu="1"))
    client, log = Client(api), get_logger("scheduler")
    informers, recorder = InformerFactory(client, clock), EventRecorder(client, clock, "default-scheduler")
    volumes = Volumes(client, informers, clock)
    profile = (*default_profile(client.bind, lambda pod: Selector(), volumes), *extra)
    framework, cache, pods = Framework(profile, "default-scheduler"), Cache(), informers.informer(Pod)
    queue = SchedulingQueue(framework.queue_sort.sort_key, framework.plugins)
    statuses, algorithm = StatusWriter(client, clock, log), Algorithm(framework, Random(1))
    scheduler = Scheduler(
        Parts(framework, queue, cache, algorithm, pods.store, recorder, statuses, clock, log)
    )
    handlers = EventHandlers(queue, cache, clock, scheduler.wake, log, "default-scheduler")
    pods.add_handler(handlers.pod_added, handlers.pod_updated, handlers.pod_deleted)
    cache.add_node(make_node("n1", cpu="1"))
    tasks = [asyncio.create_task(work) for work in (informers.run(), recorder.run(), scheduler.run())]
    try:
        await informers.wait_synced()
        yield api, clock, scheduler
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def node_of(api: FakeApi, name: str = "p") -> str:
    return api.one(Pod, name, "default").spec.node_name or ""


async def test_all_points_in_their_order() -> None:
    plugin = Recorded()
    async with running(Enabled(plugin)) as (api, _, _):
        api.put(make_pod())
        await settle()
        assert node_of(api) == "n1"
        assert plugin.calls == ["reserve", "permit", "pre_bind", "post_bind"]


async def test_held_until_allowed() -> None:
    plugin = Recorded(permit=Status.wait(30))
    async with running(Enabled(plugin)) as (api, clock, scheduler):
        api.put(make_pod(uid="u"))
        await clock.advance(20)
        assert node_of(api) == ""
        scheduler.waiting.allow("u", "Recorded")
        await settle()
        assert node_of(api) == "n1"


async def test_held_too_long_is_turned_down_and_gives_back_what_it_held() -> None:
    plugin = Recorded(permit=Status.wait(30))
    async with running(Enabled(plugin)) as (api, clock, _):
        api.put(make_pod(uid="u", requests={"cpu": "1"}))
        await clock.advance(31)
        assert plugin.calls == ["reserve", "permit", "unreserve"]
        text = "0/1 nodes are available: 1 rejected due to timeout after waiting 30s at plugin Recorded."
        assert text in [event.message for event in api.all(Event)]


async def test_refused_by_permit_waits_for_that_plugins_events() -> None:
    plugin = Recorded(permit=Status.unschedulable("not today"))
    async with running(Enabled(plugin)) as (api, clock, _):
        api.put(make_pod())
        await clock.advance(60)
        assert plugin.calls == ["reserve", "permit", "unreserve"]
        assert "0/1 nodes are available: 1 not today." in [event.message for event in api.all(Event)]


async def test_failed_pre_bind_is_undone_and_tried_again() -> None:
    plugin = Recorded(pre_bind=Status.error("disk on fire"))
    async with running(Enabled(plugin)) as (api, clock, _):
        api.put(make_pod(requests={"cpu": "1"}))
        await clock.advance(1.1)
        assert plugin.calls == [
            *("reserve", "permit", "pre_bind", "unreserve"),
            *("reserve", "permit", "pre_bind", "post_bind"),
        ]
        assert node_of(api) == "n1"


async def test_a_pod_that_breaks_a_plugin_does_not_stop_the_others() -> None:
    async with running(Enabled(Buggy())) as (api, clock, _):
        api.put(make_pod("poison"))
        api.put(make_pod("healthy"))
        await clock.advance(30)
        assert node_of(api, "healthy") == "n1"
        assert node_of(api, "poison") == ""
        assert "KeyError: 'never thought of that'" in [event.message for event in api.all(Event)]
