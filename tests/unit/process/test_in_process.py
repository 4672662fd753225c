"""A channel within the process looks to a caller as one over a wire does."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import grpc
import grpc.aio
import pytest
import structlog

from services.pb.runtime.v1 import api_pb2 as pb
from services.pb.runtime.v1.api_pb2_grpc import (
    ImageServiceStub,
    RuntimeServiceServicer,
    RuntimeServiceStub,
    add_RuntimeServiceServicer_to_server,
)
from services.process.clock import SystemClock
from services.process.in_process import InProcessChannel, InProcessServer


class Service(RuntimeServiceServicer):
    def __init__(self) -> None:
        self.seen: list[Any] = []
        self.left = asyncio.Event()

    async def Version(self, request: pb.VersionRequest, context: Any) -> pb.VersionResponse:
        self.seen += [request, dict(context.invocation_metadata())]
        if request.version == "refuse":
            await context.abort(grpc.StatusCode.NOT_FOUND, "no such version")
        if request.version == "fault":
            raise KeyError("ours")
        if request.version == "wait":
            await asyncio.get_running_loop().create_future()
        return pb.VersionResponse(version=request.version)

    async def GetContainerEvents(
        self, request: pb.GetEventsRequest, context: Any
    ) -> AsyncIterator[pb.ContainerEventResponse]:
        try:
            for number in range(100):
                yield pb.ContainerEventResponse(container_id=str(number))
        finally:
            self.left.set()
        await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "enough")


@pytest.fixture
def service() -> Service:
    return Service()  # type: ignore[abstract]  # the other methods are not called


@pytest.fixture
async def channel(service: Service) -> AsyncIterator[grpc.aio.Channel]:
    server = InProcessServer()
    add_RuntimeServiceServicer_to_server(service, cast(grpc.aio.Server, server))
    # Nobody listens there: what arrives at the other channel fails.
    async with grpc.aio.insecure_channel("unix:/nowhere/at/all.sock") as rest:
        log = structlog.wrap_logger(structlog.testing.CapturingLogger())
        yield cast(grpc.aio.Channel, InProcessChannel(server, rest, SystemClock(), log))


async def test_a_call_passes_copies_and_metadata(service: Service, channel: grpc.aio.Channel) -> None:
    request = pb.VersionRequest(version="v1")
    answer = await RuntimeServiceStub(channel).Version(request, metadata=(("orrery-node", "node-1"),))
    assert answer.version == "v1"
    assert service.seen == [request, {"orrery-node": "node-1"}]
    assert service.seen[0] is not request


@pytest.mark.parametrize(
    ("version", "timeout", "code"),
    [
        ("refuse", None, grpc.StatusCode.NOT_FOUND),
        ("fault", None, grpc.StatusCode.UNKNOWN),
        ("wait", 0.01, grpc.StatusCode.DEADLINE_EXCEEDED),
    ],
)
async def test_what_goes_wrong_is_a_status(
    channel: grpc.aio.Channel, version: str, timeout: float | None, code: grpc.StatusCode
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await RuntimeServiceStub(channel).Version(pb.VersionRequest(version=version), timeout=timeout)
    assert refused.value.code() is code


async def test_a_stream_passes_all_and_then_its_status(channel: grpc.aio.Channel) -> None:
    read = []

    async def read_all() -> None:
        async for event in RuntimeServiceStub(channel).GetContainerEvents(pb.GetEventsRequest()):
            read.append(event.container_id)

    with pytest.raises(grpc.aio.AioRpcError, match="enough"):
        await read_all()
    assert read == [str(number) for number in range(100)]


async def test_a_cancelled_stream_ends_at_its_maker(service: Service, channel: grpc.aio.Channel) -> None:
    call = RuntimeServiceStub(channel).GetContainerEvents(pb.GetEventsRequest())
    async for _ in call:
        break
    assert not service.left.is_set()
    call.cancel()
    await service.left.wait()


async def test_what_is_not_served_here_goes_to_the_other_channel(channel: grpc.aio.Channel) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await ImageServiceStub(channel).ListImages(pb.ListImagesRequest())
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
