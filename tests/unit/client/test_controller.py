"""Controllers, Pod control and expectations against the API server in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from random import Random
from typing import Any, ClassVar

import pytest
import structlog
import structlog.testing

from services.api.apps_v1 import ReplicaSet, ReplicaSetSpec
from services.api.core_v1 import Container, Event, Namespace, Pod, PodSpec, PodTemplateSpec
from services.api.errors import forbidden, not_found
from services.api.kinds import resource_of
from services.api.meta_v1 import LabelSelector, ObjectMeta
from services.api.object import ObjectKey
from services.client.client import Client
from services.client.controller import Controller, ControllerContext, For, Owns, Watches, run_controllers
from services.client.expectations import EXPIRES_SECONDS, Expectations
from services.client.informer import InformerFactory
from services.client.recorder import EventRecorder
from services.client.transport import Unavailable
from services.machinery import trace
from services.machinery.owners import controller_of
from tests.support.clock import ManualClock, settle
from tests.support.fake_api import FakeApi

CAUSE = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"
LABELS = {"app": "kubia"}
TEMPLATE = PodTemplateSpec(
    metadata=ObjectMeta(labels=LABELS), spec=PodSpec(containers=[Container(name="c", image="kubia")])
)


def replica_set(name: str = "kubia", replicas: int = 3) -> ReplicaSet:
    spec = ReplicaSetSpec(replicas=replicas, selector=LabelSelector(match_labels=LABELS), template=TEMPLATE)
    return ReplicaSet(metadata=ObjectMeta(name=name, namespace="default"), spec=spec)


class Spy(Controller[ReplicaSet]):
    """Does what its `work` says, and remembers who was reconciled under which cause."""

    name = "replicaset"
    watches: ClassVar[tuple[For | Owns | Watches, ...]] = (For(ReplicaSet), Owns(Pod))

    def __init__(self, context: ControllerContext) -> None:
        super().__init__(context)
        self.seen: list[tuple[str, str]] = []
        self.deleted: list[ObjectKey] = []
        self.work: Callable[[ReplicaSet], Any] | None = None

    async def reconcile(self, obj: ReplicaSet) -> None:
        self.seen.append((obj.key.name, trace.current()))
        if self.work:
            await self.work(obj)

    async def reconcile_deleted(self, key: ObjectKey) -> None:
        self.deleted.append(key)


class World:
    def __init__(self) -> None:
        self.clock = ManualClock()
        self.api = FakeApi(self.clock)
        self.client = Client(self.api, log=structlog.get_logger())
        informers = InformerFactory(self.client, self.clock)
        recorder = EventRecorder(self.client, self.clock, "test")
        self.context = ControllerContext(
            self.client, informers, recorder, self.clock, Random(1), structlog.get_logger()
        )
        self.spy = Spy(self.context)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Spy]:
        task = asyncio.ensure_future(run_controllers(self.context, (lambda context: self.spy,)))
        await settle()
        try:
            yield self.spy
        finally:
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    def events(self) -> list[tuple[str, str, str]]:
        return [(e.type or "", e.reason or "", e.message or "") for e in self.api.all(Event)]


@pytest.fixture
def world() -> World:
    return World()


async def test_a_write_is_reconciled_under_its_cause(world: World) -> None:
    async with world.running() as spy:
        with trace.scope(CAUSE):
            await world.client.create(replica_set())
        await settle()
        assert spy.seen == [("kubia", CAUSE)]
        await world.client.delete(ReplicaSet, "kubia", "default")
        await settle()
        assert spy.deleted == [ObjectKey("default", "kubia")]


async def test_a_failed_reconcile_comes_back(world: World) -> None:
    async def refuse(obj: ReplicaSet) -> None:
        if len(world.spy.seen) < 3:
            raise Unavailable("not now")

    async with world.running() as spy:
        spy.work = refuse
        await world.client.create(replica_set())
        await world.clock.advance(10)
        assert len(spy.seen) == 3


async def test_what_is_refused_again_and_again_is_complained_of_now_and_then(world: World) -> None:
    async def refuse(obj: ReplicaSet) -> None:
        raise forbidden(resource_of(Pod), f"kubia-{len(world.spy.seen)}", "exceeded quota: q")

    async with world.running() as spy:
        spy.work = refuse
        with structlog.testing.capture_logs() as lines:
            await world.client.create(replica_set())
            await world.clock.advance(4)
    told = [line["log_level"] for line in lines if "reconcile" in line["event"].lower()]
    assert len(told) == len(spy.seen) >= 9
    assert told[:8] == ["warning", *["debug"] * 7]  # retries of the first second
    assert set(told[8:]) == {"warning"}


async def test_an_object_that_went_meanwhile_is_none_to_complain_of(world: World) -> None:
    async def lose(obj: ReplicaSet) -> None:
        raise not_found(resource_of(ReplicaSet), "kubia")

    async with world.running() as spy:
        spy.work = lose
        with structlog.testing.capture_logs() as lines:
            await world.client.create(replica_set())
            await settle()
            assert [line["log_level"] for line in lines if "econcile" in line["event"]] == ["debug"]


async def test_owned_and_orphaned_pods_wake_their_owner(world: World) -> None:
    await world.client.create(replica_set())
    async with world.running() as spy:
        assert len(spy.seen) == 1
        await spy.pods.create(world.api.one(ReplicaSet, "kubia", "default"), TEMPLATE, 1)
        await settle()
        assert len(spy.seen) == 2
        await world.client.create(Pod(metadata=ObjectMeta(name="orphan", namespace="default", labels=LABELS)))
        await settle()
        assert len(spy.seen) == 3
        await world.client.create(Pod(metadata=ObjectMeta(name="stranger", namespace="default")))
        await settle()
        assert len(spy.seen) == 3


async def test_watches_map_other_kinds(world: World) -> None:
    class Mapping(Spy):
        watches = (
            For(ReplicaSet),
            Watches(
                Namespace,
                map=lambda ns, stores: [o.key for o in stores[ReplicaSet].by_index("namespace", ns.key.name)],
            ),
        )

    world.spy = Mapping(world.context)
    await world.client.create(replica_set())
    async with world.running() as spy:
        await world.client.create(Namespace(metadata=ObjectMeta(name="default")))
        await settle()
        assert [name for name, _ in spy.seen] == ["kubia", "kubia"]


async def test_created_pods_are_owned_named_expected_and_told(world: World) -> None:
    await world.client.create(replica_set())
    async with world.running() as spy:
        owner = world.api.one(ReplicaSet, "kubia", "default")
        made = await spy.pods.create(owner, TEMPLATE, 5)
        assert made == 5
        await settle()
        assert spy.pods.settled(owner)
        pods = world.api.all(Pod)
        assert len(pods) == 5
        assert all(pod.key.name.startswith("kubia-") and len(pod.key.name) == 11 for pod in pods)
        reference = controller_of(pods[0])
        assert reference is not None
        assert (reference.kind, reference.api_version, reference.uid) == (
            "ReplicaSet", "apps/v1", owner.metadata.uid,
        )  # fmt: skip
        messages = {message for _, _, message in world.events()}
        assert messages == {f"Created pod: {pod.key.name}" for pod in pods}


async def test_a_refusal_ends_the_slow_start_and_is_not_expected(world: World) -> None:
    await world.client.create(replica_set())
    async with world.running() as spy:
        owner = world.api.one(ReplicaSet, "kubia", "default")
        refusal = forbidden(resource_of(Pod), "", "exceeded quota")
        world.api.fail_next("create", refusal)
        with pytest.raises(Exception, match="exceeded quota"):
            await spy.pods.create(owner, TEMPLATE, 100)
        assert spy.pods.settled(owner)
        asked = [
            verb for verb, target in world.api.requests if verb == "create" and target.resource.kind == "Pod"
        ]
        assert len(asked) == 1
        await settle()
        assert world.events() == [
            ("Warning", "FailedCreate", "Error creating: pods is forbidden: exceeded quota")
        ]


async def test_deleted_pods_are_expected_and_told(world: World) -> None:
    await world.client.create(replica_set())
    async with world.running() as spy:
        owner = world.api.one(ReplicaSet, "kubia", "default")
        await spy.pods.create(owner, TEMPLATE, 2)
        await settle()
        doomed = await spy.pods.claim(owner)
        await spy.pods.delete(owner, doomed)
        await settle()
        assert spy.pods.settled(owner)
        assert world.api.all(Pod) == []
        told = [message for _, reason, message in world.events() if reason == "SuccessfulDelete"]
        assert sorted(told) == sorted(f"Deleted pod: {pod.key.name}" for pod in doomed)


async def test_claim_adopts_orphans_and_releases_strangers(world: World) -> None:
    await world.client.create(replica_set())
    async with world.running() as spy:
        owner = world.api.one(ReplicaSet, "kubia", "default")
        await spy.pods.create(owner, TEMPLATE, 1)
        (mine,) = world.api.all(Pod)
        await world.client.patch(Pod, mine.key.name, "default", {"metadata": {"labels": {"app": "else"}}})
        await world.client.create(Pod(metadata=ObjectMeta(name="orphan", namespace="default", labels=LABELS)))
        await settle()
        assert [pod.key.name for pod in await spy.pods.claim(owner)] == ["orphan"]
        owners = {pod.key.name: controller_of(pod) for pod in world.api.all(Pod)}
        assert owners[mine.key.name] is None
        adopted = owners["orphan"]
        assert adopted is not None
        assert adopted.uid == owner.metadata.uid


async def test_an_owner_that_is_gone_by_now_adopts_nothing(world: World) -> None:
    await world.client.create(replica_set())
    async with world.running() as spy:
        stale = world.api.one(ReplicaSet, "kubia", "default")
        await world.client.delete(ReplicaSet, "kubia", "default")
        await world.client.create(replica_set())
        await world.client.create(Pod(metadata=ObjectMeta(name="orphan", namespace="default", labels=LABELS)))
        await settle()
        assert await spy.pods.claim(stale) == []


def test_expectations_settle_expire_and_forget() -> None:
    clock = ManualClock()
    expectations = Expectations(clock)
    assert expectations.settled("a")
    expectations.expect_creations("a", 2)
    expectations.creation_observed("a")
    assert not expectations.settled("a")
    expectations.creation_observed("a")
    assert expectations.settled("a")
    expectations.creation_observed("a")  # One too many must not count for the next round.
    expectations.expect_creations("a", 1)
    assert not expectations.settled("a")
    expectations.expect_deletions("b", ["u1", "u2"])
    expectations.deletion_observed("b", "u1")
    expectations.deletion_observed("b", "u1")
    assert not expectations.settled("b")
    clock._elapsed += EXPIRES_SECONDS + 1
    assert expectations.settled("b")
