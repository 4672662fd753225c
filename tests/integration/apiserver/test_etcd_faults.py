"""The API server while etcd is killed, compacted or full: nothing is lost, and every refusal is a Status."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.api import core_v1, errors, meta_v1
from services.api.core_v1 import ConfigMap
from services.apiserver.server import ApiServer
from services.client.client import Client, connect
from tests.support.apiserver import apiserver_here
from tests.support.etcd import Etcd

PATIENCE_SECONDS, RETRY_SECONDS = 60.0, 0.1
Serving = tuple[ApiServer, Client]


@pytest.fixture
async def serving(etcd: Etcd) -> AsyncIterator[Serving]:
    async with apiserver_here(etcd) as (server, address), connect(address, user_agent="test/1") as client:
        yield server, client


def config(name: str, **data: str) -> ConfigMap:
    return ConfigMap(metadata=meta_v1.ObjectMeta(name=name, namespace="default"), data=data)


async def names(client: Client, seen: asyncio.Queue[str], version: str) -> None:
    async for events in client.watch(ConfigMap, "default", resource_version=version):
        for event in events:
            if event.object is not None:
                seen.put_nowait(f"{event.type} {event.object.metadata.name}")


async def test_a_watch_outlives_a_kill_of_etcd(serving: Serving, etcd: Etcd) -> None:
    _, client = serving
    first = await client.create(config("a"))
    seen: asyncio.Queue[str] = asyncio.Queue()
    watch = asyncio.create_task(names(client, seen, first.metadata.resource_version or ""))
    await client.create(config("b"))
    assert await asyncio.wait_for(seen.get(), PATIENCE_SECONDS) == "ADDED b"
    etcd.stop(kill=True)
    etcd.start()
    await client.create(config("c"))
    assert await asyncio.wait_for(seen.get(), PATIENCE_SECONDS) == "ADDED c"
    watch.cancel()


async def test_writes_wait_for_etcd_or_are_refused(serving: Serving, etcd: Etcd) -> None:
    _, client = serving
    made = await client.create(config("a", x="1"))
    etcd.stop(kill=True)
    writing = asyncio.create_task(client.create(config("b")))
    await asyncio.sleep(0)
    etcd.start()
    await asyncio.wait_for(writing, PATIENCE_SECONDS)
    again = await client.get(ConfigMap, "a", "default")
    assert again.metadata.uid == made.metadata.uid


async def test_an_old_version_is_gone_after_compaction(serving: Serving) -> None:
    server, client = serving
    first = await client.create(config("a", x="1"))
    for number in range(3):
        await client.patch(ConfigMap, "a", "default", {"data": {"x": str(number)}})
    storage = server.storage
    await storage.compact(await storage.revision())  # type: ignore[attr-defined]
    with pytest.raises(errors.ApiError) as refusal:
        await storage_list_at(client, first.metadata.resource_version or "")
    assert errors.is_expired(refusal.value)
    assert refusal.value.message == "The resourceVersion for the provided list is too old."


async def storage_list_at(client: Client, version: str) -> None:
    from services.api.kinds import resource_of
    from services.client.transport import ListOptions, Target, VersionMatch

    options = ListOptions(resource_version=version, version_match=VersionMatch.EXACT)
    await client.transport.list(Target(resource_of(ConfigMap), "default"), options)


async def test_a_list_sees_every_acknowledged_write(serving: Serving) -> None:
    _, client = serving
    for number in range(20):
        await client.create(config(f"c-{number}"))
        listed = await client.list(ConfigMap, "default")
        assert sum(1 for each in listed if (each.metadata.name or "").startswith("c-")) == number + 1


async def test_makes_space_when_the_quota_is_met(tmp_path: Path) -> None:
    member = Etcd(tmp_path / "small", "--unsafe-no-fsync", "--quota-backend-bytes", str(4 * 1024 * 1024))
    member.start()
    try:
        async with apiserver_here(member) as (_, address), connect(address, user_agent="t/1") as client:
            await client.create(config("big"))
            codes = set()
            for number in range(60):
                patch = {"data": {"x": str(number) * 1 + "x" * 200_000}}
                try:
                    await client.patch(ConfigMap, "big", "default", patch)
                except errors.ApiError as error:
                    codes.add(error.code)
            assert codes
            assert codes <= {500, 503}
            await until_written(client)
    finally:
        member.stop()


async def until_written(client: Client) -> None:
    for _ in range(int(PATIENCE_SECONDS / RETRY_SECONDS)):
        try:
            await client.create(core_v1.ConfigMap(metadata=meta_v1.ObjectMeta(name="z", namespace="default")))
            return
        except errors.ApiError:
            await asyncio.sleep(
                RETRY_SECONDS
            )  # the server defragments meanwhile; there is nothing to wait on
    raise AssertionError("nothing can be written any more")
