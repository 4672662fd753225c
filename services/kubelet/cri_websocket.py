"""Exec, attach and port-forward through a runtime's streaming server, as WebSockets.

The CRI answers such calls with a URL; what is spoken there is `channel.k8s.io`: each message begins with
the number of its channel. Version 5 lets a client end its input, version 4, which containerd 1.6 to 2.0
speak, does not. Upstream speaks SPDY to the same server; both carry the same streams.
Upstream: `pkg/kubelet/cri/streaming`, `remotecommand/websocket.go`, `portforward/websocket.go`.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from services.kubelet.cri import CriError

if TYPE_CHECKING:
    import aiohttp

STDIN, STDOUT, STDERR, ERROR, RESIZE, CLOSE = 0, 1, 2, 3, 4, 255
PROTOCOLS = ("v5.channel.k8s.io", "v4.channel.k8s.io")
MESSAGE_BYTES_MAX = 1024 * 1024


class Socket:
    """One WebSocket and the session that holds it."""

    def __init__(self, session: aiohttp.ClientSession, connection: Any) -> None:
        self._session, self.connection = session, connection

    @classmethod
    async def open(cls, url: str, protocols: tuple[str, ...]) -> Socket:
        import aiohttp

        session = aiohttp.ClientSession()
        try:
            connection = await session.ws_connect(
                url, protocols=protocols, max_msg_size=MESSAGE_BYTES_MAX, autoping=True
            )
        except (aiohttp.ClientError, OSError) as error:
            await session.close()
            raise CriError("Unavailable", f"error dialing backend: {error}") from error
        except BaseException:
            await session.close()
            raise
        return cls(session, connection)

    async def send(self, channel: int, data: bytes) -> None:
        try:
            await self.connection.send_bytes(bytes((channel,)) + data)
        except (ConnectionError, RuntimeError) as error:
            raise CriError("Unavailable", str(error)) from error

    async def messages(self) -> AsyncGenerator[tuple[int, bytes], None]:
        """Channel and data, until the other side has closed."""
        try:
            async for message in self.connection:
                data = message.data.encode() if isinstance(message.data, str) else message.data
                if isinstance(data, bytes) and data:
                    yield data[0], data[1:]
        finally:
            await self.close()

    async def close(self) -> None:
        await self.connection.close()
        await self._session.close()


class SocketTerminal:
    """A command or an attachment."""

    def __init__(self, socket: Socket) -> None:
        self._socket = socket

    @classmethod
    async def open(cls, url: str) -> SocketTerminal:
        return cls(await Socket.open(url, PROTOCOLS))

    async def stdin(self, data: bytes) -> None:
        await self._socket.send(STDIN, data)

    async def close_stdin(self) -> None:
        """Heard by version 5 only; with 4 the command ends when the client goes."""
        if self._socket.connection.protocol == PROTOCOLS[0]:
            await self._socket.send(CLOSE, bytes((STDIN,)))

    async def resize(self, columns: int, rows: int) -> None:
        await self._socket.send(RESIZE, json.dumps({"Width": columns, "Height": rows}).encode())

    async def output(self) -> AsyncIterator[tuple[str, bytes, int]]:
        async with aclosing(self._socket.messages()) as messages:
            async for channel, data in messages:
                if channel == ERROR:
                    yield "exit", b"", exit_code(data)
                elif data:
                    yield ("stderr" if channel == STDERR else "stdout"), data, 0


class SocketDuplex:
    """A connection to one port inside a Pod."""

    def __init__(self, socket: Socket) -> None:
        self._socket = socket
        self._heard: set[int] = set()

    @classmethod
    async def open(cls, url: str, port: int) -> SocketDuplex:
        separator = "&" if "?" in url else "?"
        return cls(await Socket.open(f"{url}{separator}port={port}", PROTOCOLS[1:]))

    async def send(self, data: bytes) -> None:
        await self._socket.send(0, data)

    async def end(self) -> None:
        """Half an end cannot be said on a WebSocket; the reader goes on until the Pod closes."""

    async def receive(self) -> AsyncIterator[bytes]:
        async with aclosing(self._socket.messages()) as messages:
            async for channel, data in messages:
                if channel not in self._heard:  # the first message of each channel is the port
                    self._heard.add(channel)
                elif channel == 1:
                    raise CriError("Unknown", data.decode(errors="replace"))
                else:
                    yield data


def exit_code(status: bytes) -> int:
    """Of the Status that ends a command. CriError when it could not be run at all."""
    try:
        found = json.loads(status)
    except ValueError as error:
        raise CriError("Unknown", status.decode(errors="replace")) from error
    if found.get("status") == "Success":
        return 0
    causes = (found.get("details") or {}).get("causes") or ()
    for cause in causes:
        if cause.get("reason") == "ExitCode" and str(cause.get("message", "")).isdigit():
            return int(cause["message"])
    raise CriError("Unknown", str(found.get("message", "")))
