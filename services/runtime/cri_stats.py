"""The part of runtime.v1 RuntimeService that measures and tells: stats, metrics, events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping

import grpc

from services.pb.runtime.v1 import api_pb2 as pb
from services.pb.runtime.v1.api_pb2_grpc import RuntimeServiceServicer
from services.runtime import metrics, wire
from services.runtime.cri_calls import Context, Machines, answers, node_of
from services.runtime.machine import Machine
from services.runtime.model import ContainerState, EventType, RuntimeFault
from services.runtime.sandbox import Sandbox

EVENTS_WAITING_MAX = 10_000


class StatsCalls(RuntimeServiceServicer):
    def __init__(self, machines: Machines) -> None:
        self._machines = machines

    def _machine(self, context: Context) -> Machine:
        return self._machines(node_of(context))

    # -- usage --------------------------------------------------------------------------------

    @answers(pb.ContainerStatsResponse)
    async def ContainerStats(
        self, request: pb.ContainerStatsRequest, context: Context
    ) -> pb.ContainerStatsResponse:
        container = self._machine(context).container(request.container_id)
        if container.state is not ContainerState.RUNNING:
            raise RuntimeFault("UNKNOWN", "unexpected metrics response: []")
        return pb.ContainerStatsResponse(stats=wire.container_stats(container))

    @answers(pb.ListContainerStatsResponse)
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
                and carries(container.config.labels, wanted.label_selector)
            ]
        )

    @answers(pb.PodSandboxStatsResponse)
    async def PodSandboxStats(
        self, request: pb.PodSandboxStatsRequest, context: Context
    ) -> pb.PodSandboxStatsResponse:
        machine = self._machine(context)
        sandbox = machine.sandbox(request.pod_sandbox_id)
        return pb.PodSandboxStatsResponse(stats=wire.sandbox_stats(sandbox, machine.now()))

    @answers(pb.ListPodSandboxStatsResponse)
    async def ListPodSandboxStats(
        self, request: pb.ListPodSandboxStatsRequest, context: Context
    ) -> pb.ListPodSandboxStatsResponse:
        machine, wanted = self._machine(context), request.filter
        return pb.ListPodSandboxStatsResponse(
            stats=[
                wire.sandbox_stats(sandbox, machine.now())
                for sandbox in machine.sandboxes.values()
                if sandbox.id.startswith(wanted.id) and carries(sandbox.config.labels, wanted.label_selector)
            ]
        )

    @answers(pb.ListMetricDescriptorsResponse)
    async def ListMetricDescriptors(
        self, request: pb.ListMetricDescriptorsRequest, context: Context
    ) -> pb.ListMetricDescriptorsResponse:
        return pb.ListMetricDescriptorsResponse(descriptors=metrics.descriptors())

    @answers(pb.ListPodSandboxMetricsResponse)
    async def ListPodSandboxMetrics(
        self, request: pb.ListPodSandboxMetricsRequest, context: Context
    ) -> pb.ListPodSandboxMetricsResponse:
        machine = self._machine(context)
        now = machine.now()
        stats = (wire.sandbox_stats(sandbox, now) for sandbox in machine.sandboxes.values())
        return pb.ListPodSandboxMetricsResponse(pod_metrics=[metrics.of_sandbox(one) for one in stats])

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


def carries(labels: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    return not wanted or all(labels.get(key) == value for key, value in wanted.items())
