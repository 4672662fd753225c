"""`docker` on the emulated node, for those who learnt Kubernetes with it: containers as it named them.

A Pod's container is `k8s_CONTAINER_POD_NAMESPACE_UID_ATTEMPT`, its sandbox `k8s_POD_…` of the pause image.
Only what looks at and breaks containers is here: this node's containers are the kubelet's to make.
Upstream: docker/cli, and the dockershim of Kubernetes before 1.24.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from services.node.shell.containers import (
    Options,
    follow_log,
    forced_removal,
    is_running,
    log_lines,
    outside,
    run_in,
)
from services.node.shell.host import Host
from services.node.shell.tables import ago, human_duration, human_size, table
from services.runtime.container import Container
from services.runtime.model import ContainerState, Image, RuntimeFault, SandboxState
from services.runtime.processes import Process, Program
from services.runtime.sandbox import Sandbox

ID_LENGTH = 12
LEAST = 10  # docker's least width of a column
COMMAND_LENGTH_MAX = 20
PAUSE = "registry.k8s.io/pause:3.10"
HUB = "docker.io/"
Command = Callable[[Host, Process, list[str]], Awaitable[int]]


@dataclass(frozen=True, slots=True)
class Row:
    """A container or a sandbox as docker lists it."""

    id: str
    image: str
    command: str
    created_at: int
    running: bool
    status: str
    name: str
    labels: dict[str, str]
    container: Container | None


def docker_programs(host: Host) -> dict[str, Program]:
    async def docker(process: Process) -> int:
        words = list(process.argv[1:])
        if words[:1] in (["container"], ["image"]):
            group, words = words[0], words[1:]
            if words[:1] in (["ls"], ["list"]):
                words[0] = "ps" if group == "container" else "images"
        if not words:
            await process.write("Usage:  docker [OPTIONS] COMMAND\n")
            return 0
        command = _COMMANDS.get(words[0])
        if command is None:
            await process.complain(f"docker: '{words[0]}' is not a docker command.\nSee 'docker --help'")
            return 1
        try:
            return await command(host, process, words[1:])
        except RuntimeFault as fault:
            await process.complain(f"Error response from daemon: {fault}")
            return 1

    return {"docker": docker}


# ---- Lists -----------------------------------------------------------------------------------


def listed(host: Host, now: float) -> list[Row]:
    found = [_of_sandbox(one, now) for one in host.runtime.sandboxes.values()]
    found += [_of_container(one, now) for one in host.runtime.containers.values()]
    return sorted(found, key=lambda row: row.created_at, reverse=True)


def _of_sandbox(one: Sandbox, now: float) -> Row:
    ready = one.state is SandboxState.READY
    config = one.config
    status = f"Up {human_duration(now - one.created_at / 1e9)}" if ready else "Exited (0)"
    name = f"k8s_POD_{config.name}_{config.namespace}_{config.uid}_{config.attempt}"
    labels = {**config.labels, "io.kubernetes.container.name": "POD"}
    return Row(one.id, PAUSE, '"/pause"', one.created_at, ready, status, name, labels, None)


def _of_container(one: Container, now: float) -> Row:
    pod, config = one.sandbox.config, one.config
    words = " ".join(one.argv())
    if len(words) > COMMAND_LENGTH_MAX:
        words = words[: COMMAND_LENGTH_MAX - 1] + "…"
    if one.state is ContainerState.RUNNING:
        status = f"Up {human_duration(now - one.started_at / 1e9)}"
    elif one.state is ContainerState.EXITED:
        status = f"Exited ({one.exit_code}) {ago(one.finished_at, now)}"
    else:
        status = "Created"
    name = f"k8s_{config.name}_{pod.name}_{pod.namespace}_{pod.uid}_{config.attempt}"
    image = config.user_image or one.image.repository
    labels = {str(key): str(value) for key, value in dict(config.labels).items()}
    running = is_running(one)
    return Row(one.id, image, f'"{words}"', one.created_at, running, status, name, labels, one)


async def _ps(host: Host, process: Process, words: list[str]) -> int:
    options = Options(words, ("filter", "f", "n", "last", "format"))
    now = process.container.now_seconds()
    found = [row for row in listed(host, now) if row.running or options.has("a", "all")]
    for condition in options.all("filter", "f"):
        found = [row for row in found if _matches(row, condition)]
    if options.has("q", "quiet"):
        length = 64 if options.has("no-trunc") else ID_LENGTH
        await process.write("".join(f"{row.id[:length]}\n" for row in found))
        return 0
    rows = [("CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES")]
    for row in found:
        created = ago(row.created_at, now)
        rows.append((row.id[:ID_LENGTH], row.image, row.command, created, row.status, "", row.name))
    await process.write(table(rows, least=LEAST))
    return 0


def _matches(row: Row, condition: str) -> bool:
    kind, _, value = condition.partition("=")
    if kind == "label":
        key, equals, wanted = value.partition("=")
        return key in row.labels and (not equals or row.labels[key] == wanted)
    if kind == "name":
        return value in row.name
    if kind == "id":
        return row.id.startswith(value)
    if kind == "status":
        return value == ("running" if row.running else "exited")
    return kind == "ancestor" and value in row.image


async def _images(host: Host, process: Process, words: list[str]) -> int:
    options = Options(words, ("filter", "f", "format"))
    store, wanted = host.runtime.images, options.words[0] if options.words else ""
    found: list[tuple[str, str, Image]] = []
    for image in store.images.values():
        for tag in store.tags_of(image):
            name, _, label = familiar(tag).rpartition(":")
            if wanted in ("", name, f"{name}:{label}"):
                found.append((name, label, image))
    if options.has("q", "quiet"):
        await process.write("".join(f"{_short(image.id)}\n" for _, _, image in found))
        return 0
    rows = [("REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE")]
    for name, label, image in sorted(found, key=lambda item: item[:2]):
        rows.append((name, label, _short(image.id), "2 weeks ago", human_size(image.size)))
    await process.write(table(rows, least=LEAST))
    return 0


# ---- One container ---------------------------------------------------------------------------


def find(host: Host, word: str, now: float) -> Row:
    """By id, by the beginning of one, or by name. RuntimeFault in docker's words."""
    for row in listed(host, now):
        if row.name == word or (word and row.id.startswith(word)):
            return row
    raise RuntimeFault("NOT_FOUND", f"No such container: {word}")


def _container(host: Host, process: Process, word: str) -> Container:
    row = find(host, word, process.container.now_seconds())
    if row.container is None:
        raise RuntimeFault("UNKNOWN", f"container {word} is the sandbox of a pod: nothing runs in it")
    return row.container


async def _exec(host: Host, process: Process, words: list[str]) -> int:
    options = Options(words, ("e", "env", "u", "user", "w", "workdir"), until_word=True)
    if len(options.words) < 2:
        return await _too_few(process, "exec", 2)
    container = _container(host, process, options.words[0])
    if not is_running(container):
        raise RuntimeFault("UNKNOWN", f"container {container.id} is not running")
    return await run_in(process, container, options.words[1:], tty=options.has("t", "tty"))


async def _logs(host: Host, process: Process, words: list[str]) -> int:
    options = Options(words, ("n", "tail", "since", "until"))
    if not options.words:
        return await _too_few(process, "logs", 1)
    container = _container(host, process, options.words[0])
    tail, stamps = options.get("tail", "n"), options.has("t", "timestamps")
    if options.has("f", "follow"):
        await follow_log(process, container, tail=tail, stamps=stamps)
    else:
        await process.write(log_lines(container, tail=tail, stamps=stamps))
    return 0


async def _rm(host: Host, process: Process, words: list[str]) -> int:
    options = Options(words, ())
    if not options.words:
        return await _too_few(process, "rm", 1)
    status = 0
    for word in options.words:
        try:
            row = find(host, word, process.container.now_seconds())
            if row.running and not options.has("f", "force"):
                text = f'cannot remove container "/{row.name}": container is running: '
                raise RuntimeFault("UNKNOWN", text + "stop the container before removing or force remove")
            if row.container is not None:
                await forced_removal(host, row.container)
            else:
                await host.runtime.remove_sandbox(row.id)
            await process.write(f"{word}\n")
        except RuntimeFault as fault:
            await process.complain(f"Error response from daemon: {fault}")
            status = 1
    return status


async def _stop(host: Host, process: Process, words: list[str]) -> int:
    return await _end(host, process, words, "stop", 10.0)


async def _kill(host: Host, process: Process, words: list[str]) -> int:
    return await _end(host, process, words, "kill", 0.0)


async def _end(host: Host, process: Process, words: list[str], verb: str, grace: float) -> int:
    options = Options(words, ("t", "time", "timeout", "s", "signal"))
    if not options.words:
        return await _too_few(process, verb, 1)
    given = options.get("t", "time", "timeout")
    for word in options.words:
        row = find(host, word, process.container.now_seconds())
        if row.container is not None:
            await row.container.stop(float(given) if given.isdigit() else grace)
        else:
            await host.runtime.stop_sandbox(row.id)
        await process.write(f"{word}\n")
    return 0


async def _inspect(host: Host, process: Process, words: list[str]) -> int:
    options = Options(words, ("f", "format", "type"))
    if not options.words:
        return await _too_few(process, "inspect", 1)
    found: list[dict[str, Any]] = []
    status = 0
    for word in options.words:
        try:
            found.append(_described(host, find(host, word, process.container.now_seconds())))
        except RuntimeFault:
            image = host.runtime.images.find(word)
            if image is None:
                await process.complain(f"Error: No such object: {word}")
                status = 1
            else:
                tags = [familiar(tag) for tag in host.runtime.images.tags_of(image)]
                found.append({"Id": image.id, "RepoTags": tags, "Size": image.size, "Os": "linux"})
    await process.write(json.dumps(found, indent=4) + "\n")
    return status


def _described(host: Host, row: Row) -> dict[str, Any]:
    one = row.container
    state: dict[str, Any] = {
        "Status": "running" if row.running else "exited",
        "Running": row.running,
        "Pid": host.pid(row.id, 1) if row.running else 0,
        "ExitCode": one.exit_code if one else 0,
        "OOMKilled": bool(one and one.reason == "OOMKilled"),
    }
    if one is not None:
        state["StartedAt"], state["FinishedAt"] = _moment(one.started_at), _moment(one.finished_at)
    config: dict[str, Any] = {"Image": row.image, "Labels": row.labels}
    if one is not None:
        config["Env"] = [f"{key}={value}" for key, value in one.environment().items()]
        config["Cmd"] = list(one.argv())
        config["Hostname"] = one.hostname
    return {
        "Id": row.id,
        "Created": _moment(row.created_at),
        "Name": f"/{row.name}",
        "State": state,
        "Image": one.image.id if one else "",
        "Config": config,
    }


def _moment(nanoseconds: int) -> str:
    if not nanoseconds:
        return "0001-01-01T00:00:00Z"
    moment = datetime.fromtimestamp(nanoseconds / 1e9, UTC)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


# ---- Images ----------------------------------------------------------------------------------


async def _pull(host: Host, process: Process, words: list[str]) -> int:
    options = Options(words, ("platform",))
    if not options.words:
        return await _too_few(process, "pull", 1)
    name = options.words[0]
    store = host.runtime.images
    if ":" not in name.rpartition("/")[2] and "@" not in name:
        await process.write("Using default tag: latest\n")
        name += ":latest"
    known = store.find(name)
    repository = familiar(name).rpartition(":")[0]
    path = repository if "/" in repository else f"library/{repository}"
    await process.write(f"{name.rpartition(':')[2]}: Pulling from {path}\n")
    try:
        image = await outside(process, store.pull(name))
    except RuntimeFault as fault:
        if "access denied" in str(fault):
            text = f"pull access denied for {repository}, repository does not exist or may require"
            text += " 'docker login'"
            raise RuntimeFault(
                "NOT_FOUND", f"{text}: denied: requested access to the resource is denied"
            ) from fault
        if fault.code == "NOT_FOUND":
            raise RuntimeFault("NOT_FOUND", f"manifest for {name} not found: manifest unknown") from fault
        raise
    new = known is None or known.id != image.id
    if new:
        layers = (layer.digest.removeprefix("sha256:")[:ID_LENGTH] for layer in image.layers)
        await process.write("".join(f"{layer}: Pull complete\n" for layer in layers))
    word = "Downloaded newer image" if new else "Image is up to date"
    full = f"{HUB}{path}" if "." not in repository.partition("/")[0] else repository
    await process.write(
        f"Digest: {image.digest}\nStatus: {word} for {name}\n{full}:{name.rpartition(':')[2]}\n"
    )
    return 0


async def _version(host: Host, process: Process, words: list[str]) -> int:
    await process.write("Docker version 29.1.3, build orrery\n")
    return 0


async def _too_few(process: Process, verb: str, count: int) -> int:
    what = "requires at least" if verb in ("rm", "stop", "kill", "exec", "inspect") else "requires exactly"
    arguments = "1 argument" if count == 1 else f"{count} arguments"
    await process.complain(f"\"docker {verb}\" {what} {arguments}.\nSee 'docker {verb} --help'.")
    return 1


def familiar(name: str) -> str:
    """docker.io/library/nginx:1.27 → nginx:1.27, as docker shows names."""
    return name.removeprefix(HUB).removeprefix("library/") if name.startswith(HUB) else name


def _short(identifier: str) -> str:
    return identifier.removeprefix("sha256:")[:ID_LENGTH]


_COMMANDS: dict[str, Command] = {
    "ps": _ps, "ls": _ps, "images": _images, "exec": _exec, "logs": _logs, "rm": _rm, "stop": _stop,
    "kill": _kill, "inspect": _inspect, "pull": _pull, "--version": _version, "version": _version,
}  # fmt: skip
