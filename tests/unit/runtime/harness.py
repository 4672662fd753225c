"""A machine with containers and nothing around it: no socket, no registry, time by hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

from services.process.logging import get_logger
from services.runtime.container import Container
from services.runtime.filesystem import EMPTY, Entry
from services.runtime.images import ImageStore, LayerContent, LayerStore, RegistryRefusal
from services.runtime.kernel import Kernel
from services.runtime.machine import Machine
from services.runtime.model import ContainerConfig, Image, Layer, SandboxConfig
from services.runtime.network import LocalNetwork
from services.runtime.sandbox import Sandbox
from services.runtime.sessions import run_to_end
from services.runtime.toolbox import PROGRAMS
from tests.support.clock import ManualClock

PROGRAM = Entry(mode=0o755, data=b"\x7fELF")


def files_of_busybox() -> dict[str, Entry]:
    files = {f"/bin/{name}": PROGRAM for name in PROGRAMS}
    files |= {f"/{name}": Entry("d", 0o755) for name in ("root", "tmp", "var")}
    files["/etc/group"] = Entry(data=b"root:x:0:\n")
    files["/etc/passwd"] = Entry(data=b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n")
    return files


class FakeRegistry:
    """Knows the images that a test puts into it. `pulled` are the layers fetched, in order."""

    def __init__(self) -> None:
        self.images: dict[str, tuple[Image, Mapping[str, Mapping[str, Entry]]]] = {}
        self.pulled: list[str] = []
        self.fault: Exception | None = None
        self.gate: asyncio.Event | None = None

    def add(self, reference: str, layers: Mapping[str, Mapping[str, Entry]], **fields: Any) -> None:
        stack = tuple(Layer(digest, 1000) for digest in layers)
        image = Image(
            id=f"sha256:{reference}",
            digest="sha256:" + "0" * 64,
            repository=reference.rpartition(":")[0],
            size=sum(layer.size for layer in stack),
            layers=stack,
            tree=fields.pop("tree", None) or EMPTY,
            behaviour=fields.pop("behaviour", {}),
            **fields,
        )
        self.images[reference] = image, layers

    async def resolve(self, reference: str, credentials: tuple[str, str]) -> Image:
        if self.fault is not None:
            raise self.fault
        if reference not in self.images:
            raise RegistryRefusal("denied", "denied")
        return self.images[reference][0]

    async def fetch(
        self, reference: str, digests: tuple[str, ...], credentials: tuple[str, str]
    ) -> dict[str, LayerContent]:
        if self.gate is not None:
            await self.gate.wait()
        self.pulled += digests
        return {digest: LayerContent(self.images[reference][1][digest]) for digest in digests}


class Bench:
    def __init__(self, machine: Machine, registry: FakeRegistry, clock: ManualClock, kernel: Kernel) -> None:
        self.machine, self.registry, self.clock, self.kernel = machine, registry, clock, kernel

    def sandbox(self, name: str = "web", **fields: Any) -> Sandbox:
        defaults: dict[str, Any] = {
            "name": name, "uid": f"uid-{name}", "namespace": "default", "attempt": 0, "hostname": name,
            "log_directory": f"/var/log/pods/default_{name}_uid-{name}", "dns": None, "labels": {},
            "annotations": {}, "network_mode": 0, "pid_mode": 1, "ipc_mode": 0,
        }  # fmt: skip
        return self.machine.run_sandbox(SandboxConfig(**{**defaults, **fields}), "")

    async def create(
        self, image: str, *command: str, sandbox: Sandbox | None = None, **fields: Any
    ) -> Container:
        pulled = await self.machine.images.pull(image)
        config = ContainerConfig(
            **{
                "name": "main",
                "attempt": 0,
                "image": pulled.id,
                "user_image": image,
                "command": command,
                "labels": {},
                "annotations": {},
                "log_path": "main/0.log",
                **fields,
            }
        )
        return self.machine.create_container((sandbox or self.sandbox()).id, config)

    async def start(self, image: str, *command: str, **fields: Any) -> Container:
        container = await self.create(image, *command, **fields)
        container.start()
        return container

    async def run(self, container: Container, *command: str) -> tuple[int, str, str]:
        """A command beside the first process, with what it wrote."""
        status, out, err = await self.kernel.call(run_to_end(container, command, 0))
        return status, out.decode("utf-8", "replace"), err.decode("utf-8", "replace")

    async def shell(self, container: Container, script: str) -> tuple[int, str, str]:
        return await self.run(container, "sh", "-c", script)

    def log(self, container: Container) -> list[str]:
        """Lines of the log without time and tags."""
        if container.log.path is None or not container.log.path.exists():
            return []
        return [line.split(" ", 3)[3] for line in container.log.path.read_text().splitlines()]


@asynccontextmanager
async def bench(root: Path, name: str = "node-1") -> AsyncIterator[Bench]:
    clock, registry = ManualClock(), FakeRegistry()
    registry.add("docker.io/library/busybox:latest", {"sha256:busybox": files_of_busybox()}, cmd=("sh",))
    debian = {
        path.replace("/bin/", "/usr/bin/"): entry
        for path, entry in files_of_busybox().items()
        if path != "/bin/busybox"
    }
    debian["/bin"] = Entry("l", 0o777, target="usr/bin")
    registry.add("docker.io/library/debian:latest", {"sha256:debian": debian}, cmd=("bash",))
    kernel = Kernel(clock)
    local = LocalNetwork(kernel)
    machine = Machine(
        name, kernel=kernel, random=Random(1), network=local, local=local,
        images=ImageStore(registry, LayerStore()), programs=PROGRAMS, root=root, log=get_logger("runtime"),
    )  # fmt: skip
    machine.set_pod_cidr("10.244.1.0/24")
    async with asyncio.TaskGroup() as group:
        running = group.create_task(kernel.run())
        try:
            yield Bench(machine, registry, clock, kernel)
        finally:
            machine.shut_down()
            running.cancel()
