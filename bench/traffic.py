"""What traffic costs: one hop through kube-proxy and the Pod network, idle connections, many endpoints.

Three nodes in processes of their own, and real sockets of this process. The hop is what a call through
node-1's port takes longer to a Pod of node-2 than to one of node-1. Idle connections go through a node port
to a Pod of that node, through it to one of another, and through a load balancer. Endpoints are written by
hand for many Services, so that what is counted is the nodes' work and no Pod's.
    python -m bench --only traffic
"""

from __future__ import annotations

import asyncio
import resource
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from bench.cluster import Cluster, running_cluster
from bench.machine import slowness
from bench.scenarios import Figure
from services.api import core_v1, discovery_v1, meta_v1
from services.client.client import Client

SHARES = {"near": 3_000, "far": 3_000, "balanced": 4_000}
CALLS = 500
SERVICES, ENDPOINTS = 1_000, 10
WRITES_IN_FLIGHT = 32
PATIENCE_SECONDS = 120.0
IMAGE, PORT = "luksa/kubia", 8080
SERVICE_NAME = "kubernetes.io/service-name"


def traffic() -> Iterator[Figure]:
    with running_cluster("--nodes", "3") as cluster:
        doors = asyncio.run(prepare(cluster))
        yield from hop(doors)
        yield from idle_connections(cluster, doors)
        yield from asyncio.run(updates(cluster))


# -- what is there ---------------------------------------------------------------------------------


def pod(name: str, node: str) -> core_v1.Pod:
    return core_v1.Pod(
        metadata=meta_v1.ObjectMeta(name=name, namespace="default", labels={"app": name}),
        spec=core_v1.PodSpec(node_name=node, containers=[core_v1.Container(name="main", image=IMAGE)]),
    )


def service(name: str, kind: str, selector: dict[str, str], port: int = PORT) -> core_v1.Service:
    ports = [core_v1.ServicePort(port=port, protocol="TCP", target_port=port)]
    return core_v1.Service(
        metadata=meta_v1.ObjectMeta(name=name, namespace="default"),
        spec=core_v1.ServiceSpec(type=kind, selector=selector, ports=ports),
    )


def endpoints(name: str, ips: list[str]) -> discovery_v1.EndpointSlice:
    return discovery_v1.EndpointSlice(
        metadata=meta_v1.ObjectMeta(name=name, namespace="default", labels={SERVICE_NAME: name}),
        address_type="IPv4",
        endpoints=[discovery_v1.Endpoint(addresses=[ip]) for ip in ips],
        ports=[discovery_v1.EndpointPort(name="", port=PORT, protocol="TCP")],
    )


@dataclass(frozen=True)
class Door:
    """Where this process connects to."""

    ip: str
    port: int

    def connect(self) -> socket.socket:
        return socket.create_connection((self.ip, self.port), timeout=PATIENCE_SECONDS)

    def answers(self) -> bool:
        try:
            with self.connect() as peer:
                return asks(peer)
        except OSError:
            return False


def asks(peer: socket.socket) -> bool:
    peer.sendall(b"GET / HTTP/1.1\r\nHost: bench\r\n\r\n")
    return peer.recv(65536).startswith(b"HTTP/1.1 200")


async def prepare(cluster: Cluster) -> dict[str, Door]:
    """A Pod on each of two nodes, the Services before them, and where to reach those."""
    async with cluster.connect() as client:
        for name, node in (("near", "node-1"), ("far", "node-2")):
            await client.create(pod(name, node))
            await client.create(service(name, "NodePort", {"app": name}))
        await client.create(service("balanced", "LoadBalancer", {"app": "far"}))
        await given(client)
        ip = await node_ip(client, "node-1")
        balanced = await client.get(core_v1.Service, "balanced", "default")
        assert balanced.status.load_balancer is not None
        doors = {"balanced": Door(balanced.status.load_balancer.ingress[0].ip or "", PORT)}
        for name in ("near", "far"):
            doors[name] = Door(ip, await node_port(client, name))
    for door in doors.values():
        await answering(door)
    return doors


async def given(client: Client) -> None:
    """Until the load balancer has its address."""
    async for events in client.watch(core_v1.Service, "default"):
        for event in events:
            status = event.object.status.load_balancer if event.object is not None else None
            if status is not None and status.ingress:
                return


async def node_ip(client: Client, name: str) -> str:
    return (await client.get(core_v1.Node, name)).status.addresses[0].address


async def node_port(client: Client, name: str) -> int:
    return (await client.get(core_v1.Service, name, "default")).spec.ports[0].node_port or 0


async def answering(door: Door) -> None:
    while not await asyncio.to_thread(door.answers):  # noqa: ASYNC110 nothing tells it but the door itself
        await asyncio.sleep(0.01)


# -- what is measured ------------------------------------------------------------------------------


def hop(doors: dict[str, Door]) -> Iterator[Figure]:
    """Each call on a connection of its own, in turns, so that both see the same machine."""
    spent: dict[str, list[float]] = {"near": [], "far": []}
    for _ in range(CALLS):
        for name, seconds in spent.items():
            began = time.perf_counter()
            assert doors[name].answers()
            seconds.append(time.perf_counter() - began)
    near, far = (1000 * median(spent[name]) for name in ("near", "far"))
    yield Figure("a call through a node port to a Pod of that node, p50", near, "ms")
    yield Figure("… to a Pod of another node", far, "ms")
    yield Figure("one hop through kube-proxy and the Pod network adds", far - near, "ms", 1.5)
    yield Figure("… on the budgets' machine, by the yardstick", (far - near) / slowness(), "ms")


def idle_connections(cluster: Cluster, doors: dict[str, Door]) -> Iterator[Figure]:
    """They have been accepted and say nothing; a part of them is asked at the end whether it still stands."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    begin, total, peers = cluster.memory_mib(), 0.0, []
    try:
        for name, count in SHARES.items():
            before = sum(cluster.memory_mib().values())
            peers += [doors[name].connect() for _ in range(count)]
            assert asks(peers[-1])
            time.sleep(3)  # what was made only for the accepting is gone then
            grown = sum(cluster.memory_mib().values()) - before
            yield Figure(f"{count} idle connections, {name}: memory of each", 1024 * grown / count, "KiB")
        total = sum(cluster.memory_mib().values()) - sum(begin.values())
        yield Figure(f"{len(peers)} idle connections: memory of all processes", total, "MiB", 300)
        alive = sum(asks(peer) for peer in peers[:: len(peers) // 100])
        yield Figure("… of which are alive, of a hundred", float(alive), "")
    finally:
        for peer in peers:
            peer.close()


async def updates(cluster: Cluster) -> list[Figure]:
    """One endpoint of each Service changes; then a last change is waited for on every node."""
    ips = [f"10.200.0.{number}" for number in range(1, ENDPOINTS + 1)]
    names = [f"many-{number}" for number in range(SERVICES)]
    async with cluster.connect() as client:
        far = (await client.get(core_v1.Pod, "far", "default")).status.pod_ip or ""
        await each(client, [service(name, "ClusterIP", {}) for name in names], [])
        await each(client, [endpoints(name, ips) for name in names], [])
        markers = [await marker(client, far, f"marker-{number}") for number in range(2)]
        doors = [Door(await node_ip(client, f"node-{number}"), markers[0]) for number in (1, 2, 3)]
        await client.create(endpoints("marker-0", [far]))
        await asyncio.gather(*map(answering, doors))
        before, began = cluster.cpu_seconds(), time.perf_counter()
        await each(client, [], [endpoints(name, [*ips[1:], "10.200.0.99"]) for name in names])
        written = time.perf_counter()
        await client.create(endpoints("marker-1", [far]))
        await asyncio.gather(*(answering(Door(door.ip, markers[1])) for door in doors))
        ended = time.perf_counter()
        after = cluster.cpu_seconds()
    used = max(after[f"node-{number}"] - before[f"node-{number}"] for number in (1, 2, 3))
    what = f"{SERVICES} Services x {ENDPOINTS} endpoints change"
    return [
        Figure(f"{what}: writing that", written - began, "s"),
        Figure("… until every node leads by the last one", ended - written, "s", 1),
        Figure("… CPU of the busiest node for all of them", used, "s", 1),
        Figure("… on the budgets' machine, by the yardstick", used / slowness(), "s"),
        Figure(
            "… CPU of the controller manager", after["controller-manager"] - before["controller-manager"], "s"
        ),
    ]


async def marker(client: Client, ip: str, name: str) -> int:
    await client.create(service(name, "NodePort", {}))
    return await node_port(client, name)


async def each(
    client: Client,
    create: Sequence[core_v1.Service | discovery_v1.EndpointSlice],
    change: Sequence[discovery_v1.EndpointSlice],
) -> None:
    gate = asyncio.Semaphore(WRITES_IN_FLIGHT)

    async def make(made: core_v1.Service | discovery_v1.EndpointSlice) -> None:
        async with gate:
            await client.create(made)

    async def patch(slice_: discovery_v1.EndpointSlice) -> None:
        async with gate:
            wanted = {"endpoints": [{"addresses": each.addresses} for each in slice_.endpoints]}
            await client.patch(discovery_v1.EndpointSlice, slice_.key.name, "default", wanted)

    async with asyncio.TaskGroup() as group:
        for made in create:
            group.create_task(make(made))
        for slice_ in change:
            group.create_task(patch(slice_))
