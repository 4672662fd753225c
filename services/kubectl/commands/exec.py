"""`exec`: runs a command in a container, joined to this terminal, and ends with its exit code."""

from __future__ import annotations

from services.api import kinds
from services.kubectl import containers, manifests, node_stream, resources, terminal
from services.kubectl.commands import attaching
from services.kubectl.commands.registry import Command
from services.kubectl.errors import Exit, Fail
from services.kubectl.flags import Flag, boolean, seconds, text, texts
from services.kubectl.resources import Wanted
from services.kubectl.session import Session

FLAGS: tuple[Flag, ...] = (
    text("container", "In this container", short="c"),
    texts("filename", "File that names the Pod", short="f"),
    seconds("pod-running-timeout", "How long to wait for a Pod to run", default=60),
    boolean("quiet", "Say nothing but the output", short="q"),
    boolean("stdin", "Hand stdin to the command", short="i"),
    boolean("tty", "Give the command a terminal", short="t"),
)


async def run(session: Session) -> None:
    flags = session.flags
    before = session.args[: flags.dash] if flags.dash >= 0 else session.args
    command = session.args[flags.dash :] if flags.dash >= 0 else []
    if flags.dash < 0 and len(before) > 1:
        raise session.usage_error(
            "exec [POD] [COMMAND] is not supported anymore. Use exec [POD] -- [COMMAND] instead"
        )
    if not before and not flags["filename"]:
        raise Fail("pod, type/name or --filename must be specified")
    if not command:
        raise Fail("you must specify at least one command for the container")
    pod = await _pod(session, before)
    phase = (pod.get("status") or {}).get("phase")
    if phase in ("Succeeded", "Failed"):
        raise Fail(f"cannot exec into a container in a completed pod; current phase is {phase}")
    name = flags["container"] or containers.default(session, pod, quiet=flags["quiet"])
    if name not in containers.plain_names(pod):
        out_of = ", ".join(containers.names(pod))
        raise Fail(f"container {name} is not valid for pod {pod['metadata']['name']} out of: {out_of}")
    tty = flags["tty"]
    if tty and not (flags["stdin"] and terminal.is_terminal(session.world.stdin)):
        session.complain("Unable to use a TTY - input is not a terminal or the right kind of file")
        tty = False
    async with node_stream.open(session.address, session.credentials) as nodes:
        stream = nodes.exec()
        namespace = pod["metadata"].get("namespace", session.namespace)
        await stream.start(namespace, pod["metadata"]["name"], name, command, stdin=flags["stdin"], tty=tty)
        code = await attaching.converse(session, stream, stdin=flags["stdin"], tty=tty)
    if code:
        session.complain(f"command terminated with exit code {code}")
        raise Exit(code)


async def _pod(session: Session, words: list[str]) -> resources.Json:
    if session.flags["filename"]:
        wanted = manifests.references(session)
    elif "/" in words[0]:
        wanted = resources.parse(session, words[:1])
    else:
        resource = kinds.resource_of_kind("v1", "Pod")
        assert resource is not None
        wanted = [Wanted(resource, words[0])]
    found, errors = await resources.fetch(session, wanted)
    if errors:
        raise errors[0]
    pods = await containers.pods_of(session, found[0], "cannot attach to")
    return pods[0]


EXEC = Command(
    "exec",
    "exec (POD | TYPE/NAME) [-c CONTAINER] [flags] -- COMMAND [args...]",
    "Execute a command in a container.",
    run=run,
    flags=FLAGS,
    examples="""
  # One command
  {program} exec kubia -- ps aux

  # A shell
  {program} exec -it kubia -- bash
""",
)
