"""Opens connections to Pods on other nodes: one link to each node carries all that begin here.

A node that cannot be reached is "no route to host", as in a real network where nobody answers for its
address. A link that breaks resets its connections, and the next one makes a new link, at once. A node that is
cut off without a word is noticed after a while: until then its connections wait, as TCP's would.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable
from typing import Any

import grpc.aio

from services.client.credentials import KUBELET_SERVER_NAME, Credentials, open_channel
from services.node.network.link import Link
from services.node.network.routes import Peer
from services.pb.network.v1 import network_pb2 as pb
from services.pb.network.v1.network_pb2_grpc import PodNetworkStub
from services.process.grpc_server import OPTIONS
from services.runtime.filesystem import fault
from services.runtime.kernel import Kernel
from services.runtime.network import Connection

OPEN_SECONDS_MAX = 10.0
CHANNEL_OPTIONS = (
    *OPTIONS,
    # A node that is back is reached at once: what others found out about its address does not count.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 120_000),
)


class Dialer:
    """`run` must be running: it carries the links."""

    def __init__(self, kernel: Kernel, credentials: Credentials | None = None) -> None:
        self._kernel, self._credentials = kernel, credentials
        self._links: dict[str, Link] = {}
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
        """Runs on the kernel. OSError as connect(2) gives it."""
        end = self._link(peer).open(source_ip, ip, port)
        opened, connection = end.opened, end.connection(f"{ip}:{port}")
        assert opened is not None
        timer = self._kernel.timer(OPEN_SECONDS_MAX)
        timer.future.on_done(_expire(opened.set))
        number = errno.ECONNABORTED
        try:
            number = await opened
        finally:
            timer.cancel()
            if number:
                connection.close()
        if number:
            raise fault(number)
        return connection

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
            channel = self._channels[peer.address] = self._open(peer.address)
        return PodNetworkStub(channel)

    def _open(self, address: str) -> grpc.aio.Channel:
        return open_channel(address, self._credentials, CHANNEL_OPTIONS, server_name=KUBELET_SERVER_NAME)

    def _link(self, peer: Peer) -> Link:
        link = self._links.get(peer.address)
        if link is None or link.broken:
            if self._group is None:
                raise fault(errno.ENETDOWN)
            link = self._links[peer.address] = Link()
            self._group.create_task(self._carry(peer.address, link), name=f"link to {peer.name}")
        return link

    async def _carry(self, address: str, link: Link) -> None:
        """As long as the other node is there."""
        try:
            async with self._open(address) as channel:
                stub: Any = PodNetworkStub(channel)  # its types know only the synchronous one
                call = stub.Link()
                async with asyncio.TaskGroup() as group:
                    group.create_task(_send(call, link))
                    await _receive(call, link)
        finally:
            link.break_off()
            if self._links.get(address) is link:
                del self._links[address]


def _expire(tell: Callable[[int], None]) -> Callable[[], None]:
    return lambda: tell(errno.ETIMEDOUT)


async def _send(call: Any, link: Link) -> None:
    try:
        while (frames := await link.frames()) is not None:
            await call.write(frames)
    except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
        pass  # whoever reads learns it too
    finally:
        call.cancel()


async def _receive(call: Any, link: Link) -> None:
    try:
        while isinstance(frames := await call.read(), pb.Frames):
            link.receive(frames.frames)
    except (grpc.aio.AioRpcError, asyncio.InvalidStateError, asyncio.CancelledError):
        current = asyncio.current_task()
        if current is not None and current.cancelling():
            raise
    finally:
        link.break_off()
