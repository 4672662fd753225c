"""port-forward over the channels of a WebSocket: for each port one for data, and one that tells of errors.

The request names the ports, and each channel begins with the number of its own. A port can be connected to
once: the WebSocket ends when all of its connections have. Clients in Python and JavaScript speak this.
Upstream: `cri-streaming/pkg/streaming/portforward/websocket.go`.
"""

from __future__ import annotations

import asyncio
import struct

from aiohttp import WSMsgType, web

from services.api.errors import ApiError
from services.apiserver.fronts.kubelets import Kubelets
from services.apiserver.fronts.rest.streams import channels, forwarded, upgrades
from services.apiserver.fronts.rest.streams.upgrades import PlainRefusal

PORTS_MAX = 100  # two channels each, whose number is a byte
UNREAD_MESSAGES_MAX = 16  # of one port; then nothing more is taken from the client


def ports_of(values: list[str]) -> list[int]:
    """What `ports=80,443&ports=8080` names. PlainRefusal (400)."""
    texts = [text for value in values for text in value.split(",")]
    if not texts:
        raise PlainRefusal(400, 'query parameter "port" is required')
    if len(texts) > PORTS_MAX:
        raise PlainRefusal(400, f"at most {PORTS_MAX} ports can be forwarded by one request")
    return [_port(text) for text in texts]


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        why = f'strconv.ParseUint: parsing "{text[:100]}": invalid syntax'
        raise PlainRefusal(400, f'unable to parse "{text[:100]}" as a port: {why}')
    if len(text) > 5 or int(text) > 0xFFFF:
        why = f'strconv.ParseUint: parsing "{text[:100]}": value out of range'
        raise PlainRefusal(400, f'unable to parse "{text[:100]}" as a port: {why}')
    if int(text) < 1:
        raise PlainRefusal(400, f'port "{text}" must be > 0')
    return int(text)


class Channel:
    """One direction's worth of a connection: what the client sent for it, and how it is answered."""

    def __init__(self, socket: web.WebSocketResponse, protocol: str, number: int) -> None:
        self._socket, self._protocol, self._number = socket, protocol, number
        self._unread: asyncio.Queue[bytes] = asyncio.Queue(UNREAD_MESSAGES_MAX)
        self.ended = asyncio.Event()

    async def feed(self, data: bytes) -> None:
        """Waits for whoever reads; what comes after the connection's end is dropped."""
        if data and not self.ended.is_set():
            await self._unread.put(data)

    async def read(self) -> bytes:
        return await self._unread.get()

    async def write(self, data: bytes) -> None:
        await upgrades.send(self._socket, self._protocol, self._number, data)

    def end(self) -> None:
        self.ended.set()
        while not self._unread.empty():  # so that nobody waits to put more
            self._unread.get_nowait()


class _Over(Exception):
    """The client has gone, or every connection has ended."""


async def serve(
    kubelets: Kubelets,
    namespace: str,
    pod: str,
    ports: list[int],
    socket: web.WebSocketResponse,
    protocol: str,
) -> None:
    """Until every connection has ended, or the client has gone."""
    data = [Channel(socket, protocol, 2 * index) for index in range(len(ports))]

    async def forward(port: int, index: int) -> None:
        errors = Channel(socket, protocol, 2 * index + 1)
        try:
            for channel in (data[index], errors):
                await channel.write(struct.pack("<H", port))
            await forwarded.join(kubelets, namespace, pod, port, data[index])
        except ApiError as refusal:
            await errors.write(forwarded.explained(refusal, port, pod))
        finally:
            data[index].end()

    try:
        async with asyncio.TaskGroup() as group:
            connections = [group.create_task(forward(port, index)) for index, port in enumerate(ports)]
            group.create_task(_receive(socket, protocol, data))
            await asyncio.wait(connections)
            raise _Over
    except* (_Over, ConnectionError):
        await socket.close()


async def _receive(socket: web.WebSocketResponse, protocol: str, data: list[Channel]) -> None:
    async for message in socket:
        if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
            break
        said = channels.unframed(protocol, message.data)
        if said and said[0] % 2 == 0 and 0 <= said[0] < 2 * len(data):
            await data[said[0] // 2].feed(said[1])
    raise _Over
