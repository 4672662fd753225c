"""Load balancers: listeners on the cloud's addresses that lead connections to nodes, one after the other.

Layer four: bytes are passed on as they come, in both directions, each ending on its own. A node that cannot
be reached or fails its health check is passed over; when none can, the client's connection is reset.
Connections that are open stay when the set of nodes changes, and end with their load balancer.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from dataclasses import dataclass, field
from functools import partial

from services.cloud_controller_manager.health_checks import HealthChecks
from services.machinery.clock import Clock

READ_BYTES = 256 * 1024
BACKLOG = 1024
CONNECT_SECONDS_MAX = 3.0
CONNECTIONS_MAX = 20_000  # of one load balancer
_RESET = struct.pack("ii", 1, 0)


class CannotListen(Exception):
    """Says on which address and why."""


@dataclass(frozen=True, slots=True)
class Backend:
    """A node port."""

    ip: str
    port: int


@dataclass(eq=False)
class _Door:
    """One listening port."""

    server: asyncio.Server
    backends: tuple[Backend, ...] = ()
    turn: int = 0
    open: set[asyncio.StreamWriter] = field(default_factory=set)


class LoadBalancer:
    """The one of a Service: one address, any number of ports."""

    def __init__(self, ip: str, clock: Clock, health: HealthChecks | None = None) -> None:
        """`health` is shared by the load balancers of a cloud."""
        self.ip, self._clock = ip, clock
        self._health = health or HealthChecks(clock)
        self._doors: dict[int, _Door] = {}

    async def ensure(self, ports: dict[int, tuple[Backend, ...]]) -> None:
        """Listens on these ports and no others, and leads to these backends. CannotListen undoes nothing."""
        for port in [port for port in self._doors if port not in ports]:
            self._close(port)
        for port, backends in ports.items():
            door = self._doors.get(port)
            if door is None:
                door = self._doors[port] = await self._listen(port)
            door.backends = backends

    def close(self) -> None:
        for port in list(self._doors):
            self._close(port)

    async def _listen(self, port: int) -> _Door:
        try:
            server = await asyncio.start_server(partial(self._accept, port), self.ip, port, backlog=BACKLOG)
        except PermissionError:
            why = "permission denied; ports below 1024 are the system administrator's"
            raise CannotListen(f"listen tcp {self.ip}:{port}: bind: {why}") from None
        except OSError as error:
            why = "address already in use" if "in use" in str(error) else str(error.strerror or error)
            raise CannotListen(f"listen tcp {self.ip}:{port}: bind: {why}") from None
        return _Door(server)

    def _close(self, port: int) -> None:
        door = self._doors.pop(port)
        door.server.close()
        for writer in list(door.open):
            writer.close()

    async def _accept(self, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        door = self._doors.get(port)
        if door is None or len(door.open) >= CONNECTIONS_MAX:
            _reset(writer)
            return
        door.open.add(writer)
        try:
            backend = await self._reach(door)
            if backend is None:
                _reset(writer)
                return
            await _join(reader, writer, *backend)
        finally:
            door.open.discard(writer)

    async def _reach(self, door: _Door) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        """A connection to the next backend that takes one."""
        backends = door.backends
        for _ in backends:
            door.turn += 1
            backend = backends[door.turn % len(backends)]
            if not await self._health.healthy(backend.ip):
                continue
            try:
                async with self._clock.timeout(CONNECT_SECONDS_MAX):
                    return await asyncio.open_connection(backend.ip, backend.port)
            except (OSError, TimeoutError):
                continue
        return None


async def _join(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    inner_reader: asyncio.StreamReader,
    inner_writer: asyncio.StreamWriter,
) -> None:
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(_pass_on(reader, inner_writer))
            group.create_task(_pass_on(inner_reader, writer))
    except* OSError:
        _reset(writer)
        _reset(inner_writer)
    finally:
        writer.close()
        inner_writer.close()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(READ_BYTES):
        writer.write(data)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()


def _reset(writer: asyncio.StreamWriter) -> None:
    found = writer.get_extra_info("socket")
    if found is not None:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()
