"""Our runtime and a real containerd behind one face, for tests that both must pass.

Both are asked over their unix socket, with images they have already. What is true of one of them only
stands in `Runtime.ours` and is said in the test that needs it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path

import grpc.aio
import pytest

from services.pb.runtime.v1 import api_pb2 as pb
from services.pb.runtime.v1.api_pb2_grpc import ImageServiceStub, RuntimeServiceStub
from tests.contract.cri_bench import cri
from tests.support.containerd import Containerd

IMAGE = "docker.io/library/busybox:latest"
PATIENCE_SECONDS = 60.0
_numbers = count(1)


class Runtime:
    def __init__(self, channel: grpc.aio.Channel, logs: Path, *, ours: bool, host_network: bool) -> None:
        self.channel = channel
        self.cri, self.images = RuntimeServiceStub(channel), ImageServiceStub(channel)
        self.logs, self.ours, self.host_network = logs, ours, host_network

    def config(self, name: str = "") -> pb.PodSandboxConfig:
        name = name or f"pod-{next(_numbers)}"
        config = pb.PodSandboxConfig(
            metadata=pb.PodSandboxMetadata(name=name, uid=f"uid-{name}", namespace="default"),
            log_directory=str(self.logs / name),
            labels={"pod": name},
            annotations={"note": "kept"},
        )
        if self.host_network:
            config.linux.security_context.namespace_options.network = pb.NODE
        else:
            config.hostname = name
        return config

    async def sandbox(self, config: pb.PodSandboxConfig | None = None) -> Pod:
        config = config or self.config()
        answer = await self.cri.RunPodSandbox(pb.RunPodSandboxRequest(config=config))
        return Pod(self, answer.pod_sandbox_id, config)


class Pod:
    """A sandbox, and what tests do in it."""

    def __init__(self, runtime: Runtime, identifier: str, config: pb.PodSandboxConfig) -> None:
        self.runtime, self.id, self.config = runtime, identifier, config

    async def create(self, *command: str, name: str = "main", **more: object) -> str:
        config = pb.ContainerConfig(
            metadata=pb.ContainerMetadata(name=name),
            image=pb.ImageSpec(image=IMAGE),
            command=command,
            log_path=f"{name}.log",
            labels={"container": name},
            **more,  # type: ignore[arg-type]
        )
        # As the kubelet asks for it; without it processes of all containers see each other.
        config.linux.security_context.namespace_options.pid = pb.CONTAINER
        request = pb.CreateContainerRequest(pod_sandbox_id=self.id, config=config, sandbox_config=self.config)
        return (await self.runtime.cri.CreateContainer(request)).container_id

    async def start(self, *command: str, name: str = "main", **more: object) -> str:
        identifier = await self.create(*command, name=name, **more)
        await self.runtime.cri.StartContainer(pb.StartContainerRequest(container_id=identifier))
        return identifier

    async def status(self, container: str) -> pb.ContainerStatus:
        request = pb.ContainerStatusRequest(container_id=container)
        return (await self.runtime.cri.ContainerStatus(request)).status

    async def ended(self, container: str) -> pb.ContainerStatus:
        """CRI before events has no other way to wait than to ask again."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while (status := await self.status(container)).state != pb.CONTAINER_EXITED:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        return status

    async def says(self, container: str, wanted: bytes, lines: int = 0) -> bytes:
        """Waits for a text in a container's log, and for that many lines."""
        path = Path((await self.status(container)).log_path)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                data = await asyncio.to_thread(_content, path)
                if wanted in data and data.count(b"\n") >= lines:
                    return data
                await asyncio.sleep(0.02)

    async def exec(self, container: str, *command: str, timeout: int = 30) -> pb.ExecSyncResponse:
        request = pb.ExecSyncRequest(container_id=container, cmd=command, timeout=timeout)
        return await self.runtime.cri.ExecSync(request)


def _content(path: Path) -> bytes:
    return path.read_bytes() if path.exists() else b""


async def refusal(call: Awaitable[object]) -> tuple[str, str]:
    """Code and words of a call that must be refused."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code().name, caught.value.details() or ""


@asynccontextmanager
async def our_runtime(root: Path) -> AsyncIterator[Runtime]:
    async with cri(root) as one:
        await one.pull("busybox")
        async with grpc.aio.insecure_channel(f"unix:{one.socket}") as channel:
            yield Runtime(channel, root / "node" / "logs", ours=True, host_network=False)


@asynccontextmanager
async def their_runtime(one: Containerd, root: Path) -> AsyncIterator[Runtime]:
    async with grpc.aio.insecure_channel(f"unix:{one.socket}") as channel, asyncio.timeout(120):
        yield Runtime(channel, root / "logs", ours=False, host_network=not one.has_network)
