"""Connections between nodes: two of them in this process, each with a server of its own, over real gRPC."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from random import Random

import grpc.aio
import pytest
from msgspec.structs import replace

from services.api.core_v1 import (
    DaemonEndpoint,
    Node,
    NodeAddress,
    NodeDaemonEndpoints,
    NodeSpec,
    NodeStatus,
    Service,
    ServicePort,
    ServiceSpec,
)
from services.api.discovery_v1 import Endpoint, EndpointPort, EndpointSlice
from services.api.meta_v1 import ObjectMeta
from services.kube_proxy.table import SERVICE_NAME, Table
from services.node.network.cluster_network import ClusterNetwork
from services.node.network.dialer import Dialer
from services.node.network.routes import Routes
from services.node.network.service import PodNetworkService
from services.pb.network.v1.network_pb2_grpc import add_PodNetworkServicer_to_server
from services.process.clock import SystemClock
from services.process.grpc_server import grpc_server
from services.runtime.http import Request, Response
from services.runtime.kernel import Kernel
from services.runtime.network import Connection, Listener, LocalNetwork, Namespace

VIP = "10.96.0.10"
BIG = 3 * 1024 * 1024


@dataclass
class Machine:
    """A node: its kernel, its network, one Pod."""

    name: str
    kernel: Kernel
    local: LocalNetwork
    network: ClusterNetwork
    table: Table
    routes: Routes
    pod: Namespace
    port: int = 0

    def node(self) -> Node:
        number = self.name.removeprefix("n")
        status = NodeStatus(
            addresses=[NodeAddress(type="InternalIP", address="127.0.0.1")],
            daemon_endpoints=NodeDaemonEndpoints(kubelet_endpoint=DaemonEndpoint(port=self.port)),
        )
        spec = NodeSpec(pod_cidr=f"10.244.{number}.0/24")
        return Node(metadata=ObjectMeta(name=self.name), spec=spec, status=status)


@asynccontextmanager
async def machine(name: str) -> AsyncIterator[Machine]:
    clock = SystemClock()
    kernel, routes = Kernel(clock), Routes()
    local, dialer = LocalNetwork(kernel), Dialer(kernel)
    table = Table(name, clock, Random(1))
    network = ClusterNetwork(
        local, kernel, table_of=lambda _: table, routes=routes, dialer=dialer, here=lambda: frozenset({name})
    )
    pod = Namespace(f"10.244.{name.removeprefix('n')}.5", f"pod-{name}", name)
    local.join(pod)
    made = Machine(name, kernel, local, network, table, routes, pod)

    def add(server: grpc.aio.Server) -> None:
        add_PodNetworkServicer_to_server(PodNetworkService(kernel, local), server)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(kernel.run()), group.create_task(dialer.run())]
        async with grpc_server("127.0.0.1", 0, add) as made.port:
            yield made
        for task in tasks:
            task.cancel()


@pytest.fixture
async def two() -> AsyncIterator[tuple[Machine, Machine]]:
    async with machine("n1") as first, machine("n2") as second:
        for each in (first, second):
            each.routes.put(first.node())
            each.routes.put(second.node())
        yield first, second


async def hello(request: Request, client: str) -> Response:
    return Response(200, f"{request.path} from {client}".encode())


async def echo(connection: Connection) -> None:
    while data := await connection.incoming.read(65536):
        await connection.outgoing.write(data)


async def get(machine: Machine, ip: str, port: int, path: str = "/") -> str:
    answer = await machine.kernel.call(machine.network.http(machine.pod, ip, port, Request("GET", path)))
    return answer.body.decode()


async def refused(machine: Machine, ip: str, port: int) -> int | None:
    with pytest.raises(OSError) as raised:  # noqa: PT011 its number is what is compared
        await get(machine, ip, port)
    return raised.value.errno


async def test_a_pod_answers_from_another_node(two: tuple[Machine, Machine]) -> None:
    first, second = two
    second.pod.listen(8080, Listener(http=hello))
    assert await get(first, "10.244.2.5", 8080, "/x") == "/x from 10.244.1.5"


async def test_who_does_not_listen_refuses_and_who_is_not_there_has_no_route(
    two: tuple[Machine, Machine],
) -> None:
    first, _ = two
    assert await refused(first, "10.244.2.5", 81) == errno.ECONNREFUSED
    assert await refused(first, "10.244.2.99", 80) == errno.EHOSTUNREACH
    assert await refused(first, "10.244.1.99", 80) == errno.EHOSTUNREACH
    assert await refused(first, "203.0.113.1", 80) == errno.EHOSTUNREACH


async def test_bytes_flow_both_ways_with_half_close(two: tuple[Machine, Machine]) -> None:
    first, second = two
    second.pod.listen(7, Listener(stream=echo))
    connection = await first.kernel.call(first.network.connect(first.pod, "10.244.2.5", 7))
    sent = bytes(range(256)) * (BIG // 256)

    async def send() -> None:
        await connection.outgoing.write(sent)
        connection.outgoing.close_writer()

    async def receive() -> bytes:
        got = bytearray()
        while data := await connection.incoming.read(65536):
            got += data
        return bytes(got)

    _, got = await asyncio.gather(first.kernel.call(send()), first.kernel.call(receive()))
    assert got == sent, "the other side goes on after we have ended ours"
    connection.close()


async def test_a_slow_reader_holds_the_writer_back(two: tuple[Machine, Machine]) -> None:
    first, second = two
    gate = asyncio.Event()
    taken = 0

    async def slow(connection: Connection) -> None:
        nonlocal taken
        await second.kernel.outside(gate.wait())
        while data := await connection.incoming.read(65536):
            taken += len(data)

    second.pod.listen(9, Listener(stream=slow))
    connection = await first.kernel.call(first.network.connect(first.pod, "10.244.2.5", 9))
    writing = asyncio.ensure_future(first.kernel.call(connection.outgoing.write(bytes(64 * 1024 * 1024))))
    done, _ = await asyncio.wait({writing}, timeout=0.5)
    assert not done, "nothing holds that much"
    gate.set()
    await writing
    connection.close()


async def test_services_lead_across_nodes(two: tuple[Machine, Machine]) -> None:
    first, second = two
    second.pod.listen(8080, Listener(http=hello))
    spec = ServiceSpec(cluster_ip=VIP, ports=[ServicePort(port=80, protocol="TCP")])
    service = Service(metadata=ObjectMeta(name="web", namespace="default"), spec=spec)
    first.table.put_service(service)
    assert await refused(first, VIP, 80) == errno.ECONNREFUSED
    metadata = ObjectMeta(name="web-1", namespace="default", labels={SERVICE_NAME: "web"})
    slice_ = EndpointSlice(
        metadata=metadata,
        address_type="IPv4",
        endpoints=[Endpoint(addresses=["10.244.2.5"])],
        ports=[EndpointPort(name="", port=8080, protocol="TCP")],
    )
    first.table.put_slice(slice_)
    assert await get(first, VIP, 80) == "/ from 10.244.1.5"
    first.table.put_slice(replace(slice_, endpoints=[]))
    assert await refused(first, VIP, 80) == errno.ECONNREFUSED


async def test_a_node_that_dies_resets_its_connections_and_no_others(two: tuple[Machine, Machine]) -> None:
    first, second = two
    first.pod.listen(7, Listener(stream=echo))
    async with machine("n3") as third:
        first.routes.put(third.node())
        third.pod.listen(7, Listener(stream=echo))
        lost = await first.kernel.call(first.network.connect(first.pod, "10.244.3.5", 7))
        kept = await second.kernel.call(second.network.connect(second.pod, "10.244.1.5", 7))
    assert await first.kernel.call(lost.incoming.read(10)) == b""
    assert await refused(first, "10.244.3.5", 7) == errno.EHOSTUNREACH
    await second.kernel.call(kept.outgoing.write(b"still"))
    assert await second.kernel.call(kept.incoming.read(10)) == b"still"
    kept.close()


async def test_datagrams_are_answered_across_nodes(two: tuple[Machine, Machine]) -> None:
    first, second = two

    async def answer(data: bytes, sender: str) -> bytes:
        return data.upper() + sender.encode()

    second.pod.datagrams[53] = answer
    asked = first.kernel.call(first.network.exchange(first.pod, "10.244.2.5", 53, b"name "))
    assert await asked == b"NAME 10.244.1.5"
    with pytest.raises(ConnectionRefusedError):
        await first.kernel.call(first.network.exchange(first.pod, "10.244.2.5", 54, b"x"))


async def test_a_process_that_ends_takes_its_connections_with_it(two: tuple[Machine, Machine]) -> None:
    first, second = two
    listener = Listener(stream=echo)
    second.pod.listen(7, listener)
    connection = await first.kernel.call(first.network.connect(first.pod, "10.244.2.5", 7))
    second.pod.stop(listener)
    assert await first.kernel.call(connection.incoming.read(10)) == b""
    assert await refused(first, "10.244.2.5", 7) == errno.ECONNREFUSED
    connection.close()


async def test_a_node_answers_for_its_host_network_and_host_ports(two: tuple[Machine, Machine]) -> None:
    _, second = two
    told = 0

    def tell() -> None:
        nonlocal told
        told += 1

    host = Namespace("10.244.2.1", "n2", "n2")
    second.local.add_host(host)
    second.local.give_address("n2", "127.0.0.9")
    second.local.on_host_ports(tell)
    on_host, in_pod = Listener(http=hello), Listener(http=hello)
    host.listen(9090, on_host)
    host.listen(9091, Listener(http=hello, address="127.0.0.1"))
    second.pod.listen(8080, in_pod)
    second.local.publish(second.pod, {9999: 8080})
    assert second.local.host_ports("n2") == {9090, 9999}
    client = Namespace("192.0.2.1")
    for port in (9090, 9999):
        work = second.local.http(client, "127.0.0.9", port, Request("GET", "/"))
        assert (await second.kernel.call(work)).body == b"/ from 192.0.2.1"
    second.local.withdraw(second.pod)
    host.stop(on_host)
    assert second.local.host_ports("n2") == set()
    assert told == 5
