"""Load balancers: addresses, the controller against the fake API server, and bytes over real sockets."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import pytest
from msgspec.structs import replace

from services.api.core_v1 import (
    Event,
    Node,
    NodeAddress,
    NodeCondition,
    NodeStatus,
    Service,
    ServicePort,
    ServiceSpec,
)
from services.api.discovery_v1 import Endpoint, EndpointSlice
from services.api.meta_v1 import ObjectMeta
from services.api.object import ObjectKey
from services.client.client import Client
from services.client.controller import ControllerContext
from services.client.informer import InformerFactory
from services.client.recorder import EventRecorder
from services.cloud_controller_manager.addresses import AddressPool
from services.cloud_controller_manager.balancer import Backend, CannotListen, LoadBalancer
from services.cloud_controller_manager.health_checks import HealthChecks
from services.cloud_controller_manager.service_controller import FINALIZER, ServiceController
from services.process.clock import SystemClock
from services.process.logging import get_logger
from tests.support.clock import ManualClock, settle
from tests.support.fake_api import FakeApi
from tests.support.ports import free_port

WEB = ObjectKey("default", "web")


def test_addresses_are_given_once_and_taken_back() -> None:
    pool = AddressPool("127.20.1.0/30")
    first, second = ObjectKey("a", "a"), ObjectKey("b", "b")
    assert pool.take(first) == "127.20.1.1"
    assert pool.take(first) == "127.20.1.1"
    assert pool.take(second, "127.20.1.1") is None
    assert pool.take(second) == "127.20.1.2"
    assert pool.take(ObjectKey("c", "c")) is None
    pool.release(first)
    assert pool.take(ObjectKey("c", "c")) == "127.20.1.1"
    assert not pool.occupy(first, "192.0.2.1")
    assert not pool.occupy(first, "nonsense")


class Recorded(LoadBalancer):
    """Listens nowhere; remembers what it was asked for."""

    made: dict[str, Recorded] = {}
    refused: set[int] = set()

    def __init__(self, ip: str) -> None:
        super().__init__(ip, ManualClock())
        self.ports: dict[int, tuple[Backend, ...]] | None = None
        Recorded.made[ip] = self

    async def ensure(self, ports: dict[int, tuple[Backend, ...]]) -> None:
        for port in ports:
            if port in self.refused:
                raise CannotListen(f"listen tcp {self.ip}:{port}: bind: address already in use")
        self.ports = ports

    def close(self) -> None:
        self.ports = None


@pytest.fixture(autouse=True)
def _forget() -> None:
    Recorded.made, Recorded.refused = {}, set()


class Cloud:
    def __init__(self) -> None:
        self.clock = ManualClock()
        self.api = FakeApi(self.clock)
        self.client = Client(self.api)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        informers = InformerFactory(self.client, self.clock, Random(1))
        recorder = EventRecorder(self.client, self.clock, "cloud-controller-manager")
        log = get_logger("test")
        context = ControllerContext(self.client, informers, recorder, self.clock, Random(1), log)
        controller = ServiceController(context, AddressPool("127.20.1.0/24"), 2, Recorded)
        async with asyncio.TaskGroup() as group:
            runs = (recorder.run(), informers.run(), controller.run())
            tasks = [group.create_task(each) for each in runs]
            await self.quiet()
            yield
            await self.quiet()
            for task in tasks:
                task.cancel()

    async def quiet(self) -> None:
        before = -1
        while before != self.api.revision:
            before = self.api.revision
            await settle()
            await settle()

    def service(self) -> Service:
        return self.api.one(Service, "web", "default")

    def address(self) -> list[str | None]:
        balancer = self.service().status.load_balancer
        return [each.ip for each in balancer.ingress] if balancer else []

    async def reasons(self) -> list[str | None]:
        await self.clock.advance(1)
        await self.quiet()
        return [event.reason for event in self.api.all(Event)]


def service(**fields: Any) -> Service:
    port = ServicePort(port=80, protocol="TCP", node_port=30080)
    spec = ServiceSpec(type="LoadBalancer", cluster_ip="10.96.0.9", ports=[port])
    return Service(metadata=ObjectMeta(name="web", namespace="default"), spec=replace(spec, **fields))


def node(name: str, ip: str, *, ready: bool = True) -> Node:
    status = NodeStatus(
        addresses=[NodeAddress(type="InternalIP", address=ip)],
        conditions=[NodeCondition(type="Ready", status="True" if ready else "False")],
    )
    return Node(metadata=ObjectMeta(name=name), status=status)


async def test_pending_first_then_an_address_and_listeners() -> None:
    cloud = Cloud()
    cloud.api.put(node("n1", "127.20.0.11"))
    cloud.api.put(node("n2", "127.20.0.12", ready=False))
    async with cloud.running():
        cloud.api.put(service())
        await cloud.quiet()
        assert cloud.address() == []
        assert cloud.service().metadata.finalizers == [FINALIZER]
        await cloud.clock.advance(3)
        await cloud.quiet()
        assert cloud.address() == ["127.20.1.1"]
        assert Recorded.made["127.20.1.1"].ports == {80: (Backend("127.20.0.11", 30080),)}
        cloud.api.put(node("n2", "127.20.0.12"))
        await cloud.quiet()
        ports = Recorded.made["127.20.1.1"].ports
        assert ports is not None
        assert len(ports[80]) == 2
        assert await cloud.reasons() == ["EnsuringLoadBalancer", "EnsuredLoadBalancer"]


async def test_a_service_that_goes_takes_its_balancer_along() -> None:
    cloud = Cloud()
    async with cloud.running():
        cloud.api.put(service())
        await cloud.quiet()
        await cloud.clock.advance(3)
        await cloud.quiet()
        await cloud.client.delete(Service, "web", "default")
        await cloud.quiet()
        assert cloud.api.all(Service) == []
        assert Recorded.made["127.20.1.1"].ports is None


async def test_another_type_gives_the_address_back() -> None:
    cloud = Cloud()
    async with cloud.running():
        cloud.api.put(service())
        await cloud.quiet()
        await cloud.clock.advance(3)
        await cloud.quiet()
        await cloud.client.patch(Service, "web", "default", {"spec": {"type": "ClusterIP"}})
        await cloud.quiet()
        assert cloud.address() == []
        assert cloud.service().metadata.finalizers == []


async def test_a_port_that_is_taken_leaves_it_pending_with_an_event() -> None:
    cloud = Cloud()
    Recorded.refused = {80}
    async with cloud.running():
        cloud.api.put(service())
        await cloud.quiet()
        await cloud.clock.advance(3)
        await cloud.quiet()
        assert cloud.address() == []
        assert "SyncLoadBalancerFailed" in await cloud.reasons()
        (event,) = [each for each in cloud.api.all(Event) if each.reason == "SyncLoadBalancerFailed"]
        assert "127.20.1.1:80: bind: address already in use" in (event.message or "")
        Recorded.refused = set()
        await cloud.clock.advance(20)
        await cloud.quiet()
        assert cloud.address() == ["127.20.1.1"]


async def test_what_was_given_before_a_restart_is_listened_on_at_once() -> None:
    cloud = Cloud()
    async with cloud.running():
        cloud.api.put(service())
        await cloud.quiet()
        await cloud.clock.advance(3)
        await cloud.quiet()
    Recorded.made.clear()
    async with cloud.running():
        assert Recorded.made["127.20.1.1"].ports is not None
        assert cloud.address() == ["127.20.1.1"]


async def test_a_local_policy_leads_only_to_nodes_with_endpoints() -> None:
    cloud = Cloud()
    for number in (1, 2):
        cloud.api.put(node(f"n{number}", f"127.20.0.1{number}"))
    metadata = ObjectMeta(name="web-1", namespace="default", labels={"kubernetes.io/service-name": "web"})
    slice_ = EndpointSlice(metadata=metadata, endpoints=[Endpoint(addresses=["10.244.1.2"], node_name="n2")])
    cloud.api.put(slice_)
    async with cloud.running():
        cloud.api.put(service(external_traffic_policy="Local"))
        await cloud.quiet()
        await cloud.clock.advance(3)
        await cloud.quiet()
        assert Recorded.made["127.20.1.1"].ports == {80: (Backend("127.20.0.12", 30080),)}


# -- bytes ---------------------------------------------------------------------------------------


@asynccontextmanager
async def backend(name: bytes) -> AsyncIterator[Backend]:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        data = await reader.read()
        writer.write(name + data)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield Backend("127.0.0.1", server.sockets[0].getsockname()[1])


async def ask(port: int, data: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    writer.write_eof()
    answer = await reader.read()
    writer.close()
    return answer


async def test_connections_take_turns_and_pass_over_the_dead() -> None:
    balancer, port = LoadBalancer("127.0.0.1", SystemClock()), free_port()
    dead = Backend("127.0.0.1", free_port())
    async with backend(b"a:") as first, backend(b"b:") as second:
        await balancer.ensure({port: (first, dead, second)})
        assert {await ask(port, b"x") for _ in range(6)} == {b"a:x", b"b:x"}
        big = bytes(3_000_000)
        assert await ask(port, big) in (b"a:" + big, b"b:" + big)
        await balancer.ensure({port: (dead,)})
        with pytest.raises(ConnectionError):
            await ask(port, b"x")
    balancer.close()


async def test_a_node_that_accepts_and_says_nothing_is_passed_over() -> None:
    clock = SystemClock()
    with socket.socket() as frozen, socket.socket() as silent:
        silent.bind(("127.0.0.2", 0))  # its health port: connections wait there for ever
        silent.listen()
        frozen.bind(("127.0.0.2", 0))
        frozen.listen()
        health = HealthChecks(clock, silent.getsockname()[1])
        balancer, port = LoadBalancer("127.0.0.1", clock, health), free_port()
        async with backend(b"a:") as alive:
            await balancer.ensure({port: (Backend(*frozen.getsockname()), alive)})
            assert [await ask(port, b"x") for _ in range(4)] == [b"a:x"] * 4
        balancer.close()


async def test_a_taken_port_is_told_in_words() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(CannotListen, match=rf"127.0.0.1:{port}: bind: address already in use"):
            await LoadBalancer("127.0.0.1", SystemClock()).ensure({port: ()})
