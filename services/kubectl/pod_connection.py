"""Connections to ports of Pods: NodeService.PortForward, through the API server.

One gRPC stream a connection. Whoever reads sees the end that the Pod makes, or an ApiError with what the
kubelet refused; a server that goes away is Unavailable. What is written later is dropped.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio
import orjson
from grpc.aio import EOF  # type: ignore[attr-defined]

from services.api.errors import ApiError
from services.client.credentials import Credentials, open_channel
from services.client.transport import Unavailable
from services.machinery import trace
from services.pb.node.v1 import node_pb2 as pb
from services.pb.node.v1 import node_pb2_grpc as pb_grpc

STATUS_KEY = "kubernetes-status-bin"
CHUNK_BYTES = 256 * 1024
OPTIONS = (
    ("grpc.max_receive_message_length", 16 * 1024 * 1024),
    ("grpc.use_local_subchannel_pool", 1),
)


class PodConnection:
    """A byte stream. `close` must be called in the end."""

    def __init__(self, call: Any) -> None:
        self._call = call

    async def send(self, data: bytes) -> None:
        await self._write(pb.PortForwardRequest(data=data))

    async def end(self) -> None:
        """No more data from this side."""
        await self._write(pb.PortForwardRequest(half_close=True))

    async def read(self) -> bytes:
        """At least one byte; none at the end. ApiError where there is no connection."""
        try:
            while (message := await self._call.read()) is not EOF:
                if message.data:
                    data: bytes = message.data
                    return data
                if message.half_close:
                    return b""
            if (code := await self._call.code()) is not grpc.StatusCode.OK:
                raise _refusal(await self._call.trailing_metadata(), await self._call.details(), code)
        except grpc.aio.AioRpcError as error:
            raise _refusal(error.trailing_metadata(), error.details(), error.code()) from error
        return b""

    async def _write(self, message: Any) -> None:
        try:
            await self._call.write(message)
        except (grpc.aio.AioRpcError, grpc.aio.UsageError, asyncio.InvalidStateError):
            return

    def close(self) -> None:
        self._call.cancel()


class PodConnections:
    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub: Any = pb_grpc.NodeServiceStub(channel)

    async def open(self, namespace: str, pod: str, port: int) -> PodConnection:
        """Does not wait for the connection: the first `read` tells whether there is one."""
        cause = trace.current()
        connection = PodConnection(
            self._stub.PortForward(metadata=(("traceparent", cause),) if cause else ())
        )
        reference = pb.ContainerReference(namespace=namespace, pod=pod)
        await connection._write(pb.PortForwardRequest(pod=reference, port=port))
        return connection


@asynccontextmanager
async def through(address: str, credentials: Credentials | None = None) -> AsyncIterator[PodConnections]:
    """`address` is the API server's."""
    async with open_channel(address, credentials, OPTIONS) as channel:
        yield PodConnections(channel)


def _refusal(trailing: Any, details: str | None, code: grpc.StatusCode) -> ApiError:
    for key, value in trailing or ():
        if key == STATUS_KEY:
            return ApiError(orjson.loads(value))
    return Unavailable(f"the stream broke: {details or code.name}")
