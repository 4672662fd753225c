"""runtime.v1 RuntimeService over the machines of this process.

An adapter: finds the machine that the call means, translates, and lets `answers` turn `RuntimeFault` into
a gRPC status. What a call may wait for (a container's end, a command) it awaits on the kernel. Refusals
are containerd's, code and words; `tests/contract/test_cri_and_containerd.py` holds both against each other.
"""

from __future__ import annotations

from services.machinery import trace
from services.pb.runtime.v1 import api_pb2 as pb
from services.runtime import cri_info, wire
from services.runtime.container import Container
from services.runtime.cri_calls import Context, Machines, answers, cause_of
from services.runtime.cri_stats import StatsCalls, carries
from services.runtime.model import ContainerState, RuntimeFault, SandboxState
from services.runtime.sessions import Session, Sessions, run_to_end

RUNTIME_NAME, RUNTIME_VERSION = "containerd", "2.2.0"


class RuntimeService(StatsCalls):
    def __init__(self, machines: Machines, sessions: Sessions) -> None:
        super().__init__(machines)
        self._sessions = sessions

    # -- the runtime itself -------------------------------------------------------------------

    @answers(pb.VersionResponse)
    async def Version(self, request: pb.VersionRequest, context: Context) -> pb.VersionResponse:
        return pb.VersionResponse(
            version="0.1.0",
            runtime_name=RUNTIME_NAME,
            runtime_version=RUNTIME_VERSION,
            runtime_api_version="v1",
        )

    @answers(pb.StatusResponse)
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
            info=cri_info.of_runtime(machine) if request.verbose else {},
            runtime_handlers=[
                pb.RuntimeHandler(name=name, features=pb.RuntimeHandlerFeatures()) for name in ("", "runc")
            ],
            features=pb.RuntimeFeatures(supplemental_groups_policy=True),
        )

    @answers(pb.RuntimeConfigResponse)
    async def RuntimeConfig(
        self, request: pb.RuntimeConfigRequest, context: Context
    ) -> pb.RuntimeConfigResponse:
        return pb.RuntimeConfigResponse(linux=pb.LinuxRuntimeConfiguration(cgroup_driver=pb.SYSTEMD))

    @answers(pb.UpdateRuntimeConfigResponse)
    async def UpdateRuntimeConfig(
        self, request: pb.UpdateRuntimeConfigRequest, context: Context
    ) -> pb.UpdateRuntimeConfigResponse:
        cidr = request.runtime_config.network_config.pod_cidr
        if cidr:
            self._machine(context).set_pod_cidr(cidr)
        return pb.UpdateRuntimeConfigResponse()

    # -- sandboxes ----------------------------------------------------------------------------

    @answers(pb.RunPodSandboxResponse)
    async def RunPodSandbox(
        self, request: pb.RunPodSandboxRequest, context: Context
    ) -> pb.RunPodSandboxResponse:
        if not request.config.HasField("metadata"):
            raise RuntimeFault("UNKNOWN", "sandbox config must include metadata")
        sandbox = self._machine(context).run_sandbox(
            wire.sandbox_config(request.config), request.runtime_handler
        )
        return pb.RunPodSandboxResponse(pod_sandbox_id=sandbox.id)

    @answers(pb.StopPodSandboxResponse)
    async def StopPodSandbox(
        self, request: pb.StopPodSandboxRequest, context: Context
    ) -> pb.StopPodSandboxResponse:
        machine = self._machine(context)
        _named("sandbox", request.pod_sandbox_id)
        await machine.kernel.call(machine.stop_sandbox(request.pod_sandbox_id))
        return pb.StopPodSandboxResponse()

    @answers(pb.RemovePodSandboxResponse)
    async def RemovePodSandbox(
        self, request: pb.RemovePodSandboxRequest, context: Context
    ) -> pb.RemovePodSandboxResponse:
        machine = self._machine(context)
        _named("sandbox", request.pod_sandbox_id)
        await machine.kernel.call(machine.remove_sandbox(request.pod_sandbox_id))
        return pb.RemovePodSandboxResponse()

    @answers(pb.PodSandboxStatusResponse)
    async def PodSandboxStatus(
        self, request: pb.PodSandboxStatusRequest, context: Context
    ) -> pb.PodSandboxStatusResponse:
        machine = self._machine(context)
        sandbox = machine.sandbox(request.pod_sandbox_id)
        return pb.PodSandboxStatusResponse(
            status=wire.sandbox_status(sandbox),
            info=cri_info.of_sandbox(sandbox) if request.verbose else {},
            containers_statuses=[wire.container_status(one) for one in sandbox.containers.values()],
            timestamp=machine.now(),
        )

    @answers(pb.ListPodSandboxResponse)
    async def ListPodSandbox(
        self, request: pb.ListPodSandboxRequest, context: Context
    ) -> pb.ListPodSandboxResponse:
        wanted = request.filter
        items = [
            wire.sandbox_item(sandbox)
            for sandbox in self._machine(context).sandboxes.values()
            if sandbox.id.startswith(wanted.id)
            and (not wanted.HasField("state") or int(sandbox.state) == wanted.state.state)
            and carries(sandbox.config.labels, wanted.label_selector)
        ]
        return pb.ListPodSandboxResponse(items=items)

    @answers(pb.UpdatePodSandboxResourcesResponse)
    async def UpdatePodSandboxResources(
        self, request: pb.UpdatePodSandboxResourcesRequest, context: Context
    ) -> pb.UpdatePodSandboxResourcesResponse:
        self._machine(context).sandbox(request.pod_sandbox_id)
        return pb.UpdatePodSandboxResourcesResponse()

    # -- containers ---------------------------------------------------------------------------

    @answers(pb.CreateContainerResponse)
    async def CreateContainer(
        self, request: pb.CreateContainerRequest, context: Context
    ) -> pb.CreateContainerResponse:
        machine = self._machine(context)
        wire.check_container(machine, request)
        with trace.scope(cause_of(context)):
            container = machine.create_container(
                request.pod_sandbox_id, wire.container_config(request.config)
            )
        return pb.CreateContainerResponse(container_id=container.id)

    @answers(pb.StartContainerResponse)
    async def StartContainer(
        self, request: pb.StartContainerRequest, context: Context
    ) -> pb.StartContainerResponse:
        container = self._container(request.container_id, context)
        if container.state is not ContainerState.CREATED:
            raise RuntimeFault(
                "UNKNOWN",
                f'failed to set starting state for container "{container.id}": {wire.in_state(container)}',
            )
        container.start()
        return pb.StartContainerResponse()

    @answers(pb.StopContainerResponse)
    async def StopContainer(
        self, request: pb.StopContainerRequest, context: Context
    ) -> pb.StopContainerResponse:
        machine = self._machine(context)
        _named("container", request.container_id)
        container = machine.containers.get(request.container_id)
        if container is not None:
            await machine.kernel.call(container.stop(request.timeout))
        return pb.StopContainerResponse()

    @answers(pb.RemoveContainerResponse)
    async def RemoveContainer(
        self, request: pb.RemoveContainerRequest, context: Context
    ) -> pb.RemoveContainerResponse:
        machine = self._machine(context)
        _named("container", request.container_id)
        await machine.kernel.call(machine.remove_container(request.container_id))
        return pb.RemoveContainerResponse()

    @answers(pb.ListContainersResponse)
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
            and carries(container.config.labels, wanted.label_selector)
        ]
        return pb.ListContainersResponse(containers=containers)

    @answers(pb.ContainerStatusResponse)
    async def ContainerStatus(
        self, request: pb.ContainerStatusRequest, context: Context
    ) -> pb.ContainerStatusResponse:
        container = self._container(request.container_id, context)
        status = wire.container_status(container)
        info = cri_info.of_container(container, status) if request.verbose else {}
        return pb.ContainerStatusResponse(status=status, info=info)

    @answers(pb.UpdateContainerResourcesResponse)
    async def UpdateContainerResources(
        self, request: pb.UpdateContainerResourcesRequest, context: Context
    ) -> pb.UpdateContainerResourcesResponse:
        container = self._container(request.container_id, context)
        container.resources = wire.updated_resources(container.resources, request.linux)
        container.watch_memory()
        return pb.UpdateContainerResourcesResponse()

    @answers(pb.ReopenContainerLogResponse)
    async def ReopenContainerLog(
        self, request: pb.ReopenContainerLogRequest, context: Context
    ) -> pb.ReopenContainerLogResponse:
        container = self._container(request.container_id, context)
        if container.state is not ContainerState.RUNNING:
            raise RuntimeFault("UNKNOWN", "container is not running")
        container.log.reopen()
        return pb.ReopenContainerLogResponse()

    @answers(pb.CheckpointContainerResponse)
    async def CheckpointContainer(
        self, request: pb.CheckpointContainerRequest, context: Context
    ) -> pb.CheckpointContainerResponse:
        raise RuntimeFault("UNIMPLEMENTED", "method CheckpointContainer not implemented")

    def _container(self, identifier: str, context: Context) -> Container:
        return self._machine(context).container(identifier)

    # -- commands -----------------------------------------------------------------------------

    @answers(pb.ExecSyncResponse)
    async def ExecSync(self, request: pb.ExecSyncRequest, context: Context) -> pb.ExecSyncResponse:
        container = self._container(request.container_id, context)
        if container.state is not ContainerState.RUNNING:
            raise RuntimeFault("UNKNOWN", f"failed to exec in container: {wire.in_state(container)}")
        status, out, err = await container.kernel.call(
            run_to_end(container, tuple(request.cmd), request.timeout)
        )
        return pb.ExecSyncResponse(stdout=out, stderr=err, exit_code=status)

    @answers(pb.ExecResponse)
    async def Exec(self, request: pb.ExecRequest, context: Context) -> pb.ExecResponse:
        wire.check_streams(request, "one of stdin, stdout, or stderr must be set")
        container = self._running(request.container_id, context)
        session = Session(container, tuple(request.cmd), request.tty, request.stdin)
        return pb.ExecResponse(url=self._sessions.open(session))

    @answers(pb.AttachResponse)
    async def Attach(self, request: pb.AttachRequest, context: Context) -> pb.AttachResponse:
        wire.check_streams(request, "one of stdin, stdout, and stderr must be set")
        container = self._running(request.container_id, context)
        return pb.AttachResponse(url=self._sessions.open(Session(container, (), request.tty, request.stdin)))

    def _running(self, identifier: str, context: Context) -> Container:
        container = self._container(identifier, context)
        if container.state is not ContainerState.RUNNING:
            raise RuntimeFault("UNKNOWN", wire.in_state(container))
        return container

    @answers(pb.PortForwardResponse)
    async def PortForward(self, request: pb.PortForwardRequest, context: Context) -> pb.PortForwardResponse:
        machine = self._machine(context)
        sandbox = machine.sandbox(request.pod_sandbox_id)
        if sandbox.state is not SandboxState.READY:
            raise RuntimeFault("UNKNOWN", "sandbox container is not running")
        return pb.PortForwardResponse(url=self._sessions.open((machine, sandbox)))


def _named(kind: str, identifier: str) -> None:
    """What is gone may be stopped and removed again; what has no name may not."""
    if not identifier:
        raise RuntimeFault("UNKNOWN", f'an error occurred when try to find {kind} "": Prefix can\'t be empty')
