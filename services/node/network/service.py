"""PodNetwork for the Pods of this process: takes connections from other nodes and hands them to who listens.

A caller that goes away resets its connections. The Pod sees the caller's own address. Bounded by the
listeners' own limits; a connection that waits costs its end of the link and nothing that runs.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncIterator, Callable

import grpc.aio

from services.node.network.link import Link
from services.pb.network.v1 import network_pb2 as pb
from services.pb.network.v1.network_pb2_grpc import PodNetworkServicer
from services.runtime.filesystem import fault
from services.runtime.kernel import Kernel
from services.runtime.network import Connection, LocalNetwork, Namespace

NAME = "network.v1.PodNetwork"
Admits = Callable[[str, str, int, str], bool]  # (source, destination, port, protocol), as the policies say
Context = grpc.aio.ServicerContext[pb.Frames, pb.Frames]


class PodNetworkService(PodNetworkServicer):
    def __init__(self, kernel: Kernel, local: LocalNetwork, admits: Admits = lambda *_: True) -> None:
        self._kernel, self._local, self._admits = kernel, local, admits

    async def Link(  # type: ignore[override]  # the stubs know answers that are yielded, not those written
        self, request_iterator: AsyncIterator[pb.Frames], context: Context
    ) -> None:
        link = Link(self._accept)
        async with asyncio.TaskGroup() as group:
            sending = group.create_task(_send(link, context))
            try:
                async for frames in request_iterator:
                    link.receive(frames.frames)
            finally:
                link.break_off()
                sending.cancel()

    def _accept(self, opening: pb.Open) -> Callable[[Connection], None]:
        source, ip, port = Namespace(opening.source_ip), opening.ip, opening.port
        if not self._admits(source.ip, ip, port, "TCP"):
            raise fault(errno.ETIMEDOUT)
        listener = self._local.listener(source, ip, port)
        return lambda connection: self._local.serve(listener, connection)

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


async def _send(link: Link, context: Context) -> None:
    while (frames := await link.frames()) is not None:
        await context.write(frames)
