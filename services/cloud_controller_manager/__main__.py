"""`python -m services.cloud_controller_manager`: the cloud's part of the cluster, as a process."""

from __future__ import annotations

import argparse
import asyncio

from services.client.client import connect
from services.client.controller import ControllerContext
from services.client.informer import InformerFactory
from services.client.recorder import EventRecorder
from services.cloud_controller_manager.addresses import AddressPool
from services.cloud_controller_manager.balancer import LoadBalancer
from services.cloud_controller_manager.health_checks import HealthChecks
from services.cloud_controller_manager.service_controller import ServiceController
from services.process import identity as own
from services.process.grpc_server import grpc_server
from services.process.run import Fatal, Process, run

COMPONENT = "cloud-controller-manager"
PROVISION_SECONDS = 2.0


def add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--apiserver", default="127.0.0.1:6444", help="the API server's gRPC address")
    own.add_flag(parser)
    parser.add_argument("--port", type=int, default=10258, help="health; 0 chooses one")
    parser.add_argument(
        "--load-balancer-cidr",
        default="127.20.1.0/24",
        help="addresses of this machine that load balancers may listen on",
    )
    parser.add_argument(
        "--provision-seconds",
        type=float,
        default=PROVISION_SECONDS,
        help="how long a load balancer stays <pending>",
    )


async def serve(flags: argparse.Namespace, process: Process) -> None:
    try:
        pool = AddressPool(flags.load_balancer_cidr)
    except ValueError as error:
        raise Fatal(f"--load-balancer-cidr: {error}") from error
    mine = own.credentials(flags, "cloud-controller-manager")
    async with (
        connect(
            flags.apiserver, user_agent=COMPONENT, field_manager=COMPONENT, log=process.log, credentials=mine
        ) as client,
        grpc_server(flags.bind_address, flags.port) as port,
    ):
        process.log.info("Serving", port=port, apiserver=flags.apiserver, addresses=flags.load_balancer_cidr)
        clock, random, log = process.clock, process.random, process.log
        informers = InformerFactory(client, clock, random, log)
        recorder = EventRecorder(client, clock, COMPONENT, log=log)
        context = ControllerContext(client, informers, recorder, clock, random, log)
        health = HealthChecks(clock)
        controller = ServiceController(
            context, pool, flags.provision_seconds, lambda ip: LoadBalancer(ip, clock, health)
        )
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(recorder.run(), name="recorder")
                group.create_task(informers.run(), name="informers")
                group.create_task(controller.run(), name=controller.name)
        finally:
            controller.close()


def main() -> int:
    return run(COMPONENT, serve, add_flags)


if __name__ == "__main__":
    raise SystemExit(main())
