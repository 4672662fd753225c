"""The loop against an API server in memory: what it writes, and what it does when writing fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from random import Random

from services.api import errors
from services.api.core_v1 import Event, Node, Pod
from services.api.kinds import resource_of
from services.client.client import Client
from services.client.informer import InformerFactory
from services.client.recorder import EventRecorder
from services.machinery import conditions
from services.process.logging import get_logger
from services.process.run import Process
from services.scheduler.__main__ import build
from services.scheduler.scheduler import Scheduler
from tests.support.clock import ManualClock, settle
from tests.support.fake_api import FakeApi

from .objects import make_node, make_pod


@dataclass
class World:
    api: FakeApi
    client: Client
    clock: ManualClock
    scheduler: Scheduler

    def pod(self, name: str = "p") -> Pod:
        return self.api.one(Pod, name, "default")

    def node_of(self, name: str = "p") -> str:
        return self.pod(name).spec.node_name or ""

    def events(self, reason: str) -> list[str]:
        return [event.message or "" for event in self.api.all(Event) if event.reason == reason]

    def bindings(self) -> int:
        return sum(1 for verb, target in self.api.requests if target.subresource == "binding")


@asynccontextmanager
async def world(*nodes: Node, api: FakeApi | None = None) -> AsyncIterator[World]:
    clock = ManualClock()
    api = api or FakeApi(clock)
    for node in nodes:
        api.put(node)
    client, log = Client(api), get_logger("scheduler")
    informers = InformerFactory(client, clock)
    recorder = EventRecorder(client, clock, "default-scheduler")
    scheduler = build(client, informers, recorder, Process("scheduler", clock, Random(1), log))
    running = [asyncio.create_task(coroutine) for coroutine in (informers.run(), recorder.run())]
    await informers.wait_synced()
    running.append(asyncio.create_task(scheduler.run()))
    try:
        yield World(api, client, clock, scheduler)
    finally:
        for task in reversed(running):
            task.cancel()
        results = await asyncio.gather(*running, return_exceptions=True)
        assert all(isinstance(result, asyncio.CancelledError) for result in results), results


async def test_binds_and_says_so() -> None:
    async with world(make_node("n1")) as w:
        w.api.put(make_pod(requests={"cpu": "1"}))
        await settle()
        assert w.node_of() == "n1"
        assert w.events("Scheduled") == ["Successfully assigned default/p to n1"]
        event = w.api.all(Event)[0]
        assert (event.reporting_component, event.type) == ("default-scheduler", "Normal")


async def test_waits_for_a_node_then_binds() -> None:
    async with world() as w:
        w.api.put(make_pod(uid="u"))
        await settle()
        assert w.events("FailedScheduling") == ["no nodes available to schedule pods"]
        w.api.put(make_node("n1"))
        await w.clock.advance(2)
        assert w.node_of() == "n1"


async def test_unschedulable_pod_has_condition_and_event_and_wakes_on_the_right_change() -> None:
    async with world(make_node("n1", cpu="1")) as w:
        w.api.put(make_pod(requests={"cpu": "2"}))
        await settle()
        condition = conditions.get(w.pod().status.conditions, "PodScheduled")
        assert condition is not None
        message = (
            "0/1 nodes are available: 1 Insufficient cpu. no new claims to deallocate, preemption: 0/1 nodes "
            "are available: 1 Preemption is not helpful for scheduling."
        )
        assert (condition.status, condition.reason, condition.message) == ("False", "Unschedulable", message)
        assert condition.observed_generation == 1
        assert w.events("FailedScheduling") == [message]
        w.api.put(make_node("n1", cpu="1", labels={"new": "label"}))
        await w.clock.advance(20)
        assert len(w.scheduler.decisions) == 1
        w.api.put(make_node("n1", cpu="4"))
        await settle()
        assert w.node_of() == "n1"


async def test_gated_pod_is_left_alone_until_the_gates_are_gone() -> None:
    async with world(make_node("n1")) as w:
        w.api.put(make_pod(uid="u", gates=["a.b/c"]))
        await w.clock.advance(600)
        assert w.bindings() == 0
        assert w.events("FailedScheduling") == []
        w.api.put(make_pod(uid="u"))
        await settle()
        assert w.node_of() == "n1"


async def test_pods_of_other_schedulers_are_not_ours() -> None:
    async with world(make_node("n1")) as w:
        data = {"metadata": {"name": "p", "namespace": "default"}, "spec": {"schedulerName": "mine"}}
        w.api.put_data(resource_of(Pod), data)
        await settle()
        assert w.bindings() == 0


async def test_refused_binding_is_taken_back_and_tried_again() -> None:
    async with world(make_node("n1", cpu="1")) as w:
        refusal = errors.conflict(resource_of(Pod), "p", "try later")
        w.api.fail_next("create", refusal)
        w.api.put(make_pod(requests={"cpu": "1"}))
        await settle()
        assert w.node_of() == ""
        assert "running Bind plugin" in w.events("FailedScheduling")[0]
        condition = conditions.get(w.pod().status.conditions, "PodScheduled")
        assert condition is not None
        assert condition.reason == "SchedulerError"
        await w.clock.advance(0.9)
        assert w.node_of() == ""
        await w.clock.advance(0.2)
        assert w.node_of() == "n1"
        assert len(w.events("Scheduled")) == 1


async def test_what_a_failed_binding_held_is_free_for_others() -> None:
    async with world(make_node("n1", cpu="1")) as w:
        w.api.fail_next("create", errors.conflict(resource_of(Pod), "a", "try later"))
        w.api.put(make_pod("a", requests={"cpu": "1"}))
        w.api.put(make_pod("b", requests={"cpu": "1"}))
        await w.clock.advance(0.5)
        assert w.node_of("b") == "n1"


async def test_pod_bound_by_somebody_else_is_let_go() -> None:
    async with world(make_node("n1", cpu="1"), make_node("n2", cpu="1")) as w:
        w.api.set_down(True)
        w.api.put(make_pod(uid="u", requests={"cpu": "1"}))
        await settle()
        w.api.set_down(False)
        w.api.put(make_pod(uid="u", node="n2", requests={"cpu": "1"}))
        await w.clock.advance(60)
        w.api.put(make_pod("next", requests={"cpu": "1"}))
        await w.clock.advance(5)
        assert (w.node_of(), w.node_of("next")) == ("n2", "n1")


async def test_api_server_goes_down_in_mid_binding() -> None:
    async with world(make_node("n1"), make_node("n2")) as w:
        for number in range(20):
            w.api.put(make_pod(f"p{number}", requests={"cpu": "100m"}))
        w.api.set_down(True)
        await w.clock.advance(30)
        w.api.set_down(False)
        await w.clock.advance(60)
        assert all(w.node_of(f"p{number}") for number in range(20))
        assert w.bindings() >= 20
        assert sorted(set(w.events("Scheduled"))) == sorted(w.events("Scheduled"))


async def test_pod_deleted_in_mid_binding_leaves_nothing_behind() -> None:
    async with world(make_node("n1", cpu="1")) as w:
        pod = make_pod(requests={"cpu": "1"})
        w.api.put(pod)
        w.api.fail_next("create", errors.not_found(resource_of(Pod), "p"))
        await asyncio.sleep(0)
        w.api.remove(Pod, "p", "default")
        await w.clock.advance(20)
        w.api.put(make_pod("q", requests={"cpu": "1"}))
        await w.clock.advance(2)
        assert w.node_of("q") == "n1"


async def test_node_deleted_between_decision_and_binding() -> None:
    """As upstream the binding goes through, and the Pod is then the Pod garbage collector's."""
    async with world(make_node("n1"), make_node("n2")) as w:
        w.api.put(make_pod("p"))
        await settle()
        w.api.remove(Node, w.node_of())
        await settle()
        gone = w.node_of()
        for number in range(4):
            w.api.put(make_pod(f"q{number}"))
        await settle()
        assert {w.node_of(f"q{number}") for number in range(4)} == {"n1", "n2"} - {gone}


async def test_watches_break_and_nothing_is_lost() -> None:
    async with world(make_node("n1", cpu="64")) as w:
        for number in range(30):
            w.api.put(make_pod(f"p{number}", requests={"cpu": "1"}))
            if number % 5 == 0:
                w.api.break_watches()
            if number == 17:
                w.api.compact()
            await settle(3)
        await w.clock.advance(60)
        assert all(w.node_of(f"p{number}") == "n1" for number in range(30))
        assert w.scheduler.decisions[-1].node == "n1"


async def test_deleting_pod_is_skipped() -> None:
    async with world() as w:
        w.api.put(make_pod(uid="u", deleted=True))
        w.api.put(make_node("n1"))
        await w.clock.advance(2)
        assert w.bindings() == 0
        assert w.events("FailedScheduling") == ["skip schedule deleting pod: default/p"]


async def test_higher_priority_goes_first() -> None:
    async with world() as w:
        for name, priority in (("low", 0), ("high", 1000)):
            w.api.put(make_pod(name, priority=priority, requests={"cpu": "1"}))
        await settle()
        w.api.put(make_node("n1", cpu="1"))
        await w.clock.advance(2)
        assert (w.node_of("high"), w.node_of("low")) == ("n1", "")
