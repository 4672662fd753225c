"""`debug`: adds an ephemeral container to a running Pod, and joins this terminal to it.

Upstream: kubectl's debug command, as far as it concerns ephemeral containers with the profile
`general`; copies of Pods and Pods for nodes are refused in so many words.
"""

from __future__ import annotations

import json
from typing import Any

from services.api import kinds
from services.client.transport import PatchType
from services.kubectl import following, node_stream, resources
from services.kubectl.commands import attaching
from services.kubectl.commands.registry import Command
from services.kubectl.errors import Fail, quote
from services.kubectl.flags import Flag, boolean, seconds, text, texts
from services.kubectl.node_stream import LogOptions
from services.kubectl.resources import Found, Wanted
from services.kubectl.session import Session
from services.machinery import names
from services.machinery.image_names import canonical

Json = dict[str, Any]

FLAGS: tuple[Flag, ...] = (
    boolean("arguments-only", "What stands behind -- are arguments, not the command"),
    boolean("attach", "Wait for the container to run, then attach to it; as a matter of course with -i"),
    text("container", "Name of the new container", short="c"),
    texts("env", "NAME=value", split=False),
    text("image", "Image of the new container"),
    text("image-pull-policy", "Always, IfNotPresent or Never"),
    seconds("pod-running-timeout", "How long to wait for the container to run", default=60),
    text("profile", "What the container may do: general, baseline, restricted, …", default="general"),
    boolean("quiet", "Say nothing but the output", short="q"),
    boolean("stdin", "Hand stdin to the container", short="i"),
    text("target", "See the processes of this container"),
    boolean("tty", "Give the container a terminal", short="t"),
)
_POLICIES = ("", "Always", "IfNotPresent", "Never")
_PROFILES = ("legacy", "general", "baseline", "restricted", "netadmin", "sysadmin")


async def run(session: Session) -> None:
    _check(session)
    found = await _pod(session)
    container = _container(session, found.object)
    answer = await session.client.patch(
        found.resource,
        found.name,
        found.namespace,
        _patch(found.object, container),
        patch_type=PatchType.STRATEGIC,
        subresource="ephemeralcontainers",
        field_manager="kubectl-debug",
    )
    pod = session.took(answer)
    if session.flags["attach"] or (session.flags["stdin"] and not session.flags.changed("attach")):
        await _join(session, found, pod, container["name"])


def _patch(pod: Json, container: Json) -> bytes:
    """Puts it behind those that are there."""
    before = [{"name": one["name"]} for one in pod["spec"].get("ephemeralContainers") or ()]
    order = [*before, {"name": container["name"]}]
    change = {"ephemeralContainers": [container], "$setElementOrder/ephemeralContainers": order}
    return json.dumps({"spec": change}).encode()


def _check(session: Session) -> None:
    flags = session.flags
    if flags["profile"] not in _PROFILES:
        raise Fail(f"unknown profile: {flags['profile']}")
    if not flags["image"]:
        raise Fail("you must specify --image when not using --copy-to.")
    try:
        canonical(flags["image"])
    except ValueError as error:
        raise Fail(f"invalid image name {quote(flags['image'])}: invalid reference format") from error
    if not _words(session)[0]:
        raise Fail("NAME or filename is required for debug")
    if flags["image-pull-policy"] not in _POLICIES:
        raise Fail(f"invalid image pull policy: {flags['image-pull-policy']}")
    if flags["target"] and not flags["quiet"]:
        session.print(
            f"Targeting container {quote(flags['target'])}. If you don't see processes from this container "
            "it may be because the container runtime doesn't support this feature."
        )
    if flags["tty"] and not flags["stdin"]:
        raise Fail("-i/--stdin is required for containers with -t/--tty=true")


def _words(session: Session) -> tuple[list[str], list[str]]:
    """What stands before `--`, and the command behind it."""
    dash = session.flags.dash
    return (session.args[:dash], session.args[dash:]) if dash >= 0 else (session.args[:1], session.args[1:])


async def _pod(session: Session) -> Found:
    word = _words(session)[0][0]
    if "/" in word:
        wanted = resources.parse(session, [word])
    else:
        resource = kinds.resource_of_kind("v1", "Pod")
        assert resource is not None
        wanted = [Wanted(resource, word)]
    found, errors = await resources.fetch(session, wanted)
    if errors:
        raise errors[0]
    if found[0].resource.kind != "Pod":
        kind = f"{found[0].resource.api_version}, Kind={found[0].resource.kind}"
        raise Fail(f'"{kind}" not supported by debug')
    return found[0]


def _container(session: Session, pod: Json) -> Json:
    flags, spec = session.flags, pod["spec"]
    command = _words(session)[1]
    container: Json = {
        "name": flags["container"] or _new_name(session, spec),
        "image": flags["image"],
        "terminationMessagePolicy": "File",
    }
    if flags["image-pull-policy"]:
        container["imagePullPolicy"] = flags["image-pull-policy"]
    if command:
        container["args" if flags["arguments-only"] else "command"] = command
    if flags["env"]:
        pairs = (pair.partition("=") for pair in flags["env"])
        container["env"] = [{"name": name, "value": value} for name, _, value in pairs]
    for name in ("stdin", "tty"):
        if flags[name]:
            container[name] = True
    if flags["target"]:
        container["targetContainerName"] = flags["target"]
    if flags["profile"] == "general":
        container["securityContext"] = {"capabilities": {"add": ["SYS_PTRACE"]}}
    return container


def _new_name(session: Session, spec: Json) -> str:
    groups = ("containers", "initContainers", "ephemeralContainers")
    taken = {container["name"] for group in groups for container in spec.get(group) or ()}
    while (name := f"debugger-{names.random_suffix(session.world.random)}") in taken:
        pass
    if not session.flags["quiet"]:
        session.print(f"Defaulting debug container name to {name}.")
    return name


async def _join(session: Session, found: Found, pod: Json, container: str) -> None:
    """Attaches to the container once it runs; of one that has ended already, shows what it wrote."""
    namespace = found.namespace
    state: Json = {}
    try:
        async with session.world.clock.timeout(session.flags["pod-running-timeout"]):
            async for now in following.states(session, found.resource, namespace, found.name):
                if now is None:
                    raise Fail(f"pod {quote(found.name)} was deleted while waiting for it to start")
                state = _state(now, container)
                if "running" in state or "terminated" in state:
                    break
    except TimeoutError as error:
        raise Fail("timed out waiting for the condition") from error
    async with node_stream.open(session.address, session.credentials) as nodes:
        joined = "running" in state and await attaching.attach(
            session, nodes, namespace, found.name, container
        )
        if not joined:
            async for data in nodes.logs(namespace, found.name, LogOptions(container=container, follow=True)):
                attaching.write(session, "stdout", data)


def _state(pod: Json, container: str) -> Json:
    statuses = (pod.get("status") or {}).get("ephemeralContainerStatuses") or ()
    return next((status.get("state") or {} for status in statuses if status["name"] == container), {})


DEBUG = Command(
    "debug",
    "debug POD --image=image [flags] [-- COMMAND [args...]]",
    "Look at a running Pod with a container of another image, added to it for this one purpose.",
    run=run,
    flags=FLAGS,
    examples="""
  # A shell beside the containers of a Pod
  {program} debug kubia -it --image=busybox

  # One that sees the processes of a container in it
  {program} debug kubia -it --image=busybox --target=kubia
""",
)
