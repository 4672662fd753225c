"""Local ports that lead into a Pod: listens, and carries each connection there over a stream of its own.

As kubectl has it: a connection that cannot be made in the Pod ends the whole session, and so does the end of
the Pod. Follows client-go's `tools/portforward`.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from contextlib import AsyncExitStack, aclosing

from services.api import kinds
from services.api.errors import ApiError
from services.kubectl import following
from services.kubectl.errors import Fail, quote
from services.kubectl.forwarded_ports import ForwardedPort, LocalAddress
from services.kubectl.pod_connection import CHUNK_BYTES, PodConnection, PodConnections
from services.kubectl.session import Json, Session

LOST = "lost connection to pod"
CONNECTIONS_MAX = 10_000  # at a time; further ones are closed at once


class _Over(Exception):
    """The session has ended."""


class Forwarding:
    """One `port-forward`: some ports of one Pod."""

    def __init__(
        self,
        session: Session,
        pod: Json,
        ports: Sequence[ForwardedPort],
        addresses: Sequence[LocalAddress],
        connections: PodConnections,
    ) -> None:
        self._session, self._pod = session, pod
        self._ports, self._addresses, self._connections = ports, addresses, connections
        self._open = 0
        self._lost = False
        self._over = asyncio.Event()

    def stop(self) -> None:
        self._over.set()

    async def run(self) -> None:
        """Until `stop`; Fail when nothing could be listened on, or the Pod is lost."""
        try:
            async with asyncio.TaskGroup() as group, AsyncExitStack() as stack:
                heard = [await self._listen(port, group, stack) for port in self._ports]
                if not any(heard):
                    ports = " ".join(map(str, self._ports))
                    raise Fail(f"unable to listen on any of the requested ports: [{ports}]")
                group.create_task(self._watch())
                await self._over.wait()
                raise _Over  # with all that is under way
        except* _Over:
            pass
        if self._lost:
            raise Fail(LOST)

    def _lose(self) -> None:
        self._lost = True
        self._over.set()

    # -- listening -------------------------------------------------------------------------------

    async def _listen(self, port: ForwardedPort, group: asyncio.TaskGroup, stack: AsyncExitStack) -> bool:
        """On every address; says what it listens on, or why it does not."""
        errors, failed, heard = list[str](), set[bool](), set[bool]()
        local = port.local
        for address in self._addresses:
            try:
                local = await self._listen_at(address, ForwardedPort(local, port.remote), group, stack)
                heard.add(address.optional)
            except OSError as error:
                why = (os.strerror(error.errno) if error.errno else str(error)).lower()
                at = f"listen {address.protocol} {address.with_port(local)}: bind: {why}"
                errors.append(f"unable to create listener: Error {at}")
                failed.add(address.optional)
        if False in failed or (True in failed and True not in heard):
            why = f"Listeners failed to create with the following errors: [{' '.join(errors)}]"
            self._session.complain(f"Unable to listen on port {local}: {why}")
            return False
        return True

    async def _listen_at(
        self, address: LocalAddress, port: ForwardedPort, group: asyncio.TaskGroup, stack: AsyncExitStack
    ) -> int:
        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if self._open >= CONNECTIONS_MAX or self._over.is_set():
                writer.close()
                return
            group.create_task(self._carry(reader, writer, listening))

        server = await asyncio.start_server(accept, address.ip, port.local, limit=CHUNK_BYTES)
        stack.callback(server.close)
        listening = ForwardedPort(server.sockets[0].getsockname()[1], port.remote)
        self._say(f"Forwarding from {address.with_port(listening.local)} -> {port.remote}")
        return listening.local

    # -- carrying --------------------------------------------------------------------------------

    async def _carry(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: ForwardedPort
    ) -> None:
        self._say(f"Handling connection for {port.local}")
        metadata = self._pod["metadata"]
        self._open += 1
        try:
            connection = await self._connections.open(metadata["namespace"], metadata["name"], port.remote)
            await carry(reader, writer, connection)
        except ApiError as error:
            self._tell(port, error)
            self._lose()
        finally:
            self._open -= 1
            writer.close()

    def _tell(self, port: ForwardedPort, error: ApiError) -> None:
        """As klog prints what kubectl meets beside its work."""
        now = self._session.world.clock.now()
        what = f"an error occurred forwarding {port.local} -> {port.remote}: {error.message}"
        self._session.complain(
            f'E{now:%m%d %H:%M:%S.%f} {os.getpid():7} portforward.go:424] "Unhandled Error" err={quote(what)}'
        )

    async def _watch(self) -> None:
        """The Pod's end is the session's."""
        metadata = self._pod["metadata"]
        resource = kinds.resource_of_kind("v1", "Pod")
        assert resource is not None
        seen = following.states(self._session, resource, metadata["namespace"], metadata["name"])
        async with aclosing(seen) as states:
            async for pod in states:
                phase = ((pod or {}).get("status") or {}).get("phase")
                if (
                    pod is None
                    or pod["metadata"]["uid"] != metadata["uid"]
                    or phase in ("Succeeded", "Failed")
                ):
                    self._lose()
                    return

    def _say(self, text: str) -> None:
        self._session.print(text)
        self._session.world.out.flush()


async def carry(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: PodConnection
) -> None:
    """Until the Pod ends the connection or the local side breaks. Raises what `PodConnection.read` does."""
    sending = asyncio.ensure_future(_send(reader, connection))
    try:
        while data := await connection.read():
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass  # whoever connected has gone
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        connection.close()


async def _send(reader: asyncio.StreamReader, connection: PodConnection) -> None:
    try:
        while data := await reader.read(CHUNK_BYTES):
            await connection.send(data)
    except ConnectionError:
        pass  # as if it had ended
    await connection.end()
