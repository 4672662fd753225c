"""`python -m services.scheduler`: informers, the leader's Lease, and the loop once it is ours.

A standby keeps its informers, queue and cache current, so that it can decide at once when it takes over.
A leader that loses the Lease ends: only that makes sure it writes nothing more.
"""

from __future__ import annotations

import argparse
import asyncio
import socket
import sys

from services.api.apps_v1 import ReplicaSet
from services.api.core_v1 import Node, Pod, ReplicationController, Service
from services.client.client import Client, connect
from services.client.informer import InformerFactory
from services.client.leader import LeaderElector, LeadershipLost
from services.client.recorder import EventRecorder
from services.process import identity as own
from services.process.grpc_server import Health, grpc_server
from services.process.run import Fatal, Process, run
from services.scheduler.algorithm import Algorithm
from services.scheduler.cache import Cache
from services.scheduler.event_handlers import POD_FIELDS, EventHandlers
from services.scheduler.framework.runtime import Framework
from services.scheduler.owner_selector import OwnerSelector
from services.scheduler.profile import SCHEDULER_NAME, default_profile
from services.scheduler.queue import SchedulingQueue
from services.scheduler.scheduler import Parts, Scheduler
from services.scheduler.status_writer import StatusWriter
from services.scheduler.volumes import WATCHED, Volumes

COMPONENT = "kube-scheduler"
LEASE_NAME = "kube-scheduler"


def add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--apiserver", default="127.0.0.1:6444", help="address of the API server")
    parser.add_argument(
        "--leader-elect", action=argparse.BooleanOptionalAction, default=True,
        help="schedule only while holding the Lease kube-system/kube-scheduler",
    )  # fmt: skip
    own.add_flag(parser)
    parser.add_argument("--port", type=int, default=10259, help="gRPC port for health; 0 chooses one")


def build(client: Client, informers: InformerFactory, recorder: EventRecorder, process: Process) -> Scheduler:
    """Wires the parts together; nothing runs yet."""
    clock, log = process.clock, process.log
    pods = informers.informer(Pod, fields=POD_FIELDS)
    owners = OwnerSelector(
        informers.store(Service), informers.store(ReplicationController), informers.store(ReplicaSet)
    )
    volumes = Volumes(client, informers, clock)
    framework = Framework(default_profile(client.bind, owners, volumes), SCHEDULER_NAME)
    queue = SchedulingQueue(framework.queue_sort.sort_key, framework.plugins, framework.run_pre_enqueue)
    cache = Cache()
    scheduler = Scheduler(
        Parts(
            framework=framework,
            queue=queue,
            cache=cache,
            algorithm=Algorithm(framework, process.random),
            pods=pods.store,
            recorder=recorder,
            statuses=StatusWriter(client, clock, log),
            clock=clock,
            log=log,
        )
    )
    handlers = EventHandlers(queue, cache, clock, scheduler.wake, log, SCHEDULER_NAME)
    # Nodes first: the Pods that are on them are then counted where they belong from the start.
    informers.informer(Node).add_handler(handlers.node_added, handlers.node_updated, handlers.node_deleted)
    pods.add_handler(handlers.pod_added, handlers.pod_updated, handlers.pod_deleted)
    for kind, event in WATCHED.items():
        informers.informer(kind).add_handler(*handlers.of_storage(event))
    return scheduler


async def serve(flags: argparse.Namespace, process: Process) -> None:
    log, clock = process.log, process.clock
    health = Health()
    mine = own.credentials(flags, "scheduler")
    async with (
        grpc_server(flags.bind_address, flags.port, health_state=health) as port,
        connect(flags.apiserver, user_agent=COMPONENT, log=log, credentials=mine) as client,
    ):
        log.info("Started", port=port, apiserver=flags.apiserver)
        informers = InformerFactory(client, clock, process.random, log)
        recorder = EventRecorder(client, clock, SCHEDULER_NAME)
        scheduler = build(client, informers, recorder, process)

        async def lead() -> None:
            log.info("Scheduling: this instance decides where Pods go")
            await scheduler.run()

        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(informers.run(), name="informers")
                group.create_task(recorder.run(), name="events")
                await informers.wait_synced()
                await health.set_serving(True)
                if flags.leader_elect:
                    identity = f"{socket.gethostname()}_{process.random.getrandbits(64):016x}"
                    elector = LeaderElector(
                        client, clock, LEASE_NAME, identity, random=process.random, log=log
                    )
                    await elector.run(lead)
                else:
                    await lead()
        except* LeadershipLost as lost:
            raise Fatal(f"Lost the lead, leaving: {lost.exceptions[0]}") from None


def main() -> int:
    return run("scheduler", serve, add_flags)


if __name__ == "__main__":
    sys.exit(main())
