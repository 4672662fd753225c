"""port-forward: pairs of streams, each a connection to a port of the Pod and the error that it met.

They are streams of SPDY, on the connection itself or within the messages of a WebSocket; or channels of a
WebSocket (`forwarded_channels`). A pair ends with its connection, and takes no other along.
Upstream: `cri-streaming/pkg/streaming/portforward/{httpstream,websocket}.go`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass

from aiohttp import web

from services.api.errors import ApiError
from services.apiserver.fronts.kubelets import Kubelets
from services.apiserver.fronts.rest.streams import channels, forwarded, forwarded_channels, upgrades
from services.apiserver.fronts.rest.streams.spdy import Session, Stream
from services.apiserver.fronts.rest.streams.wires import WebSocketWire, Wire
from services.machinery.clock import Clock

PROTOCOL = "portforward.k8s.io"
TUNNEL = f"{upgrades.SPDY}+{PROTOCOL}"
PAIR_SECONDS = 30.0  # for the second stream of a pair to come
PORT_MAX = 65535


class _Over(Exception):
    """The client has gone, and all that was done for it ends."""


@dataclass(slots=True)
class Pair:
    error: Stream | None = None
    data: Stream | None = None
    expiry: asyncio.Task[None] | None = None


class Forwarding:
    def __init__(self, kubelets: Kubelets, clock: Clock) -> None:
        self._kubelets, self._clock = kubelets, clock

    async def handle(self, request: web.Request, namespace: str, pod: str) -> web.StreamResponse:
        """ApiError for what is refused before there is a stream."""
        upgrade = upgrades.of(request, (TUNNEL, *channels.FORWARDING_PROTOCOLS), (PROTOCOL,))
        await self._kubelets.check_port_forward(namespace, pod)
        if upgrade.websocket and upgrade.protocol != TUNNEL:
            ports = forwarded_channels.ports_of(request.query.getall("ports", []))
            socket = await upgrades.websocket(request, upgrade)
            await forwarded_channels.serve(self._kubelets, namespace, pod, ports, socket, upgrade.protocol)
            return socket
        if upgrade.websocket:
            socket = await upgrades.websocket(request, upgrade)
            await Connection(self._kubelets, self._clock, namespace, pod).serve(WebSocketWire(socket))
            await socket.close()
            return socket
        wire, answer = await upgrades.spdy(request, upgrade)
        await Connection(self._kubelets, self._clock, namespace, pod).serve(wire)
        return answer


class Connection:
    """One client, and all that it forwards to one Pod."""

    def __init__(self, kubelets: Kubelets, clock: Clock, namespace: str, pod: str) -> None:
        self._kubelets, self._clock = kubelets, clock
        self._namespace, self._pod = namespace, pod
        self._pairs: dict[str, Pair] = {}
        self._group = asyncio.TaskGroup()

    async def serve(self, wire: Wire) -> None:
        session = Session(wire, self._clock, self.accept)
        try:
            async with self._group, session.serving() as reading:
                await asyncio.wait((reading,))
                raise _Over
        except* _Over:
            pass

    async def accept(self, stream: Stream) -> None:
        headers = stream.headers
        name, kind = headers.get("requestid", ""), headers.get("streamtype", "")
        port = port_of(headers.get("port", ""))
        if port is None or kind not in ("error", "data"):
            await stream.reset()
            return
        name = name or _implied(stream, kind)
        pair = self._pairs.setdefault(name, Pair())
        if getattr(pair, kind) is not None:
            await stream.reset()
            return
        setattr(pair, kind, stream)
        if pair.error and pair.data:
            del self._pairs[name]
            if pair.expiry:
                pair.expiry.cancel()
            self._group.create_task(self._forward(port, pair.error, pair.data))
        else:
            pair.expiry = self._group.create_task(self._expire(name, pair))

    async def _expire(self, name: str, pair: Pair) -> None:
        await self._clock.sleep(PAIR_SECONDS)
        if self._pairs.get(name) is pair:
            del self._pairs[name]
            for stream in (pair.error, pair.data):
                if stream is not None:
                    await _quietly(stream.reset())

    async def _forward(self, port: int, error: Stream, data: Stream) -> None:
        try:
            await forwarded.join(self._kubelets, self._namespace, self._pod, port, data)
        except ApiError as refusal:
            await _quietly(error.write(forwarded.explained(refusal, port, self._pod)))
        except ConnectionError:
            await _quietly(data.reset())
        await _quietly(error.end())
        await _quietly(data.end())


def port_of(text: str) -> int | None:
    if not text.isascii() or not text.isdigit() or len(text) > 5:
        return None
    return port if 0 < (port := int(text)) <= PORT_MAX else None


def _implied(stream: Stream, kind: str) -> str:
    """Old clients send no id: the error stream comes first, and the data stream is the next one."""
    return str(stream.number if kind == "error" else stream.number - 2)


async def _quietly(work: Awaitable[None]) -> None:
    try:
        await work
    except ConnectionError:
        return
