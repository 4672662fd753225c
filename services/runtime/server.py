"""Serves the CRI on a unix socket, for one emulated machine or for hundreds.

Machines are told apart by the metadata entry `orrery-node` and come into being when first named.
They share one kernel, one network, one store of layers and one connection to the registry. When
the server ends, every container ends with it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

from services.machinery.clock import Clock
from services.pb.runtime.v1.api_pb2_grpc import (
    add_ImageServiceServicer_to_server,
    add_RuntimeServiceServicer_to_server,
)
from services.pb.runtime.v1.streaming_pb2_grpc import add_StreamingServiceServicer_to_server
from services.process.grpc_server import grpc_server
from services.process.logging import Logger
from services.process.run import Fatal
from services.runtime.cri import RuntimeService
from services.runtime.cri_images import ImageService
from services.runtime.images import ImageStore, LayerStore, Registry
from services.runtime.kernel import Kernel
from services.runtime.machine import Machine
from services.runtime.model import RuntimeFault
from services.runtime.network import LocalNetwork, Network
from services.runtime.registry_client import RegistryClient
from services.runtime.sessions import Sessions
from services.runtime.streaming import StreamingService
from services.runtime.toolbox import PROGRAMS

MACHINES_MAX = 5_000
SOCKET_PATH_BYTES_MAX = 107  # of sockaddr_un
NAMES = ("runtime.v1.RuntimeService", "runtime.v1.ImageService", "orrery.runtime.v1.StreamingService")


class Machines:
    """All machines of this process, by name."""

    def __init__(
        self, kernel: Kernel, random: Random, registry: Registry, root: Path, log: Logger,
        wrap: Callable[[LocalNetwork], Network] | None = None,
    ) -> None:  # fmt: skip
        self.kernel, self.local = kernel, LocalNetwork(kernel)
        self.network: Network = wrap(self.local) if wrap is not None else self.local
        self._random, self._registry, self._root, self._log = random, registry, root, log
        self._layers = LayerStore()
        self.known: dict[str, Machine] = {}
        self.consoles: dict[str, Machine] = {}  # of those who look at a machine from inside; by their names

    def __call__(self, name: str) -> Machine:
        if not name and len(self.known) == 1:
            return next(iter(self.known.values()))  # a CRI client that knows of no machines, as `crictl`
        machine = self.known.get(name) or self.consoles.get(name)
        if machine is None:
            if len(self.known) >= MACHINES_MAX:
                raise RuntimeFault("RESOURCE_EXHAUSTED", "more emulated machines than one runtime can hold")
            machine = self.known[name] = Machine(
                name, kernel=self.kernel, random=self._random, network=self.network, local=self.local,
                images=ImageStore(self._registry, self._layers), programs=PROGRAMS,
                root=self._root, log=self._log,
            )  # fmt: skip
        return machine

    def shut_down(self) -> None:
        for machine in (*self.consoles.values(), *self.known.values()):
            machine.shut_down()


@asynccontextmanager
async def runtime_server(
    socket_path: str | Path,
    *,
    clock: Clock,
    random: Random,
    registry_address: str,
    root_dir: str | Path,
    log: Logger,
    network: Callable[[LocalNetwork], Network] | None = None,
    also: Sequence[Any] = (),
) -> AsyncIterator[Machines]:
    """Serves while the block runs. `network` may wrap the network of this process (to reach other nodes).

    `also` are further servers that get the same services.
    """
    path, root = _places(socket_path, root_dir)
    kernel = Kernel(clock, lambda error: log.error("A timer of an emulated program failed", exc_info=error))
    async with RegistryClient(registry_address) as registry, asyncio.TaskGroup() as group:
        machines = Machines(kernel, random, registry, root, log, network)
        sessions = Sessions(path, clock, random)
        running = group.create_task(kernel.run())

        def add_services(server: Any) -> None:
            add_RuntimeServiceServicer_to_server(RuntimeService(machines, sessions), server)
            add_ImageServiceServicer_to_server(ImageService(machines), server)
            add_StreamingServiceServicer_to_server(StreamingService(machines, sessions), server)

        for server in also:
            add_services(server)
        async with grpc_server(f"unix:{path}", 0, add_services, names=NAMES):
            log.info("Serving the container runtime interface", socket=path, registry=registry_address)
            try:
                yield machines
            finally:
                machines.shut_down()
        running.cancel()


def _places(socket_path: str | Path, root_dir: str | Path) -> tuple[str, Path]:
    """Both as absolute paths, their folders made."""
    path, root = Path(socket_path).absolute(), Path(root_dir).absolute()
    if len(os.fsencode(path)) > SOCKET_PATH_BYTES_MAX:
        raise Fatal(f"the path of the runtime's socket is too long: {path}")
    for folder in (path.parent, root):
        folder.mkdir(parents=True, exist_ok=True)
    return str(path), root


async def serve(
    socket_path: str | Path,
    *,
    clock: Clock,
    random: Random,
    registry_address: str,
    root_dir: str | Path,
    log: Logger,
    ready: Callable[[], Awaitable[None]] | None = None,
) -> None:
    """Serves until cancelled; calls `ready` once calls are taken."""
    async with runtime_server(
        socket_path, clock=clock, random=random, registry_address=registry_address, root_dir=root_dir, log=log
    ):
        if ready is not None:
            await ready()
        await asyncio.get_running_loop().create_future()
