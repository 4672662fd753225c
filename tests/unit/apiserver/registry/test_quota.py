"""Quotas are charged before anything is written: many at once, several servers, growth, dry runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from random import Random
from typing import Any

import orjson
import pytest

from services.api import kinds
from services.api.errors import ApiError
from services.apiserver.registry.caches import Caches
from services.apiserver.registry.registry import Registry
from services.apiserver.registry.request import Target, WriteOptions
from services.apiserver.storage.memory import MemoryStorage
from services.process.clock import SystemClock
from services.process.logging import get_logger

Json = dict[str, Any]
SERVERS = 2


class Servers:
    """API servers over one store."""

    def __init__(self) -> None:
        storage, clock, log = MemoryStorage(), SystemClock(), get_logger("test")
        self.caches = [Caches(storage, clock, log) for _ in range(SERVERS)]
        self.registries = [Registry(storage, each, clock, Random(1), log) for each in self.caches]
        self._storage = storage

    async def caught_up(self) -> None:
        for cache in self.caches:
            for name in ("resourcequotas", "namespaces", "pods", "services"):
                await cache.of(named(name)).wait_for(await self._storage.revision())

    async def create(self, plural: str, body: Json, server: int = 0, *, dry_run: bool = False) -> Json:
        target = Target(named(plural), "" if plural == "namespaces" else "default")
        answer = await self.registries[server].create(
            target, orjson.dumps(body), WriteOptions(dry_run=dry_run)
        )
        made: Json = orjson.loads(answer.item.value)
        return made

    async def used(self, name: str = "q") -> Json:
        found = await self.registries[0].get(Target(named("resourcequotas"), "default", name))
        status: Json = orjson.loads(found.item.value).get("status", {})
        return status.get("used", {})  # type: ignore[no-any-return]

    async def quota(self, hard: Json, name: str = "q", **spec: Any) -> None:
        """One that the controller has seen."""
        made = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": name}}
        await self.create("resourcequotas", {**made, "spec": {"hard": hard, **spec}})
        status = {"status": {"hard": hard, "used": dict.fromkeys(hard, "0")}}
        target = Target(named("resourcequotas"), "default", name, "status")
        await self.registries[0].patch(
            target, orjson.dumps(status), "application/merge-patch+json", WriteOptions()
        )
        await self.caught_up()


def named(plural: str) -> kinds.Resource:
    found = kinds.resource_named("", "v1", plural)
    assert found is not None
    return found


@pytest.fixture
async def servers() -> AsyncIterator[Servers]:
    made = Servers()
    tasks = [asyncio.ensure_future(each.run()) for each in made.caches]
    for each in made.caches:
        await each.ready()
    await made.create(
        "namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "default"}}
    )
    await made.caught_up()
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
    await made.create("serviceaccounts", account)
    yield made
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def config_map(name: str) -> Json:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}


def pod(name: str, cpu: str = "") -> Json:
    container: Json = {"name": "c", "image": "app:1"}
    if cpu:
        container["resources"] = {"requests": {"cpu": cpu}}
    spec = {"containers": [container]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


async def outcome(made: Any) -> str:
    try:
        await made
    except ApiError as error:
        return error.message
    return ""


async def test_many_at_once_on_several_servers_get_no_more_than_there_is(servers: Servers) -> None:
    await servers.quota({"configmaps": "10"})
    told = await asyncio.gather(
        *(outcome(servers.create("configmaps", config_map(f"m{n}"), n % SERVERS)) for n in range(60))
    )
    assert told.count("") == 10
    assert await servers.used() == {"configmaps": "10"}
    refused = next(each for each in told if each)
    assert (
        "exceeded quota: q, requested: configmaps=1, used: configmaps=10, limited: configmaps=10" in refused
    )


async def test_what_is_there_already_costs_nothing(servers: Servers) -> None:
    await servers.quota({"configmaps": "2"})
    await servers.create("configmaps", config_map("a"))
    await servers.caches[0].of(named("configmaps")).catch_up()
    assert "already exists" in await outcome(servers.create("configmaps", config_map("a")))
    await servers.create("configmaps", config_map("dry"), dry_run=True)
    assert await servers.used() == {"configmaps": "1"}


async def test_no_quota_is_charged_for_what_another_one_refuses(servers: Servers) -> None:
    await servers.quota({"configmaps": "5"}, "a")
    await servers.quota({"count/configmaps": "0"}, "b")
    told = await outcome(servers.create("configmaps", config_map("x")))
    assert "exceeded quota: b, requested: count/configmaps=1" in told
    assert await servers.used("a") == {"configmaps": "0"}


async def test_pods_must_say_what_is_counted(servers: Servers) -> None:
    await servers.quota({"requests.cpu": "1", "pods": "9"})
    assert "failed quota: q: must specify requests.cpu for: c" in await outcome(
        servers.create("pods", pod("a"))
    )
    await servers.create("pods", pod("a", "400m"))
    assert await servers.used() == {"pods": "1", "requests.cpu": "400m"}
    told = await outcome(servers.create("pods", pod("b", "700m")))
    assert "exceeded quota: q, requested: requests.cpu=700m, used: requests.cpu=400m" in told


async def test_a_service_that_grows_is_charged_for_the_rest(servers: Servers) -> None:
    await servers.quota({"services.nodeports": "2", "services": "5"})
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}}
    ports = [{"name": f"p{n}", "port": n + 1} for n in range(3)]
    await servers.create("services", {**service, "spec": {"ports": ports[:1]}})
    target = Target(named("services"), "default", "s")

    async def patch(spec: Json) -> str:
        body = orjson.dumps({"spec": spec})
        registry = servers.registries[0]
        return await outcome(registry.patch(target, body, "application/merge-patch+json", WriteOptions()))

    assert await patch({"type": "NodePort", "ports": ports[:2]}) == ""
    assert await servers.used() == {"services": "1", "services.nodeports": "2"}
    assert "exceeded quota: q, requested: services.nodeports=1" in await patch({"ports": ports})
    assert await patch({"ports": ports[:1]}) == ""
    assert await servers.used() == {"services": "1", "services.nodeports": "2"}  # the controller gives back


async def test_scopes_choose(servers: Servers) -> None:
    await servers.quota({"pods": "1"}, "best", scopes=["BestEffort"])
    high = {"scopeName": "PriorityClass", "operator": "In", "values": ["system-node-critical"]}
    await servers.quota({"pods": "0"}, "high", scopeSelector={"matchExpressions": [high]})
    assert await outcome(servers.create("pods", pod("a"))) == ""
    assert "exceeded quota: best" in await outcome(servers.create("pods", pod("b")))
    assert await outcome(servers.create("pods", pod("c", "1m"))) == ""
    critical = pod("d", "1m")
    critical["spec"]["priorityClassName"] = "system-node-critical"
    assert "exceeded quota: high" in await outcome(servers.create("pods", critical))
