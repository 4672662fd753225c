"""Reflector, store and informer against the API server in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import structlog.testing

from services.api import errors
from services.api.core_v1 import Node, Pod, PodSpec, Service
from services.api.meta_v1 import ManagedFieldsEntry, ObjectMeta
from services.api.object import ObjectKey
from services.client.client import Client, Page, WatchEvent
from services.client.informer import InformerFactory
from services.client.reflector import (
    Empty,
    InitListed,
    InitPage,
    ListFrom,
    Machine,
    State,
    WatchFrom,
    Watching,
)
from services.client.transport import Unavailable
from services.machinery import trace
from tests.support.clock import ManualClock, settle
from tests.support.fake_api import FakeApi


def pod(name: str, **labels: str) -> Pod:
    return Pod(metadata=ObjectMeta(name=name, namespace="default", labels=labels))


def state(machine: Machine[Pod]) -> State:
    return machine.state


class Seen:
    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []

    def on_add(self, obj: Pod, cause: str) -> None:
        self.calls.append(("add", obj.key.name))

    def on_update(self, old: Pod, new: Pod, cause: str) -> None:
        assert old.metadata.resource_version != new.metadata.resource_version
        self.calls.append(("update", new.key.name))

    def on_delete(self, obj: Pod, cause: str) -> None:
        self.calls.append(("delete", obj.key.name))


@asynccontextmanager
async def running(factory: InformerFactory) -> AsyncIterator[None]:
    task = asyncio.ensure_future(factory.run())
    try:
        yield
    finally:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def api(clock: ManualClock) -> FakeApi:
    return FakeApi(clock)


@pytest.fixture
def client(api: FakeApi) -> Client:
    return Client(api)


def test_the_machine_walks_from_empty_to_watching_and_back_on_expiry() -> None:
    machine: Machine[Pod] = Machine()
    assert machine.todo() == ListFrom()
    assert machine.on_page(Page([pod("a")], "5", "next")) is None
    assert isinstance(machine.state, InitPage)
    machine.on_failure(Unavailable("gone"))
    assert machine.todo() == ListFrom("next")
    items = machine.on_page(Page([pod("b")], "5", ""))
    assert items is not None
    assert [each.key.name for each in items] == ["a", "b"]
    assert state(machine) == InitListed("5")
    machine.on_events([])
    assert state(machine) == Watching("5")
    bookmark: WatchEvent[Pod] = WatchEvent("BOOKMARK", None, "9")
    assert machine.on_events([bookmark]) == []
    machine.on_failure(Unavailable("gone"))
    assert machine.todo() == WatchFrom("9")
    machine.on_failure(errors.expired("too old"))
    assert state(machine) == Empty()


async def test_store_and_handlers_follow_the_server(api: FakeApi, client: Client, clock: ManualClock) -> None:
    api.put(pod("old"))
    factory = InformerFactory(client, clock)
    informer, seen = factory.informer(Pod), Seen()
    informer.add_handler(seen.on_add, seen.on_update, seen.on_delete)
    assert not informer.has_synced
    async with running(factory):
        await informer.wait_synced()
        await client.create(pod("new"))
        await client.patch(Pod, "old", "default", {"metadata": {"labels": {"a": "b"}}})
        await client.delete(Pod, "new", "default")
        await settle()
        assert seen.calls == [("add", "old"), ("add", "new"), ("update", "old"), ("delete", "new")]
        stored = informer.store.get(ObjectKey("default", "old"))
        assert stored is not None
        assert stored.metadata.resource_version
        assert [each.key.name for each in informer.store.by_index("namespace", "default")] == ["old"]


async def test_a_broken_watch_resumes_where_it_was(api: FakeApi, client: Client, clock: ManualClock) -> None:
    factory = InformerFactory(client, clock)
    informer, seen = factory.informer(Pod), Seen()
    informer.add_handler(seen.on_add, seen.on_update, seen.on_delete)
    async with running(factory):
        await informer.wait_synced()
        await settle()
        api.set_down(True)
        await clock.advance(30)
        api.put(pod("missed"))
        api.set_down(False)
        await clock.advance(30)
        assert seen.calls == [("add", "missed")]
        assert [verb for verb, _ in api.requests].count("list") == 1


async def test_an_outage_is_told_once_however_many_kinds_are_watched(
    api: FakeApi, client: Client, clock: ManualClock
) -> None:
    factory = InformerFactory(client, clock)
    informers = [factory.informer(kind) for kind in (Pod, Node, Service)]
    with structlog.testing.capture_logs() as lines:
        async with running(factory):
            for _ in range(2):
                for informer in informers:
                    await informer.wait_synced()
                await settle()
                api.set_down(True)
                await clock.advance(30)
                api.set_down(False)
                await clock.advance(30)
    told = [line["event"] for line in lines if line["log_level"] != "debug"]
    assert told == ["Cannot reach the API server; trying again", "The API server can be reached again"] * 2


async def test_after_expiry_the_new_list_gives_the_missing_deletes(
    api: FakeApi, client: Client, clock: ManualClock
) -> None:
    api.put(pod("stays"))
    api.put(pod("goes"))
    factory = InformerFactory(client, clock)
    informer, seen = factory.informer(Pod), Seen()
    informer.add_handler(seen.on_add, seen.on_update, seen.on_delete)
    async with running(factory):
        await informer.wait_synced()
        await settle()
        api.set_down(True)
        await clock.advance(1)
        api.remove(Pod, "goes", "default")
        api.compact()
        api.set_down(False)
        await clock.advance(30)
        assert seen.calls[2:] == [("delete", "goes")]


async def test_large_lists_come_in_pages(api: FakeApi, client: Client, clock: ManualClock) -> None:
    for number in range(1200):
        api.put(pod(f"p{number}"))
    factory = InformerFactory(client, clock)
    informer = factory.informer(Pod)
    async with running(factory):
        await informer.wait_synced()
        assert len(informer.store) == 1200
        assert [verb for verb, _ in api.requests].count("list") == 3


async def test_the_cause_of_a_write_reaches_the_handlers(
    api: FakeApi, client: Client, clock: ManualClock
) -> None:
    causes: list[str] = []
    factory = InformerFactory(client, clock)
    informer = factory.informer(Pod)
    informer.add_handler(on_add=lambda obj, cause: causes.append(cause))
    async with running(factory):
        await informer.wait_synced()
        with trace.scope("00-" + "1" * 32 + "-" + "2" * 16 + "-01"):
            await client.create(pod("a"))
        await settle()
    assert causes == ["00-" + "1" * 32 + "-" + "2" * 16 + "-01"]


async def test_one_informer_per_kind_and_selector(client: Client, clock: ManualClock) -> None:
    factory = InformerFactory(client, clock)
    assert factory.informer(Pod) is factory.informer(Pod)
    assert factory.informer(Pod) is not factory.informer(Pod, fields="spec.nodeName=node-1")


async def test_selectors_and_transforms_apply(api: FakeApi, client: Client, clock: ManualClock) -> None:
    managed = [ManagedFieldsEntry(manager="m")]
    metadata = ObjectMeta(name="mine", namespace="default", managed_fields=managed)
    api.put(Pod(metadata=metadata, spec=PodSpec(node_name="node-1")))
    api.put(pod("other"))
    factory = InformerFactory(client, clock)
    informer = factory.informer(Pod, fields="spec.nodeName=node-1")
    async with running(factory):
        await informer.wait_synced()
        (mine,) = informer.store.list()
        assert mine.key.name == "mine"
        assert mine.metadata.managed_fields == []


async def test_an_informer_asked_for_late_starts_at_once(
    api: FakeApi, client: Client, clock: ManualClock
) -> None:
    api.put(pod("a"))
    factory = InformerFactory(client, clock)
    async with running(factory):
        await settle()
        informer, seen = factory.informer(Pod), Seen()
        await informer.wait_synced()
        informer.add_handler(seen.on_add, seen.on_update, seen.on_delete)
        assert seen.calls == [("add", "a")]
