"""`logs`: what containers wrote; of one Pod, of the Pods of a controller, or of all that a label selects."""

from __future__ import annotations

import asyncio
import math
import re
from dataclasses import replace
from typing import Any

from services.api import kinds
from services.api.errors import ApiError
from services.kubectl import containers, node_stream, resources
from services.kubectl.commands.registry import Command
from services.kubectl.errors import Fail, raise_all
from services.kubectl.flags import Flag, boolean, integer, seconds, text
from services.kubectl.node_stream import LogOptions, NodeStreams
from services.kubectl.resources import Wanted
from services.kubectl.session import Session
from services.machinery.clock import parse_time

Json = dict[str, Any]

SELECTOR_TAIL_LINES = 10  # several Pods at once would bury the reader
FLAGS: tuple[Flag, ...] = (
    boolean("all-containers", "Of every container of the Pod"),
    boolean("all-pods", "Of every Pod of the controller; with a prefix"),
    text("container", "Of this container", short="c"),
    boolean("follow", "Go on as more is written", short="f"),
    boolean("ignore-errors", "Go on when one stream fails"),
    boolean("insecure-skip-tls-verify-backend", "Accepted for compatibility"),
    integer("limit-bytes", "Not more than this many bytes"),
    integer("max-log-requests", "How many streams at once", default=5),
    seconds("pod-running-timeout", "How long to wait for a Pod to run", default=20),
    boolean("prefix", "Begin each line with Pod and container"),
    boolean("previous", "Of the instance before the last restart", short="p"),
    text("selector", "Of the Pods whose labels match", short="l"),
    seconds("since", "Only what is younger than this"),
    text("since-time", "Only what was written after this moment (RFC 3339)"),
    integer("tail", "Only the last lines; -1: all", default=-1),
    boolean("timestamps", "Begin each line with its time"),
)
USAGE = (
    "expected 'logs [-f] [-p] (POD | TYPE/NAME) [-c CONTAINER]'.\n"
    "POD or TYPE/NAME is a required argument for the logs command"
)


async def run(session: Session) -> None:
    flags = session.flags
    if not session.args and not flags["selector"]:
        raise session.usage_error(USAGE)
    if len(session.args) > 2:
        raise session.usage_error(USAGE)
    if len(session.args) == 2:
        if flags["container"]:
            raise session.usage_error("only one of -c or an inline [CONTAINER] arg is allowed")
        flags.values["container"] = session.args.pop()
    _validate(session)
    options = _options(session)
    pods = await _pods(session)
    streams = _streams(session, pods)
    if flags["follow"] and len(streams) > flags["max-log-requests"]:
        raise Fail(
            f"you are attempting to follow {len(streams)} log streams, but maximum allowed concurrency is"
            f" {flags['max-log-requests']}, use --max-log-requests to increase the limit"
        )
    async with node_stream.open(session.address, session.credentials) as nodes:
        if flags["follow"] and len(streams) > 1:
            async with asyncio.TaskGroup() as group:
                for pod, container in streams:
                    group.create_task(_copy(session, nodes, pod, replace(options, container=container)))
        else:
            await _one_by_one(session, nodes, streams, options)


def _validate(session: Session) -> None:
    flags = session.flags
    if flags["since"] and flags["since-time"]:
        raise Fail("at most one of `sinceTime` or `sinceSeconds` may be specified")
    if flags.changed("limit-bytes") and flags["limit-bytes"] < 1:
        raise Fail("--limit-bytes must be greater than 0")
    if flags["tail"] < -1:
        raise Fail("--tail must be greater than or equal to -1")
    if flags["all-containers"] and flags["container"]:
        raise Fail("--all-containers=true should not be specified with container name " + flags["container"])


def _options(session: Session) -> LogOptions:
    flags = session.flags
    tail = flags["tail"] if flags["tail"] >= 0 else None
    if flags["selector"] and not flags.changed("tail"):
        tail = SELECTOR_TAIL_LINES
    if flags["since-time"]:
        try:
            parse_time(flags["since-time"])
        except ValueError as error:
            raise Fail(f'parsing time "{flags["since-time"]}": cannot parse') from error
    return LogOptions(
        follow=flags["follow"],
        previous=flags["previous"],
        timestamps=flags["timestamps"],
        tail_lines=tail,
        since_seconds=math.ceil(flags["since"]) if flags["since"] else None,
        since_time=flags["since-time"],
        limit_bytes=flags["limit-bytes"] or None,
    )


async def _pods(session: Session) -> list[Json]:
    flags = session.flags
    pod_resource = kinds.resource_of_kind("v1", "Pod")
    assert pod_resource is not None
    if flags["selector"]:
        if session.args:
            raise session.usage_error("only a selector (-l) or a POD name is allowed")
        pods = await session.client.list(pod_resource, session.namespace, labels=flags["selector"])
        if not pods:
            session.complain(f"No resources found in {session.namespace} namespace.")
        return pods
    word = session.args[0]
    wanted = resources.parse(session, [word])[0] if "/" in word else Wanted(pod_resource, word)
    found, errors = await resources.fetch(session, [wanted])
    if errors:
        raise _not_found(errors[0], session)
    pods = await containers.pods_of(session, found[0], "cannot get the logs from")
    if len(pods) > 1 and not flags["all-pods"]:
        session.complain(f"Found {len(pods)} pods, using pod/{pods[0]['metadata']['name']}")
        return pods[:1]
    return pods


def _not_found(error: Exception, session: Session) -> Exception:
    if isinstance(error, ApiError) and error.reason == "NotFound":
        return Fail(f'error from server (NotFound): {error.message} in namespace "{session.namespace}"')
    return error


def _streams(session: Session, pods: list[Json]) -> list[tuple[Json, str]]:
    flags = session.flags
    result = []
    for pod in pods:
        names = containers.plain_names(pod)
        if flags["all-containers"]:
            spec = pod.get("spec") or {}
            ordered = [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]
            result += [(pod, container["name"]) for container in ordered]
            continue
        name = flags["container"] or containers.default(session, pod, quiet=flags["all-pods"])
        if name not in names:
            out_of = ", ".join(containers.names(pod))
            raise Fail(f"container {name} is not valid for pod {pod['metadata']['name']} out of: {out_of}")
        result.append((pod, name))
    return result


async def _one_by_one(
    session: Session, nodes: NodeStreams, streams: list[tuple[Json, str]], options: LogOptions
) -> None:
    errors: list[Exception] = []
    for pod, container in streams:
        try:
            await _copy(session, nodes, pod, replace(options, container=container))
        except ApiError as error:
            if not session.flags["ignore-errors"]:
                raise
            session.complain(f"error: {error.message}")
    raise_all(errors)


async def _copy(session: Session, nodes: NodeStreams, pod: Json, options: LogOptions) -> None:
    name, namespace = pod["metadata"]["name"], pod["metadata"].get("namespace", session.namespace)
    prefixed = session.flags["prefix"] or session.flags["all-pods"]
    prefix = f"[pod/{name}/{options.container}] " if prefixed else ""
    rest = b""
    async for data in nodes.logs(namespace, name, options):
        rest += data
        lines, _, rest = rest.rpartition(b"\n")
        if lines or rest != data:
            _write(session, lines + b"\n", prefix)
    if rest:
        _write(session, rest, prefix)


def _write(session: Session, data: bytes, prefix: str) -> None:
    text = data.decode(errors="replace")
    session.write(re.sub(r"(?m)^(?=.)", prefix, text) if prefix else text)
    session.world.out.flush()


LOGS = Command(
    "logs",
    "logs [-f] [-p] (POD | TYPE/NAME) [-c CONTAINER]",
    "Print the logs for a container in a pod or specified resource. If the pod has only one container,"
    " the container name is optional.",
    run=run,
    flags=FLAGS,
    examples="""
  # What a Pod wrote
  {program} logs kubia

  # Before its last restart
  {program} logs kubia --previous

  # As it is written
  {program} logs -f kubia
""",
)
