"""CPU per scheduling decision, without any wire: `python -m bench.scheduler [--pods N] [--nodes N]`.

Measures the pure half alone (queue, snapshot, filters, scores, assume, confirmation by the watch) for three
kinds of load: one large ReplicaSet, many shapes of Pods, and Pods that fit nowhere.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from random import Random
from typing import cast

from msgspec.structs import replace

from services.api.core_v1 import (
    Container,
    ContainerImage,
    Node,
    NodeStatus,
    Pod,
    PodSpec,
    ResourceRequirements,
)
from services.api.meta_v1 import ObjectMeta
from services.client.client import Client
from services.client.informer import InformerFactory
from services.client.transport import Transport
from services.machinery import labels
from services.process.clock import SystemClock
from services.scheduler import explain
from services.scheduler.algorithm import Algorithm
from services.scheduler.cache import Cache
from services.scheduler.framework.fit_error import FitError
from services.scheduler.framework.interface import CycleState
from services.scheduler.framework.pod_info import PodInfo
from services.scheduler.framework.runtime import Framework
from services.scheduler.profile import SCHEDULER_NAME, default_profile
from services.scheduler.queue import SchedulingQueue
from services.scheduler.snapshot import Snapshot
from services.scheduler.volumes import Volumes

IMAGE = "docker.io/library/nginx:latest"


def _no_volumes() -> Volumes:
    """No Pod here has a claim: nothing is asked of this client."""
    clock = SystemClock()
    client = Client(cast(Transport, None))
    return Volumes(client, InformerFactory(client, clock), clock)


async def _no_binding(pod: Pod, node_name: str) -> None:
    raise AssertionError("this benchmark binds nothing")


def nodes(count: int) -> Iterator[Node]:
    for number in range(count):
        name = f"node-{number}"
        yield Node(
            metadata=ObjectMeta(
                name=name, labels={"kubernetes.io/hostname": name, "kubernetes.io/os": "linux"}
            ),
            status=NodeStatus(
                allocatable={"cpu": "8", "memory": "32Gi", "pods": "110"},
                images=[ContainerImage(names=[IMAGE], size_bytes=190_000_000)],
            ),
        )


def pods(count: int, requests: Callable[[int], dict[str, str]]) -> Iterator[Pod]:
    for number in range(count):
        resources = ResourceRequirements(requests=requests(number))
        yield Pod(
            metadata=ObjectMeta(
                name=f"web-{number}",
                namespace="default",
                uid=f"u{number}",
                generation=1,
                labels={"app": "web"},
            ),
            spec=PodSpec(containers=[Container(name="c", image="nginx", resources=resources)]),
        )


def measure(node_count: int, waiting: list[Pod]) -> tuple[float, float]:
    """CPU seconds of all, and of deciding alone."""
    owners = labels.from_map({"app": "web"})
    profile = default_profile(_no_binding, lambda pod: owners, _no_volumes())
    framework = Framework(profile, SCHEDULER_NAME)
    algorithm, cache, snapshot = Algorithm(framework, Random(1)), Cache(), Snapshot()
    queue = SchedulingQueue(framework.queue_sort.sort_key, framework.plugins, framework.run_pre_enqueue)
    for node in nodes(node_count):
        cache.add_node(node)
    started, deciding = time.process_time(), 0.0
    for pod in waiting:
        queue.add(PodInfo(pod), 0.0)
    while (queued := queue.pop()) is not None:
        info, state = queued.info, CycleState()
        before = time.process_time()
        snapshot.update(cache)
        try:
            decision = algorithm.decide(snapshot, info, state)
        except FitError as error:
            framework.run_post_filter(state, info, snapshot, error.diagnosis.statuses)
            deciding += time.process_time() - before
            queued.rejected_by = error.diagnosis.rejected_by
            queue.put_back(queued, 0.0)
            continue
        deciding += time.process_time() - before
        explain.chosen(str(info.key), decision)
        cache.assume(info, decision.node_name)
        queue.done(info.uid)
        bound = replace(info.pod, spec=replace(info.pod.spec, node_name=decision.node_name))
        cache.add_pod(info.seen_as(bound))
    return time.process_time() - started, deciding


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pods", type=int, default=1000)
    parser.add_argument("--nodes", type=int, default=100)
    flags = parser.parse_args()
    loads: dict[str, Callable[[int], dict[str, str]]] = {
        "one ReplicaSet": lambda number: {"cpu": "100m", "memory": "64Mi"},
        "no requests": lambda number: {},
        "50 shapes": lambda number: {"cpu": f"{number % 50 + 1}m", "memory": "64Mi"},
        "fits nowhere": lambda number: {"cpu": "9"},
    }
    for name, requests in loads.items():
        total, deciding = measure(flags.nodes, list(pods(flags.pods, requests)))
        print(
            f"{name:<16} {flags.pods} pods on {flags.nodes} nodes: {total / flags.pods * 1e6:7.0f} µs a pod, "
            f"of which deciding {deciding / flags.pods * 1e6:.0f} µs"
        )


if __name__ == "__main__":
    main()
