"""What is measured, each against a fresh cluster or a given one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median

from bench.cluster import Cluster
from services.api import apps_v1, core_v1, meta_v1
from services.client.client import Client

IDLE_SECONDS = 30.0
FAN_OUT_WATCHERS = 20


@dataclass(frozen=True)
class Figure:
    """One measured number beside its budget; `budget` None where none is set."""

    name: str
    value: float
    unit: str
    budget: float | None = None

    @property
    def met(self) -> bool:
        return self.budget is None or self.value <= self.budget

    def __str__(self) -> str:
        verdict = ""
        if self.budget is not None:
            verdict = (
                f"budget {self.budget:g} {self.unit}: {'met' if self.value <= self.budget else 'MISSED'}"
            )
        return f"{self.name:<58} {self.value:10.2f} {self.unit:<10} {verdict}".rstrip()


def difference(after: Mapping[str, float], before: Mapping[str, float]) -> dict[str, float]:
    return {name: after[name] - before.get(name, 0.0) for name in after}


def idle(cluster: Cluster) -> list[Figure]:
    """Memory and processor time of a cluster in which nothing happens."""
    time.sleep(5)  # let the start settle; this is a measurement, not a test
    before = cluster.cpu_seconds()
    time.sleep(IDLE_SECONDS)
    used = difference(cluster.cpu_seconds(), before)
    memory = cluster.memory_mib()
    figures = [Figure(f"idle memory, {name}", value, "MiB") for name, value in memory.items()]
    figures.append(Figure("idle memory, all processes", sum(memory.values()), "MiB", 500))
    figures += [
        Figure(f"idle CPU, {name}", 100 * value / IDLE_SECONDS, "% of core") for name, value in used.items()
    ]
    figures.append(Figure("idle CPU, all processes", 100 * sum(used.values()) / IDLE_SECONDS, "% of core", 5))
    return figures


def deployment_of(replicas: int) -> apps_v1.Deployment:
    labels = {"app": "bench"}
    container = core_v1.Container(name="app", image="luksa/kubia")
    return apps_v1.Deployment(
        metadata=meta_v1.ObjectMeta(name="bench", namespace="default"),
        spec=apps_v1.DeploymentSpec(
            replicas=replicas,
            selector=meta_v1.LabelSelector(match_labels=labels),
            template=core_v1.PodTemplateSpec(
                metadata=meta_v1.ObjectMeta(labels=labels), spec=core_v1.PodSpec(containers=[container])
            ),
        ),
    )


async def wait_for_running(client: Client, replicas: int, namespace: str = "default") -> None:
    running: set[str] = set()
    async for events in client.watch(core_v1.Pod, namespace):
        for event in events:
            if event.object is not None and event.object.status.phase == "Running":
                running.add(event.object.metadata.name or "")
        if len(running) >= replicas:
            return


async def wait_for_none(client: Client, namespace: str = "default") -> None:
    present: set[str] = {pod.metadata.name or "" for pod in await client.list(core_v1.Pod, namespace)}
    if not present:
        return
    async for events in client.watch(core_v1.Pod, namespace):
        for event in events:
            if event.object is not None:
                name = event.object.metadata.name or ""
                (present.discard if event.type == "DELETED" else present.add)(name)
        if not present:
            return


async def deployment(cluster: Cluster, replicas: int, nodes: int, *, budgeted: bool) -> list[Figure]:
    """One Deployment, from its creation until all its Pods run; then it is deleted again."""
    async with cluster.connect() as client:
        before = cluster.cpu_seconds()
        began = time.perf_counter()
        await client.create(deployment_of(replicas))
        await wait_for_running(client, replicas)
        seconds = time.perf_counter() - began
        await asyncio.sleep(1)  # the last status writes belong to the bill
        used = difference(cluster.cpu_seconds(), before)
        await client.delete(apps_v1.Deployment, "bench", "default", propagation="Background")
        await wait_for_none(client)
    what = f"{replicas} Pods on {nodes} nodes"
    per_pod = 1000 * sum(used.values()) / replicas
    parts = [
        Figure(f"{what}: CPU, {name}", 1000 * value / replicas, "ms/Pod")
        for name, value in used.items()
        if 1000 * value / replicas >= 0.05
    ]
    return [
        Figure(f"{what}: all Running", seconds, "s", 12 if budgeted else None),
        Figure(f"{what}: CPU, all processes", per_pod, "ms/Pod", 15 if budgeted else None),
        *parts,
    ]


async def api(cluster: Cluster, count: int = 500) -> list[Figure]:
    """Single calls one after the other, a list, and how far one write fans out."""
    async with cluster.connect() as client:
        names = [f"bench-{number}" for number in range(count)]
        create = [await timed(client.create(config_map(name))) for name in names]
        get = [await timed(client.get(core_v1.ConfigMap, name, "default")) for name in names]
        list_ = [await timed(client.list(core_v1.ConfigMap, "default")) for _ in range(10)]
        fan_out = await watch_fan_out(client, count)
        await client.delete_collection(core_v1.ConfigMap, "default")
    return [
        Figure("API create, median", 1000 * median(create), "ms"),
        Figure("API get, median", 1000 * median(get), "ms"),
        Figure(f"API list of {count}, median", 1000 * median(list_), "ms"),
        Figure(f"API watch, {FAN_OUT_WATCHERS} watchers", fan_out, "events/s"),
    ]


async def timed(call: object) -> float:
    began = time.perf_counter()
    await call  # type: ignore[misc]
    return time.perf_counter() - began


def config_map(name: str) -> core_v1.ConfigMap:
    metadata = meta_v1.ObjectMeta(name=name, namespace="default")
    return core_v1.ConfigMap(metadata=metadata, data={"key": "value" * 20})


async def watch_fan_out(client: Client, writes: int) -> float:
    """Events delivered per second over all watchers, while one client patches objects."""
    got = 0
    everything = asyncio.Event()
    started = asyncio.Semaphore(0)

    async def watcher() -> None:
        nonlocal got
        first = True
        async for events in client.watch(core_v1.ConfigMap, "default"):
            if first:
                first = False
                started.release()
            got += sum(1 for event in events if event.type == "MODIFIED")
            if got >= writes * FAN_OUT_WATCHERS:
                everything.set()

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(watcher()) for _ in range(FAN_OUT_WATCHERS)]
        for _ in tasks:
            await started.acquire()
        began = time.perf_counter()
        gate = asyncio.Semaphore(32)

        async def write(number: int) -> None:
            async with gate:
                await client.patch(core_v1.ConfigMap, f"bench-{number}", "default", {"data": {"key": "new"}})

        await asyncio.gather(*(write(number) for number in range(writes)))
        await everything.wait()
        seconds = time.perf_counter() - began
        for task in tasks:
            task.cancel()
    return got / seconds
