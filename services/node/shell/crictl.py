"""`crictl` on the emulated node: its tables, column for column, and what it does to containers.

Upstream: kubernetes-sigs/cri-tools, `cmd/crictl`.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from google.protobuf.json_format import MessageToDict

from services.node.shell.containers import (
    Options,
    follow_log,
    forced_removal,
    is_running,
    log_lines,
    newest_first,
    outside,
    refuse,
    run_in,
    words_of,
)
from services.node.shell.host import Host
from services.node.shell.tables import ago, human_size, table
from services.runtime import wire
from services.runtime.container import Container
from services.runtime.cri import RUNTIME_NAME, RUNTIME_VERSION
from services.runtime.model import ContainerState, Image, RuntimeFault, SandboxState
from services.runtime.processes import Process, Program

ID_LENGTH = 13
LEAST = 20  # crictl's least width of a column
Command = Callable[[Host, Process, list[str]], Awaitable[int]]

USAGE = """\
NAME:
   crictl - client for CRI

USAGE:
   crictl [global options] command [command options] [arguments...]

COMMANDS:
   exec      Run a command in a running container
   images    List images
   info      Display information of the container runtime
   inspect   Display the status of one or more containers
   inspecti  Return the status of one or more images
   inspectp  Display the status of one or more pods
   logs      Fetch the logs of a container
   pods      List pods
   ps        List containers
   pull      Pull an image from a registry
   rm        Remove one or more containers
   rmi       Remove one or more images
   rmp       Remove one or more pods
   stats     List container(s) resource usage statistics
   stop      Stop one or more running containers
   stopp     Stop one or more running pods
   version   Display runtime version information
"""


def crictl_programs(host: Host) -> dict[str, Program]:
    async def crictl(process: Process) -> int:
        words = list(process.argv[1:])
        while words and words[0].startswith("-"):  # global options: an endpoint makes no difference here
            word = words.pop(0)
            if (
                word in ("-r", "-i", "-t", "-c", "--runtime-endpoint", "--image-endpoint", "--config")
                and words
            ):
                words.pop(0)
        if not words or words[0] in ("help", "h"):
            await process.write(USAGE)
            return 0
        command = _COMMANDS.get(words[0])
        if command is None:
            await process.write(USAGE)
            await fatal(process, f'unknown command "{words[0]}"')
        assert command is not None
        try:
            return await command(host, process, words[1:])
        except RuntimeFault as fault:
            await fatal(process, words_of(fault))
        return 1

    return {"crictl": crictl}


async def fatal(process: Process, text: str) -> None:
    await refuse(process, f"FATA[0000] {text}")


# ---- Lists -----------------------------------------------------------------------------------


async def _ps(host: Host, process: Process, words: list[str]) -> int:
    options = Options(
        words, ("name", "label", "pod", "p", "state", "s", "image", "id", "last", "n", "o", "output")
    )
    found = [one for one in newest_first(host) if _wanted(one, options)]
    if options.has("latest", "l"):
        found = newest_first(host)[:1]
    if (last := options.get("last", "n")).isdigit():
        found = newest_first(host)[: int(last)]
    if options.has("quiet", "q"):
        await process.write("".join(f"{one.id}\n" for one in found))
        return 0
    if options.get("output", "o") == "json":
        items = [_plain(wire.container_item(one)) for one in found]
        await process.write(json.dumps({"containers": items}, indent=2) + "\n")
        return 0
    now = process.container.now_seconds()
    rows = [("CONTAINER", "IMAGE", "CREATED", "STATE", "NAME", "ATTEMPT", "POD ID", "POD", "NAMESPACE")]
    for one in found:
        pod = one.sandbox.config
        rows.append(
            (
                *(one.id[:ID_LENGTH], _short(one.image.id), ago(one.created_at, now), _state(one)),
                *(one.config.name, str(one.config.attempt), one.sandbox.id[:ID_LENGTH]),
                *(pod.name, pod.namespace),
            )
        )
    await process.write(table(rows, least=LEAST))
    return 0


def _wanted(one: Container, options: Options) -> bool:
    state = options.get("state", "s").lower()
    if not options.has("all", "a") and not state and not is_running(one):
        return False
    if state and _state(one).lower() != state:
        return False
    if (name := options.get("name")) and name not in one.config.name:
        return False
    if (pod := options.get("pod", "p")) and not one.sandbox.id.startswith(pod):
        return False
    if (image := options.get("image")) and image not in (one.config.user_image, one.image.id):
        return False
    labels = dict(one.config.labels)
    for pair in options.all("label"):
        key, _, value = pair.partition("=")
        if labels.get(key) != value:
            return False
    return one.id.startswith(options.get("id"))


async def _pods(host: Host, process: Process, words: list[str]) -> int:
    options = Options(words, ("name", "namespace", "label", "state", "s", "id", "o", "output"))
    found = sorted(host.runtime.sandboxes.values(), key=lambda one: one.created_at, reverse=True)
    state = options.get("state", "s").lower()
    found = [
        one
        for one in found
        if options.get("name") in one.config.name
        and options.get("namespace") in one.config.namespace
        and one.id.startswith(options.get("id"))
        and (not state or state == ("ready" if one.state is SandboxState.READY else "notready"))
    ]
    if options.has("quiet", "q"):
        await process.write("".join(f"{one.id}\n" for one in found))
        return 0
    now = process.container.now_seconds()
    rows = [("POD ID", "CREATED", "STATE", "NAME", "NAMESPACE", "ATTEMPT", "RUNTIME")]
    for one in found:
        ready = "Ready" if one.state is SandboxState.READY else "NotReady"
        config = one.config
        rows.append(
            (
                *(one.id[:ID_LENGTH], ago(one.created_at, now), ready, config.name, config.namespace),
                *(str(config.attempt), one.handler or "(default)"),
            )
        )
    await process.write(table(rows, least=LEAST))
    return 0


async def _images(host: Host, process: Process, words: list[str]) -> int:
    options = Options(words, ("o", "output"))
    store = host.runtime.images
    rows = [("IMAGE", "TAG", "IMAGE ID", "SIZE")]
    for image in store.images.values():
        for tag in sorted(store.tags_of(image)) or [f"{image.repository}:<none>"]:
            name, _, label = tag.rpartition(":")
            rows.append((name, label, _short(image.id), human_size(image.size)))
    wanted = options.words[0] if options.words else ""
    if options.has("quiet", "q"):
        await process.write("".join(f"{image.id}\n" for image in store.images.values()))
        return 0
    shown = [rows[0], *sorted(row for row in rows[1:] if wanted in f"{row[0]}:{row[1]}")]
    await process.write(table(shown, least=LEAST))
    return 0


async def _stats(host: Host, process: Process, words: list[str]) -> int:
    now = process.container.now_seconds()
    rows = [("CONTAINER", "NAME", "CPU %", "MEM", "DISK", "INODES", "SWAP")]
    for one in newest_first(host):
        if is_running(one):
            cores = one.usage.cpu_nanocores / 1e9
            memory = human_size(one.usage.memory(now))
            disk = human_size(one.filesystem.written_bytes)
            name = one.config.name
            count = str(len(one.filesystem.upper))
            rows.append((one.id[:ID_LENGTH], name, f"{100 * cores:.2f}", memory, disk, count, "0B"))
    await process.write(table(rows, least=LEAST))
    return 0


# ---- One container or Pod --------------------------------------------------------------------


async def _inspect(host: Host, process: Process, words: list[str]) -> int:
    options = Options(words, ("o", "output", "template"))
    await _need(process, options, "ID cannot be empty")
    for word in options.words:
        container = host.runtime.container(word)
        first = container.processes.alive.get(1)
        info = {
            "sandboxID": container.sandbox.id,
            "pid": host.pid(container.id, 1) if first else 0,
            "runtimeType": "io.containerd.runc.v2",
        }
        await _write_json(process, {"info": info, "status": _plain(wire.container_status(container))})
    return 0


async def _inspectp(host: Host, process: Process, words: list[str]) -> int:
    options = Options(words, ("o", "output"))
    await _need(process, options, "ID cannot be empty")
    for word in options.words:
        sandbox = host.runtime.sandbox(word)
        info = {"pid": host.pid(sandbox.id, 1), "runtimeType": "io.containerd.runc.v2"}
        await _write_json(process, {"info": info, "status": _plain(wire.sandbox_status(sandbox))})
    return 0


async def _inspecti(host: Host, process: Process, words: list[str]) -> int:
    options = Options(words, ("o", "output"))
    await _need(process, options, "ID cannot be empty")
    for word in options.words:
        image = await _image(host, process, word)
        store = host.runtime.images
        status = {
            "id": image.id,
            "repoTags": store.tags_of(image),
            "repoDigests": store.digests_of(image),
            "size": str(image.size),
        }
        await _write_json(process, {"status": status})
    return 0


async def _exec(host: Host, process: Process, words: list[str]) -> int:
    options = Options(words, ("timeout", "r", "transport"), until_word=True)
    if len(options.words) < 2:
        await fatal(process, "exec requires a container ID and a command")
    container = host.runtime.container(options.words[0])
    return await run_in(process, container, options.words[1:], tty=options.has("t", "tty"))


async def _logs(host: Host, process: Process, words: list[str]) -> int:
    options = Options(words, ("tail", "since", "limit-bytes"))
    await _need(process, options, "ID cannot be empty")
    container = host.runtime.container(options.words[0])
    tail, stamps = options.get("tail"), options.has("t", "timestamps")
    if options.has("f", "follow"):
        await follow_log(process, container, tail=tail, stamps=stamps)
    else:
        await process.write(log_lines(container, tail=tail, stamps=stamps))
    return 0


async def _stop(host: Host, process: Process, words: list[str]) -> int:
    options = Options(words, ("timeout", "t"))
    await _need(process, options, "ID cannot be empty")
    timeout = options.get("timeout", "t")
    for word in options.words:
        await host.runtime.container(word).stop(int(timeout) if timeout.isdigit() else 0)
        await process.write(f"{word}\n")
    return 0


async def _rm(host: Host, process: Process, words: list[str]) -> int:
    options = Options(words, ())
    if options.has("a", "all"):
        options.words = [one.id for one in newest_first(host)]
    else:
        await _need(process, options, "ID cannot be empty")
    status = 0
    for word in options.words:
        container = host.runtime.container(word)
        if is_running(container) and not options.has("f", "force"):
            text = f'container "{word}" is running, please stop it first'
            await process.complain(f'ERRO[0000] removing container "{word}" failed: {text}')
            status = 1
            continue
        await forced_removal(host, container)
        await process.write(f"{word}\n")
    if status:
        await fatal(process, "unable to remove container(s)")
    return status


async def _stopp(host: Host, process: Process, words: list[str]) -> int:
    options = Options(words, ())
    await _need(process, options, "ID cannot be empty")
    for word in options.words:
        await host.runtime.stop_sandbox(host.runtime.sandbox(word).id)
        await process.write(f"Stopped sandbox {word}\n")
    return 0


async def _rmp(host: Host, process: Process, words: list[str]) -> int:
    options = Options(words, ())
    await _need(process, options, "ID cannot be empty")
    for word in options.words:
        sandbox = host.runtime.sandbox(word)
        if sandbox.state is SandboxState.READY and not options.has("f", "force"):
            await fatal(process, f'pod sandbox "{word}" is running, please stop it first')
        await host.runtime.remove_sandbox(sandbox.id)
        await process.write(f"Removed sandbox {word}\n")
    return 0


# ---- Images, the runtime ---------------------------------------------------------------------


async def _pull(host: Host, process: Process, words: list[str]) -> int:
    options = Options(words, ("creds", "auth", "u", "username", "annotation"))
    await _need(process, options, "image name cannot be empty")
    user, _, password = options.get("creds").partition(":")
    image = await outside(process, host.runtime.images.pull(options.words[0], (user, password)))
    await process.write(f"Image is up to date for {image.id}\n")
    return 0


async def _rmi(host: Host, process: Process, words: list[str]) -> int:
    options = Options(words, ())
    used = {one.image.id for one in host.runtime.containers.values()}
    if options.has("prune", "q"):
        options.words = [image.id for image in host.runtime.images.images.values() if image.id not in used]
    else:
        await _need(process, options, "ID cannot be empty")
    for word in options.words:
        image = await _image(host, process, word)
        tags = host.runtime.images.tags_of(image) or [image.id]
        host.runtime.images.remove(image.id)
        await process.write("".join(f"Deleted: {tag}\n" for tag in tags))
    return 0


async def _image(host: Host, process: Process, name: str) -> Image:
    found = host.runtime.images.find(name)
    if found is None:
        short = [
            i for i in host.runtime.images.images.values() if i.id.removeprefix("sha256:").startswith(name)
        ]
        found = short[0] if len(short) == 1 else None
    if found is None:
        await fatal(process, f'no such image "{name}" present')
    assert found is not None
    return found


async def _version(host: Host, process: Process, words: list[str]) -> int:
    await process.write(
        f"Version:  0.1.0\nRuntimeName:  {RUNTIME_NAME}\nRuntimeVersion:  v{RUNTIME_VERSION}\n"
        "RuntimeApiVersion:  v1\n"
    )
    return 0


async def _info(host: Host, process: Process, words: list[str]) -> int:
    ready = host.runtime.network_ready
    network = {
        "message": "" if ready else "Network plugin returns error: cni plugin not initialized",
        "reason": "" if ready else "NetworkPluginNotReady",
        "status": ready,
        "type": "NetworkReady",
    }
    runtime = {"message": "", "reason": "", "status": True, "type": "RuntimeReady"}
    await _write_json(process, {"status": {"conditions": [runtime, network]}})
    return 0


# ---- Shapes ----------------------------------------------------------------------------------


async def _need(process: Process, options: Options, text: str) -> None:
    if not options.words:
        await fatal(process, text)


async def _write_json(process: Process, value: dict[str, Any]) -> None:
    await process.write(json.dumps(value, indent=2) + "\n")


def _plain(message: Any) -> dict[str, Any]:
    found: dict[str, Any] = MessageToDict(message, always_print_fields_with_no_presence=True)
    for key in ("createdAt", "startedAt", "finishedAt"):
        if key in found and str(found[key]).isdigit():
            moment = datetime.fromtimestamp(int(found[key]) / 1e9, UTC)
            found[key] = moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
    return found


def _short(identifier: str) -> str:
    return identifier.removeprefix("sha256:")[:ID_LENGTH]


def _state(container: Container) -> str:
    return {
        ContainerState.CREATED: "Created",
        ContainerState.RUNNING: "Running",
        ContainerState.EXITED: "Exited",
    }.get(container.state, "Unknown")


_COMMANDS: dict[str, Command] = {
    "ps": _ps, "pods": _pods, "images": _images, "image": _images, "img": _images, "stats": _stats,
    "inspect": _inspect, "inspectp": _inspectp, "inspecti": _inspecti, "exec": _exec, "logs": _logs,
    "stop": _stop, "rm": _rm, "stopp": _stopp, "rmp": _rmp, "pull": _pull, "rmi": _rmi,
    "version": _version, "info": _info,
}  # fmt: skip
