"""Logs and exec: streams from a node, through the API server, over the NodeService contract.

The only module of `ok` that knows services.pb. Errors arrive as everywhere: a Status in the
trailing metadata becomes ApiError, a broken connection Unavailable.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio
import orjson

from services.api.errors import ApiError
from services.client.credentials import Credentials, open_channel
from services.client.transport import Unavailable
from services.kubectl.errors import Fail
from services.machinery import trace
from services.pb.node.v1 import node_pb2 as pb
from services.pb.node.v1 import node_pb2_grpc as pb_grpc

STATUS_KEY = "kubernetes-status-bin"
MESSAGE_BYTES_MAX = 64 * 1024 * 1024


@dataclass(frozen=True)
class LogOptions:
    container: str = ""
    follow: bool = False
    previous: bool = False
    timestamps: bool = False
    tail_lines: int | None = None
    since_seconds: int | None = None
    since_time: str = ""
    limit_bytes: int | None = None


class NodeStreams:
    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub: Any = pb_grpc.NodeServiceStub(channel)

    async def logs(self, namespace: str, pod: str, options: LogOptions) -> AsyncIterator[bytes]:
        request = pb.LogsRequest(
            container=pb.ContainerReference(namespace=namespace, pod=pod, container=options.container),
            follow=options.follow,
            previous=options.previous,
            timestamps=options.timestamps,
            tail_lines=options.tail_lines,
            since_seconds=options.since_seconds,
            since_time=options.since_time,
            limit_bytes=options.limit_bytes,
        )
        call = self._stub.Logs(request, metadata=_metadata())
        try:
            async for message in call:
                yield message.data
        except grpc.aio.AioRpcError as error:
            raise _translate(error) from error
        finally:
            call.cancel()

    def exec(self) -> ExecStream:
        return ExecStream(self._stub.Exec(metadata=_metadata()))

    def attach(self) -> ExecStream:
        return ExecStream(self._stub.Attach(metadata=_metadata()))


class ExecStream:
    """One process in a container: `start` first, then input and output in any order."""

    def __init__(self, call: Any) -> None:
        self._call = call

    async def start(
        self, namespace: str, pod: str, container: str, command: Sequence[str], *, stdin: bool, tty: bool
    ) -> None:
        reference = pb.ContainerReference(namespace=namespace, pod=pod, container=container)
        start = pb.ExecStart(
            container=reference, command=command, stdin=stdin, stdout=True, stderr=not tty, tty=tty
        )
        await self._write(pb.ExecRequest(start=start))

    async def send(self, data: bytes) -> None:
        await self._write(pb.ExecRequest(stdin=data))

    async def close_stdin(self) -> None:
        await self._write(pb.ExecRequest(stdin_closed=True))

    async def resize(self, columns: int, rows: int) -> None:
        await self._write(pb.ExecRequest(resize=pb.TerminalSize(columns=columns, rows=rows)))

    async def _write(self, message: Any) -> None:
        try:
            await self._call.write(message)
        except grpc.aio.AioRpcError as error:
            raise _translate(error) from error
        except (grpc.aio.UsageError, asyncio.InvalidStateError):
            return  # The process has ended; what it said is still to be read.

    async def output(self) -> AsyncIterator[tuple[str, Any]]:
        """`("stdout", bytes)`, `("stderr", bytes)`, and at last `("exit", code)`."""
        try:
            async for message in self._call:
                which = message.WhichOneof("message")
                if which == "exit_code":
                    yield "exit", message.exit_code
                    return  # who is served hangs up: what it still types would break the stream
                elif which:
                    yield which, getattr(message, which)
        except grpc.aio.AioRpcError as error:
            refused = _translate(error)
            if isinstance(refused, ApiError) and refused.reason == "InternalError":
                # kubectl hears of this on a stream that stands, and does not know who says it.
                raise Fail(refused.message) from error
            raise refused from error
        finally:
            self._call.cancel()


@asynccontextmanager
async def open(address: str, credentials: Credentials | None = None) -> AsyncIterator[NodeStreams]:
    options = [
        ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
        ("grpc.use_local_subchannel_pool", 1),
    ]
    async with open_channel(address, credentials, options) as channel:
        yield NodeStreams(channel)


def _metadata() -> tuple[tuple[str, str], ...]:
    cause = trace.current()
    return (("traceparent", cause),) if cause else ()


def _translate(error: grpc.aio.AioRpcError) -> ApiError | Fail:
    trailing: Any = error.trailing_metadata() or ()
    for key, value in trailing:
        if key == STATUS_KEY:
            refused = ApiError(orjson.loads(value))
            if refused.message.startswith("container not found"):
                # A kubelet says this before the connection is a stream, and kubectl does not know it.
                return Fail(f"unable to upgrade connection: {refused.message}")
            return refused
    return Unavailable(f"the stream broke: {error.details() or error.code().name}")
