"""The console of an emulated machine: where `orrery ssh` lands.

It is a container of the runtime's own kind, with the machine's network, host name and folders, that no
runtime client sees: a second `Machine` on the same kernel, whose programs know the first. So the shell,
terminals and tools are the ones that containers have, and nothing of it can touch the real machine.
The CRI finds it under `console_name`, which is how streams reach it.
"""

from __future__ import annotations

import os
from collections import ChainMap
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Any, cast

from services.node.shell.crictl import crictl_programs
from services.node.shell.docker import docker_programs
from services.node.shell.host import Host
from services.node.shell.node_tools import node_programs
from services.node.shell.process_list import process_programs
from services.pb.runtime.v1 import api_pb2 as pb
from services.runtime import wire
from services.runtime.container import Container
from services.runtime.filesystem import DIRECTORY, Entry, Tree
from services.runtime.images import ImageStore, LayerStore
from services.runtime.kernel import Future
from services.runtime.machine import Machine
from services.runtime.model import SIGTERM, Image
from services.runtime.processes import Process, Program
from services.runtime.server import Machines
from services.runtime.streams import NULL
from services.runtime.toolbox import PROGRAMS
from services.runtime.volumes import FileMount, FolderMount

IMAGE = "node-console"
SHARED_FOLDERS = ("data", "home", "mnt", "opt", "root", "srv", "tmp", "var")
BINARY = Entry(mode=0o755, data=b"\x7fELF")
DAEMONS = {
    "containerd": ("/usr/bin/containerd",),
    "kubelet": (
        "/usr/bin/kubelet",
        "--config=/var/lib/kubelet/config.yaml",
        "--container-runtime-endpoint=unix:///run/containerd/containerd.sock",
    ),
    "kube-proxy": ("/usr/local/bin/kube-proxy", "--config=/var/lib/kube-proxy/config.conf"),
}


def console_name(node: str) -> str:
    return f"{node}/console"


def open_console(host: Host, machines: Machines, random: Random) -> Container:
    """The console's container, running; made when somebody first asks for it."""
    name = console_name(host.name)
    machine = machines.consoles.get(name)
    if machine is not None:
        return next(iter(machine.containers.values()))
    own = {
        **process_programs(host),
        **node_programs(host),
        **crictl_programs(host),
        **docker_programs(host),
        "init": _wait_for_ever,
    }
    programs: ChainMap[str, Program] = ChainMap(own, cast(dict[str, Program], PROGRAMS))
    images = ImageStore(_no_registry(), LayerStore())
    image = _image(host, programs)
    images.images[image.id] = image
    machine = Machine(
        host.name,
        kernel=machines.kernel,
        random=random,
        network=machines.network,
        local=machines.local,
        images=images,
        programs=programs,
        root=host.root,
        log=host.runtime.log,
    )
    machine.host = host.runtime.host
    machine.beyond = host.container_process
    machines.consoles[name] = machine
    container = _start(machine)
    _mount(container, host)
    start_daemons(host, container)
    return container


def _start(machine: Machine) -> Container:
    namespaces = pb.NamespaceOption(network=pb.NODE, pid=pb.CONTAINER)
    security = pb.LinuxSandboxSecurityContext(namespace_options=namespaces)
    sandbox_message = pb.PodSandboxConfig(
        metadata=pb.PodSandboxMetadata(name="console", uid="console", namespace="", attempt=0),
        linux=pb.LinuxPodSandboxConfig(security_context=security),
    )
    sandbox = machine.run_sandbox(wire.sandbox_config(sandbox_message), "")
    config = pb.ContainerConfig(
        metadata=pb.ContainerMetadata(name="console"),
        image=pb.ImageSpec(image=IMAGE, user_specified_image=IMAGE),
        command=["/sbin/init"],
        linux=pb.LinuxContainerConfig(
            security_context=pb.LinuxContainerSecurityContext(namespace_options=namespaces)
        ),
        working_dir="/root",
        envs=[pb.KeyValue(key="SHELL", value=b"/bin/bash"), pb.KeyValue(key="USER", value=b"root")],
    )
    container = machine.create_container(sandbox.id, wire.container_config(config))
    container.start()
    return container


def _image(host: Host, programs: Mapping[str, Program]) -> Image:
    entries: dict[str, Entry] = {f"/usr/bin/{name}": BINARY for name in programs if name != "init"}
    entries |= {f"/bin/{name}": BINARY for name in ("sh", "bash", "ls", "cat", "ps")}
    entries |= dict.fromkeys(("/sbin/init", "/usr/bin/kubelet", "/usr/bin/containerd"), BINARY)
    entries |= {f"/{name}": Entry(DIRECTORY, 0o1777 if name == "tmp" else 0o755) for name in SHARED_FOLDERS}
    entries |= {path: Entry(DIRECTORY, 0o755) for path in ("/etc/kubernetes", "/run/containerd", "/boot")}
    entries["/etc/passwd"] = Entry(data=b"root:x:0:0:root:/root:/bin/bash\n")
    entries["/etc/group"] = Entry(data=b"root:x:0:\n")
    entries["/etc/os-release"] = Entry(data=_os_release(host.hardware.os_image))
    entries["/etc/crictl.yaml"] = Entry(data=b"runtime-endpoint: unix:///run/containerd/containerd.sock\n")
    return Image(
        id=IMAGE,
        digest="",
        repository=IMAGE,
        size=0,
        layers=(),
        tree=Tree(entries),
        behaviour={},
        entrypoint=("/sbin/init",),
    )


def _os_release(pretty: str) -> bytes:
    name, _, version = pretty.partition(" ")
    return f'PRETTY_NAME="{pretty}"\nNAME="{name}"\nVERSION="{version}"\nID={name.lower()}\n'.encode()


def _mount(container: Container, host: Host) -> None:
    """The machine's own folders: the ones that hostPath volumes, logs and Pods' volumes lie in."""
    mounts = container.filesystem.mounts
    for inner in ("/var/lib/kubelet/pods", "/var/log/pods"):
        host.runtime.real_path(inner).mkdir(parents=True, exist_ok=True)  # what lies there is mounted over it
    host.runtime.real_path("/var/lib/kubelet/config.yaml").touch()
    for name in SHARED_FOLDERS:
        mounts[f"/{name}"] = _folder(host.runtime.real_path(f"/{name}"))
    mounts["/var/lib/kubelet/pods"] = _folder(host.root / "pods")
    mounts["/var/log/pods"] = _folder(host.runtime.real_path("/var/log/pods"))
    mounts["/var/lib/kubelet/config.yaml"] = FileMount(_kubelet_config(host))
    mounts["/etc/kubernetes/manifests"] = _folder(host.manifests)
    mounts["/etc/hosts"] = FileMount(f"127.0.0.1\tlocalhost\n{host.ip}\t{host.name}\n".encode())
    mounts["/etc/hostname"] = FileMount(f"{host.name}\n".encode())


def _folder(path: Path) -> FolderMount:
    path.mkdir(parents=True, exist_ok=True)
    return FolderMount(Path(os.path.realpath(path)), readonly=False)


def _kubelet_config(host: Host) -> bytes:
    lines = (
        "apiVersion: kubelet.config.k8s.io/v1beta1",
        "kind: KubeletConfiguration",
        f"maxPods: {host.hardware.pods}",
        "staticPodPath: /etc/kubernetes/manifests",
        "clusterDomain: cluster.local",
    )
    return "".join(f"{line}\n" for line in lines).encode()


def start_daemons(host: Host, console: Container) -> None:
    """The processes that `ps` shows of the units that are active."""
    init = console.processes.alive[1]
    for unit, argv in DAEMONS.items():
        known, state = host.daemons.get(unit), host.units.get(unit)
        if state is None or not state.active or (known is not None and not known.exit.done):
            continue
        process = console.start_process(argv, _wait_for_ever, init, {}, "/", {0: NULL, 1: NULL, 2: NULL})
        process.started_at = state.since.timestamp()
        host.daemons[unit] = process
        process.exit.on_done(lambda unit=unit, process=process: _daemon_ended(host, unit, process))  # type: ignore[misc]


def stop_daemon(host: Host, unit: str) -> None:
    process = host.daemons.pop(unit, None)
    if process is not None:
        process.end(0)


def _daemon_ended(host: Host, unit: str, process: Process) -> None:
    """Killed by hand: systemd starts it again. What `systemctl` stops is no entry any more by then."""
    if host.daemons.get(unit) is process:
        del host.daemons[unit]
        host.units[unit].restart()


async def _wait_for_ever(process: Process) -> int:
    process.handlers[SIGTERM] = lambda _: process.end(0)
    await Future[None]()
    return 0


class _NoRegistry:
    async def resolve(self, reference: str, credentials: Any) -> Image:
        raise AssertionError("a console pulls nothing for itself")

    async def fetch(self, reference: str, digests: Any, credentials: Any) -> dict[str, Any]:
        raise AssertionError("a console pulls nothing for itself")


def _no_registry() -> Any:
    return _NoRegistry()
