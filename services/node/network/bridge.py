"""Real sockets on one side, connections inside the cluster on the other: carries bytes between the two.

Each direction ends on its own (half-close), each holds back the other's writer, and a side that breaks ends
both. Nothing is kept but what is under way.
"""

from __future__ import annotations

import asyncio
import socket
import struct

from services.node.network.dialer import READ_BYTES, on_kernel
from services.runtime.kernel import Kernel
from services.runtime.network import Connection

# Zero seconds of lingering: closing resets the connection instead of ending it in order.
_RESET = struct.pack("ii", 1, 0)


async def carry(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: Connection, kernel: Kernel
) -> None:
    """Until both directions have ended or one breaks; then both are closed."""
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(_inward(reader, connection, kernel))
            group.create_task(_outward(writer, connection, kernel))
    except* (OSError, ConnectionError):
        reset(writer)
    finally:
        connection.close()
        writer.close()


async def _inward(reader: asyncio.StreamReader, connection: Connection, kernel: Kernel) -> None:
    while data := await reader.read(READ_BYTES):
        await on_kernel(kernel, connection.outgoing.write(data))
    connection.outgoing.close_writer()


async def _outward(writer: asyncio.StreamWriter, connection: Connection, kernel: Kernel) -> None:
    while data := await on_kernel(kernel, connection.incoming.read(READ_BYTES)):
        writer.write(data)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()


def reset(writer: asyncio.StreamWriter) -> None:
    """Refuses what has been accepted already: the peer sees a reset."""
    found = writer.get_extra_info("socket")
    if found is not None:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()
