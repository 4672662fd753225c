"""The node as a process, beside a real API server and registry: a Pod's life, and the node's death."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import grpc.aio
import pytest

from services.api.core_v1 import Container, Node, Pod, PodSpec, ServiceAccount
from services.api.errors import ApiError
from services.api.meta_v1 import ObjectMeta
from services.client.client import Client, connect
from services.pb.node.v1 import node_pb2 as pb
from services.pb.node.v1.node_pb2_grpc import NodeServiceStub
from tests.support.control_plane import ControlPlane, control_plane
from tests.support.ports import free_port

PATIENCE_SECONDS = 60.0


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[ControlPlane]:
    with control_plane(tmp_path) as plane:
        yield plane


class Cluster:
    """A control plane without controllers: the test binds Pods and hands out CIDRs by itself."""

    def __init__(self, plane: ControlPlane, client: Client, registry: str) -> None:
        self.plane, self.client, self.registry = plane, client, registry

    def start(self, *flags: str) -> None:
        root = str(self.plane.root / "root")
        self.plane.start("node", "--registry", self.registry, "--root-dir", root, *flags)

    async def give_cidrs(self, count: int) -> None:
        for number in range(1, count + 1):
            name, cidr = f"node-{number}", f"10.244.{number}.0/24"
            await self.until(Node, name, "", lambda node: bool(node.status.conditions))
            change = {"spec": {"podCIDR": cidr, "podCIDRs": [cidr]}}
            await self.client.patch(Node, name, "", change)
            await self.until(Node, name, "", is_ready)

    async def run(self, name: str, image: str, *command: str, node: str = "node-1") -> None:
        container = Container(name="main", image=image, command=list(command))
        spec = PodSpec(containers=[container], node_name=node, termination_grace_period_seconds=1)
        await self.client.create(Pod(metadata=ObjectMeta(name=name, namespace="default"), spec=spec))

    async def pod(self, name: str, wanted: Callable[[Pod], bool]) -> Pod:
        found: Pod = await self.until(Pod, name, "default", wanted)
        return found

    async def until(self, kind: type[Any], name: str, namespace: str, wanted: Callable[[Any], bool]) -> Any:
        """The object, once it is as wanted. With `wanted` never true: once it is gone."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                page = await self.client.list_page(kind, namespace, fields=f"metadata.name={name}")
                for found in page.items:
                    if wanted(found):
                        return found
                if not page.items and wanted is never:
                    return None
                version = page.resource_version
                async for batch in self.client.watch(
                    kind, namespace, fields=f"metadata.name={name}", resource_version=version
                ):
                    for event in batch:
                        if event.type == "DELETED" or (event.object is not None and wanted(event.object)):
                            return event.object

    @asynccontextmanager
    async def node_service(self) -> AsyncIterator[Any]:
        node = await self.client.get(Node, "node-1")
        assert node.status.daemon_endpoints is not None
        assert node.status.daemon_endpoints.kubelet_endpoint is not None
        port = node.status.daemon_endpoints.kubelet_endpoint.port
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield NodeServiceStub(channel)


def is_ready(obj: Node | Pod) -> bool:
    return any(c.type == "Ready" and c.status == "True" for c in obj.status.conditions)


def is_waiting_for(reason: str) -> Callable[[Pod], bool]:
    def check(pod: Pod) -> bool:
        states = [status.state for status in pod.status.container_statuses]
        return any(state and state.waiting and state.waiting.reason == reason for state in states)

    return check


def restarts(pod: Pod) -> int:
    return pod.status.container_statuses[0].restart_count


def never(obj: Any) -> bool:
    return False


@asynccontextmanager
async def cluster(plane: ControlPlane) -> AsyncIterator[Cluster]:
    registry = f"127.0.0.1:{free_port()}"
    # As processes: a test that has gRPC running must not fork, which starting one is.
    plane.start_plain("registry", "--port", registry.rpartition(":")[2], "--bandwidth", "0")
    plane.wait_serving(registry)
    async with connect(plane.apiserver, user_agent="test") as client:
        # What a controller would make; another one may have been quicker.
        with suppress(ApiError):
            await client.create(ServiceAccount(metadata=ObjectMeta(name="default", namespace="default")))
        yield Cluster(plane, client, registry)


async def output_of(service: Any, pod: str, *command: str) -> tuple[str, int]:
    start = pb.ExecStart(
        container=pb.ContainerReference(namespace="default", pod=pod),
        command=command,
        stdout=True,
        stderr=True,
    )
    call = service.Exec(iter([pb.ExecRequest(start=start)]))
    text, code = b"", -1
    async for message in call:
        text += message.stdout + message.stderr
        if message.HasField("exit_code"):
            code = message.exit_code
    return text.decode(), code


async def test_a_pods_life_on_a_real_runtime(plane: ControlPlane) -> None:
    async with cluster(plane) as it:
        it.start("--name", "node-1")
        await it.give_cidrs(1)
        await it.run("kubia", "luksa/kubia")
        pod = await it.pod("kubia", is_ready)
        assert pod.status.pod_ip == "10.244.1.2"
        status = pod.status.container_statuses[0]
        assert status.image == "docker.io/luksa/kubia:latest"
        assert (status.container_id or "").startswith("containerd://")
        async with it.node_service() as service:
            reference = pb.ContainerReference(namespace="default", pod="kubia")
            call = service.Logs(pb.LogsRequest(container=reference, follow=True))
            assert (await call.read()).data == b"Kubia server starting...\n"
            call.cancel()
            assert await output_of(service, "kubia", "hostname") == ("kubia\n", 0)
            assert await output_of(service, "kubia", "sh", "-c", "exit 4") == ("", 4)
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                _ = [m async for m in service.Logs(pb.LogsRequest(container=reference, previous=True))]
            assert refused.value.details() == (
                'previous terminated container "main" in pod "kubia" not found'
            )
        await it.client.delete(Pod, "kubia", "default", grace_seconds=0)
        await it.run("crane", "crane")
        await it.pod("crane", is_waiting_for("ErrImagePull"))
        await it.pod("crane", is_waiting_for("ImagePullBackOff"))
        await it.run("crash", "busybox", "sh", "-c", "exit 3")
        crash = await it.pod("crash", is_waiting_for("CrashLoopBackOff"))
        last = crash.status.container_statuses[0].last_state
        assert last is not None
        assert last.terminated is not None
        assert last.terminated.exit_code == 3
        await it.client.delete(Pod, "crane", "default")
        await it.until(Pod, "crane", "default", never)


async def test_a_killed_node_comes_back_to_the_same_pods(plane: ControlPlane) -> None:
    async with cluster(plane) as it:
        it.start("--name", "node-1")
        await it.give_cidrs(1)
        await it.run("one", "luksa/kubia")
        await it.run("two", "luksa/kubia")
        before = await it.pod("one", is_ready)
        await it.pod("two", is_ready)
        plane.kill("node")
        await it.client.delete(Pod, "two", "default", grace_seconds=1)
        it.start("--name", "node-1")
        after = await it.pod("one", lambda pod: is_ready(pod) and restarts(pod) > 0)
        assert after.metadata.uid == before.metadata.uid
        assert after.status.container_statuses[0].restart_count == 1
        assert [pod.metadata.name for pod in await it.client.list(Pod, "default")] == ["one"] or (
            await it.until(Pod, "two", "default", never)
        )


async def test_hollow_nodes_share_one_process(plane: ControlPlane) -> None:
    async with cluster(plane) as it:
        it.start("--nodes", "3", "--name-prefix", "node-")
        await it.give_cidrs(3)
        for number in (1, 2, 3):
            await it.run(f"p{number}", "luksa/kubia", node=f"node-{number}")
        for number in (1, 2, 3):
            pod = await it.pod(f"p{number}", is_ready)
            assert (pod.status.pod_ip or "").startswith(f"10.244.{number}.")


async def test_a_dead_kubelet_leaves_its_containers_running(plane: ControlPlane) -> None:
    """With a runtime of its own, as on a real machine: the next kubelet takes over what runs."""
    root = plane.root / "root"
    async with cluster(plane) as it:
        socket = root / "cri.sock"
        flags = ("--socket", str(socket), "--registry", it.registry, "--root-dir", str(root))
        plane.start_plain("runtime", *flags)
        endpoint = ("--name", "node-1", "--container-runtime-endpoint", f"unix://{socket}")
        it.start(*endpoint)
        await it.give_cidrs(1)
        await it.run("kubia", "luksa/kubia")
        before = await it.pod("kubia", is_ready)
        plane.kill("node")
        it.start(*endpoint)
        await it.run("second", "luksa/kubia")
        await it.pod("second", is_ready)
        after = await it.pod("kubia", is_ready)
        assert restarts(after) == 0
        assert after.status.pod_ip == before.status.pod_ip
        identifiers = [p.status.container_statuses[0].container_id for p in (before, after)]
        assert identifiers[0] == identifiers[1]
