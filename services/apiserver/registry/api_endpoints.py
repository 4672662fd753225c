"""The endpoints of the Service `kubernetes`: every API server that is alive.

Each keeps a lease in etcd and renews it; all of them write the same Endpoints and EndpointSlice from the
leases there are. One that is gone is left out as soon as nobody has seen its lease change for a while,
measured by the clock of who looks. Upstream: pkg/controlplane/reconcilers/lease.go.
"""

from __future__ import annotations

import asyncio
import socket
from ipaddress import ip_address
from typing import Any

import orjson

from services.api import core_v1, discovery_v1
from services.api.errors import ApiError
from services.api.kinds import Resource, resource_of
from services.apiserver.registry.registry import Registry
from services.apiserver.registry.request import Target, WriteOptions
from services.apiserver.storage.storage import Storage, Stored
from services.machinery.clock import Clock
from services.machinery.control_plane import CONTROL_PLANE_IP
from services.process.logging import Logger

Json = dict[str, Any]

PREFIX = "/registry/masterleases/"
INTERVAL_SECONDS = 10.0
LEASE_SECONDS = 15.0
NAMESPACE, NAME = "default", "kubernetes"
OPTIONS = WriteOptions(field_manager="kube-apiserver")
ENDPOINTS = resource_of(core_v1.Endpoints)
SLICES = resource_of(discovery_v1.EndpointSlice)


class ApiEndpoints:
    """`address` and `port` are where this API server can be reached."""

    def __init__(
        self, registry: Registry, storage: Storage, clock: Clock, log: Logger, address: str, port: int
    ) -> None:
        self._registry, self._storage, self._clock, self._log = registry, storage, clock, log
        self._address, self._port = address, port
        self._seen: dict[str, tuple[int, float]] = {}  # lease → its revision, and when we first saw that

    async def run(self) -> None:
        while True:
            try:
                await self.once()
            except ApiError as error:
                self._log.warning("Cannot keep the endpoints of the API", reason=error.message)
            await self._clock.sleep(INTERVAL_SECONDS)

    async def once(self) -> None:
        """ApiError where etcd does not answer, or refuses."""
        await self._renew()
        alive = await self._alive()
        port = {"name": "https", "port": self._port, "protocol": "TCP"}
        meta = {"name": NAME, "namespace": NAMESPACE}
        skip = {"endpointslice.kubernetes.io/skip-mirror": "true"}
        subset = {"addresses": [{"ip": ip} for ip in alive], "ports": [port]}
        await self._put(
            ENDPOINTS,
            {
                "apiVersion": "v1",
                "kind": "Endpoints",
                "metadata": {**meta, "labels": skip},
                "subsets": [subset],
            },
        )
        await self._put(
            SLICES,
            {
                "apiVersion": "discovery.k8s.io/v1",
                "kind": "EndpointSlice",
                "metadata": {**meta, "labels": {"kubernetes.io/service-name": NAME}},
                "addressType": "IPv4",
                "endpoints": [{"addresses": [ip], "conditions": {"ready": True}} for ip in alive],
                "ports": [port],
            },
        )

    async def _renew(self) -> None:
        key = PREFIX + self._address
        current = (await self._storage.get(key)).stored
        ports = [{"name": "https", "port": self._port, "protocol": "TCP"}]
        lease = {"addresses": [{"ip": self._address}], "ports": ports}
        body = orjson.dumps({"kind": "Endpoints", "apiVersion": "v1", "metadata": {}, "subsets": [lease]})
        if current is None:
            await self._storage.create(key, body)
        else:
            await self._storage.update(key, body, current.revision)

    async def _alive(self) -> list[str]:
        now = self._clock.monotonic()
        page = await self._storage.list(PREFIX)
        known, self._seen = self._seen, {}
        alive = []
        for lease in page.items:
            before = known.get(lease.key)
            since = before[1] if before is not None and before[0] == lease.revision else now
            self._seen[lease.key] = (lease.revision, since)
            if now - since < LEASE_SECONDS or lease.key == PREFIX + self._address:
                alive.append(lease.key.removeprefix(PREFIX))
            else:
                await self._forget(lease)
        return sorted(alive)

    async def _forget(self, lease: Stored) -> None:
        """Unless it is renewed in this very moment."""
        outcome = await self._storage.delete(lease.key, lease.revision)
        if outcome.done:
            self._log.info("An API server is gone", address=lease.key.removeprefix(PREFIX))

    async def _put(self, resource: Resource, wanted: Json) -> None:
        entry = self._registry.store(resource).find(NAMESPACE, NAME)
        body = orjson.dumps(wanted)
        if entry is None or _differs(orjson.loads(entry.value), wanted):
            # An update makes what is not there.
            await self._registry.update(Target(resource, NAMESPACE, NAME), body, OPTIONS)


def _differs(present: Json, wanted: Json) -> bool:
    fields = ("subsets", "addressType", "endpoints", "ports")
    labels = present["metadata"].get("labels") or {}
    return any(present.get(field) != wanted.get(field) for field in fields) or any(
        labels.get(name) != value for name, value in wanted["metadata"]["labels"].items()
    )


async def advertised(given: str, bound: str) -> str:
    """The address that others reach this server at: as given, what it listens on, or this machine's own."""
    if given:
        return given
    if not ip_address(bound).is_unspecified:
        return CONTROL_PLANE_IP if ip_address(bound).is_loopback else bound
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(socket.gethostname(), None, family=socket.AF_INET)
    except OSError:
        found = []
    own = [str(each[4][0]) for each in found if not ip_address(each[4][0]).is_loopback]
    return own[0] if own else CONTROL_PLANE_IP
