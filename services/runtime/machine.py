"""One emulated machine's container runtime: its sandboxes, containers, images and addresses.

The whole state of a node's runtime is one of these; a process may hold hundreds, on one kernel, one
network and one store of layers. All methods are synchronous or run on the kernel; the wire and
asyncio are the adapters' business (cri.py). Nothing survives the process: as on a machine that
lost power, the kubelet finds no sandboxes and starts over.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from random import Random
from typing import TypeVar

from services.machinery import trace
from services.process.logging import Logger
from services.runtime.container import Container
from services.runtime.filesystem import DIRECTORY, Entry, Filesystem, Mount
from services.runtime.images import ImageStore
from services.runtime.kernel import Kernel
from services.runtime.model import (
    NODE_MODE,
    POD_MODE,
    TARGET_MODE,
    ContainerConfig,
    ContainerState,
    EventType,
    MountConfig,
    RuntimeFault,
    SandboxConfig,
    SandboxState,
)
from services.runtime.network import LocalNetwork, Namespace, Network
from services.runtime.process_files import CONTROL_GROUP, ETC_FILES, EtcFile, MadeFiles, ProcessFiles
from services.runtime.processes import PidNamespace, Process, Program
from services.runtime.sandbox import Sandbox
from services.runtime.system_files import device_files
from services.runtime.tmpfs import Tmpfs
from services.runtime.volumes import FolderMount, Memory, MemoryMount, memory_mounts

Subscriber = Callable[[EventType, str, Sandbox], None]
HANDLERS = ("", "runc")
DEVICES = MemoryMount(device_files(), readonly=False)
SHARED_MEMORY_BYTES = 64 * 1024 * 1024  # of /dev/shm, as containerd makes it
T = TypeVar("T")


class Machine:
    def __init__(
        self,
        name: str,
        *,
        kernel: Kernel,
        random: Random,
        network: Network,
        local: LocalNetwork,
        images: ImageStore,
        programs: Mapping[str, Program],
        root: Path,
        log: Logger,
    ) -> None:
        self.name, self.kernel, self.random, self.network = name, kernel, random, network
        self.images, self.programs, self.root, self.log = images, programs, root, log
        self._real_root = os.path.realpath(root)
        self.sandboxes: dict[str, Sandbox] = {}
        self.containers: dict[str, Container] = {}
        self._sandbox_names: dict[str, str] = {}  # the id of whom a name is reserved for
        self.subscribers: list[Subscriber] = []
        self.host = Namespace("", name, name)  # what Pods with host network share
        # Processes beyond a container's own that its `kill` reaches: a machine's console sees all of them.
        self.beyond: Callable[[int], Process | None] = lambda number: None
        self._host_pids = PidNamespace()
        self._local = local
        local.add_host(self.host)
        self._addresses = Addresses()

    # -- sandboxes ----------------------------------------------------------------------------

    def set_pod_cidr(self, cidr: str) -> None:
        self._addresses.use(cidr.split(",")[0])
        # What a Pod sees when the machine itself calls, as a probe does: the bridge.
        self.host.ip = self._addresses.bridge

    @property
    def network_ready(self) -> bool:
        return self._addresses.ready

    def run_sandbox(self, config: SandboxConfig, handler: str) -> Sandbox:
        if handler not in HANDLERS:
            raise RuntimeFault(
                "UNKNOWN", f'failed to get sandbox runtime: no runtime for "{handler}" is configured'
            )
        name = f"{config.name}_{config.namespace}_{config.uid}_{config.attempt}"
        if name in self._sandbox_names:
            raise RuntimeFault(
                "UNKNOWN",
                f'failed to reserve sandbox name "{name}": name "{name}" is reserved for '
                f'"{self._sandbox_names[name]}"',
            )
        namespace = self.host
        if not config.host_network:
            if not self.network_ready:
                raise RuntimeFault(
                    "UNKNOWN",
                    "failed to setup network for sandbox: cni plugin not initialized",
                )
            hostname = config.hostname or config.name
            namespace = Namespace(self._addresses.take(), hostname, self.name, dns=config.dns)
            self._local.join(namespace)
            self._local.publish(namespace, config.host_ports)
        sandbox = Sandbox(self.new_id(), config, namespace, self.now(), handler)
        self.sandboxes[sandbox.id] = sandbox
        self._sandbox_names[name] = sandbox.id
        self.emit(EventType.CREATED, sandbox.id, sandbox)
        self.emit(EventType.STARTED, sandbox.id, sandbox)
        return sandbox

    async def stop_sandbox(self, identifier: str) -> None:
        """Runs on the kernel. Containers get no grace here: the kubelet has given it before."""
        sandbox = self.sandboxes.get(identifier)
        if sandbox is None or sandbox.state is SandboxState.NOTREADY:
            return
        for container in list(sandbox.containers.values()):
            await container.stop(0)
        if sandbox.state is SandboxState.READY:
            self._release(sandbox)
            self.emit(EventType.STOPPED, sandbox.id, sandbox)

    async def remove_sandbox(self, identifier: str) -> None:
        sandbox = self.sandboxes.get(identifier)
        if sandbox is None:
            return
        await self.stop_sandbox(identifier)
        for container in list(sandbox.containers.values()):
            await self.remove_container(container.id)
        if self.sandboxes.pop(identifier, None) is not None:
            config = sandbox.config
            self._sandbox_names.pop(f"{config.name}_{config.namespace}_{config.uid}_{config.attempt}", None)
            self.emit(EventType.DELETED, sandbox.id, sandbox)

    def _release(self, sandbox: Sandbox) -> None:
        sandbox.state = SandboxState.NOTREADY
        if not sandbox.config.host_network:
            self._local.leave(sandbox.namespace)
            self._local.withdraw(sandbox.namespace)
            self._addresses.give_back(sandbox.ip)

    def sandbox(self, identifier: str) -> Sandbox:
        found = self.sandboxes.get(identifier) or _only(self.sandboxes, identifier)
        if found is None:
            raise RuntimeFault("NOT_FOUND", "an error occurred when try to find sandbox: not found")
        return found

    # -- containers ---------------------------------------------------------------------------

    def create_container(self, sandbox_id: str, config: ContainerConfig) -> Container:
        sandbox = self.sandbox(sandbox_id)
        if sandbox.state is not SandboxState.READY:
            raise RuntimeFault("UNKNOWN", f"sandbox {sandbox.id} is not running")
        image = self.images.find(config.image)
        if image is None:
            raise RuntimeFault("NOT_FOUND", f'failed to resolve image "{config.image}": not found')
        for other in sandbox.containers.values():
            if (other.config.name, other.config.attempt) == (config.name, config.attempt):
                name = (
                    f"{config.name}_{sandbox.config.name}_{sandbox.config.namespace}_{sandbox.config.uid}_"
                    f"{config.attempt}"
                )
                raise RuntimeFault(
                    "UNKNOWN",
                    f'failed to reserve container name "{name}": name "{name}" is reserved for "{other.id}"',
                )
        container = Container(self, sandbox, self.new_id(), config, image)
        self.containers[container.id] = sandbox.containers[container.id] = container
        self.emit(EventType.CREATED, container.id, sandbox)
        return container

    def container(self, identifier: str) -> Container:
        found = self.containers.get(identifier) or _only(self.containers, identifier)
        if found is None:
            raise RuntimeFault(
                "NOT_FOUND",
                f'an error occurred when try to find container "{identifier}": not found',
            )
        return found

    async def remove_container(self, identifier: str) -> None:
        container = self.containers.get(identifier)
        if container is None:
            return
        await container.stop(0)
        if self.containers.pop(container.id, None) is not None:
            container.sandbox.containers.pop(container.id, None)
            container.log.delete()
            self.emit(EventType.DELETED, container.id, container.sandbox)

    def container_ended(self, container: Container) -> None:
        self.emit(EventType.STOPPED, container.id, container.sandbox)
        self.tell("A container ended", container, exit_code=container.exit_code, reason=container.reason)

    def tell(self, sentence: str, container: Container, **values: object) -> None:
        """A line about a container, under the cause that started it."""
        pod = container.sandbox.config
        with trace.scope(container.cause):
            self.log.info(
                sentence, kind="Pod", namespace=pod.namespace, name=pod.name, node=self.name,
                container=container.config.name, id=container.id[:12], **values,
            )  # fmt: skip

    def report_broken_program(
        self, container: Container, process: Process, error: BaseException | None
    ) -> None:
        self.log.error(
            "A program of ours broke; its container saw a segmentation fault", node=self.name,
            container=container.id[:12], image=container.config.user_image, command=" ".join(process.argv),
            exc_info=error,
        )  # fmt: skip

    # -- what happened ------------------------------------------------------------------------

    def emit(self, kind: EventType, identifier: str, sandbox: Sandbox) -> None:
        for subscriber in tuple(self.subscribers):
            subscriber(kind, identifier, sandbox)

    def running(self) -> Iterable[Container]:
        return (one for one in self.containers.values() if one.state is ContainerState.RUNNING)

    def shut_down(self) -> None:
        """The power goes: everything ends where it is."""
        for container in list(self.running()):
            container.processes.kill_all()

    # -- small things -------------------------------------------------------------------------

    def now(self) -> int:
        return int(self.kernel.clock.now().timestamp() * 1_000_000) * 1000

    def new_id(self) -> str:
        return f"{self.random.getrandbits(256):064x}"

    def log_path(self, sandbox: Sandbox, config: ContainerConfig) -> Path | None:
        """Where a container's log lies on the real machine: always under the root directory."""
        if not config.log_path or not sandbox.config.log_directory:
            return None
        return self.real_path(f"{sandbox.config.log_directory}/{config.log_path}")

    def real_path(self, path: str) -> Path:
        """A path of the emulated machine, on the real one. Never leaves the root directory."""
        clean = Path(os.path.normpath("/" + path.replace("\0", "").lstrip("/")))
        if clean.is_relative_to(self.root):
            return clean
        return self.root.joinpath("machines", self.name or "machine", *clean.parts[1:])

    def filesystem_for(self, container: Container) -> Filesystem:
        """The image's tree, /proc, /dev and /etc as the runtime makes them, and the kubelet's mounts."""
        filesystem = Filesystem(
            container.image.tree, readonly=container.config.readonly_root, who=container.who
        )
        filesystem.mounts["/proc"] = ProcessFiles(container)
        filesystem.mounts["/dev"] = DEVICES
        filesystem.mounts["/dev/shm"] = Tmpfs(SHARED_MEMORY_BYTES, container.hold_file)
        filesystem.mounts["/sys"] = MadeFiles(container, CONTROL_GROUP)
        for path in ETC_FILES:
            filesystem.mounts[path] = EtcFile(container.sandbox, path)
        in_memory = memory_mounts(container.config.annotations)
        for mount in container.config.mounts:
            limit = in_memory.get(mount.container_path)
            memory = Memory(limit, container.hold_file) if limit is not None else None
            filesystem.mounts["/" + mount.container_path.strip("/")] = self._mount(mount, memory)
        return filesystem

    def pid_namespace_for(self, container: Container) -> PidNamespace | None:
        """Whom its processes see: by default only each other."""
        mode, sandbox = container.config.pid_mode, container.sandbox
        if mode == TARGET_MODE and container.config.pid_target in self.containers:
            return self.containers[container.config.pid_target].processes.namespace
        if mode == NODE_MODE:
            return self._host_pids
        if mode != POD_MODE:
            return None
        if sandbox.pids is None:
            sandbox.pids = PidNamespace()
            sandbox.pids.add_pause(container)
        return sandbox.pids

    def _mount(self, config: MountConfig, memory: Memory | None) -> Mount:
        real = self.real_path(config.host_path)
        if not real.exists():
            real.mkdir(parents=True, exist_ok=True)
        resolved, root = os.path.realpath(real), self._real_root
        if resolved != root and not resolved.startswith(root + os.sep):
            return MemoryMount({"": Entry(DIRECTORY, 0o755)})
        return FolderMount(Path(resolved), readonly=config.readonly, memory=memory)


class Addresses:
    """Pod IPs out of the node's range, in order, a freed one last: so that a name does not soon move."""

    def __init__(self) -> None:
        self._network: ipaddress.IPv4Network | ipaddress.IPv6Network | None = None
        self._last = 1  # .0 is the network, .1 the bridge
        self._taken: set[str] = set()

    @property
    def ready(self) -> bool:
        return self._network is not None

    @property
    def bridge(self) -> str:
        return str(self._network[1]) if self._network is not None else ""

    def use(self, cidr: str) -> None:
        try:
            network = ipaddress.ip_network(cidr, strict=False)
        except ValueError as error:
            raise RuntimeFault("INVALID_ARGUMENT", f"invalid pod CIDR: {error}") from error
        if network != self._network:
            self._network, self._last = network, 1

    def take(self) -> str:
        assert self._network is not None
        size = min(self._network.num_addresses, 1 << 16)
        for _ in range(size):
            self._last = self._last + 1 if self._last + 1 < size - 1 else 2
            address = str(self._network[self._last])
            if address not in self._taken:
                self._taken.add(address)
                return address
        raise RuntimeFault(
            "UNKNOWN",
            'failed to setup network for sandbox: plugin type="bridge" failed (add): '
            "failed to allocate for range 0: "
            f"no IP addresses available in range set: {self._network[1]}-{self._network[size - 2]}",
        )

    def give_back(self, address: str) -> None:
        self._taken.discard(address)


def _only(items: Mapping[str, T], prefix: str) -> T | None:
    """The one whose id begins so, as people shorten ids."""
    found = [item for key, item in items.items() if prefix and key.startswith(prefix)]
    return found[0] if len(found) == 1 else None
