"""Messages both ways within the process look as they do on a wire."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import grpc
import grpc.aio
import pytest
import structlog

from services.pb.runtime.v1 import streaming_pb2 as pb
from services.pb.runtime.v1.streaming_pb2_grpc import (
    StreamingServiceServicer,
    StreamingServiceStub,
    add_StreamingServiceServicer_to_server,
)
from services.process.clock import SystemClock
from services.process.in_process import AHEAD_MESSAGES_MAX, InProcessChannel, InProcessServer

EOF = grpc.aio.EOF  # type: ignore[attr-defined]


class Service(StreamingServiceServicer):
    def __init__(self) -> None:
        self.left = asyncio.Event()
        self.got = 0

    async def Connect(
        self, requests: AsyncIterator[pb.ConnectRequest], context: Any
    ) -> AsyncIterator[pb.ConnectResponse]:
        first = await anext(requests)
        if first.port == 1:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "connection refused")
        if first.port == 2:
            raise KeyError("ours")
        yield pb.ConnectResponse()
        if first.port == 3:
            self.got = 1
            await asyncio.get_running_loop().create_future()
        try:
            async for request in requests:
                self.got += 1
                yield pb.ConnectResponse(data=request.data.upper())
            yield pb.ConnectResponse(end=True)
        finally:
            self.left.set()


@pytest.fixture
def service() -> Service:
    return Service()  # type: ignore[abstract]  # the other methods are not called


@pytest.fixture
async def stub(service: Service) -> AsyncIterator[Any]:
    server = InProcessServer()
    add_StreamingServiceServicer_to_server(service, cast(grpc.aio.Server, server))
    async with grpc.aio.insecure_channel("unix:/nowhere/at/all.sock") as rest:
        log = structlog.wrap_logger(structlog.testing.CapturingLogger())
        yield StreamingServiceStub(cast(grpc.aio.Channel, InProcessChannel(server, rest, SystemClock(), log)))


async def test_says_and_hears(stub: Any) -> None:
    call = stub.Connect()
    await call.write(pb.ConnectRequest(port=80))
    assert (await call.read()) == pb.ConnectResponse()
    await call.write(pb.ConnectRequest(data=b"hello"))
    assert (await call.read()).data == b"HELLO"
    await call.done_writing()
    assert (await call.read()).end
    assert await call.read() is EOF
    assert await call.code() == grpc.StatusCode.OK


async def test_a_refusal_and_a_fault(stub: Any) -> None:
    for port, code in ((1, grpc.StatusCode.UNAVAILABLE), (2, grpc.StatusCode.UNKNOWN)):
        call = stub.Connect()
        await call.write(pb.ConnectRequest(port=port))
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await call.read()
        assert error.value.code() == code
        assert await call.code() == code
        with pytest.raises(grpc.aio.AioRpcError):
            await call.write(pb.ConnectRequest())


async def test_writing_to_what_has_ended(stub: Any) -> None:
    call = stub.Connect()
    await call.write(pb.ConnectRequest(port=80))
    await call.done_writing()
    assert [message.end async for message in call] == [False, True]
    with pytest.raises(asyncio.InvalidStateError):
        await call.write(pb.ConnectRequest())


async def test_a_deadline(stub: Any) -> None:
    call = stub.Connect(timeout=0.01)

    async def say_and_hear() -> None:
        """It answers once and no more; on a busy machine its time is over before that."""
        await call.write(pb.ConnectRequest(port=3))
        while True:
            await call.read()

    with pytest.raises(grpc.aio.AioRpcError) as error:
        await say_and_hear()
    assert error.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED


async def test_cancelling_ends_the_other_side(stub: Any, service: Service) -> None:
    call = stub.Connect()
    await call.write(pb.ConnectRequest(port=80))
    await call.read()
    call.cancel()
    await service.left.wait()
    assert await call.code() == grpc.StatusCode.CANCELLED
    with pytest.raises(grpc.aio.AioRpcError):
        await call.read()


async def test_cancelled_before_it_began(stub: Any) -> None:
    call = stub.Connect()
    call.cancel()
    assert await call.code() == grpc.StatusCode.CANCELLED


async def test_nobody_runs_far_ahead(stub: Any, service: Service) -> None:
    call = stub.Connect()
    await call.write(pb.ConnectRequest(port=80))
    await call.read()

    async def flood() -> None:
        for _ in range(1000):
            await call.write(pb.ConnectRequest(data=b"x"))

    flooding = asyncio.ensure_future(flood())
    for _ in range(2000):
        await asyncio.sleep(0)
    # Nobody reads the answers, so the other side stands, and then so does the writer.
    assert service.got <= AHEAD_MESSAGES_MAX + 1
    assert not flooding.done()
    for _ in range(1000):
        await call.read()
    await flooding
    call.cancel()
