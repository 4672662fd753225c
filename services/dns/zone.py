"""The records of the cluster's domain, looked up in what the watches hold; nothing is built ahead. Pure.

A name that exists without a record of the wanted type is told apart from one that does not exist: resolvers
go on along the search path only after the latter.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from ipaddress import ip_address
from typing import Protocol

from services.api.core_v1 import Service
from services.api.discovery_v1 import Endpoint, EndpointSlice

VERSION = "1.1.0"
ALIASES_MAX = 8  # followed for one answer
_POD = re.compile(r"[0-9a-f]+(-[0-9a-f]*){3,7}")


class Code(Enum):
    """The response codes of DNS."""

    OK = 0
    SERVER_FAILURE = 2
    NO_SUCH_NAME = 3
    REFUSED = 5


@dataclass(frozen=True, slots=True)
class Record:
    name: str  # absolute, without the last dot
    type: str  # A, AAAA, CNAME, SRV, PTR, TXT
    value: str  # an address; a name; `priority weight port name`; a text


@dataclass(frozen=True, slots=True)
class Answer:
    code: Code
    records: tuple[Record, ...] = ()
    extra: tuple[Record, ...] = ()  # addresses of what an SRV record names


class Cluster(Protocol):
    """What the zone reads."""

    def service(self, namespace: str, name: str) -> Service | None: ...
    def slices(self, namespace: str, service: str) -> Sequence[EndpointSlice]: ...
    def has_namespace(self, name: str) -> bool: ...
    def services_at(self, ip: str) -> Iterable[Service]:
        """Services with that cluster IP."""
        ...

    def endpoints_at(self, ip: str) -> Iterable[tuple[EndpointSlice, Endpoint]]:
        """Endpoints of headless Services with that address."""
        ...


@dataclass(frozen=True)
class Settings:
    """What a Corefile can change."""

    domain: str = "cluster.local"
    ttl: int = 30
    pods: str = "insecure"  # answers for 10-244-1-5.NAMESPACE.pod; `disabled` does not
    hosts: dict[str, tuple[str, ...]] = field(default_factory=dict)
    log: bool = False


NOTHING = Answer(Code.OK)
UNKNOWN = Answer(Code.NO_SUCH_NAME)


class Zone:
    def __init__(self, cluster: Cluster, settings: Callable[[], Settings] = Settings) -> None:
        self._cluster, self._settings = cluster, settings

    @property
    def settings(self) -> Settings:
        return self._settings()

    def lookup(self, name: str, kind: str, hops: int = 0) -> Answer:
        """`name` is absolute, in any case. Names of other domains fail: there is no world outside.

        `hops` counts the aliases that led here.
        """
        name, settings = name.lower().rstrip("."), self._settings()
        if name in settings.hosts:
            return _addresses(name, settings.hosts[name], kind)
        if name.endswith((".in-addr.arpa", ".ip6.arpa")):
            return self._reverse(name, kind)
        if name != settings.domain and not name.endswith(f".{settings.domain}"):
            return Answer(Code.SERVER_FAILURE)
        labels = name.removesuffix(settings.domain).rstrip(".").split(".")
        if labels == [""]:
            return NOTHING
        if labels == ["dns-version"]:
            return Answer(Code.OK, (Record(name, "TXT", VERSION),)) if kind == "TXT" else NOTHING
        match labels[-1]:
            case "svc":
                return self._service_name(name, labels[:-1], kind, hops)
            case "pod":
                return self._pod_name(name, labels[:-1], kind)
        return UNKNOWN

    # -- Services --------------------------------------------------------------------------------

    def _service_name(self, name: str, labels: list[str], kind: str, hops: int) -> Answer:
        """`[_port._protocol.|endpoint.]service.namespace`, as labels before `.svc`."""
        if not labels:
            return NOTHING
        if len(labels) == 1:
            return NOTHING if self._cluster.has_namespace(labels[0]) else UNKNOWN
        service = self._cluster.service(labels[-1], labels[-2])
        if service is None:
            return UNKNOWN
        before = labels[:-2]
        if service.spec.type == "ExternalName":
            return self._external(name, service, kind, hops) if not before else UNKNOWN
        if len(before) == 2 and before[0].startswith("_") and before[1].startswith("_"):
            return self._ports(name, service, before[0][1:], before[1][1:], kind)
        headless = service.spec.cluster_ip == "None"
        if not before and not headless:
            addresses = _addresses(name, service.spec.cluster_ips, kind)
            return addresses if kind != "SRV" else self._ports(name, service, "", "", kind)
        if not headless or len(before) > 1:
            return UNKNOWN
        return self._endpoints(name, service, before[0] if before else "", kind)

    def _external(self, name: str, service: Service, kind: str, hops: int) -> Answer:
        target = (service.spec.external_name or "").rstrip(".")
        if kind not in ("A", "AAAA", "CNAME"):
            return NOTHING
        alias = Record(name, "CNAME", target)
        if kind == "CNAME" or hops >= ALIASES_MAX:
            return Answer(Code.OK, (alias,))
        followed = self.lookup(target, kind, hops + 1)
        return Answer(Code.OK, (alias, *followed.records))

    def _endpoints(self, name: str, service: Service, hostname: str, kind: str) -> Answer:
        found = [
            endpoint for _, endpoint in self._ready(service) if hostname in ("", endpoint_name(endpoint))
        ]
        if not found:
            return UNKNOWN
        if kind == "SRV" and not hostname:
            return self._ports(name, service, "", "", kind)
        return _addresses(name, [address for each in found for address in each.addresses], kind)

    def _ready(self, service: Service) -> Iterator[tuple[EndpointSlice, Endpoint]]:
        for slice_ in self._cluster.slices(service.metadata.namespace or "", service.metadata.name or ""):
            for endpoint in slice_.endpoints:
                conditions = endpoint.conditions
                if conditions is None or conditions.ready is not False:
                    yield slice_, endpoint

    def _ports(self, name: str, service: Service, port: str, protocol: str, kind: str) -> Answer:
        """SRV records; without a port's name, those of all its ports."""
        wanted = (port, protocol.upper())
        base = self._base(service)
        records: list[Record] = []
        extra: dict[Record, None] = {}
        if service.spec.cluster_ip != "None":
            for each in service.spec.ports:
                if wanted in (("", ""), (each.name or "", each.protocol or "TCP")):
                    records.append(Record(name, "SRV", f"0 100 {each.port} {base}"))
            extra |= dict.fromkeys(_addresses(base, service.spec.cluster_ips, "A").records)
        else:
            for slice_, endpoint in self._ready(service):
                target = f"{endpoint_name(endpoint)}.{base}"
                for found in slice_.ports:
                    if wanted in (("", ""), (found.name or "", found.protocol or "TCP")):
                        records.append(Record(name, "SRV", f"0 100 {found.port or 0} {target}"))
                        extra |= dict.fromkeys(_addresses(target, endpoint.addresses, "A").records)
        if not records:
            return UNKNOWN
        return Answer(Code.OK, _weighted(records), tuple(extra)) if kind == "SRV" else NOTHING

    def _base(self, service: Service) -> str:
        return f"{service.metadata.name}.{service.metadata.namespace}.svc.{self._settings().domain}"

    # -- Pods and addresses ----------------------------------------------------------------------

    def _pod_name(self, name: str, labels: list[str], kind: str) -> Answer:
        settings = self._settings()
        if settings.pods == "disabled" or not labels:
            return UNKNOWN
        if len(labels) == 1:
            return NOTHING if self._cluster.has_namespace(labels[0]) else UNKNOWN
        if len(labels) > 2 or not self._cluster.has_namespace(labels[1]) or not _POD.fullmatch(labels[0]):
            return UNKNOWN
        ipv4 = labels[0].replace("-", ".")
        text = ipv4 if ipv4.count(".") == 3 else labels[0].replace("-", ":")
        try:
            return _addresses(name, [str(ip_address(text))], kind)
        except ValueError:
            return UNKNOWN

    def _reverse(self, name: str, kind: str) -> Answer:
        ip = _address_of(name)
        if ip is None:
            return UNKNOWN
        targets = [self._base(service) for service in self._cluster.services_at(ip)]
        for slice_, endpoint in self._cluster.endpoints_at(ip):
            service = slice_.metadata.labels.get("kubernetes.io/service-name", "")
            domain = f"{service}.{slice_.metadata.namespace}.svc.{self._settings().domain}"
            targets.append(f"{endpoint_name(endpoint)}.{domain}")
        if not targets:
            return UNKNOWN
        records = tuple(Record(name, "PTR", target) for target in dict.fromkeys(targets))
        return Answer(Code.OK, records) if kind == "PTR" else NOTHING


def endpoint_name(endpoint: Endpoint) -> str:
    """Its hostname, else its address with dashes."""
    return endpoint.hostname or re.sub(r"[.:]", "-", endpoint.addresses[0])


def _addresses(name: str, addresses: Iterable[str], kind: str) -> Answer:
    versions = {"A": 4, "AAAA": 6}
    found = [ip for ip in addresses if versions.get(kind) == ip_address(ip).version]
    return Answer(Code.OK, tuple(Record(name, kind, ip) for ip in dict.fromkeys(found)))


def _weighted(records: list[Record]) -> tuple[Record, ...]:
    """CoreDNS shares a weight of a hundred among those of one port."""
    ports = [record.value.split()[2] for record in records]
    weights = [max(100 // ports.count(port), 1) for port in ports]
    return tuple(
        Record(each.name, each.type, each.value.replace("0 100 ", f"0 {weight} ", 1))
        for each, weight in zip(records, weights)
    )


def _address_of(name: str) -> str | None:
    labels = name.split(".")
    try:
        if name.endswith(".in-addr.arpa"):
            return str(ip_address(".".join(reversed(labels[:-2]))))
        digits = "".join(reversed(labels[:-2]))
        return str(ip_address(":".join(digits[at : at + 4] for at in range(0, 32, 4))))
    except ValueError:
        return None
