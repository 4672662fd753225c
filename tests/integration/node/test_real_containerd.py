"""The kubelet on a real containerd: real containers, real logs, real probes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc.aio
import orjson
import pytest
from msgspec.structs import replace

from services.api.core_v1 import (
    ConfigMap,
    ConfigMapVolumeSource,
    Container,
    HTTPGetAction,
    Pod,
    PodSpec,
    Probe,
    ServiceAccount,
    Volume,
    VolumeMount,
)
from services.api.errors import ApiError
from services.api.meta_v1 import ObjectMeta
from services.client.client import Client, connect
from services.pb.node.v1 import node_pb2 as pb
from tests.integration.node.test_node_process import (
    PATIENCE_SECONDS,
    Cluster,
    is_ready,
    is_waiting_for,
    output_of,
    restarts,
)
from tests.support.containerd import BUSYBOX, Containerd, containerd, why_not
from tests.support.control_plane import ControlPlane, control_plane

pytestmark = [pytest.mark.skipif(bool(why_not()), reason=why_not()), pytest.mark.slow]

SERVER = "echo serving; echo page > /tmp/index.html; exec httpd -f -p 8080 -h /tmp"


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[ControlPlane]:
    with control_plane(tmp_path) as plane:
        yield plane


@pytest.fixture
def runtime(tmp_path: Path) -> Iterator[Containerd]:
    folder = tmp_path / "containerd"
    folder.mkdir()
    with containerd(folder) as one:
        yield one


async def run(it: Cluster, name: str, container: Container, runtime: Containerd, **more: object) -> None:
    container = replace(container, image=BUSYBOX, image_pull_policy="IfNotPresent")
    spec = PodSpec(
        containers=[container],
        node_name="node-1",
        host_network=None if runtime.has_network else True,
        termination_grace_period_seconds=1,
        **more,  # type: ignore[arg-type]
    )
    await it.client.create(Pod(metadata=ObjectMeta(name=name, namespace="default"), spec=spec))


async def test_a_pods_life_on_containerd(plane: ControlPlane, runtime: Containerd) -> None:
    async with connect(plane.apiserver, user_agent="test") as client:
        it = Cluster(plane, client, "127.0.0.1:1")  # no registry: containerd has its images
        with suppress(ApiError):
            await client.create(ServiceAccount(metadata=ObjectMeta(name="default", namespace="default")))
        it.start("--name", "node-1", "--container-runtime-endpoint", f"unix://{runtime.socket}")
        await it.give_cidrs(1)
        settings = ConfigMap(
            metadata=ObjectMeta(name="settings", namespace="default"), data={"greeting": "from a ConfigMap"}
        )
        await it.client.create(settings)
        server = Container(
            name="main",
            command=["sh", "-c", SERVER],
            readiness_probe=Probe(
                http_get=HTTPGetAction(path="/index.html", port=8080), period_seconds=1, timeout_seconds=5
            ),
            volume_mounts=[VolumeMount(name="settings", mount_path="/settings")],
        )
        volume = Volume(name="settings", config_map=ConfigMapVolumeSource(name="settings"))
        await run(it, "server", server, runtime, volumes=[volume])
        pod = await it.pod("server", is_ready)
        assert pod.status.phase == "Running"
        status = pod.status.container_statuses[0]
        assert status.image == BUSYBOX
        assert (status.container_id or "").startswith("containerd://")
        async with it.node_service() as service:
            reference = pb.ContainerReference(namespace="default", pod="server")
            data = [m.data async for m in service.Logs(pb.LogsRequest(container=reference))]
            assert b"".join(data) == b"serving\n"
            following = service.Logs(pb.LogsRequest(container=reference, follow=True))
            assert (await following.read()).data == b"serving\n"
            following.cancel()
            # Two real processes: what one wrote the other serves, and the ConfigMap is there.
            assert await output_of(service, "server", "cat", "/settings/greeting") == ("from a ConfigMap", 0)
            assert await output_of(service, "server", "sh", "-c", "exit 4") == ("", 4)
            assert b"page" in await forwarded(service)
            stats = orjson.loads((await service.Stats(pb.StatsRequest())).json)
            assert stats["node"]["runtime"]["imageFs"]["capacityBytes"] > 0
            measured = stats["pods"][0]["containers"][0]
            assert measured["name"] == "main"
            assert measured["memory"]["workingSetBytes"] > 0
            assert measured["logs"]["usedBytes"] > 0

        await run(it, "crash", Container(name="main", command=["sh", "-c", "echo dying; exit 3"]), runtime)
        crash = await it.pod("crash", is_waiting_for("CrashLoopBackOff"))
        last = crash.status.container_statuses[0].last_state
        assert last is not None
        assert last.terminated is not None
        assert (last.terminated.exit_code, last.terminated.reason) == (3, "Error")
        assert restarts(crash) >= 1

        await run(it, "typo", Container(name="main", command=["nosuchcommand"]), runtime)
        typo = await it.pod("typo", is_waiting_for("RunContainerError"))
        state = typo.status.container_statuses[0].state
        assert state is not None
        assert state.waiting is not None
        assert 'exec: "nosuchcommand": executable file not found in $PATH' in (state.waiting.message or "")

        plane.kill("node")  # the next kubelet takes over what runs
        it.start("--name", "node-1", "--container-runtime-endpoint", f"unix://{runtime.socket}")
        await run(it, "later", Container(name="main", command=["sleep", "1000"]), runtime)
        await it.pod("later", is_ready)
        after = await it.pod("server", is_ready)
        assert after.status.container_statuses[0].container_id == status.container_id
        await delete_all(client)
        plane.stop("node")


async def forwarded(service: Any) -> bytes:
    """A page of the server, through the kubelet and the runtime's streaming server."""
    first = pb.PortForwardRequest(
        pod=pb.ContainerReference(namespace="default", pod="server"), port=8080,
        data=b"GET /index.html HTTP/1.0\r\n\r\n",
    )  # fmt: skip
    call = service.PortForward()
    await call.write(first)
    data = b""
    while (answer := await call.read()) is not grpc.aio.EOF:  # type: ignore[attr-defined]
        data += answer.data
        if answer.half_close:
            break
    call.cancel()
    return data


async def delete_all(client: Client) -> None:
    """Returns when the kubelet has let go of every Pod."""
    page = await client.list_page(Pod, "default")
    left = {pod.metadata.name for pod in page.items}
    for name in left:
        await client.delete(Pod, name or "", "default", grace_seconds=1)
    async with asyncio.timeout(PATIENCE_SECONDS):
        async for batch in client.watch(Pod, "default", resource_version=page.resource_version):
            left -= {
                event.object.metadata.name for event in batch if event.type == "DELETED" and event.object
            }
            if not left:
                return
