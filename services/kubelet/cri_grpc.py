"""`Cri` over gRPC, as our own runtime speaks it; `cri_plain` is for all others.

One channel serves all machines of a process; each call names its own in the metadata entry
`orrery-node`, which other runtimes ignore. Exec, attach, port-forward, probes and logs use
`orrery.runtime.v1` beside the CRI, as protos/runtime/v1/streaming.proto explains. Faults become
CriError with gRPC's code as Go writes it, so that messages read as upstream's.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio
from grpc.aio import EOF  # type: ignore[attr-defined]

from services.kubelet.cri import (
    Connection,
    ContainerConfig,
    CriError,
    Duplex,
    ExecResult,
    FilesystemUsage,
    HttpAnswer,
    ImageRecord,
    PodRecord,
    RegistryAuth,
    Removed,
    Resources,
    RuntimeInfo,
    SandboxConfig,
    SandboxUsage,
    Terminal,
    Usage,
)
from services.kubelet.cri_messages import (
    as_cri_error,
    condition_text,
    container_message,
    container_records,
    go_code,
    image_record,
    resources_message,
    sandbox_message,
    sandbox_record,
    sandbox_usage_record,
    stream_token,
    usage_record,
)
from services.kubelet.cri_streams import GrpcDuplex, GrpcTerminal
from services.machinery import trace
from services.pb.runtime.v1 import api_pb2 as pb
from services.pb.runtime.v1 import api_pb2_grpc as rpc
from services.pb.runtime.v1 import streaming_pb2 as stream_pb
from services.pb.runtime.v1 import streaming_pb2_grpc as stream_rpc

NODE_KEY = "orrery-node"
MESSAGE_BYTES_MAX = 64 * 1024 * 1024
_OPTIONS = (
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2000),
)


@asynccontextmanager
async def runtime_channel(endpoint: str) -> AsyncIterator[grpc.aio.Channel]:
    """`endpoint` is `unix:///path` as in upstream's --container-runtime-endpoint."""
    async with grpc.aio.insecure_channel(endpoint, options=_OPTIONS) as channel:
        yield channel


class GrpcCri:
    """One machine's runtime at the other end of a channel. `node` may be empty: the only one there."""

    def __init__(self, channel: grpc.aio.Channel, node: str = "") -> None:
        self._runtime = rpc.RuntimeServiceStub(channel)
        self._images = rpc.ImageServiceStub(channel)
        self._streaming: Any = stream_rpc.StreamingServiceStub(channel)
        self._plain = ((NODE_KEY, node),) if node else ()

    @property
    def _metadata(self) -> tuple[tuple[str, str], ...]:
        cause = trace.current()
        return (*self._plain, ("traceparent", cause)) if cause else self._plain

    async def _call(self, method: Callable[..., Any], request: Any, timeout: float | None = None) -> Any:
        try:
            return await method(request, metadata=self._metadata, timeout=timeout)
        except grpc.aio.AioRpcError as error:
            raise as_cri_error(error) from error

    # ---- The machine -------------------------------------------------------------------------

    async def info(self) -> RuntimeInfo:
        version = await self._call(self._runtime.Version, pb.VersionRequest(version="v1"))
        answer = await self._call(self._runtime.Status, pb.StatusRequest())
        messages = {c.type: "" if c.status else condition_text(c) for c in answer.status.conditions}
        return RuntimeInfo(
            name=version.runtime_name,
            version=version.runtime_version,
            runtime_message=messages.get("RuntimeReady", ""),
            network_message=messages.get("NetworkReady", ""),
        )

    async def set_pod_cidr(self, cidr: str) -> None:
        config = pb.RuntimeConfig(network_config=pb.NetworkConfig(pod_cidr=cidr))
        await self._call(
            self._runtime.UpdateRuntimeConfig, pb.UpdateRuntimeConfigRequest(runtime_config=config)
        )

    # ---- Sandboxes ---------------------------------------------------------------------------

    async def run_sandbox(self, config: SandboxConfig) -> str:
        answer = await self._call(
            self._runtime.RunPodSandbox,
            pb.RunPodSandboxRequest(config=sandbox_message(config), runtime_handler=config.runtime_handler),
        )
        return str(answer.pod_sandbox_id)

    async def stop_sandbox(self, sandbox_id: str) -> None:
        await self._call(self._runtime.StopPodSandbox, pb.StopPodSandboxRequest(pod_sandbox_id=sandbox_id))

    async def remove_sandbox(self, sandbox_id: str) -> None:
        await self._call(
            self._runtime.RemovePodSandbox, pb.RemovePodSandboxRequest(pod_sandbox_id=sandbox_id)
        )

    async def pod(self, sandbox_id: str) -> PodRecord:
        answer = await self._call(
            self._runtime.PodSandboxStatus, pb.PodSandboxStatusRequest(pod_sandbox_id=sandbox_id)
        )
        return PodRecord(
            sandbox=sandbox_record(answer.status), containers=container_records(answer.containers_statuses)
        )

    async def list_pods(self) -> list[PodRecord]:
        found = await self._call(self._runtime.ListPodSandbox, pb.ListPodSandboxRequest())
        records = []
        for item in found.items:
            try:
                records.append(await self.pod(item.id))
            except CriError as error:
                if error.code != "NotFound":  # Removed since the list was made.
                    raise
        return records

    async def events(self) -> AsyncIterator[PodRecord | Removed]:
        call = self._runtime.GetContainerEvents(pb.GetEventsRequest(), metadata=self._plain)
        try:
            async for event in call:
                if not event.HasField("pod_sandbox_status"):
                    yield Removed(event.container_id)
                else:
                    yield PodRecord(
                        sandbox=sandbox_record(event.pod_sandbox_status),
                        containers=container_records(event.containers_statuses),
                    )
        except grpc.aio.AioRpcError as error:
            raise as_cri_error(error) from error
        finally:
            call.cancel()

    # ---- Containers --------------------------------------------------------------------------

    async def create_container(self, sandbox_id: str, config: ContainerConfig, sandbox: SandboxConfig) -> str:
        request = pb.CreateContainerRequest(
            pod_sandbox_id=sandbox_id,
            config=container_message(config),
            sandbox_config=sandbox_message(sandbox),
        )
        answer = await self._call(self._runtime.CreateContainer, request)
        return str(answer.container_id)

    async def start_container(self, container_id: str) -> None:
        await self._call(self._runtime.StartContainer, pb.StartContainerRequest(container_id=container_id))

    async def stop_container(self, container_id: str, grace_seconds: int) -> None:
        request = pb.StopContainerRequest(container_id=container_id, timeout=grace_seconds)
        await self._call(self._runtime.StopContainer, request)

    async def remove_container(self, container_id: str) -> None:
        await self._call(self._runtime.RemoveContainer, pb.RemoveContainerRequest(container_id=container_id))

    async def reopen_log(self, container_id: str) -> None:
        request = pb.ReopenContainerLogRequest(container_id=container_id)
        await self._call(self._runtime.ReopenContainerLog, request)

    async def update_resources(self, container_id: str, resources: Resources) -> None:
        request = pb.UpdateContainerResourcesRequest(
            container_id=container_id, linux=resources_message(resources)
        )
        await self._call(self._runtime.UpdateContainerResources, request)

    # ---- Images ------------------------------------------------------------------------------

    async def image(self, name: str) -> ImageRecord | None:
        answer = await self._call(
            self._images.ImageStatus, pb.ImageStatusRequest(image=pb.ImageSpec(image=name))
        )
        return image_record(answer.image) if answer.HasField("image") else None

    async def images(self) -> list[ImageRecord]:
        answer = await self._call(self._images.ListImages, pb.ListImagesRequest())
        return [image_record(image) for image in answer.images]

    async def remove_image(self, image: str) -> None:
        await self._call(self._images.RemoveImage, pb.RemoveImageRequest(image=pb.ImageSpec(image=image)))

    async def pull_image(self, name: str, auth: RegistryAuth | None = None) -> str:
        request = pb.PullImageRequest(image=pb.ImageSpec(image=name))
        if auth is not None:
            request.auth.username, request.auth.password = auth.username, auth.password
            request.auth.auth, request.auth.server_address = auth.auth, auth.server_address
        return str((await self._call(self._images.PullImage, request)).image_ref)

    # ---- Inside a container ------------------------------------------------------------------

    async def exec_sync(self, container_id: str, command: Sequence[str], timeout_seconds: int) -> ExecResult:
        request = pb.ExecSyncRequest(container_id=container_id, cmd=command, timeout=timeout_seconds)
        answer = await self._call(self._runtime.ExecSync, request)
        return ExecResult(stdout=answer.stdout, stderr=answer.stderr, exit_code=answer.exit_code)

    async def http(
        self,
        ip: str,
        port: int,
        path: str,
        *,
        scheme: str,
        headers: Sequence[tuple[str, str]],
        timeout_seconds: float,
    ) -> HttpAnswer:
        request = stream_pb.HttpRequest(
            ip=ip,
            port=port,
            path=path,
            scheme=scheme.lower(),
            timeout_seconds=timeout_seconds,
            headers=[stream_pb.Header(name=name, value=value) for name, value in headers],
        )
        answer = await self._call(self._streaming.Http, request)
        location = next((h.value for h in answer.headers if h.name.lower() == "location"), "")
        return HttpAnswer(status=answer.status, body=answer.body, location=location)

    async def dial(self, ip: str, port: int, timeout_seconds: float) -> None:
        call = self._streaming.Connect(metadata=self._metadata, timeout=timeout_seconds)
        try:
            await call.write(stream_pb.ConnectRequest(ip=ip, port=port))
            if await call.read() is EOF:
                raise CriError("Unavailable", f"dial tcp {ip}:{port}: connect: connection refused")
        except grpc.aio.AioRpcError as error:
            raise as_cri_error(error) from error
        except asyncio.InvalidStateError as error:
            # The call ended before the first message could be written.
            raise CriError(go_code(await call.code()), await call.details() or "") from error
        finally:
            call.cancel()

    async def connect(self, ip: str, port: int) -> Connection:
        call = self._streaming.Connect(metadata=self._metadata)
        return await GrpcDuplex.open(call, stream_pb.ConnectRequest(ip=ip, port=port))

    async def forward(self, sandbox_id: str, port: int) -> Duplex:
        answer = await self._call(
            self._runtime.PortForward, pb.PortForwardRequest(pod_sandbox_id=sandbox_id, port=[port])
        )
        call = self._streaming.PortForward(metadata=self._metadata)
        return await GrpcDuplex.open(
            call, stream_pb.ConnectRequest(token=stream_token(answer.url), port=port)
        )

    async def exec(
        self, container_id: str, command: Sequence[str], *, stdin: bool, tty: bool, stderr: bool
    ) -> Terminal:
        request = pb.ExecRequest(
            container_id=container_id, cmd=command, stdin=stdin, tty=tty, stdout=True, stderr=stderr
        )
        answer = await self._call(self._runtime.Exec, request)
        return await GrpcTerminal.open(
            self._streaming.Exec(metadata=self._metadata), stream_token(answer.url)
        )

    async def attach(self, container_id: str, *, stdin: bool, tty: bool, stderr: bool) -> Terminal:
        request = pb.AttachRequest(
            container_id=container_id, stdin=stdin, tty=tty, stdout=True, stderr=stderr
        )
        answer = await self._call(self._runtime.Attach, request)
        return await GrpcTerminal.open(
            self._streaming.Attach(metadata=self._metadata), stream_token(answer.url)
        )

    async def read_log(
        self, container_id: str, *, follow: bool, tail_lines: int | None = None
    ) -> AsyncIterator[bytes]:
        request = stream_pb.ReadLogRequest(container_id=container_id, follow=follow, tail_lines=tail_lines)
        call = self._streaming.ReadLog(request, metadata=self._metadata)
        try:
            async for chunk in call:
                yield chunk.data
        except grpc.aio.AioRpcError as error:
            raise as_cri_error(error) from error
        finally:
            call.cancel()

    async def usage(self) -> list[Usage]:
        answer = await self._call(self._runtime.ListContainerStats, pb.ListContainerStatsRequest())
        return [usage_record(stats) for stats in answer.stats]

    async def sandbox_usage(self) -> list[SandboxUsage]:
        answer = await self._call(self._runtime.ListPodSandboxStats, pb.ListPodSandboxStatsRequest())
        return [sandbox_usage_record(stats) for stats in answer.stats]

    async def image_filesystem(self) -> FilesystemUsage:
        answer = await self._call(self._images.ImageFsInfo, pb.ImageFsInfoRequest())
        return FilesystemUsage(
            used_bytes=sum(one.used_bytes.value for one in answer.image_filesystems),
            inodes_used=sum(one.inodes_used.value for one in answer.image_filesystems),
        )
