"""Two API servers on one etcd: each sees at once what was done through the other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import grpc.aio
import pytest

from services.api import core_v1, errors, meta_v1
from services.api.core_v1 import ConfigMap, Event, Namespace
from services.client.client import Client, connect
from services.pb.etcd.v3 import etcd_pb2, etcd_pb2_grpc
from tests.support.apiserver import apiserver_here
from tests.support.etcd import Etcd

Both = tuple[Client, Client]


@pytest.fixture
async def both(etcd: Etcd) -> AsyncIterator[Both]:
    async with (
        apiserver_here(etcd) as (_, first),
        apiserver_here(etcd) as (_, second),
        connect(first, user_agent="one/1") as one,
        connect(second, user_agent="two/1") as two,
    ):
        yield one, two


def config(name: str, namespace: str = "default") -> ConfigMap:
    return ConfigMap(metadata=meta_v1.ObjectMeta(name=name, namespace=namespace))


async def test_what_one_wrote_the_other_shows(both: Both) -> None:
    one, two = both
    for number in range(20):
        made = await one.create(config(f"c-{number}"))
        listed = await two.list(ConfigMap, "default")
        assert made.key in {each.key for each in listed}


async def test_a_namespace_made_by_one_can_be_filled_through_the_other(both: Both) -> None:
    one, two = both
    for number in range(10):
        await one.create(Namespace(metadata=meta_v1.ObjectMeta(name=f"n-{number}")))
        await two.create(config("c", f"n-{number}"))


async def test_only_one_of_two_writers_wins(both: Both) -> None:
    one, two = both
    made = await one.create(config("c"))
    await one.patch(ConfigMap, "c", "default", {"data": {"a": "1"}})
    with pytest.raises(errors.ApiError) as refusal:
        await two.update(made)
    assert errors.is_conflict(refusal.value)
    # A patch names no version and is applied to what is there now, whatever this server's cache shows.
    merged = await two.patch(ConfigMap, "c", "default", {"data": {"b": "2"}})
    assert merged.data == {"a": "1", "b": "2"}


async def test_many_writers_lose_nothing(both: Both) -> None:
    await both[0].create(config("c"))

    async def write(client: Client, name: str) -> None:
        for number in range(10):
            await client.patch(ConfigMap, "c", "default", {"data": {f"{name}-{number}": "x"}})

    async with asyncio.TaskGroup() as group:
        for index in range(6):
            group.create_task(write(both[index % 2], str(index)))
    assert len((await both[1].get(ConfigMap, "c", "default")).data) == 60


async def test_events_do_not_stay(both: Both, etcd: Etcd) -> None:
    about = core_v1.ObjectReference(kind="Pod", namespace="default", name="p")
    meta = meta_v1.ObjectMeta(name="p.1", namespace="default")
    await both[0].create(Event(metadata=meta, involved_object=about, reason="Made", type="Normal"))
    assert [each.reason for each in await both[1].list(Event, "default")] == ["Made"]
    async with grpc.aio.insecure_channel(etcd.endpoint) as channel:
        stub = etcd_pb2_grpc.KVStub(channel)
        answer = await stub.Range(etcd_pb2.RangeRequest(key=b"/registry/events/default/p.1"))
    assert answer.kvs[0].lease
