"""The books of cluster IPs: an IPAddress for each, which only one creation in the whole cluster can win.

Upstream: pkg/registry/core/service/ipallocator. The ranges are those of all ServiceCIDRs, the
cluster's own first. An IPAddress that names the very Service it is asked for is its own from an
attempt that ended between two writes.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from ipaddress import IPv4Network
from typing import Any

import orjson

from services.api import errors, networking_v1
from services.api.errors import ApiError
from services.api.kinds import resource_of
from services.apiserver.registry import deletion
from services.apiserver.registry.request import Target, WriteOptions
from services.apiserver.registry.store import Store
from services.apiserver.rules import addresses

Json = dict[str, Any]

IP_ADDRESSES = resource_of(networking_v1.IPAddress)
SERVICE_CIDRS = resource_of(networking_v1.ServiceCIDR)
MANAGER = WriteOptions(field_manager="kube-apiserver")
FAMILY_LABEL = "ipaddress.kubernetes.io/ip-family"
MANAGED_BY_LABEL = "ipaddress.kubernetes.io/managed-by"
MANAGED_BY = "ipallocator.k8s.io"


def record(ip: str, namespace: str, name: str) -> Json:
    """The IPAddress of a Service."""
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "IPAddress",
        "metadata": {"name": ip, "labels": {FAMILY_LABEL: "IPv4", MANAGED_BY_LABEL: MANAGED_BY}},
        "spec": {"parentRef": {"resource": "services", "namespace": namespace, "name": name}},
    }


class ClusterIps:
    def __init__(self, store: Store) -> None:
        self._store = store

    def networks(self) -> list[IPv4Network]:
        """All ranges that addresses come from."""
        found = [addresses.SERVICE_NETWORK]
        for obj in self._store.context().every(SERVICE_CIDRS):
            if obj["metadata"].get("deletionTimestamp"):
                continue
            for cidr in obj["spec"].get("cidrs") or ():
                if ":" not in cidr and (network := IPv4Network(cidr)) not in found:
                    found.append(network)
        return found

    async def take(self, obj: Json, wanted: str, *, dry_run: bool) -> str:
        """An address for this Service, `wanted` if given. ApiError 422, 500."""
        if wanted:
            addresses.check_in_range(obj, wanted, self.networks())
            if not await self._created(obj, wanted, dry_run):
                raise addresses.ip_refusal(obj, wanted, "provided IP is already allocated")
            return wanted
        for ip in self._candidates():
            known = self._store.find("", ip) is not None
            if not known and await self._created(obj, ip, dry_run):
                return ip
        raise errors.internal("failed to allocate a serviceIP: range is full")

    def _candidates(self) -> Iterator[str]:
        for network in self.networks():
            yield from addresses.ip_candidates(network, self._store.context().random)

    async def _created(self, obj: Json, ip: str, dry_run: bool) -> bool:
        meta = obj["metadata"]
        namespace, name = meta.get("namespace", ""), meta["name"]
        options = WriteOptions(field_manager=MANAGER.field_manager, dry_run=dry_run)
        try:
            await self._store.create_decoded(Target(IP_ADDRESSES), record(ip, namespace, name), options)
        except ApiError as error:
            if not errors.is_already_exists(error):
                raise
            return await self._belongs_to(ip, namespace, name)
        return True

    async def _belongs_to(self, ip: str, namespace: str, name: str) -> bool:
        try:
            stored = await self._store.get("", ip)
        except ApiError as error:
            if not errors.is_not_found(error):
                raise
            return False
        parent = orjson.loads(stored.value)["spec"]["parentRef"]
        return (parent.get("resource"), parent.get("namespace"), parent.get("name")) == (
            "services",
            namespace,
            name,
        )

    async def release(self, ip: str) -> None:
        with contextlib.suppress(ApiError):  # what stays behind goes with the next repair
            await self._store.delete(Target(IP_ADDRESSES, "", ip), deletion.Options(), False)
