"""Opens connections to Pods on other nodes: a PodNetwork stream behind the two pipes that a program sees.

One channel a node, kept while it works. A node that cannot be reached is "no route to host", as in a real
network where nobody answers for its address; a stream that breaks is a reset connection: what was read so far
stays, the rest is gone. Back pressure goes through gRPC's flow control and the pipes.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Awaitable
from typing import Any, TypeVar

import grpc.aio

from services.node.network.routes import Peer
from services.pb.network.v1 import network_pb2 as pb
from services.pb.network.v1.network_pb2_grpc import PodNetworkStub
from services.process.grpc_server import OPTIONS
from services.runtime.filesystem import fault
from services.runtime.kernel import Kernel
from services.runtime.network import Connection
from services.runtime.streams import Pipe

READ_BYTES = 64 * 1024
OPEN_SECONDS_MAX = 10.0
T = TypeVar("T")

Call = Any  # grpc.aio's stream-stream call; its stubs know only the synchronous one


class Dialer:
    """`run` must be running: it carries what the connections hold."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._channels: dict[str, grpc.aio.Channel] = {}
        self._group: asyncio.TaskGroup | None = None

    async def run(self) -> None:
        """Until cancelled; then every connection is reset."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                self._group = None
                for channel in self._channels.values():
                    await channel.close(None)

    async def connect(self, peer: Peer, source_ip: str, ip: str, port: int) -> Connection:
        """OSError as connect(2) gives it."""
        if self._group is None:
            raise fault(errno.ENETDOWN)
        call: Call = self._stub(peer).Dial()
        try:
            async with self._kernel.clock.timeout(OPEN_SECONDS_MAX):
                await call.write(pb.DialRequest(open=pb.Open(source_ip=source_ip, ip=ip, port=port)))
                answer = await call.read()
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            call.cancel()
            raise fault(errno.EHOSTUNREACH) from None
        except TimeoutError:
            call.cancel()
            raise fault(errno.ETIMEDOUT) from None
        if not isinstance(answer, pb.DialResponse) or answer.opened.errno:
            call.cancel()
            raise fault(answer.opened.errno if isinstance(answer, pb.DialResponse) else errno.EHOSTUNREACH)
        there, back = Pipe(), Pipe()
        self._group.create_task(self._carry(call, there, back))
        return Connection(f"{ip}:{port}", back, there)

    async def exchange(self, peer: Peer, source_ip: str, ip: str, port: int, data: bytes) -> bytes:
        """One datagram there, one back."""
        request = pb.ExchangeRequest(source_ip=source_ip, ip=ip, port=port, data=data)
        try:
            answer = await self._stub(peer).Exchange(request, timeout=OPEN_SECONDS_MAX)
        except grpc.aio.AioRpcError:
            raise fault(errno.EHOSTUNREACH) from None
        if answer.errno:
            raise fault(answer.errno)
        payload: bytes = answer.data
        return payload

    def _stub(self, peer: Peer) -> Any:
        channel = self._channels.get(peer.address)
        if channel is None:
            channel = self._channels[peer.address] = grpc.aio.insecure_channel(peer.address, options=OPTIONS)
        return PodNetworkStub(channel)

    async def _carry(self, call: Call, there: Pipe, back: Pipe) -> None:
        async with asyncio.TaskGroup() as group:
            sending = group.create_task(_send(call, there, self._kernel))
            try:
                while isinstance(answer := await call.read(), pb.DialResponse) and not answer.end:
                    await on_kernel(self._kernel, back.write(answer.data))
            except (grpc.aio.AioRpcError, asyncio.InvalidStateError, BrokenPipeError):
                sending.cancel()
            finally:
                back.close_writer()
        there.close_reader()
        call.cancel()


async def _send(call: Call, there: Pipe, kernel: Kernel) -> None:
    try:
        while data := await on_kernel(kernel, there.read(READ_BYTES)):
            await call.write(pb.DialRequest(data=data))
        await call.write(pb.DialRequest(end=True))
        await call.done_writing()
    except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
        there.close_reader()  # who writes on learns that nobody reads


async def on_kernel(kernel: Kernel, work: Awaitable[T]) -> T:
    """Waits, from asyncio, for what programs wait for."""
    coroutine: Any = work
    result: T = await kernel.call(coroutine)
    return result
