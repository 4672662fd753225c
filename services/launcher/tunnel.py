"""`orrery tunnel`: makes the addresses of load balancers reachable here, as `minikube tunnel` does.

Under docker compose a load balancer's EXTERNAL-IP is an address of a container that the host cannot reach.
This listens on that very address here (all of 127.0.0.0/8 is this machine) and carries each connection
through the API server into a ready Pod of the Service, one after the other. Where the system has no such
address (macOS) it listens on 127.0.0.1. What cannot be listened on is told once and tried again with the next
change.
"""

from __future__ import annotations

import asyncio
import errno
import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from random import Random, SystemRandom

from services.api.core_v1 import Service
from services.api.discovery_v1 import EndpointSlice
from services.api.errors import ApiError
from services.api.object import ObjectKey
from services.client.client import connect
from services.client.credentials import of_administrator
from services.client.informer import InformerFactory
from services.kubectl import pod_connection
from services.kubectl.commands.port_forward import on_interrupt
from services.kubectl.forwarding import carry
from services.kubectl.pod_connection import CHUNK_BYTES, PodConnections
from services.launcher.home import Home
from services.launcher.machine_client import apiserver_of
from services.machinery.clock import Clock
from services.process.clock import SystemClock
from services.process.logging import get_logger

SERVICE_NAME = "kubernetes.io/service-name"
BY_SERVICE = "service-name"
SETTLE_SECONDS = 0.1
LOOPBACK = "127.0.0.1"
CONNECTIONS_MAX = 10_000  # at a time; further ones are closed at once

Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Way:
    """What one address leads to."""

    service: ObjectKey
    port_name: str

    def __str__(self) -> str:
        name = f":{self.port_name}" if self.port_name else ""
        return f"service {self.service.namespace}/{self.service.name}{name}"


@dataclass(frozen=True, slots=True)
class Place:
    """A port of a Pod."""

    namespace: str
    pod: str
    port: int


def ways(services: Iterable[Service]) -> dict[Address, Way]:
    """Every address that load balancers have been given. Pure."""
    found: dict[Address, Way] = {}
    for service in services:
        status = service.status.load_balancer
        if service.spec.type != "LoadBalancer" or status is None:
            continue
        for point in status.ingress:
            for port in service.spec.ports:
                if point.ip and (port.protocol or "TCP") == "TCP":
                    found[point.ip, port.port] = Way(service.key, port.name or "")
    return found


def places(slices: Iterable[EndpointSlice], port_name: str) -> list[Place]:
    """The ready Pods behind a port, in a fixed order. Pure."""
    found = set()
    for slice_ in slices:
        number = next((each.port for each in slice_.ports if (each.name or "") == port_name), None)
        for endpoint in slice_.endpoints:
            target, conditions = endpoint.target_ref, endpoint.conditions
            ready = conditions is None or conditions.ready is None or conditions.ready
            if number and ready and target is not None and target.kind == "Pod" and target.name:
                found.add(Place(target.namespace or slice_.key.namespace, target.name, number))
    return sorted(found, key=lambda place: (place.pod, place.port))


class _Over(Exception):
    """Ctrl-C."""


class Tunnel:
    def __init__(
        self,
        informers: InformerFactory,
        connections: PodConnections,
        clock: Clock,
        say: Callable[[str], None],
    ) -> None:
        self._informers, self._connections, self._clock, self._say = informers, connections, clock, say
        self._services = informers.informer(Service)
        self._slices = informers.informer(EndpointSlice)
        self._slices.store.add_index(BY_SERVICE, _service_of)
        self._servers: dict[Address, asyncio.Server] = {}
        self._failed: set[Address] = set()
        self._turns: dict[Way, int] = {}
        self._open = 0
        self._changed, self._stopped = asyncio.Event(), asyncio.Event()

        def changed(*_: object) -> None:
            self._changed.set()

        self._services.add_handler(changed, changed, changed)

    def stop(self) -> None:
        self._stopped.set()

    async def run(self) -> None:
        """Until `stop`."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._informers.run())
                group.create_task(self._keep(group))
                await self._stopped.wait()
                raise _Over  # with all that is under way
        except* _Over:
            pass

    async def _keep(self, group: asyncio.TaskGroup) -> None:
        await self._services.wait_synced()
        await self._slices.wait_synced()
        if not ways(self._services.store.list()):
            self._say("Waiting for a Service of type LoadBalancer.")
        try:
            while True:
                await self._match(group)
                await self._changed.wait()
                await self._clock.sleep(SETTLE_SECONDS)
                self._changed.clear()
        finally:
            for server in self._servers.values():
                server.close()

    async def _match(self, group: asyncio.TaskGroup) -> None:
        """Listens where load balancers are, and nowhere else."""
        wanted = ways(self._services.store.list())
        for address in [address for address in self._servers if address not in wanted]:
            self._servers.pop(address).close()
            self._say(f"{_text(address)} closed")
        self._failed &= wanted.keys()
        for address, way in wanted.items():
            if address not in self._servers:
                await self._listen(group, address, way)

    async def _listen(self, group: asyncio.TaskGroup, address: Address, way: Way) -> None:
        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            now = ways(self._services.store.list()).get(address)
            if now is None or self._open >= CONNECTIONS_MAX:
                writer.close()
                return
            group.create_task(self._lead(reader, writer, now))

        ip, port = address
        try:
            try:
                server = await asyncio.start_server(accept, ip, port, limit=CHUNK_BYTES)
            except OSError as error:
                if error.errno != errno.EADDRNOTAVAIL:
                    raise
                ip = LOOPBACK
                server = await asyncio.start_server(accept, ip, port, limit=CHUNK_BYTES)
        except OSError as error:
            if address not in self._failed:
                self._failed.add(address)
                self._say(f"{_text((ip, port))} for {way}: {_why(error)}")
            return
        self._failed.discard(address)
        self._servers[address] = server
        self._say(f"{_text((ip, port))} -> {way}")

    async def _lead(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: Way) -> None:
        self._open += 1
        try:
            key = f"{way.service.namespace}/{way.service.name}"
            found = places(self._slices.store.by_index(BY_SERVICE, key), way.port_name)
            if not found:
                return  # as a load balancer without a healthy node: nobody answers
            turn = self._turns[way] = (self._turns.get(way, -1) + 1) % len(found)
            place = found[turn]
            connection = await self._connections.open(place.namespace, place.pod, place.port)
            await carry(reader, writer, connection)
        except ApiError as error:
            self._say(f"a connection to {way} failed: {error.message}")
        finally:
            self._open -= 1
            writer.close()


def _service_of(slice_: EndpointSlice) -> list[str]:
    name = slice_.metadata.labels.get(SERVICE_NAME)
    return [f"{slice_.key.namespace}/{name}"] if name else []


def _text(address: Address) -> str:
    return f"{address[0]}:{address[1]}"


def _why(error: OSError) -> str:
    match error.errno:
        case errno.EACCES | errno.EPERM:
            return "permission denied: ports below 1024 are the system administrator's (sudo)"
        case errno.EADDRINUSE:
            return "somebody listens there already; without docker compose it is the load balancer itself"
    return os.strerror(error.errno) if error.errno else str(error)


async def run(home: Home) -> None:
    """Until Ctrl-C."""

    def say(text: str) -> None:
        print(text, flush=True)

    address, clock, log = apiserver_of(home), SystemClock(), get_logger("tunnel")
    random = Random(SystemRandom().getrandbits(64))
    mine = of_administrator(home.path)
    async with (
        connect(address, user_agent="orrery-tunnel", credentials=mine) as client,
        pod_connection.through(address, mine) as connections,
    ):
        try:
            await client.list(Service, "kube-system")
        except ApiError as error:
            print(f"orrery: {error.message}", file=sys.stderr)
            return
        say(f"Tunnel to the cluster at {address}. Ctrl-C ends it.")
        tunnel = Tunnel(InformerFactory(client, clock, random, log), connections, clock, say)
        with on_interrupt(tunnel.stop):
            await tunnel.run()
