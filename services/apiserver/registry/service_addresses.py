"""Gives each Service its cluster IP and node ports before it is written, and takes them back after it went.

Upstream: the transactions of pkg/registry/core/service/storage. What was taken for a write that did
not come about is given back; where nobody knows whether it did (the connection broke, the caller went
away), it stays taken until the repair has seen for a while that no Service has it. So an address may be
idle for a time, but never has two Services.
"""

from __future__ import annotations

import contextlib
import random
from typing import Any

import orjson

from services.api.errors import ApiError
from services.apiserver.registry.allocations import NOTHING, Holding
from services.apiserver.registry.cluster_ips import ClusterIps
from services.apiserver.registry.node_ports import NodePorts
from services.apiserver.rules import addresses
from services.apiserver.rules.addresses import PortGrant
from services.apiserver.storage.storage import Stored

Json = dict[str, Any]


def held_by(obj: Json) -> Holding:
    """What a Service has, as it says itself."""
    spec = obj["spec"]
    if spec.get("type") == "ExternalName":
        return NOTHING
    ips = frozenset(ip for ip in spec.get("clusterIPs") or () if ip and ip != "None" and ":" not in ip)
    return Holding(ips, addresses.node_ports_of(spec))


class ServiceAddresses:
    """What the store of Services asks around each of its writes."""

    def __init__(self, ips: ClusterIps, ports: NodePorts, chance: random.Random) -> None:
        self.ips, self.ports, self._random = ips, ports, chance

    async def take(self, new: Json, old: Json | None, *, dry_run: bool) -> Holding:
        """Fills in, in place, all that `new` is to have; answers what was taken for it. ApiError 422, 500."""
        if old is not None and new["spec"] == old["spec"]:
            return NOTHING
        addresses.set_families(new)
        spec, before = new["spec"], held_by(old) if old is not None else NOTHING
        taken_ips: frozenset[str] = frozenset()
        if addresses.has_cluster_ip(spec):
            wanted = spec.get("clusterIP") or ""
            if not wanted or wanted not in before.ips:
                spec["clusterIP"] = await self.ips.take(new, wanted, dry_run=dry_run)
                taken_ips = frozenset((spec["clusterIP"],))
            spec["clusterIPs"] = [spec["clusterIP"]]
        try:
            taken_ports = await self._take_ports(new, before.ports, dry_run)
        except ApiError:
            if not dry_run:
                await self.give_back(Holding(ips=taken_ips))
            raise
        return NOTHING if dry_run else Holding(taken_ips, taken_ports)

    async def _take_ports(self, new: Json, held: frozenset[int], dry_run: bool) -> frozenset[int]:
        spec = new["spec"]
        if spec.get("type") == "ExternalName" or not addresses.needs_node_ports(spec):
            return frozenset()

        def decide(bits: int) -> tuple[int, PortGrant]:
            grant = addresses.grant_ports(new, held, bits, self._random)
            return bits if dry_run else bits | addresses.bits_of(grant.taken), grant

        grant = await self.ports.change(decide)
        grant.apply(spec)
        return grant.taken

    async def failed(self, taken: Holding, present: Stored | None) -> None:
        """The write did not come about; `present` is the Service that there is instead."""
        if taken != NOTHING:
            kept = held_by(orjson.loads(present.value)) if present is not None else NOTHING
            # An address that was this Service's already may have been found, and not taken, by both.
            await self.give_back(Holding(taken.ips - kept.ips, taken.ports))

    async def changed(self, new: Json, old: Json) -> None:
        """A Service was written: what it does not need any longer is free."""
        if new["spec"] != old["spec"]:
            before, after = held_by(old), held_by(new)
            await self.give_back(Holding(before.ips - after.ips, before.ports - after.ports))

    async def gone(self, old: Json) -> None:
        await self.give_back(held_by(old))

    async def give_back(self, holding: Holding) -> None:
        for ip in holding.ips:
            await self.ips.release(ip)
        if holding.ports:
            with contextlib.suppress(ApiError):  # as with the addresses: the repair sees to it
                await self.ports.release(holding.ports)
