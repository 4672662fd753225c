"""Brings the books of cluster IPs and node ports back to what the Services say.

At start, so that Services of a cluster without books have theirs, and every few minutes, since a server
may end between the write of a book and that of a Service. What is missing is entered at once; what nobody has
is given back only after a while, since another server may be about to write its Service.
Upstream: pkg/registry/core/service/{ipallocator,portallocator}/controller.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import orjson

from services.api import core_v1, errors
from services.api.errors import ApiError
from services.api.kinds import resource_of
from services.apiserver.registry import deletion
from services.apiserver.registry.cluster_ips import (
    IP_ADDRESSES,
    MANAGED_BY,
    MANAGED_BY_LABEL,
    MANAGER,
    record,
)
from services.apiserver.registry.registry import Registry
from services.apiserver.registry.request import Target
from services.apiserver.registry.service_addresses import held_by
from services.apiserver.rules.addresses import NODE_PORTS, bits_of
from services.machinery.clock import Clock, parse_time
from services.process.logging import Logger

Json = dict[str, Any]

INTERVAL_SECONDS = 180.0
LEAKED_ROUNDS = 3  # in so many rounds in a row nobody had the port
LEAKED_SECONDS = 60.0  # likewise for an address, since it was taken
SERVICES = resource_of(core_v1.Service)


class AddressRepair:
    def __init__(self, registry: Registry, clock: Clock, log: Logger) -> None:
        self._services, self._addresses = registry.store(SERVICES), registry.store(IP_ADDRESSES)
        self._ports = registry.addresses.ports
        self._clock, self._log = clock, log
        self._unheld: Counter[int] = Counter()

    async def run(self) -> None:
        while True:
            await self._clock.sleep(INTERVAL_SECONDS)
            try:
                await self.once()
            except ApiError as error:
                self._log.warning("Cannot repair the books of Service addresses", reason=error.message)

    async def once(self) -> None:
        """ApiError where etcd does not answer."""
        services = list(self._services.context().every(SERVICES))
        await self._repair_ports(services)
        await self._enter_missing(services)
        await self._release_leaked()

    async def _repair_ports(self, services: list[Json]) -> None:
        held = bits_of(frozenset[int]().union(*(held_by(service).ports for service in services)))

        def decide(bits: int) -> tuple[int, int]:
            return (bits | held) & ~self._leaked(bits & ~held), bits & ~held

        unheld = _numbers(await self._ports.change(decide))
        self._unheld = Counter({number: self._unheld[number] + 1 for number in unheld})

    def _leaked(self, unheld: int) -> int:
        rounds = LEAKED_ROUNDS - 1
        return bits_of([number for number in _numbers(unheld) if self._unheld[number] >= rounds])

    async def _enter_missing(self, services: list[Json]) -> None:
        for service in services:
            meta = service["metadata"]
            for ip in held_by(service).ips:
                if self._addresses.find("", ip) is not None:
                    continue
                missing = record(ip, meta["namespace"], meta["name"])
                try:
                    await self._addresses.create_decoded(Target(IP_ADDRESSES), missing, MANAGER)
                except ApiError as error:
                    if not errors.is_already_exists(error):
                        raise

    async def _release_leaked(self) -> None:
        now = self._clock.now()
        for address in list(self._addresses.context().every(IP_ADDRESSES)):
            meta = address["metadata"]
            if (meta.get("labels") or {}).get(MANAGED_BY_LABEL) != MANAGED_BY:
                continue
            age = (now - parse_time(meta["creationTimestamp"])).total_seconds()
            if age < LEAKED_SECONDS or await self._is_held(address):
                continue
            self._log.info("Released a cluster IP that no Service has", address=meta["name"])
            options = deletion.Options(uid=meta["uid"])
            await self._addresses.delete(Target(IP_ADDRESSES, "", meta["name"]), options, False)

    async def _is_held(self, address: Json) -> bool:
        parent, ip = address["spec"]["parentRef"], address["metadata"]["name"]
        namespace, name = parent.get("namespace", ""), parent["name"]
        entry = self._services.find(namespace, name)
        if entry is not None and ip in held_by(orjson.loads(entry.value)).ips:
            return True
        try:  # the cache may be behind
            stored = await self._services.get(namespace, name)
        except ApiError as error:
            if not errors.is_not_found(error):
                raise
            return False
        return ip in held_by(orjson.loads(stored.value)).ips


def _numbers(bits: int) -> list[int]:
    return [number for number in NODE_PORTS if bits >> (number - NODE_PORTS.start) & 1]
