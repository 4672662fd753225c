"""The endpoints of the Service `kubernetes`: who serves the API, and who has stopped to."""

from __future__ import annotations

from services.api.core_v1 import Endpoints
from services.api.discovery_v1 import EndpointSlice
from services.apiserver.registry.api_endpoints import ENDPOINTS, SLICES, ApiEndpoints, advertised
from services.apiserver.server import ApiServer
from services.client.client import Client, connect
from services.process.logging import get_logger
from tests.support.apiserver import apiserver_here
from tests.support.clock import ManualClock
from tests.support.etcd import Etcd


async def addresses(client: Client) -> list[str]:
    """As both kinds say, which must agree."""
    endpoints = await client.get(Endpoints, "kubernetes", "default")
    slice_ = await client.get(EndpointSlice, "kubernetes", "default")
    found = [each.ip for subset in endpoints.subsets for each in subset.addresses]
    assert found == [address for endpoint in slice_.endpoints for address in endpoint.addresses]
    assert slice_.metadata.labels == {"kubernetes.io/service-name": "kubernetes"}
    assert endpoints.metadata.labels == {"endpointslice.kubernetes.io/skip-mirror": "true"}
    assert [port.port for port in slice_.ports] == [6443]
    return found


def server_at(server: ApiServer, clock: ManualClock, address: str) -> ApiEndpoints:
    return ApiEndpoints(server.registry, server.storage, clock, get_logger("test"), address, 6443)


async def settled(server: ApiServer) -> None:
    for resource in (ENDPOINTS, SLICES):
        await server.registry.store(resource).cache.catch_up()


async def test_servers_come_and_go(etcd: Etcd) -> None:
    clock = ManualClock()
    async with apiserver_here(etcd) as (server, address), connect(address, user_agent="test/1") as client:
        one, two = server_at(server, clock, "192.0.2.1"), server_at(server, clock, "192.0.2.2")
        await one.once()
        assert await addresses(client) == ["192.0.2.1"]
        await settled(server)
        await two.once()
        assert await addresses(client) == ["192.0.2.1", "192.0.2.2"]
        await settled(server)
        for _ in range(2):  # the second is silent from here on
            await clock.advance(10)
            await one.once()
        assert await addresses(client) == ["192.0.2.1", "192.0.2.2"]
        await clock.advance(10)
        await one.once()
        assert await addresses(client) == ["192.0.2.1"]
        await settled(server)
        await client.delete(EndpointSlice, "kubernetes", "default")
        await settled(server)
        await one.once()  # whatever was deleted or changed by hand
        await two.once()
        assert await addresses(client) == ["192.0.2.1", "192.0.2.2"]


async def test_nothing_is_written_where_nothing_changed(etcd: Etcd) -> None:
    clock = ManualClock()
    async with apiserver_here(etcd) as (server, address), connect(address, user_agent="test/1") as client:
        one = server_at(server, clock, "192.0.2.1")
        await one.once()
        await settled(server)
        before = await client.get(EndpointSlice, "kubernetes", "default")
        await clock.advance(10)
        await one.once()
        after = await client.get(EndpointSlice, "kubernetes", "default")
        assert after.metadata.resource_version == before.metadata.resource_version


async def test_which_address_is_told() -> None:
    assert await advertised("192.0.2.7", "0.0.0.0") == "192.0.2.7"
    assert await advertised("", "192.0.2.8") == "192.0.2.8"
    assert await advertised("", "127.0.0.1") == "172.18.0.2"
    assert not (await advertised("", "0.0.0.0")).startswith("127.")
