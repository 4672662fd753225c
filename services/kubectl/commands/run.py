"""`run`: one Pod from an image, waited for, attached to or exposed where asked.

Upstream: kubectl's run command. Waiting and attaching follow the Pod by a watch.
"""

from __future__ import annotations

from typing import Any

from services.api import kinds
from services.api.errors import ApiError
from services.kubectl import overriding
from services.kubectl.commands.registry import Command
from services.kubectl.errors import Fail, quote
from services.kubectl.flags import Flag, boolean, integer, seconds, text, texts
from services.kubectl.output.results import DRY_RUN, FIELD_MANAGER, PRINT_FLAGS, Results
from services.kubectl.session import Session

Json = dict[str, Any]

FLAGS: tuple[Flag, ...] = (
    *PRINT_FLAGS,
    DRY_RUN,
    FIELD_MANAGER,
    texts("annotations", "key=value", split=False),
    boolean("attach", "Wait for the Pod to start, then show its output"),
    boolean("command", "What stands behind -- is the command, not its arguments"),
    texts("env", "NAME=value", split=False),
    boolean("expose", "Make a Service for the Pod as well"),
    integer("grace-period", "Seconds given to the Pod to end, with --rm", default=-1),
    boolean("force", "Delete at once, with --rm"),
    text("image", "The image of the container", required=True),
    text("image-pull-policy", "Always, IfNotPresent or Never"),
    text("labels", "key=value,key=value", short="l"),
    boolean("leave-stdin-open", "Keep stdin open after the first attach"),
    *overriding.FLAGS,
    seconds("pod-running-timeout", "How long to wait for the Pod to start", default=60),
    text("port", "Port that the container exposes"),
    boolean("privileged", "Run the container privileged"),
    boolean("quiet", "Say nothing but the output", short="q"),
    text("restart", "Always, OnFailure or Never", default="Always"),
    boolean("rm", "Delete the Pod when it has ended; with --attach or -i"),
    boolean("save-config", "Note in an annotation what the object was made from"),
    boolean("stdin", "Hand stdin to the container", short="i"),
    boolean("tty", "Give the container a terminal", short="t"),
)


def pod(session: Session) -> Json:
    """The Pod that the line describes."""
    flags = session.flags
    names, command = _split(session)
    if not names:
        raise session.usage_error("NAME is required for run")
    name, extra = names[0], [*names[1:], *command]
    if not flags["image"]:
        raise Fail("--image is required")
    if len(flags["image"].split()) != 1:
        raise Fail(f"Invalid image name {quote(flags['image'])}: invalid reference format")
    _check(session)
    container: Json = {"name": name, "image": flags["image"], "resources": {}}
    if flags["image-pull-policy"]:
        container["imagePullPolicy"] = flags["image-pull-policy"]
    if extra:
        container["command" if flags["command"] else "args"] = extra
    if flags["env"]:
        container["env"] = [_environment(entry) for entry in flags["env"]]
    if flags["port"]:
        container["ports"] = [{"containerPort": _port(flags["port"])}]
    if flags["stdin"]:
        container |= {"stdin": True, "stdinOnce": not flags["leave-stdin-open"]}
    if flags["tty"]:
        container["tty"] = True
    if flags["privileged"]:
        container["securityContext"] = {"privileged": True}
    metadata: Json = {
        "name": name,
        "labels": _pairs(flags["labels"].split(",")) if flags["labels"] else {"run": name},
    }
    if flags["annotations"]:
        metadata["annotations"] = _pairs(flags["annotations"])
    spec = {"containers": [container], "dnsPolicy": "ClusterFirst", "restartPolicy": flags["restart"]}
    obj: Json = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec, "status": {}}
    return overriding.overridden(obj, flags)


def _check(session: Session) -> None:
    """Flags that do not go together, or that nothing can be done with."""
    flags = session.flags
    attach = _attaches(session)
    if flags["tty"] and not flags["stdin"]:
        raise session.usage_error("-i/--stdin is required for containers with -t/--tty=true")
    if flags["expose"] and not flags["port"]:
        raise session.usage_error("--port must be set when exposing a service")
    if flags["restart"] not in ("Always", "OnFailure", "Never"):
        raise session.usage_error(f"invalid restart policy: {flags['restart']}")
    if flags["rm"] and not attach:
        raise session.usage_error("--rm should only be used for attached containers")
    if attach and session.dry_run() != "none":
        raise session.usage_error(
            "--dry-run=[server|client] can't be used with attached containers options"
            " (--attach, --stdin, or --tty)"
        )
    if flags["image-pull-policy"] not in ("", "Always", "IfNotPresent", "Never"):
        raise session.usage_error(f"invalid image pull policy: {flags['image-pull-policy']}")


def _attaches(session: Session) -> bool:
    return bool(session.flags["attach"] or (session.flags["stdin"] and not session.flags.changed("attach")))


def _split(session: Session) -> tuple[list[str], list[str]]:
    dash = session.flags.dash
    return (session.args, []) if dash < 0 else (session.args[:dash], session.args[dash:])


def _environment(entry: str) -> Json:
    name, equals, value = entry.partition("=")
    if not name or not equals:
        raise Fail(f"invalid env: {entry}")
    return {"name": name, "value": value} if value else {"name": name}


def _port(word: str) -> int:
    if not word.isdigit():
        raise Fail(f'strconv.Atoi: parsing "{word}": invalid syntax')
    return int(word)


def _pairs(entries: Any) -> dict[str, str]:
    pairs = {}
    for entry in entries:
        key, equals, value = entry.partition("=")
        if not equals or not key:
            raise Fail(f"unexpected label spec: {entry}")
        pairs[key] = value
    return pairs


def service_for(session: Session, obj: Json) -> Json:
    port, labels = session.flags["port"], session.flags["labels"]
    metadata: Json = {"name": obj["metadata"]["name"]}
    if labels:
        metadata["labels"] = _pairs(labels.split(","))
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata,
        "spec": {
            "ports": [{"port": _port(port), "protocol": "TCP", "targetPort": _port(port)}],
            "selector": metadata.get("labels") or {"run": metadata["name"]},
        },
        "status": {"loadBalancer": {}},
    }


async def run(session: Session) -> None:
    flags = session.flags
    obj = pod(session)
    dry_run = session.dry_run()
    attach = _attaches(session)
    quiet = flags["quiet"] or attach
    results = Results(session, "created", dry_run)
    if flags["expose"]:
        await _create(session, service_for(session, obj), dry_run, results)
        if flags["output"] == "yaml" and dry_run == "client":
            session.write("---\n")  # kubectl writes one too many here, and people's scripts see it
    created = await _create(session, obj, dry_run, None if quiet else results)
    if attach and dry_run == "none":
        await _attached(session, created)


async def _create(session: Session, obj: Json, dry_run: str, results: Results | None) -> Json:
    resource = kinds.resource_of_kind("v1", obj["kind"])
    assert resource is not None
    if session.namespace_given:
        obj["metadata"]["namespace"] = session.namespace
    if dry_run != "client":
        answer = await session.client.create(
            resource,
            obj,
            session.namespace,
            dry_run=dry_run == "server",
            field_manager=session.flags["field-manager"] or "kubectl-run",
        )
        obj = session.took(answer)
    if results is not None:
        results.show(obj)
    return obj


async def _attached(session: Session, created: Json) -> None:
    """Waits for the Pod's container, joins it, and cleans up; ends as the container ended."""
    from services.kubectl.commands import attaching

    name = created["metadata"]["name"]
    try:
        await attaching.follow(session, created)
    finally:
        if session.flags["rm"]:
            await _remove(session, name)


async def _remove(session: Session, name: str) -> None:
    resource = kinds.resource_of_kind("v1", "Pod")
    assert resource is not None
    grace = session.flags["grace-period"]
    try:
        await session.client.delete(
            resource, name, session.namespace, grace_seconds=grace if grace >= 0 else None
        )
    except ApiError as error:
        if error.reason != "NotFound":
            raise
        return
    session.print(f'pod "{name}" deleted from {session.namespace} namespace')


RUN = Command(
    "run",
    'run NAME --image=image [--env="key=value"] [--port=port] [--dry-run=server|client]'
    " [--overrides=inline-json] [--command] -- [COMMAND] [args...]",
    "Create and run a particular image in a pod.",
    run=run,
    flags=FLAGS,
    examples="""
  # A Pod that runs nginx
  {program} run nginx --image=nginx

  # A shell that is gone when it ends
  {program} run -i --tty busybox --image=busybox --restart=Never --rm -- sh
""",
)
