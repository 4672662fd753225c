"""A node that is short of something, goes down or was rebooted: what it says, what becomes of its Pods."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from services.api.core_v1 import Node
from services.kubelet import image_gc
from services.kubelet.configuration import HostUsage, KubeletConfiguration
from services.kubelet.cri import ImageRecord, Usage
from services.kubelet.eviction import parse
from tests.unit.kubelet.node import PATIENCE_SECONDS, NodeUnderTest

MIB = 1024 * 1024
ALL = 8 * 1024 * MIB


@pytest.fixture
def node(tmp_path: Path) -> NodeUnderTest:
    return NodeUnderTest(tmp_path)


def condition(node: NodeUnderTest, kind: str) -> tuple[str, str]:
    found = next(c for c in node.node().status.conditions if c.type == kind)
    return found.status or "", found.reason or ""


def use(node: NodeUnderTest, **memory_mib: int) -> None:
    """What each Pod's container uses."""
    node.cri.usages = [
        Usage(container_id=name, name="main", pod_uid=f"uid-{name}", memory_bytes=mib * MIB)
        for name, mib in memory_mib.items()
    ]


async def test_memory_pressure_evicts_the_largest_and_says_so(node: NodeUnderTest) -> None:
    async with node.running():
        await node.run_pod(name="small")
        await node.run_pod(name="large")
        use(node, small=10, large=200)
        node.host = HostUsage(memory_bytes=ALL - 290 * MIB)
        await node.clock.advance(31)
        assert condition(node, "MemoryPressure") == ("True", "KubeletHasInsufficientMemory")
        status = node.pod("large").status
        assert (status.phase, status.reason) == ("Failed", "Evicted")
        assert status.message == (
            "The node was low on resource: memory. Threshold quantity: 100Mi, available: 80Mi. "
            "Container main was using 200Mi, request is 0, has larger consumption of memory. "
        )
        target = next(c for c in status.conditions if c.type == "DisruptionTarget")
        assert (target.status, target.reason) == ("True", "TerminationByKubelet")
        assert node.pod("small").status.phase == "Running"
        assert f"Warning Evicted {status.message}" in node.events("large")
        assert node.cri.grace == [2]  # one second was asked for; two are the least
        node.host = HostUsage()
        use(node, small=10)
        await node.clock.advance(310)
        assert condition(node, "MemoryPressure") == ("False", "KubeletHasSufficientMemory")
        told = [event.split()[1] for event in node.events("node-1")]
        order = ["Starting", "NodeAllocatableEnforced", "NodeHasSufficientMemory", "NodeHasNoDiskPressure"]
        assert told[:4] == order
        assert "NodeHasInsufficientMemory" in told
        assert "Warning EvictionThresholdMet Attempting to reclaim memory" in node.events("node-1")


async def test_best_effort_pods_are_refused_under_memory_pressure(node: NodeUnderTest) -> None:
    async with node.running():
        node.host = HostUsage(memory_bytes=ALL)
        await node.clock.advance(31)
        await node.run_pod(name="best-effort")
        refused = node.pod("best-effort").status
        assert (refused.phase, refused.reason) == ("Failed", "Evicted")
        assert refused.message == "Pod was rejected: The node had condition: [MemoryPressure]. "
        toleration = {"key": "node.kubernetes.io/memory-pressure", "operator": "Exists"}
        await node.run_pod(name="tolerant", tolerations=[toleration])
        assert node.pod("tolerant").status.phase != "Failed"


async def test_a_short_disk_takes_unused_images_back_before_any_pod(node: NodeUnderTest) -> None:
    async with node.running():
        await node.run_pod()
        node.cri.local["old:latest"] = ImageRecord(
            id="sha256:old", tags=("old:latest",), size_bytes=20 * 1024 * MIB
        )
        node.host = HostUsage(disk_bytes=80 * 1024 * MIB)
        await node.clock.advance(31)
        assert "remove_image sha256:old" in node.cri.calls
        assert condition(node, "DiskPressure") == ("True", "KubeletHasDiskPressure")
        assert node.pod().status.phase == "Running"


async def test_images_are_collected_above_the_high_threshold_the_longest_unused_first(
    node: NodeUnderTest,
) -> None:
    node.configuration = KubeletConfiguration(eviction_hard=())
    for age in ("a", "b"):
        image = ImageRecord(id=f"sha256:{age}", tags=(f"{age}:1",), size_bytes=4 * 1024 * MIB)
        node.cri.local[f"{age}:1"] = image
    node.host = HostUsage(disk_bytes=78 * 1024 * MIB)
    async with node.running():
        await node.clock.advance(1)
        assert not [call for call in node.cri.calls if call.startswith("remove_image")]  # too young
        await node.clock.advance(image_gc.PERIOD_SECONDS + 31)
        removed = [call for call in node.cri.calls if call.startswith("remove_image")]
        assert removed == ["remove_image sha256:a", "remove_image sha256:b"]


async def test_process_numbers_run_out(node: NodeUnderTest) -> None:
    node.configuration = KubeletConfiguration(eviction_hard=parse("pid.available<10%"))
    async with node.running():
        node.host = HostUsage(pids=32000)
        await node.clock.advance(31)
        assert condition(node, "PIDPressure") == ("True", "KubeletHasInsufficientPID")


async def test_a_pod_over_its_volumes_limit_is_evicted(node: NodeUnderTest) -> None:
    async with node.running():
        scratch = {"name": "scratch", "emptyDir": {"sizeLimit": "1Ki"}}
        await node.run_pod(volumes=[scratch])
        folder = node.root / "pods" / "uid-kubia" / "volumes" / "kubernetes.io~empty-dir" / "scratch"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "large").write_bytes(bytes(100_000))
        node.fleet.members["node-1"].eviction.poke()
        async with asyncio.timeout(PATIENCE_SECONDS):
            while node.pod().status.reason != "Evicted":
                await node.clock.advance(1)
                await asyncio.sleep(0.01)  # the folder is measured by another thread
        assert node.pod().status.message == 'Usage of EmptyDir volume "scratch" exceeds the limit "1Ki". '


async def test_a_graceful_shutdown_ends_critical_pods_last(node: NodeUnderTest) -> None:
    async with node.running():
        await node.run_pod(name="plain")
        await node.run_pod(name="critical", priority=2_000_000_000)
        shutdown = node.fleet.members["node-1"].shutdown
        context = node.fleet.members["node-1"].kubelet.context
        task = context.group.create_task(shutdown.run(30, 10))
        await node.clock.advance(60)
        assert task.done()
        for name in ("plain", "critical"):
            status = node.pod(name).status
            assert (status.phase, status.reason) == ("Failed", "Terminated")
            assert status.message == "Pod was terminated in response to imminent node shutdown."
        assert node.cri.grace == [20, 10]
        ready = next(c for c in node.node().status.conditions if c.type == "Ready")
        assert (ready.status, ready.message) == ("False", "node is shutting down")
        await node.run_pod(name="late")
        assert node.pod("late").status.reason == "NodeShutdown"


async def test_a_reboot_is_told(node: NodeUnderTest) -> None:
    async with node.running():
        pass
    async with node.running(cidr=False):
        await node.clock.advance(1)
        assert not any("Rebooted" in event for event in node.events("node-1"))
    node.boot_id = "boot-2"
    async with node.running(cidr=False):
        await node.clock.advance(1)
        told = "Warning Rebooted Node node-1 has been rebooted, boot id: boot-2"
        assert told in node.events("node-1")
        info = node.node().status.node_info
        assert info is not None
        assert info.boot_id == "boot-2"


async def test_a_node_says_that_it_was_cordoned(node: NodeUnderTest) -> None:
    async with node.running():
        await node.client.patch(Node, node.name, "", {"spec": {"unschedulable": True}})
        await node.clock.advance(1)
        assert f"Normal NodeNotSchedulable Node {node.name} status is now: NodeNotSchedulable" in node.events(
            node.name
        )
        await node.client.patch(Node, node.name, "", {"spec": {"unschedulable": None}})
        await node.clock.advance(1)
        assert [e.split()[1] for e in node.events(node.name)].count("NodeSchedulable") == 1
