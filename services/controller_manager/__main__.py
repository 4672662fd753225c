"""`python -m services.controller_manager`: all controllers in one process, of several such the leader's."""

from __future__ import annotations

import argparse
import os
import socket
from pathlib import Path

from services.client.client import connect
from services.client.leader import LeaderElector, LeadershipLost
from services.controller_manager.manager import COMPONENT, Settings, chosen, run_controllers
from services.controller_manager.node_ipam import CLUSTER_CIDR
from services.controller_manager.node_lifecycle.controller import MONITOR_GRACE_SECONDS
from services.controller_manager.pod_gc import TERMINATED_PODS_MAX
from services.machinery.names import random_suffix
from services.process import identity as own
from services.process.grpc_server import grpc_server
from services.process.run import Fatal, Process, run

LEASE = COMPONENT


def add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--apiserver", default="127.0.0.1:6444", help="the API server's gRPC address")
    own.add_flag(parser)
    parser.add_argument("--port", type=int, default=10257, help="health; 0 chooses one")
    parser.add_argument("--leader-elect", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument(
        "--controllers", default="*", help="names, comma separated; * is all, -name leaves out"
    )
    parser.add_argument(
        "--node-monitor-grace-period",
        type=float,
        default=MONITOR_GRACE_SECONDS,
        help="seconds after which a silent node counts as lost",
    )
    parser.add_argument("--cluster-cidr", default=CLUSTER_CIDR, help="the addresses of all Pods")
    parser.add_argument(
        "--terminated-pod-gc-threshold", type=int, default=TERMINATED_PODS_MAX, help="finished Pods to keep"
    )
    parser.add_argument("--addons", default="", help="folder of manifests to create at first")
    parser.add_argument("--cluster-signing-cert-file", default="", help="the CA that signs what is approved")
    parser.add_argument("--cluster-signing-key-file", default="", help="its key")
    parser.add_argument("--root-ca-file", default="", help="CA certificate to publish in every namespace")


async def serve(flags: argparse.Namespace, process: Process) -> None:
    try:
        names = chosen([word.strip() for word in flags.controllers.split(",") if word.strip()])
        root_ca = _read(flags.root_ca_file)
    except (ValueError, OSError) as error:
        raise Fatal(str(error)) from error
    settings = Settings(
        node_monitor_grace_seconds=flags.node_monitor_grace_period,
        cluster_cidr=flags.cluster_cidr,
        terminated_pods_max=flags.terminated_pod_gc_threshold,
        addons=flags.addons,
        signing=_pair(flags.cluster_signing_cert_file, flags.cluster_signing_key_file),
        root_ca=root_ca,
    )
    mine = own.credentials(flags, "controller-manager")
    async with (
        connect(
            flags.apiserver, user_agent=COMPONENT, field_manager=COMPONENT, log=process.log, credentials=mine
        ) as client,
        grpc_server(flags.bind_address, flags.port) as port,
    ):
        process.log.info("Serving", port=port, apiserver=flags.apiserver)

        async def lead() -> None:
            await run_controllers(client, process, settings, names)

        if not flags.leader_elect:
            await lead()
            return
        identity = f"{socket.gethostname()}_{os.getpid()}_{random_suffix(process.random)}"
        elector = LeaderElector(
            client, process.clock, LEASE, identity, random=process.random, log=process.log
        )
        try:
            await elector.run(lead)
        except LeadershipLost as lost:
            raise Fatal(f"Lost the lead, leaving: {lost}") from lost


def _pair(certificate: str, key: str) -> tuple[Path, Path] | None:
    return (Path(certificate), Path(key)) if certificate and key else None


def _read(path: str) -> str:
    return Path(path).read_text() if path else ""


def main() -> int:
    return run("controller-manager", serve, add_flags)


if __name__ == "__main__":
    raise SystemExit(main())
