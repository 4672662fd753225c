"""The scheduler as a process, beside a real API server: two instances, and what dies under them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.api.core_v1 import (
    Container,
    Event,
    Node,
    NodeStatus,
    Pod,
    PodSpec,
    ResourceRequirements,
    ServiceAccount,
)
from services.api.meta_v1 import ObjectMeta
from services.client.client import Client, connect
from services.client.informer import InformerFactory
from services.machinery import trace
from services.process.clock import SystemClock
from tests.support.control_plane import ControlPlane, control_plane

PATIENCE_SECONDS = 60.0


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[ControlPlane]:
    with control_plane(tmp_path) as plane:
        yield plane


async def make_nodes(client: Client, count: int, cpu: str = "8") -> None:
    """The nodes, and the account that Pods need before the server takes them."""
    await client.create(ServiceAccount(metadata=ObjectMeta(name="default", namespace="default")))
    for number in range(count):
        name = f"node-{number}"
        amounts = {"cpu": cpu, "memory": "32Gi", "pods": "110"}
        await client.create(
            Node(
                metadata=ObjectMeta(name=name, labels={"kubernetes.io/hostname": name}),
                status=NodeStatus(allocatable=amounts, capacity=amounts),
            )
        )
        # A new node is tainted until something says that it is ready; nothing here does.
        await client.patch(Node, name, "", {"spec": {"taints": None}})


async def make_pods(client: Client, names: list[str], cpu: str = "100m") -> None:
    for name in names:
        resources = ResourceRequirements(requests={"cpu": cpu})
        containers = [Container(name="c", image="nginx", resources=resources)]
        await client.create(
            Pod(metadata=ObjectMeta(name=name, namespace="default"), spec=PodSpec(containers=containers))
        )


async def bound(client: Client, names: list[str]) -> dict[str, str]:
    """Waits until all of them have a node; which one."""
    done, places = asyncio.Event(), dict[str, str]()

    def see(pod: Pod) -> None:
        if pod.metadata.name in names and pod.spec.node_name:
            places[pod.metadata.name or ""] = pod.spec.node_name
            if len(places) == len(names):
                done.set()

    informers = InformerFactory(client, SystemClock())
    informers.informer(Pod).add_handler(lambda pod, _: see(pod), lambda _, pod, __: see(pod))
    watching = asyncio.create_task(informers.run())
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await done.wait()
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    return places


async def test_decides_binds_and_tells_the_story_under_one_trace(plane: ControlPlane) -> None:
    plane.start("scheduler")
    async with connect(plane.apiserver, user_agent="test") as client:
        await make_nodes(client, 3)
        await make_pods(client, ["first"])
        await bound(client, ["first"])  # From here on it watches: what was there before has no known cause.
        with trace.scope("00-" + "ab" * 16 + "-" + "cd" * 8 + "-01"):
            await make_pods(client, ["web"])
        places = await bound(client, ["web"])
        decision = plane.told("scheduler", "name=web")
        assert f"node={places['web']}" in decision
        assert "fit=3/3" in decision
        assert "trace=abababab" in decision
        async with asyncio.timeout(PATIENCE_SECONDS):
            message = ""
            async for batch in client.watch(Event, "default"):
                messages = [event.object.message or "" for event in batch if event.object is not None]
                message = next((text for text in messages if "default/web" in text), "")
                if message:
                    break
        assert message == f"Successfully assigned default/web to {places['web']}"


@pytest.mark.slow
async def test_the_standby_takes_over_when_the_leader_is_killed(plane: ControlPlane) -> None:
    plane.start("scheduler", name="one")
    async with connect(plane.apiserver, user_agent="test") as client:
        await make_nodes(client, 2)
        await make_pods(client, ["before"])
        await bound(client, ["before"])
        plane.start("scheduler", name="two")
        plane.kill("one")
        await make_pods(client, ["after"])
        await bound(client, ["after"])
        plane.told("two", "Became the leader")


@pytest.mark.slow
async def test_a_leader_that_stops_gives_way_at_once(plane: ControlPlane) -> None:
    plane.start("scheduler", name="one")
    async with connect(plane.apiserver, user_agent="test") as client:
        await make_nodes(client, 2)
        await make_pods(client, ["before"])
        await bound(client, ["before"])
        plane.start("scheduler", name="two")
        plane.stop("one")
        assert "Gave the lease back" in plane.log("one")
        await make_pods(client, ["after"])
        await bound(client, ["after"])


@pytest.mark.slow
async def test_api_server_killed_in_the_middle(plane: ControlPlane) -> None:
    """Every Pod ends on exactly one node, and no node holds more than it has."""
    plane.start("scheduler")
    names = [f"p{number}" for number in range(60)]
    async with connect(plane.apiserver, user_agent="test") as client:
        await make_nodes(client, 6, cpu="1")
        await make_pods(client, names)
        plane.kill("apiserver")
        plane.start_apiserver()
        places = await bound(client, names)
        assert Counter(places.values()) == {f"node-{number}": 10 for number in range(6)}
        assert "Traceback" not in plane.log("scheduler")
