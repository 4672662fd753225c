"""Cluster IPs and node ports, given by two API servers on one etcd: never twice, and free again later."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from services.api import errors, networking_v1
from services.api.core_v1 import Service, ServicePort, ServiceSpec
from services.api.kinds import resource_of
from services.api.meta_v1 import ObjectMeta
from services.apiserver.registry.address_repair import AddressRepair
from services.apiserver.registry.cluster_ips import IP_ADDRESSES, record
from services.apiserver.registry.node_ports import KEY, decoded
from services.apiserver.registry.request import Target, WriteOptions
from services.apiserver.rules.addresses import bits_of
from services.apiserver.server import ApiServer
from services.client.client import Client, connect
from services.process.logging import get_logger
from tests.support.apiserver import apiserver_here
from tests.support.clock import ManualClock
from tests.support.etcd import Etcd

Both = tuple[ApiServer, Client, Client]
# So much later that nobody is in the middle of anything.
LATER = ManualClock(datetime(2099, 1, 1, tzinfo=UTC))


@pytest.fixture
async def both(etcd: Etcd) -> AsyncIterator[Both]:
    async with (
        apiserver_here(etcd) as (server, first),
        apiserver_here(etcd) as (_, second),
        connect(first, user_agent="one/1") as one,
        connect(second, user_agent="two/1") as two,
    ):
        yield server, one, two


def service(name: str, kind: str = "ClusterIP", **spec: Any) -> Service:
    ports = spec.pop("ports", [ServicePort(port=80)])
    metadata = ObjectMeta(name=name, namespace="default")
    return Service(metadata=metadata, spec=ServiceSpec(type=kind, ports=ports, **spec))


async def ips_of(client: Client) -> set[str]:
    return {each.metadata.name or "" for each in await client.list(networking_v1.IPAddress)}


async def taken_ports(server: ApiServer) -> int:
    return decoded((await server.storage.get(KEY)).stored)


async def test_two_servers_give_nothing_twice(both: Both) -> None:
    server, one, two = both
    wanted = [service(f"s-{n}", "NodePort") for n in range(40)]
    made = await asyncio.gather(*((one, two)[n % 2].create(each) for n, each in enumerate(wanted)))
    ips = {each.spec.cluster_ip for each in made}
    ports = {each.spec.ports[0].node_port for each in made}
    assert len(ips) == len(ports) == 40
    assert ips <= await ips_of(two)
    assert await taken_ports(server) == bits_of([port for port in ports if port])
    await asyncio.gather(*(two.delete(Service, each.metadata.name or "", "default") for each in made))
    assert not ips & await ips_of(one)
    assert await taken_ports(server) == 0


async def test_of_many_that_ask_for_one_address_one_gets_it(both: Both) -> None:
    _, one, two = both
    asking = [service(f"s-{n}", cluster_ip="10.96.0.77") for n in range(10)]
    results = await asyncio.gather(
        *((one, two)[n % 2].create(each) for n, each in enumerate(asking)), return_exceptions=True
    )
    refused = [each for each in results if isinstance(each, errors.ApiError)]
    assert len(refused) == 9
    why = 'spec.clusterIPs: Invalid value: ["10.96.0.77"]: failed to allocate IP 10.96.0.77:'
    assert all(f"{why} provided IP is already allocated" in error.message for error in refused)


async def test_a_creation_that_fails_gives_all_back(both: Both) -> None:
    server, one, two = both
    await one.create(service("s", "NodePort", ports=[ServicePort(port=80, node_port=30080)]))
    before = await ips_of(one), await taken_ports(server)
    for client, name, number in ((two, "s", 30081), (one, "other", 30080)):
        ports = [ServicePort(port=80, node_port=number)]
        with pytest.raises(errors.ApiError):
            await client.create(service(name, "NodePort", ports=ports))
    assert (await ips_of(one), await taken_ports(server)) == before


async def test_a_dry_run_takes_nothing(both: Both) -> None:
    server, one, _ = both
    before = await ips_of(one), await taken_ports(server)
    body = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}, "spec": {}}
    body["spec"] = {"type": "NodePort", "ports": [{"port": 80}]}
    target = Target(resource_of(Service), "default")
    answer = await server.registry.create(target, orjson.dumps(body), WriteOptions(dry_run=True))
    shown = orjson.loads(answer.item.value)["spec"]
    assert shown["clusterIP"]
    assert shown["ports"][0]["nodePort"]
    assert (await ips_of(one), await taken_ports(server)) == before


async def test_an_external_name_holds_nothing_and_gets_it_when_it_turns(both: Both) -> None:
    server, one, _ = both
    made = await one.create(service("s", "NodePort"))
    external = {"spec": {"type": "ExternalName", "externalName": "a.b", "clusterIP": None, "ports": None}}
    turned = await one.patch(Service, "s", "default", external)
    assert not turned.spec.cluster_ip
    assert made.spec.cluster_ip not in await ips_of(one)
    assert await taken_ports(server) == 0
    back = {"spec": {"type": "ClusterIP", "externalName": None, "ports": [{"port": 80}]}}
    again = await one.patch(Service, "s", "default", back)
    assert again.spec.cluster_ip in await ips_of(one)


async def test_ports_that_go_are_free(both: Both) -> None:
    server, one, two = both
    ports = [ServicePort(name=f"p{n}", port=80 + n, node_port=30080 + n) for n in range(3)]
    await one.create(service("s", "NodePort", ports=ports))
    await two.patch(Service, "s", "default", {"spec": {"ports": [{"port": 81}]}})
    assert await taken_ports(server) == bits_of([30081])
    await two.patch(Service, "s", "default", {"spec": {"type": "ClusterIP"}})
    assert await taken_ports(server) == 0


async def test_the_books_are_repaired(both: Both) -> None:
    server, one, _ = both
    made = await one.create(service("s", "NodePort"))
    assert made.spec.cluster_ip
    await one.delete(networking_v1.IPAddress, made.spec.cluster_ip)
    store = server.registry.store(IP_ADDRESSES)
    leaked = record("10.96.9.9", "default", "gone")
    await store.create_decoded(Target(IP_ADDRESSES), leaked, WriteOptions())
    await server.registry.addresses.ports.change(lambda bits: (bits_of([30099]), None))
    await store.cache.catch_up()
    repair = AddressRepair(server.registry, LATER, get_logger("test"))
    for _ in range(3):
        await repair.once()
    held = await ips_of(one)
    assert made.spec.cluster_ip in held
    assert "10.96.9.9" not in held
    assert await taken_ports(server) == bits_of([made.spec.ports[0].node_port or 0])
    parent = orjson.loads((await store.get("", made.spec.cluster_ip)).value)["spec"]["parentRef"]
    assert parent == {"resource": "services", "namespace": "default", "name": "s"}
