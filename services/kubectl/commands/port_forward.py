"""`port-forward`: local ports that lead to ports of a Pod, until Ctrl-C or the end of the Pod."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import aclosing, contextmanager

from services.api import kinds
from services.kubectl import containers, forwarded_ports, pod_connection, resources
from services.kubectl.commands.registry import Command
from services.kubectl.errors import Fail
from services.kubectl.flags import Flag, seconds, text
from services.kubectl.forwarding import Forwarding
from services.kubectl.resources import Found, Wanted
from services.kubectl.session import Json, Session

FLAGS: tuple[Flag, ...] = (
    text("address", "IP addresses to listen on, or localhost; parted by commas", default="localhost"),
    seconds("pod-running-timeout", "How long to wait for a Pod of the object", default=60),
)
_WITH_PODS = (
    "Service",
    "ReplicationController",
    "ReplicaSet",
    "Deployment",
    "StatefulSet",
    "DaemonSet",
    "Job",
)


async def run(session: Session) -> None:
    if len(session.args) < 2:
        raise session.usage_error("TYPE/NAME and list of ports are required for port-forward")
    if session.flags["pod-running-timeout"] <= 0:
        raise session.usage_error("--pod-running-timeout must be higher than zero")
    word, *words = session.args
    found = await _named(session, word)
    pod = await _pod(session, found)
    ports = forwarded_ports.of_object(found.resource.kind, found.object, pod, words)
    phase = (pod.get("status") or {}).get("phase", "")
    if phase != "Running":
        raise Fail(f"unable to forward port because pod is not running. Current status={phase}")
    addresses = forwarded_ports.addresses(session.flags["address"].split(","))
    async with pod_connection.through(session.address, session.credentials) as connections:
        forwarding = Forwarding(session, pod, ports, addresses, connections)
        with on_interrupt(forwarding.stop):
            await forwarding.run()


@contextmanager
def on_interrupt(act: Callable[[], None]) -> Iterator[None]:
    """Ctrl-C ends what runs, and is no failure."""
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGINT, act)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGINT)


async def _named(session: Session, word: str) -> Found:
    if "/" in word:
        wanted = resources.parse(session, [word])
    else:
        wanted = [Wanted(_pods(), word)]
    found, errors = await resources.fetch(session, wanted)
    if errors:
        raise errors[0]
    return found[0]


def _pods() -> kinds.Resource:
    resource = kinds.resource_of_kind("v1", "Pod")
    assert resource is not None
    return resource


async def _pod(session: Session, found: Found) -> Json:
    """The Pod itself, or the most promising of the object's; waits for one where there is none yet."""
    if found.resource.kind == "Pod":
        return found.object
    if found.resource.kind not in _WITH_PODS:
        what = f"*{found.resource.version}.{found.resource.kind}"
        raise Fail(f"cannot attach to {what}: selector for {what} not implemented")
    try:
        labels = containers.selector_of(found.object)
    except Fail as error:
        what = f"*{found.resource.version}.{found.resource.kind}"
        raise Fail(f"cannot attach to {what}: {error}") from error
    page = await session.client.list_page(_pods(), found.namespace, labels=labels, limit=0)
    if page.items:
        return min(page.items, key=containers.promise)
    try:
        async with session.world.clock.timeout(session.flags["pod-running-timeout"]):
            return await _first(session, found.namespace, labels, page.resource_version)
    except TimeoutError as error:
        raise Fail("timed out waiting for the condition") from error


async def _first(session: Session, namespace: str, labels: str, version: str) -> Json:
    stream = session.client.watch(_pods(), namespace, labels=labels, resource_version=version)
    async with aclosing(stream) as batches:
        async for batch in batches:
            for change in batch:
                if change.type in ("ADDED", "MODIFIED"):
                    return change.object
    raise Fail("timed out waiting for the condition")


PORT_FORWARD = Command(
    "port-forward",
    "port-forward TYPE/NAME [options] [LOCAL_PORT:]REMOTE_PORT [...[LOCAL_PORT_N:]REMOTE_PORT_N]",
    "Forward one or more local ports to a pod.\n\nOf an object with several Pods one is chosen. The session"
    " ends with that Pod, or with Ctrl-C.",
    run=run,
    flags=FLAGS,
    examples="""
  # Port 8080 of this machine leads to port 80 of the Pod
  {program} port-forward pod/kiada 8080:80

  # To a Pod behind a Service, to the port that the Service's port "https" means
  {program} port-forward svc/kiada 8443:https

  # Any free port of this machine
  {program} port-forward deploy/kiada :8080
""",
)
