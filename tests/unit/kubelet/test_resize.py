"""Changing what a running Pod may use: granted when there is room, put into force, and told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from services.api.core_v1 import Pod, PodCondition
from services.client.transport import PatchType
from services.kubelet.cri import CriError, Resources
from tests.unit.kubelet.node import NodeUnderTest

SMALL = {"requests": {"cpu": "500m"}, "limits": {"cpu": "1"}}
BIG = {"requests": {"cpu": "1"}, "limits": {"cpu": "1500m"}}


@pytest.fixture
def node(tmp_path: Path) -> NodeUnderTest:
    return NodeUnderTest(tmp_path)


async def resize(node: NodeUnderTest, resources: dict[str, Any], name: str = "kubia") -> None:
    change = {"spec": {"containers": [{"name": "main", "resources": resources}]}}
    await node.client.patch(Pod, name, "default", change, patch_type=PatchType.STRATEGIC)
    await node.clock.advance(0)


def condition(node: NodeUnderTest, kind: str, name: str = "kubia") -> PodCondition | None:
    return next((c for c in node.pod(name).status.conditions if c.type == kind), None)


async def test_a_running_container_gets_more(node: NodeUnderTest) -> None:
    async with node.running():
        await node.run_pod({"resources": SMALL})
        assert node.cri.container("main").resources == Resources(cpu_shares=512, cpu_quota=100_000)
        await resize(node, BIG)
        assert node.cri.container("main").resources == Resources(cpu_shares=1024, cpu_quota=150_000)
        assert node.cri.calls.count("start main") == 1
        status = node.pod().status.container_statuses[0]
        assert status.allocated_resources == {"cpu": "1"}
        assert status.resources is not None
        assert status.resources.limits == {"cpu": "1500m"}
        details = (
            '{"containers":[{"name":"main","resources":{"limits":{"cpu":"1500m"},"requests":{"cpu":"1"}}}]'
        )
        generation = node.pod().metadata.generation
        for what in ("Started", "Completed"):
            text = f'Pod resize {what.lower()}: {details},"generation":{generation}}}'
            assert f"Normal Resize{what} {text}" in node.events()
        assert condition(node, "PodResizeInProgress") is None


async def test_a_container_that_must_restart_for_it(node: NodeUnderTest) -> None:
    policy = [{"resourceName": "cpu", "restartPolicy": "RestartContainer"}]
    async with node.running():
        await node.run_pod({"resources": SMALL, "resizePolicy": policy})
        await resize(node, BIG)
        await node.clock.advance(0)
        assert "Normal Killing Container main resize requires restart" in node.events()
        assert node.cri.container("main").resources == Resources(cpu_shares=1024, cpu_quota=150_000)
        assert node.pod().status.container_statuses[0].restart_count == 1


async def test_more_than_the_node_has(node: NodeUnderTest) -> None:
    async with node.running():
        await node.run_pod({"resources": SMALL})
        await resize(node, {"requests": {"cpu": "3"}, "limits": {"cpu": "3"}})
        pending = condition(node, "PodResizePending")
        assert pending is not None
        assert (pending.reason, pending.message) == (
            "Infeasible",
            "Node didn't have enough capacity: cpu, requested: 3000, capacity: 2000",
        )
        assert node.pod().status.container_statuses[0].allocated_resources == {"cpu": "500m"}
        await resize(node, SMALL)
        assert condition(node, "PodResizePending") is None


async def test_what_has_no_room_waits_for_others_to_end(node: NodeUnderTest) -> None:
    async with node.running():
        await node.run_pod({"resources": {"requests": {"cpu": "1"}}}, name="other")
        await node.run_pod({"resources": SMALL})
        await resize(node, {"requests": {"cpu": "1500m"}, "limits": {"cpu": "2"}})
        pending = condition(node, "PodResizePending")
        assert pending is not None
        assert (pending.reason, pending.message) == (
            "Deferred",
            "Node didn't have enough resource: cpu, requested: 1500, used: 1000, capacity: 2000",
        )
        await node.client.delete(Pod, "other", "default", grace_seconds=1)
        await node.clock.advance(1)
        assert condition(node, "PodResizePending") is None
        assert node.pod().status.container_statuses[0].allocated_resources == {"cpu": "1500m"}


async def test_a_runtime_that_refuses(node: NodeUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(container_id: str, resources: Resources) -> None:
        raise CriError("Unknown", "no such cgroup")

    async with node.running():
        await node.run_pod({"resources": SMALL})
        with monkeypatch.context() as patched:
            patched.setattr(node.cri, "update_resources", refuse)
            await resize(node, BIG)
            running = condition(node, "PodResizeInProgress")
            assert running is not None
            assert (running.reason, running.message) == (
                "Error",
                "rpc error: code = Unknown desc = no such cgroup",
            )
            status = node.pod().status.container_statuses[0]
            assert status.resources is not None
            assert status.resources.requests == {"cpu": "500m"}
        await node.clock.advance(11)
        assert condition(node, "PodResizeInProgress") is None
