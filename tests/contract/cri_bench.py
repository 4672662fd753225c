"""A CRI endpoint to hold to its contract: our runtime behind a unix socket, with a registry beside it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import grpc.aio

from services.pb.runtime.v1 import api_pb2 as pb
from services.pb.runtime.v1.api_pb2_grpc import ImageServiceStub, RuntimeServiceStub
from services.pb.runtime.v1.streaming_pb2_grpc import StreamingServiceStub
from services.process.clock import SystemClock
from services.process.logging import get_logger
from services.registry.server import registry_server
from services.runtime.server import runtime_server

Metadata = tuple[tuple[str, str], ...]


class Cri:
    """The services of one endpoint, and short ways to say what tests say often."""

    def __init__(self, channel: grpc.aio.Channel, socket: str, root: Path) -> None:
        self.runtime = RuntimeServiceStub(channel)
        self.images = ImageServiceStub(channel)
        self.streams = StreamingServiceStub(channel)
        self.socket, self.root = socket, root

    async def configure(self, cidr: str = "10.244.1.0/24", metadata: Metadata = ()) -> None:
        network = pb.NetworkConfig(pod_cidr=cidr)
        config = pb.RuntimeConfig(network_config=network)
        await self.runtime.UpdateRuntimeConfig(
            pb.UpdateRuntimeConfigRequest(runtime_config=config), metadata=metadata
        )

    async def sandbox(self, name: str = "web", attempt: int = 0, metadata: Metadata = ()) -> str:
        config = pb.PodSandboxConfig(
            metadata=pb.PodSandboxMetadata(
                name=name, uid=f"uid-{name}", namespace="default", attempt=attempt
            ),
            hostname=name,
            log_directory=f"/var/log/pods/default_{name}_uid-{name}",
            labels={"io.kubernetes.pod.name": name},
        )
        answer = await self.runtime.RunPodSandbox(pb.RunPodSandboxRequest(config=config), metadata=metadata)
        return answer.pod_sandbox_id

    async def pull(self, image: str, metadata: Metadata = ()) -> str:
        request = pb.PullImageRequest(image=pb.ImageSpec(image=image))
        return (await self.images.PullImage(request, metadata=metadata)).image_ref

    async def create(
        self, sandbox: str, image: str, *command: str, name: str = "main", attempt: int = 0
    ) -> str:
        config = pb.ContainerConfig(
            metadata=pb.ContainerMetadata(name=name, attempt=attempt),
            image=pb.ImageSpec(image=await self.pull(image), user_specified_image=image),
            command=command,
            labels={"io.kubernetes.container.name": name},
            log_path=f"{name}/{attempt}.log",
        )
        # As a kubelet has it: each container has process numbers of its own.
        config.linux.security_context.namespace_options.pid = pb.CONTAINER
        request = pb.CreateContainerRequest(pod_sandbox_id=sandbox, config=config)
        return (await self.runtime.CreateContainer(request)).container_id

    async def start(self, sandbox: str, image: str, *command: str, name: str = "main") -> str:
        identifier = await self.create(sandbox, image, *command, name=name)
        await self.runtime.StartContainer(pb.StartContainerRequest(container_id=identifier))
        return identifier

    async def status(self, container: str) -> pb.ContainerStatus:
        return (await self.runtime.ContainerStatus(pb.ContainerStatusRequest(container_id=container))).status

    async def exec(self, container: str, *command: str, timeout: int = 10) -> pb.ExecSyncResponse:
        return await self.runtime.ExecSync(
            pb.ExecSyncRequest(container_id=container, cmd=command, timeout=timeout)
        )

    async def ended(self, container: str) -> pb.ContainerStatus:
        """Waits for the end by reading its log to the end: the log closes with the container."""
        from services.pb.runtime.v1 import streaming_pb2

        async for _ in self.streams.ReadLog(
            streaming_pb2.ReadLogRequest(container_id=container, follow=True)
        ):
            pass
        return await self.status(container)


@asynccontextmanager
async def cri(root: Path) -> AsyncIterator[Cri]:
    clock, log = SystemClock(), get_logger("runtime")
    socket = str(root / "cri.sock")
    async with (
        registry_server("127.0.0.1", 0, clock=clock, log=log) as port,
        runtime_server(
            socket, clock=clock, random=Random(1), registry_address=f"127.0.0.1:{port}",
            root_dir=root / "node",
            log=log,
        ),
        grpc.aio.insecure_channel(f"unix:{socket}") as channel,
        asyncio.timeout(60),
    ):  # fmt: skip
        endpoint = Cri(channel, socket, root / "node")
        await endpoint.configure()
        yield endpoint
