"""How `orrery` commands reach the supervisor: one JSON object a line over its unix socket.

    {"command": "status"}                         → {"components": [...]}
    {"command": "kill", "component": "scheduler"}  → {"ok": true}
    {"command": "restart", "component": "etcd"}    → {"ok": true} once the old process is gone
    {"command": "follow", "components": [...]}     → {"component": …, "line": …} for ever
    {"command": "node", "verb": "stop", "name": …}  → {"ok": true}; the verbs are in nodes.py
    {"command": "down"}                            → {"ok": true}, then everything ends

A request that makes no sense is answered with {"error": …}. The socket is the user's alone.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

from services.launcher.home import Home
from services.launcher.nodes import NodeOperations
from services.launcher.supervisor import Child, Supervisor
from services.machinery.clock import Clock

Answer = dict[str, Any]
LINE_BYTES_MAX = 1024 * 1024


class NotRunning(Exception):
    """No supervisor answers for this home."""


@asynccontextmanager
async def serve_control(
    home: Home, supervisor: Supervisor, clock: Clock, stop: Callable[[], None]
) -> AsyncIterator[None]:
    """Answers commands until the block ends; `stop` is called by `down`."""

    nodes = NodeOperations(home, supervisor, clock)
    conversations: set[asyncio.Task[None]] = set()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        conversations.add(task)
        try:
            line = await reader.readline()
            request = json.loads(line)
            await _dispatch(request, supervisor, nodes, clock, stop, lambda reply: _send(writer, reply))
        except (ValueError, KeyError, TypeError) as error:
            await _send(writer, {"error": f"not a request: {error}"})
        except (ConnectionError, asyncio.CancelledError):
            return  # the reader of logs went away, or the cluster is down
        finally:
            conversations.discard(task)
            writer.close()

    home.control_socket.unlink(missing_ok=True)
    server = await asyncio.start_unix_server(answer, home.control_socket, limit=LINE_BYTES_MAX)
    home.control_socket.chmod(0o600)
    try:
        yield
    finally:
        server.close()
        for conversation in conversations:
            conversation.cancel()
        home.control_socket.unlink(missing_ok=True)


async def _send(writer: asyncio.StreamWriter, reply: Answer) -> None:
    writer.write(json.dumps(reply).encode() + b"\n")
    await writer.drain()


async def _dispatch(
    request: dict[str, Any],
    supervisor: Supervisor,
    nodes: NodeOperations,
    clock: Clock,
    stop: Callable[[], None],
    send: Callable[[Answer], Awaitable[None]],
) -> None:
    command = request["command"]
    if command == "status":
        await send({"components": [_describe(child, clock) for child in supervisor.children.values()]})
    elif command == "down":
        await send({"ok": True})
        stop()
    elif command == "follow":
        await _follow(supervisor, set(request.get("components", ())), send)
    elif command == "node":
        await send(await nodes.answer(request))
    elif command in ("kill", "restart"):
        child = supervisor.children.get(request["component"])
        if child is None:
            known = ", ".join(supervisor.children)
            await send({"error": f"no component {request['component']!r}; there are {known}"})
            return
        if command == "kill":
            supervisor.kill(child)
        else:
            await supervisor.restart(child)
        await send({"ok": True})
    else:
        await send({"error": f"no command {command!r}"})


def _describe(child: Child, clock: Clock) -> Answer:
    return {
        "name": child.component.name,
        "state": child.state,
        "pid": child.process.pid if child.running and child.process else None,
        "address": child.component.address,
        "restarts": max(child.starts - 1, 0),
        "last_exit": child.last_exit,
        "uptime_seconds": clock.monotonic() - child.started_at if child.running else None,
    }


async def _follow(
    supervisor: Supervisor, components: set[str], send: Callable[[Answer], Awaitable[None]]
) -> None:
    lines = supervisor.follow()
    try:
        while True:
            component, line = await lines.get()
            if not components or component in components:
                await send({"component": component, "line": line.decode("utf-8", "replace").rstrip("\n")})
    finally:
        supervisor.unfollow(lines)


def ask(home: Home, request: dict[str, Any], timeout_seconds: float = 30.0) -> Answer:
    """One command, one answer. Raises NotRunning when there is no supervisor."""
    return next(stream(home, request, timeout_seconds))


def stream(home: Home, request: dict[str, Any], timeout_seconds: float | None = None) -> Iterator[Answer]:
    """All answers to a command, as they come."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(timeout_seconds)
        try:
            connection.connect(str(home.control_socket))
        except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError) as error:
            raise NotRunning from error
        with connection.makefile("rwb") as lines:
            lines.write(json.dumps(request).encode() + b"\n")
            lines.flush()
            for line in lines:
                yield json.loads(line)
    if timeout_seconds is not None:
        raise NotRunning
