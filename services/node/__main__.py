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
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import cast

import grpc.aio
import structlog

from services.client.client import Client, connect
from services.client.credentials import Credentials
from services.kubelet import node_service
from services.kubelet.cri import Cri
from services.kubelet.cri_grpc import GrpcCri, runtime_channel
from services.kubelet.fleet import Fleet, FleetConfig
from services.kubelet.node_service import NodeService
from services.kubelet.node_status import KUBELET_VERSION, Machine
from services.node import kubelet_flags, machine_service
from services.node.hosts import Hosts
from services.node.machine_service import MachineService
from services.node.name_from_dns import name_from_dns
from services.node.network import agent as network_agent
from services.node.network.agent import NetworkAgent
from services.node.shell.host import Journal, follow_logs
from services.node.units import KubeletUnit, ProxyUnit, RuntimeUnit
from services.pb.node.v1.machine_pb2_grpc import add_MachineServiceServicer_to_server
from services.pb.node.v1.node_pb2_grpc import add_NodeServiceServicer_to_server
from services.process import identity as own
from services.process.doorkeeper import Doorkeeper
from services.process.grpc_server import Health, grpc_server
from services.process.in_process import InProcessChannel, InProcessServer
from services.process.keys import ADMIN_GROUP, HOLLOW_GROUP, HOLLOW_NODES, KUBE_PROXY, NODES, NODES_GROUP
from services.process.logging import LEVELS, Logger
from services.process.run import Fatal, Process, run
from services.runtime.server import Machines

# Who may call what of a node.
CALLERS = {
    node_service.NAME: (ADMIN_GROUP,),
    machine_service.NAME: (ADMIN_GROUP,),
    network_agent.NAME: (NODES_GROUP, HOLLOW_GROUP),
}
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
        "--container-runtime-endpoint", default="", help="CRI socket to use in place of a runtime of our own"
    )
    parser.add_argument("--cpu", default="4", help="emulated cores")
    parser.add_argument("--memory", default="8Gi", help="emulated memory")
    parser.add_argument("--storage", default="100Gi", help="emulated disk")
    parser.add_argument("--max-pods", type=int, default=110, help="Pods that fit on a node")
    parser.add_argument("--health-socket", default="", help="where health is told without a certificate")
    own.add_flag(parser)
    kubelet_flags.add(parser)


async def _serve(flags: argparse.Namespace, process: Process) -> None:
    names, journal = await _names(flags), Journal()
    follow_logs(journal)
    root = await asyncio.to_thread(Path(flags.root_dir).absolute)
    health = Health()
    mine = own.credentials(flags, HOLLOW_NODES if flags.nodes else f"{NODES}/{names[0]}")
    async with (
        _client(flags, "kubelet", mine) as client,
        _client(flags, "kube-proxy", own.credentials(flags, KUBE_PROXY)) as proxy,
        _runtime(flags, process, root, network := _network(flags, proxy, names, process, mine)) as (
            channel,
            machines,
        ),
    ):
        cri_of = await _cri(flags, process, root, channel)
        boot = await asyncio.to_thread(_boot_id, flags, process)
        config = _config(flags, names, root, boot)
        units: list[KubeletUnit] = []  # The port is known before the kubelet is, and the kubelet tells it.
        hosts = _hosts(process, config, machines, journal)

        def add_services(server: grpc.aio.Server) -> None:
            add_NodeServiceServicer_to_server(NodeService(lambda: units[0].fleet(), process.clock), server)
            machine = MachineService(hosts, cri_of, lambda: units[0].fleet(), network.proxy_rules)
            add_MachineServiceServicer_to_server(machine, server)
            network.add_to(server)

        async with grpc_server(
            flags.bind_address,
            flags.port,
            add_services,
            names=(node_service.NAME, machine_service.NAME, network_agent.NAME),
            health_state=health,
            interceptors=(Doorkeeper(CALLERS),) if mine else (),
            tls=own.server_tls(mine),
            health_socket=flags.health_socket,
        ) as port:
            config = replace(config, port=port, usage=hosts.usage)

            def make() -> Fleet:
                process.log.info("Starting the kubelet", nodes=len(names), first=names[0], port=port)
                return Fleet(
                    config, client, cri_of, clock=process.clock, random=process.random, log=process.log
                )

            unit = KubeletUnit(make, process.clock, switchable=not flags.nodes)
            units.append(unit)
            hosts.units["kubelet"] = unit
            unit.on_change = hosts.units_changed
            async with asyncio.TaskGroup() as group:
                carrying = group.create_task(network.run())
                await unit.run(lambda: health.set_serving(True))
                carrying.cancel()


def _hosts(process: Process, config: FleetConfig, machines: Machines | None, journal: Journal) -> Hosts:
    """The machines around the runtime. A reboot ends the process; whoever started it starts it again."""
    me = asyncio.current_task()
    assert me is not None
    return Hosts(
        names=config.names,
        machines=machines,
        units={"containerd": RuntimeUnit(process.clock), "kube-proxy": ProxyUnit(process.clock)},
        hardware=config.machine,
        ip=config.ip,
        root=config.root,
        manifests=config.kubelet.manifests or config.root / "manifests",
        journal=journal,
        reboot=lambda: (me.cancel(), None)[1],
        clock=process.clock,
        random=process.random,
        known={},
    )


def _boot_id(flags: argparse.Namespace, process: Process) -> str:
    """Our machine boots with this process; around another runtime it is the real machine's."""
    if flags.container_runtime_endpoint:
        try:
            return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        except OSError:
            pass
    return str(uuid.UUID(int=process.random.getrandbits(128)))


def _config(flags: argparse.Namespace, names: list[str], root: Path, boot_id: str) -> FleetConfig:
    pairs = (pair.partition("=") for pair in flags.node_labels.split(",") if pair)
    return FleetConfig(
        names=names,
        ip=flags.node_ip or _own_address(flags.bind_address),
        port=flags.port,
        root=root,
        machine=Machine(
            cpu=flags.cpu,
            memory=flags.memory,
            storage=flags.storage,
            pods=flags.max_pods,
            architecture=_ARCHITECTURES.get(platform.machine(), platform.machine()),
        ),
        labels={key: value for key, _, value in pairs},
        kubelet=kubelet_flags.configuration(flags, root),
        boot_id=boot_id,
        machine_path=lambda name, path: root.joinpath("machines", name, path.lstrip("/")),
    )


def _client(
    flags: argparse.Namespace, component: str, credentials: Credentials | None
) -> AbstractAsyncContextManager[Client]:
    """Each part of the node asks in its own name."""
    agent = f"{component}/{KUBELET_VERSION}"
    return connect(flags.apiserver, user_agent=agent, field_manager=component, credentials=credentials)


def _network(
    flags: argparse.Namespace,
    client: Client,
    names: list[str],
    process: Process,
    credentials: Credentials | None,
) -> NetworkAgent:
    ip = "" if flags.nodes else flags.node_ip or _own_address(flags.bind_address)
    api_host = flags.apiserver.partition(",")[0].rpartition(":")[0]
    clock, random, log = process.clock, process.random, process.log
    return NetworkAgent(names, ip, client, clock, random, log, api_host, credentials)


@asynccontextmanager
async def _runtime(
    flags: argparse.Namespace, process: Process, root: Path, network: NetworkAgent
) -> AsyncIterator[tuple[grpc.aio.Channel, Machines | None]]:
    """A channel to the runtime: the one named, or one of our own that lives as long as the block."""
    if flags.container_runtime_endpoint:
        async with runtime_channel(flags.container_runtime_endpoint) as channel:
            yield channel, None
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
            network=network.wrap,
            also=also,
        ) as machines,
        runtime_channel(f"unix://{path}") as channel,
    ):
        if flags.nodes:
            channel = cast(grpc.aio.Channel, InProcessChannel(local, channel, process.clock, log))
        yield channel, machines


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
