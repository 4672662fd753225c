"""PodNetwork for the Pods of this process: takes connections from other nodes and hands them to who listens.

A caller that goes away resets its connection. The Pod sees the caller's own address. Bounded by the
listeners' own limits; a connection that waits costs its stream and nothing that runs.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncIterator, Callable

import grpc.aio

from services.node.network.dialer import READ_BYTES, on_kernel
from services.pb.network.v1 import network_pb2 as pb
from services.pb.network.v1.network_pb2_grpc import PodNetworkServicer
from services.runtime.kernel import Kernel
from services.runtime.network import Connection, LocalNetwork, Namespace

NAME = "network.v1.PodNetwork"
Admits = Callable[[str, str, int, str], bool]  # (source, destination, port, protocol), as the policies say


class PodNetworkService(PodNetworkServicer):
    def __init__(self, kernel: Kernel, local: LocalNetwork, admits: Admits = lambda *_: True) -> None:
        self._kernel, self._local, self._admits = kernel, local, admits

    async def Dial(
        self,
        request_iterator: AsyncIterator[pb.DialRequest],
        context: grpc.aio.ServicerContext[pb.DialRequest, pb.DialResponse],
    ) -> AsyncIterator[pb.DialResponse]:
        first = await anext(request_iterator, None)
        if first is None or not first.HasField("open"):
            yield _opened(errno.EINVAL)
            return
        opening = first.open
        if not self._admits(opening.source_ip, opening.ip, opening.port, "TCP"):
            yield _opened(errno.ETIMEDOUT)
            return
        source = Namespace(opening.source_ip)
        try:
            connection = await self._kernel.call(self._local.connect(source, opening.ip, opening.port))
        except OSError as error:
            yield _opened(error.errno or errno.ECONNREFUSED)
            return
        yield _opened(0)
        async with asyncio.TaskGroup() as group:
            sending = group.create_task(self._receive(request_iterator, connection))
            try:
                while data := await on_kernel(self._kernel, connection.incoming.read(READ_BYTES)):
                    yield pb.DialResponse(data=data)
                yield pb.DialResponse(end=True)
                await sending
            finally:
                sending.cancel()
                connection.close()

    async def Exchange(
        self,
        request: pb.ExchangeRequest,
        context: grpc.aio.ServicerContext[pb.ExchangeRequest, pb.ExchangeResponse],
    ) -> pb.ExchangeResponse:
        if not self._admits(request.source_ip, request.ip, request.port, "UDP"):
            return pb.ExchangeResponse(errno=errno.ETIMEDOUT)
        source = Namespace(request.source_ip)
        work = self._local.exchange(source, request.ip, request.port, request.data)
        try:
            return pb.ExchangeResponse(data=await self._kernel.call(work))
        except OSError as error:
            return pb.ExchangeResponse(errno=error.errno or errno.ECONNREFUSED)

    async def _receive(self, requests: AsyncIterator[pb.DialRequest], connection: Connection) -> None:
        try:
            async for request in requests:
                if request.end:
                    return
                await on_kernel(self._kernel, connection.outgoing.write(request.data))
        except BrokenPipeError:
            pass  # the listener has gone; the caller learns it by the end of what it reads
        finally:
            connection.outgoing.close_writer()


def _opened(number: int) -> pb.DialResponse:
    return pb.DialResponse(opened=pb.Opened(errno=number))
