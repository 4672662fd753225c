"""How many containers one node process carries: its memory, its idle processor time, what probes cost.

60 hollow nodes in one process, the real kubelet and runtime, with some 80 Pods of one container on each.
The Pods are bound by name, so that nothing is measured but the node process. Then further Pods whose
containers are probed every ten seconds come beside them, one kind of probe after the other.
    python -m bench --only density [--containers N]
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

from bench.cluster import Cluster, running_cluster
from bench.machine import slowness
from bench.scenarios import Figure, wait_for_none, wait_for_running
from services.api import core_v1, meta_v1
from services.client.client import Client

NODES = 60  # with at most 110 Pods on each
CONTAINERS = 5_000
PROBED = 1_000
PROBE_SECONDS = 10
SETTLE_SECONDS = 20.0  # the last status writes and events, and the garbage of the start
WATCHED_SECONDS = 60.0
CREATES_IN_FLIGHT = 32
IMAGE = "luksa/kubia"
IMAGE_PORT = 8080

PROBES = {
    "http": core_v1.Probe(
        http_get=core_v1.HTTPGetAction(path="/", port=IMAGE_PORT), period_seconds=PROBE_SECONDS
    ),
    "tcp": core_v1.Probe(tcp_socket=core_v1.TCPSocketAction(port=IMAGE_PORT), period_seconds=PROBE_SECONDS),
    "exec": core_v1.Probe(exec=core_v1.ExecAction(command=["true"]), period_seconds=PROBE_SECONDS),
}


def density(containers: int = CONTAINERS) -> Iterator[Figure]:
    probed = max(containers * PROBED // CONTAINERS, 1)
    with running_cluster("--nodes", str(NODES), "--hollow") as cluster:
        empty = cluster.memory_mib()["nodes"]
        yield Figure(f"{NODES} nodes without Pods: memory", empty, "MiB")
        used = asyncio.run(fill(cluster, "idle", containers, None))
        time.sleep(SETTLE_SECONDS)
        memory = cluster.memory_mib()["nodes"]
        whole = containers == CONTAINERS
        yield Figure(f"{containers} containers: CPU to start one", 1000 * used / containers, "ms")
        yield Figure(f"{containers} containers: memory", memory, "MiB", 250 if whole else None)
        yield Figure(f"{containers} containers: memory of each", 1024 * (memory - empty) / containers, "KiB")
        idle = cpu_share(cluster)
        yield Figure(f"{containers} containers: idle CPU", idle, "% of core", 5 if whole else None)
        yield Figure("… on the budgets' machine, by the yardstick", idle / slowness(), "% of core")
        for kind, probe in PROBES.items():
            yield from probes(cluster, kind, probe, probed, idle, budgeted=whole and kind == "http")


def probes(
    cluster: Cluster, kind: str, probe: core_v1.Probe, count: int, idle: float, *, budgeted: bool
) -> Iterator[Figure]:
    """Further Pods that are probed, for as long as the measurement takes."""
    asyncio.run(fill(cluster, kind, count, probe))
    time.sleep(SETTLE_SECONDS)
    share = cpu_share(cluster)
    each = (share - idle) / 100 * PROBE_SECONDS / count
    what = f"{count} {kind} probes every {PROBE_SECONDS} s"
    yield Figure(f"{what}: CPU", share, "% of core", 20 if budgeted else None)
    yield Figure("… on the budgets' machine, by the yardstick", share / slowness(), "% of core")
    yield Figure(f"{what}: CPU of each", 1000 * each, "ms")
    asyncio.run(empty(cluster, kind))


def cpu_share(cluster: Cluster) -> float:
    before = cluster.cpu_seconds()["nodes"]
    time.sleep(WATCHED_SECONDS)
    return 100 * (cluster.cpu_seconds()["nodes"] - before) / WATCHED_SECONDS


async def fill(cluster: Cluster, namespace: str, count: int, probe: core_v1.Probe | None) -> float:
    """Creates the Pods, evenly over the nodes. The node process's CPU seconds until all run."""
    before = cluster.cpu_seconds()["nodes"]
    async with cluster.connect() as client:
        await client.create(core_v1.Namespace(metadata=meta_v1.ObjectMeta(name=namespace)))
        await until_accounts(client, namespace)
        gate = asyncio.Semaphore(CREATES_IN_FLIGHT)

        async def create(number: int) -> None:
            async with gate:
                await client.create(pod(namespace, number, probe))

        async with asyncio.TaskGroup() as group:
            watching = group.create_task(wait_for_running(client, count, namespace))
            for number in range(count):
                group.create_task(create(number))
            await watching
    return cluster.cpu_seconds()["nodes"] - before


async def until_accounts(client: Client, namespace: str) -> None:
    """Until the namespace has the account that its Pods run under."""
    async for events in client.watch(core_v1.ServiceAccount, namespace):
        if any(event.object is not None and event.type != "DELETED" for event in events):
            return


async def empty(cluster: Cluster, namespace: str) -> None:
    async with cluster.connect() as client:
        await client.delete_collection(core_v1.Pod, namespace)
        await wait_for_none(client, namespace)


def pod(namespace: str, number: int, probe: core_v1.Probe | None) -> core_v1.Pod:
    container = core_v1.Container(name="app", image=IMAGE, readiness_probe=probe)
    return core_v1.Pod(
        metadata=meta_v1.ObjectMeta(name=f"app-{number}", namespace=namespace, labels={"app": namespace}),
        spec=core_v1.PodSpec(
            containers=[container],
            node_name=f"node-{number % NODES + 1}",
            termination_grace_period_seconds=0,
        ),
    )
