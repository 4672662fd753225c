"""runtime.v1 RuntimeService over the machines of this process.

An adapter: finds the machine that the call means, translates, and turns `RuntimeFault` into a gRPC
status. What a call may wait for (a container's end, a command) it awaits on the kernel.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, NoReturn

import grpc.aio

from services.machinery import trace
from services.pb.runtime.v1 import api_pb2 as pb
from services.pb.runtime.v1.api_pb2_grpc import RuntimeServiceServicer
from services.runtime import wire
from services.runtime.container import Container
from services.runtime.machine import Machine
from services.runtime.model import EventType, RuntimeFault
from services.runtime.sandbox import Sandbox
from services.runtime.sessions import Session, Sessions, run_to_end

NODE_METADATA = "orrery-node"
EVENTS_WAITING_MAX = 10_000
RUNTIME_NAME, RUNTIME_VERSION = "containerd", "2.2.0"

Context = grpc.aio.ServicerContext[Any, Any]
Machines = Callable[[str], Machine]


async def refuse(context: Context, fault: RuntimeFault) -> NoReturn:
    await context.abort(getattr(grpc.StatusCode, fault.code), str(fault))


def node_of(context: Context) -> str:
    for key, value in context.invocation_metadata() or ():
        if key == NODE_METADATA:
            return value if isinstance(value, str) else value.decode()
    return ""


def cause_of(context: Context) -> str:
    """The traceparent of the call: what the kubelet does this for."""
    for key, value in context.invocation_metadata() or ():
        if key == "traceparent":
            return value if isinstance(value, str) else value.decode()
    return ""


class RuntimeService(RuntimeServiceServicer):
    def __init__(self, machines: Machines, sessions: Sessions) -> None:
        self._machines = machines
        self._sessions = sessions

    def _machine(self, context: Context) -> Machine:
        return self._machines(node_of(context))

    # -- the runtime itself -------------------------------------------------------------------

    async def Version(self, request: pb.VersionRequest, context: Context) -> pb.VersionResponse:
        return pb.VersionResponse(
            version="0.1.0",
            runtime_name=RUNTIME_NAME,
            runtime_version=RUNTIME_VERSION,
            runtime_api_version="v1",
        )

    async def Status(self, request: pb.StatusRequest, context: Context) -> pb.StatusResponse:
        machine = self._machine(context)
        network = pb.RuntimeCondition(type="NetworkReady", status=machine.network_ready)
        if not machine.network_ready:
            network.reason = "NetworkPluginNotReady"
            network.message = "Network plugin returns error: cni plugin not initialized"
        return pb.StatusResponse(
            status=pb.RuntimeStatus(
                conditions=[pb.RuntimeCondition(type="RuntimeReady", status=True), network]
            ),
            runtime_handlers=[
                pb.RuntimeHandler(name=name, features=pb.RuntimeHandlerFeatures()) for name in ("", "runc")
            ],
            features=pb.RuntimeFeatures(supplemental_groups_policy=True),
        )

    async def RuntimeConfig(
        self, request: pb.RuntimeConfigRequest, context: Context
    ) -> pb.RuntimeConfigResponse:
        return pb.RuntimeConfigResponse(linux=pb.LinuxRuntimeConfiguration(cgroup_driver=pb.SYSTEMD))

    async def UpdateRuntimeConfig(
        self, request: pb.UpdateRuntimeConfigRequest, context: Context
    ) -> pb.UpdateRuntimeConfigResponse:
        cidr = request.runtime_config.network_config.pod_cidr
        if cidr:
            try:
                self._machine(context).set_pod_cidr(cidr)
            except RuntimeFault as fault:
                await refuse(context, fault)
        return pb.UpdateRuntimeConfigResponse()

    # -- sandboxes ----------------------------------------------------------------------------

    async def RunPodSandbox(
        self, request: pb.RunPodSandboxRequest, context: Context
    ) -> pb.RunPodSandboxResponse:
        try:
            sandbox = self._machine(context).run_sandbox(
                wire.sandbox_config(request.config), request.runtime_handler
            )
        except RuntimeFault as fault:
            await refuse(context, fault)
        return pb.RunPodSandboxResponse(pod_sandbox_id=sandbox.id)

    async def StopPodSandbox(
        self, request: pb.StopPodSandboxRequest, context: Context
    ) -> pb.StopPodSandboxResponse:
        machine = self._machine(context)
        await machine.kernel.call(machine.stop_sandbox(request.pod_sandbox_id))
        return pb.StopPodSandboxResponse()

    async def RemovePodSandbox(
        self, request: pb.RemovePodSandboxRequest, context: Context
    ) -> pb.RemovePodSandboxResponse:
        machine = self._machine(context)
        await machine.kernel.call(machine.remove_sandbox(request.pod_sandbox_id))
        return pb.RemovePodSandboxResponse()

    async def PodSandboxStatus(
        self, request: pb.PodSandboxStatusRequest, context: Context
    ) -> pb.PodSandboxStatusResponse:
        machine = self._machine(context)
        sandbox = await self._sandbox(request.pod_sandbox_id, context)
        return pb.PodSandboxStatusResponse(
            status=wire.sandbox_status(sandbox),
            containers_statuses=[wire.container_status(one) for one in sandbox.containers.values()],
            timestamp=machine.now(),
        )

    async def ListPodSandbox(
        self, request: pb.ListPodSandboxRequest, context: Context
    ) -> pb.ListPodSandboxResponse:
        wanted = request.filter
        items = [
            wire.sandbox_item(sandbox)
            for sandbox in self._machine(context).sandboxes.values()
            if sandbox.id.startswith(wanted.id)
            and (not wanted.HasField("state") or int(sandbox.state) == wanted.state.state)
            and _carries(sandbox.config.labels, wanted.label_selector)
        ]
        return pb.ListPodSandboxResponse(items=items)

    async def UpdatePodSandboxResources(
        self, request: pb.UpdatePodSandboxResourcesRequest, context: Context
    ) -> pb.UpdatePodSandboxResourcesResponse:
        await self._sandbox(request.pod_sandbox_id, context)
        return pb.UpdatePodSandboxResourcesResponse()

    async def _sandbox(self, identifier: str, context: Context) -> Sandbox:
        try:
            return self._machine(context).sandbox(identifier)
        except RuntimeFault as fault:
            await refuse(context, fault)

    # -- containers ---------------------------------------------------------------------------

    async def CreateContainer(
        self, request: pb.CreateContainerRequest, context: Context
    ) -> pb.CreateContainerResponse:
        try:
            with trace.scope(cause_of(context)):
                container = self._machine(context).create_container(
                    request.pod_sandbox_id, wire.container_config(request.config)
                )
        except RuntimeFault as fault:
            await refuse(context, fault)
        return pb.CreateContainerResponse(container_id=container.id)

    async def StartContainer(
        self, request: pb.StartContainerRequest, context: Context
    ) -> pb.StartContainerResponse:
        container = await self._container(request.container_id, context)
        try:
            container.start()
        except RuntimeFault as fault:
            await refuse(context, fault)
        return pb.StartContainerResponse()

    async def StopContainer(
        self, request: pb.StopContainerRequest, context: Context
    ) -> pb.StopContainerResponse:
        machine = self._machine(context)
        container = machine.containers.get(request.container_id)
        if container is not None:
            await machine.kernel.call(container.stop(request.timeout))
        return pb.StopContainerResponse()

    async def RemoveContainer(
        self, request: pb.RemoveContainerRequest, context: Context
    ) -> pb.RemoveContainerResponse:
        machine = self._machine(context)
        await machine.kernel.call(machine.remove_container(request.container_id))
        return pb.RemoveContainerResponse()

    async def ListContainers(
        self, request: pb.ListContainersRequest, context: Context
    ) -> pb.ListContainersResponse:
        wanted = request.filter
        containers = [
            wire.container_item(container)
            for container in self._machine(context).containers.values()
            if container.id.startswith(wanted.id)
            and container.sandbox.id.startswith(wanted.pod_sandbox_id)
            and (not wanted.HasField("state") or int(container.state) == wanted.state.state)
            and _carries(container.config.labels, wanted.label_selector)
        ]
        return pb.ListContainersResponse(containers=containers)

    async def ContainerStatus(
        self, request: pb.ContainerStatusRequest, context: Context
    ) -> pb.ContainerStatusResponse:
        container = await self._container(request.container_id, context)
        return pb.ContainerStatusResponse(status=wire.container_status(container))

    async def UpdateContainerResources(
        self, request: pb.UpdateContainerResourcesRequest, context: Context
    ) -> pb.UpdateContainerResourcesResponse:
        container = await self._container(request.container_id, context)
        container.resources = wire.resources(request.linux)
        container.watch_memory()
        return pb.UpdateContainerResourcesResponse()

    async def ReopenContainerLog(
        self, request: pb.ReopenContainerLogRequest, context: Context
    ) -> pb.ReopenContainerLogResponse:
        (await self._container(request.container_id, context)).log.reopen()
        return pb.ReopenContainerLogResponse()

    async def _container(self, identifier: str, context: Context) -> Container:
        try:
            return self._machine(context).container(identifier)
        except RuntimeFault as fault:
            await refuse(context, fault)

    # -- commands -----------------------------------------------------------------------------

    async def ExecSync(self, request: pb.ExecSyncRequest, context: Context) -> pb.ExecSyncResponse:
        container = await self._container(request.container_id, context)
        try:
            status, out, err = await container.kernel.call(
                run_to_end(container, tuple(request.cmd), request.timeout)
            )
        except RuntimeFault as fault:
            await refuse(context, fault)
        return pb.ExecSyncResponse(stdout=out, stderr=err, exit_code=status)

    async def Exec(self, request: pb.ExecRequest, context: Context) -> pb.ExecResponse:
        container = await self._container(request.container_id, context)
        session = Session(container, tuple(request.cmd), request.tty, request.stdin)
        return pb.ExecResponse(url=self._sessions.open(session))

    async def Attach(self, request: pb.AttachRequest, context: Context) -> pb.AttachResponse:
        container = await self._container(request.container_id, context)
        return pb.AttachResponse(url=self._sessions.open(Session(container, (), request.tty, request.stdin)))

    async def PortForward(self, request: pb.PortForwardRequest, context: Context) -> pb.PortForwardResponse:
        sandbox = await self._sandbox(request.pod_sandbox_id, context)
        return pb.PortForwardResponse(url=self._sessions.open((self._machine(context), sandbox)))

    # -- usage --------------------------------------------------------------------------------

    async def ContainerStats(
        self, request: pb.ContainerStatsRequest, context: Context
    ) -> pb.ContainerStatsResponse:
        container = await self._container(request.container_id, context)
        return pb.ContainerStatsResponse(stats=wire.container_stats(container))

    async def ListContainerStats(
        self, request: pb.ListContainerStatsRequest, context: Context
    ) -> pb.ListContainerStatsResponse:
        wanted = request.filter
        return pb.ListContainerStatsResponse(
            stats=[
                wire.container_stats(container)
                for container in self._machine(context).running()
                if container.id.startswith(wanted.id)
                and container.sandbox.id.startswith(wanted.pod_sandbox_id)
                and _carries(container.config.labels, wanted.label_selector)
            ]
        )

    async def PodSandboxStats(
        self, request: pb.PodSandboxStatsRequest, context: Context
    ) -> pb.PodSandboxStatsResponse:
        sandbox = await self._sandbox(request.pod_sandbox_id, context)
        return pb.PodSandboxStatsResponse(stats=wire.sandbox_stats(sandbox, self._machine(context).now()))

    async def ListPodSandboxStats(
        self, request: pb.ListPodSandboxStatsRequest, context: Context
    ) -> pb.ListPodSandboxStatsResponse:
        machine, wanted = self._machine(context), request.filter
        return pb.ListPodSandboxStatsResponse(
            stats=[
                wire.sandbox_stats(sandbox, machine.now())
                for sandbox in machine.sandboxes.values()
                if sandbox.id.startswith(wanted.id) and _carries(sandbox.config.labels, wanted.label_selector)
            ]
        )

    # -- events -------------------------------------------------------------------------------

    async def GetContainerEvents(
        self, request: pb.GetEventsRequest, context: Context
    ) -> AsyncIterator[pb.ContainerEventResponse]:
        machine = self._machine(context)
        queue: asyncio.Queue[pb.ContainerEventResponse] = asyncio.Queue(EVENTS_WAITING_MAX)
        behind = False

        def on_event(kind: EventType, identifier: str, sandbox: Sandbox) -> None:
            nonlocal behind
            if queue.full():
                behind = True
                return
            queue.put_nowait(_event(machine, kind, identifier, sandbox))

        machine.subscribers.append(on_event)
        try:
            # Tells the reader that nothing is missed from here on.
            await context.send_initial_metadata(())
            while not behind:
                yield await queue.get()
        finally:
            machine.subscribers.remove(on_event)
        await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "the reader of container events is too slow")


def _event(machine: Machine, kind: EventType, identifier: str, sandbox: Sandbox) -> pb.ContainerEventResponse:
    message = pb.ContainerEventResponse(
        container_id=identifier,
        container_event_type=int(kind),  # type: ignore[arg-type]
        created_at=machine.now(),
        containers_statuses=[wire.container_status(one) for one in sandbox.containers.values()],
    )
    if sandbox.id in machine.sandboxes:
        message.pod_sandbox_status.CopyFrom(wire.sandbox_status(sandbox))
    return message


def _carries(labels: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    return not wanted or all(labels.get(key) == value for key, value in wanted.items())
