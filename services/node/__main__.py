"""The node process: `python -m services.node`. A kubelet and its runtime; hollow mode has many.

Wires and holds no logic. The two meet only over CRI, on a unix socket: another runtime's can be named
with --container-runtime-endpoint, and our own can be spoken to by `crictl` at the socket below the
root directory. In hollow mode, where one process stands for hundreds of nodes, the same messages
take a shorter way (`in_process`). Port 10250 answers logs, exec and port-forward for the API server.
"""

from __future__ import annotations

import argparse
import asyncio
import platform
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import grpc.aio
import structlog

from services.client.client import connect
from services.kubelet import node_service
from services.kubelet.cri import Cri
from services.kubelet.cri_grpc import GrpcCri, runtime_channel
from services.kubelet.fleet import Fleet, FleetConfig
from services.kubelet.node_service import NodeService
from services.kubelet.node_status import KUBELET_VERSION, Machine
from services.node.name_from_dns import name_from_dns
from services.pb.node.v1.node_pb2_grpc import add_NodeServiceServicer_to_server
from services.process.grpc_server import Health, grpc_server
from services.process.in_process import InProcessChannel, InProcessServer
from services.process.logging import LEVELS, Logger
from services.process.run import Fatal, Process, run

NODES_MAX = 5000  # As many as the runtime holds.
FROM_DNS = "from-dns"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64", "AMD64": "amd64"}


def _add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--apiserver", default="127.0.0.1:6444", help="address of the API server")
    parser.add_argument("--registry", default="127.0.0.1:5000", help="address of the image registry")
    parser.add_argument("--port", type=int, default=10250, help="port of logs and exec; 0 chooses")
    parser.add_argument("--name", default="", help="name of the node; `from-dns` asks the compose network")
    parser.add_argument("--nodes", type=int, default=0, help="hollow mode: this many nodes in one process")
    parser.add_argument("--name-prefix", default="node-", help="hollow nodes are PREFIX1, PREFIX2, …")
    parser.add_argument("--node-ip", default="", help="address of the node that others see")
    parser.add_argument("--node-labels", default="", help="further labels: key=value,…")
    parser.add_argument("--root-dir", default="/tmp/orrery/node", help="volumes, logs, the runtime's socket")
    parser.add_argument(
        "--pod-manifest-path", default="", help="folder of static Pods; default: below the root directory"
    )
    parser.add_argument(
        "--container-runtime-endpoint", default="", help="CRI socket to use in place of a runtime of our own"
    )
    parser.add_argument("--cpu", default="4", help="emulated cores")
    parser.add_argument("--memory", default="8Gi", help="emulated memory")
    parser.add_argument("--storage", default="100Gi", help="emulated disk")
    parser.add_argument("--max-pods", type=int, default=110, help="Pods that fit on a node")


async def _serve(flags: argparse.Namespace, process: Process) -> None:
    names = await _names(flags)
    root = await asyncio.to_thread(Path(flags.root_dir).absolute)
    health = Health()
    async with (
        connect(flags.apiserver, user_agent=f"kubelet/{KUBELET_VERSION}", field_manager="kubelet") as client,
        _runtime(flags, process, root) as channel,
    ):
        cri_of = await _cri(flags, process, root, channel)
        fleets: list[Fleet] = []  # The port is known before the fleet is, and the fleet tells it.

        def add_services(server: grpc.aio.Server) -> None:
            service = NodeService(lambda: fleets[0], process.clock)
            add_NodeServiceServicer_to_server(service, server)

        async with grpc_server(
            flags.bind_address,
            flags.port,
            add_services,
            names=(node_service.NAME,),
            health_state=health,
        ) as port:
            config = _config(flags, names, root, port)
            fleet = Fleet(
                config,
                client,
                cri_of,
                clock=process.clock,
                random=process.random,
                log=process.log,
            )
            fleets.append(fleet)
            process.log.info("Starting the kubelet", nodes=len(names), first=names[0], port=port)
            await fleet.run(lambda: health.set_serving(True))


def _config(flags: argparse.Namespace, names: list[str], root: Path, port: int) -> FleetConfig:
    pairs = (pair.partition("=") for pair in flags.node_labels.split(",") if pair)
    return FleetConfig(
        names=names,
        ip=flags.node_ip or _own_address(flags.bind_address),
        port=port,
        root=root,
        machine=Machine(
            cpu=flags.cpu,
            memory=flags.memory,
            storage=flags.storage,
            pods=flags.max_pods,
            architecture=_ARCHITECTURES.get(platform.machine(), platform.machine()),
        ),
        labels={key: value for key, _, value in pairs},
    )


@asynccontextmanager
async def _runtime(
    flags: argparse.Namespace, process: Process, root: Path
) -> AsyncIterator[grpc.aio.Channel]:
    """A channel to the runtime: the one named, or one of our own that lives as long as the block."""
    if flags.container_runtime_endpoint:
        async with runtime_channel(flags.container_runtime_endpoint) as channel:
            yield channel
        return
    from services.runtime.server import runtime_server

    path, local, log = root / "containerd.sock", InProcessServer(), _runtime_logger(flags.log_level)
    also = (local,) if flags.nodes else ()
    async with (
        runtime_server(
            path,
            clock=process.clock,
            random=process.random,
            registry_address=flags.registry,
            root_dir=root,
            log=log,
            also=also,
        ),
        runtime_channel(f"unix://{path}") as channel,
    ):
        if flags.nodes:
            channel = cast(grpc.aio.Channel, InProcessChannel(local, channel, process.clock, log))
        yield channel


async def _cri(
    flags: argparse.Namespace, process: Process, root: Path, channel: grpc.aio.Channel
) -> Callable[[str], Cri]:
    """How the kubelet talks to the runtime: another one than ours is on a machine that is real."""
    if flags.container_runtime_endpoint:
        from services.kubelet.cri_plain import PlainCri, speaks_streams

        if not await speaks_streams(channel):
            return lambda name: PlainCri(channel, process.clock, root / "log" / "pods")
    return lambda name: GrpcCri(channel, name)


def _runtime_logger(level: str) -> Logger:
    """What the runtime does the kubelet tells already; two lines for each start would be one too many."""
    least = LEVELS["warning"] if level == "info" else LEVELS[level]
    wrapper = structlog.make_filtering_bound_logger(least)
    logger: Logger = structlog.wrap_logger(None, wrapper_class=wrapper, component="runtime")
    return logger


async def _names(flags: argparse.Namespace) -> list[str]:
    if flags.nodes:
        if not 0 < flags.nodes <= NODES_MAX:
            raise Fatal(f"--nodes must be between 1 and {NODES_MAX}")
        return [f"{flags.name_prefix}{number}" for number in range(1, flags.nodes + 1)]
    if flags.name != FROM_DNS:
        return [flags.name or socket.gethostname().lower()]
    try:
        return [await asyncio.to_thread(name_from_dns)]
    except OSError as error:
        raise Fatal(f"the DNS of the network does not know this machine's name: {error}") from error


def _own_address(bind_address: str) -> str:
    if bind_address not in ("0.0.0.0", "::", ""):
        return bind_address
    try:
        return socket.gethostbyname(socket.gethostname())
    except OSError:
        return "127.0.0.1"


if __name__ == "__main__":
    sys.exit(run("node", _serve, _add_flags))
