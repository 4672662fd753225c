"""A process in a container joined to this terminal: what `exec`, `run -i` and `run --attach` share."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from typing import Any

from services.api import kinds
from services.kubectl import following, node_stream, terminal
from services.kubectl.errors import Fail, quote
from services.kubectl.node_stream import ExecStream, LogOptions
from services.kubectl.session import Session

Json = dict[str, Any]


async def converse(session: Session, stream: ExecStream, *, stdin: bool, tty: bool) -> int:
    """Carries bytes both ways until the process ends; its exit code."""
    world = session.world
    code = 0
    with ExitStack() as stack:
        resized = asyncio.Event()
        if tty and terminal.is_terminal(world.stdin):
            stack.enter_context(terminal.raw(world.stdin))
            stack.enter_context(terminal.on_resize(resized))
        async with asyncio.TaskGroup() as group:
            helpers = [group.create_task(_send(world.stdin, stream))] if stdin else []
            if tty:
                helpers.append(group.create_task(_follow_size(stream, resized)))
            async for kind, data in stream.output():
                if kind == "exit":
                    code = data
                else:
                    _write(session, kind, data)
            for helper in helpers:
                helper.cancel()
    return code


def _write(session: Session, kind: str, data: bytes) -> None:
    target = session.world.out if kind == "stdout" else session.world.err
    buffer = getattr(target, "buffer", None)
    if buffer is None:
        target.write(data.decode(errors="replace"))
    else:
        target.flush()
        buffer.write(data)
    target.flush()


async def _send(stdin: Any, stream: ExecStream) -> None:
    async for data in terminal.read(stdin):
        await stream.send(data)
    await stream.close_stdin()


async def _follow_size(stream: ExecStream, resized: asyncio.Event) -> None:
    while True:
        columns, rows = terminal.size()
        await stream.resize(columns, rows)
        await resized.wait()
        resized.clear()


async def follow(session: Session, pod: Json) -> int:
    """Joins the Pod that `run` made once it runs, or shows what it wrote if it has ended already."""
    flags = session.flags
    name, namespace = pod["metadata"]["name"], pod["metadata"].get("namespace", session.namespace)
    resource = kinds.resource_of_kind("v1", "Pod")
    assert resource is not None
    state: Json = {}
    try:
        async with session.world.clock.timeout(flags["pod-running-timeout"]):
            async for now in following.states(session, resource, namespace, name):
                if now is None:
                    raise Fail(f"pod {quote(name)} was deleted while waiting for it to start")
                state = now
                if _phase(now) in ("Running", "Succeeded", "Failed"):
                    break
    except TimeoutError as error:
        raise Fail("timed out waiting for the condition") from error
    async with node_stream.open(session.address) as nodes:
        container = pod["spec"]["containers"][0]["name"]
        if _phase(state) == "Running" and flags["stdin"]:
            if not flags["quiet"]:
                session.complain("If you don't see a command prompt, try pressing enter.")
            stream = nodes.attach()
            await stream.start(namespace, name, container, [], stdin=flags["stdin"], tty=flags["tty"])
            await converse(session, stream, stdin=flags["stdin"], tty=flags["tty"])
        else:
            options = LogOptions(container=container, follow=True)
            async for data in nodes.logs(namespace, name, options):
                _write(session, "stdout", data)
    return await _exit_code(session, resource, namespace, name)


async def _exit_code(session: Session, resource: kinds.Resource, namespace: str, name: str) -> int:
    """How the container ended; 0 where its Pod goes on."""
    if session.flags["restart"] == "Always":
        return 0
    async for state in following.states(session, resource, namespace, name):
        if state is None:
            return 0
        if _phase(state) in ("Succeeded", "Failed"):
            for status in state["status"].get("containerStatuses") or ():
                terminated = status.get("state", {}).get("terminated")
                if terminated:
                    return int(terminated.get("exitCode", 0))
            return 0 if _phase(state) == "Succeeded" else 1
    return 0


def _phase(pod: Json) -> str:
    return str((pod.get("status") or {}).get("phase", ""))
