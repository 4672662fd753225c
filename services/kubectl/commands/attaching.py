"""A process in a container joined to this terminal: what `exec`, `run -i` and `run --attach` share."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from typing import Any

from services.api import kinds
from services.api.errors import ApiError
from services.kubectl import following, node_stream, terminal
from services.kubectl.errors import Fail, Verbatim, quote
from services.kubectl.node_stream import ExecStream, LogOptions, NodeStreams
from services.kubectl.session import Session

Json = dict[str, Any]

RECORDED = (
    "All commands and output from this session will be recorded in container logs, including credentials and"
    " sensitive information passed through the command prompt."
)


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
                    write(session, kind, data)
            for helper in helpers:
                helper.cancel()
    return code


def write(session: Session, kind: str, data: bytes) -> None:
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


async def follow(session: Session, pod: Json) -> None:
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
    async with node_stream.open(session.address, session.credentials) as nodes:
        container = pod["spec"]["containers"][0]["name"]
        if _phase(state) != "Running" or not await attach(session, nodes, namespace, name, container):
            options = LogOptions(container=container, follow=True)
            async for data in nodes.logs(namespace, name, options):
                write(session, "stdout", data)
    await _ended(session, resource, namespace, name)


async def attach(session: Session, nodes: NodeStreams, namespace: str, name: str, container: str) -> bool:
    """Joins the container's process. False when it had ended before: its log holds what it said."""
    flags = session.flags
    if flags["tty"] and not flags["quiet"]:
        session.complain(RECORDED)
        session.complain("If you don't see a command prompt, try pressing enter.")
    attached = True
    try:
        stream = nodes.attach()
        await stream.start(namespace, name, container, [], stdin=flags["stdin"], tty=flags["tty"])
        await converse(session, stream, stdin=flags["stdin"], tty=flags["tty"])
    except* ApiError as errors:
        attached = False
        text = f"couldn't attach to pod/{name}, falling back to streaming logs: {errors.exceptions[0]}"
        session.complain(f"warning: {text}")
    return attached


async def _ended(session: Session, resource: kinds.Resource, namespace: str, name: str) -> None:
    """Waits for the end of a Pod that ends, and ends as its container did."""
    if session.flags["restart"] == "Always":
        return
    async for state in following.states(session, resource, namespace, name):
        if state is None or _phase(state) == "Succeeded":
            return
        if _phase(state) == "Failed":
            for status in state["status"].get("containerStatuses") or ():
                terminated = status.get("state", {}).get("terminated") or {}
                if terminated.get("exitCode"):
                    reason = terminated.get("reason", "Error")
                    raise Verbatim(f"pod {namespace}/{name} terminated ({reason})", terminated["exitCode"])
            raise Fail(f"pod {namespace}/{name} failed with unknown exit code")


def _phase(pod: Json) -> str:
    return str((pod.get("status") or {}).get("phase", ""))
