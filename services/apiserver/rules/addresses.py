"""What a Service is to be given: a cluster IP, its family, and node ports. Decisions only.

Who keeps the books, and sees to it that nothing is given twice, is `registry/service_addresses`.
Upstream: pkg/registry/core/service/storage/alloc.go.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from random import Random
from typing import Any

from services.api import errors
from services.apiserver.rules.validation.service import headless, needs_health_check
from services.machinery.field_errors import Cause, invalid

Json = dict[str, Any]

SERVICE_NETWORK = IPv4Network("10.96.0.0/12")
KUBERNETES_IP = "10.96.0.1"  # The Service `kubernetes`, which is there before any other.
NODE_PORTS = range(30000, 32768)
DRAWS_MAX = 100


def refuse(obj: Json, cause: Cause) -> errors.ApiError:
    return errors.invalid("", "Service", obj["metadata"].get("name", ""), [cause])


def has_cluster_ip(spec: Json) -> bool:
    return spec.get("type") != "ExternalName" and not headless(spec)


def set_families(obj: Json) -> None:
    """Fills in, in place, which families of addresses the Service has. ApiError (422)."""
    spec = obj["spec"]
    if spec.get("type") == "ExternalName":
        return
    if headless(spec) and not spec.get("selector"):
        # Nobody but its maker knows which families its endpoints will have.
        spec.setdefault("ipFamilies", ["IPv4", "IPv6"])
        spec.setdefault("ipFamilyPolicy", "RequireDualStack")
        return
    policy = spec.setdefault("ipFamilyPolicy", "SingleStack")
    if policy == "RequireDualStack":
        why = "this cluster is not configured for dual-stack services"
        raise refuse(obj, invalid("spec.ipFamilyPolicy", policy, why))
    families = spec.setdefault("ipFamilies", ["IPv4"])
    for index, family in enumerate(families):
        if family == "IPv6":
            why = "not configured on this cluster"
            raise refuse(obj, invalid(f"spec.ipFamilies[{index}]", family, why))


# -- cluster IPs -----------------------------------------------------------------------------------


def ip_refusal(obj: Json, wanted: str, why: str) -> errors.ApiError:
    return refuse(obj, invalid("spec.clusterIPs", [wanted], f"failed to allocate IP {wanted}: {why}"))


def check_in_range(obj: Json, wanted: str, networks: Collection[IPv4Network]) -> None:
    """ApiError (422) for an address that no range of the cluster can give."""
    address = IPv4Address(wanted)
    if not any(_first(net) <= int(address) <= _last(net) for net in networks):
        raise ip_refusal(obj, wanted, "the provided network does not match the current range")


def _first(network: IPv4Network) -> int:
    return int(network.network_address) + 1


def _last(network: IPv4Network) -> int:
    return int(network.broadcast_address) - 1


def static_band(size: int, lowest: int, divisor: int, highest: int) -> int:
    """How much at the start of a range is left to those who ask for one by name."""
    return 0 if size < lowest else min(max(lowest, size // divisor), highest)


def ip_candidates(network: IPv4Network, random: Random) -> Iterator[str]:
    """Addresses to try: random ones, then all from a random one on, those for static use last."""
    first, last = _first(network), _last(network)
    dynamic = first - 1 + static_band(network.num_addresses, 16, 16, 256)
    for _ in range(DRAWS_MAX):
        yield str(IPv4Address(random.randint(dynamic, last)))
    start = random.randint(dynamic, last)
    for number in (*range(start, last + 1), *range(dynamic, start), *range(first, dynamic)):
        yield str(IPv4Address(number))


# -- node ports ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PortGrant:
    """A node port for each port of a Service (0: none), one for health checks, and which of them are new."""

    ports: tuple[int, ...] = ()
    health: int = 0
    taken: frozenset[int] = frozenset()

    def apply(self, spec: Json) -> None:
        for port, number in zip(spec.get("ports", ()), self.ports, strict=True):
            if number:
                port["nodePort"] = number
        if self.health:
            spec["healthCheckNodePort"] = self.health


def node_ports_of(spec: Json) -> frozenset[int]:
    """All that a Service holds."""
    held = {port["nodePort"] for port in spec.get("ports") or () if port.get("nodePort")}
    if spec.get("healthCheckNodePort"):
        held.add(spec["healthCheckNodePort"])
    return frozenset(held)


def needs_node_ports(spec: Json) -> bool:
    kind = spec.get("type")
    given = kind == "NodePort" or (kind == "LoadBalancer" and spec.get("allocateLoadBalancerNodePorts"))
    return bool(given or node_ports_of(spec) or needs_health_check(spec))


def grant_ports(obj: Json, held: frozenset[int], taken: int, random: Random) -> PortGrant:
    """`held`: what the Service has already; `taken`: the ports of all, one bit each. ApiError 422, 500."""
    spec, books = obj["spec"], _Books(taken, random)
    kind = spec.get("type")
    wanted = kind == "NodePort" or (kind == "LoadBalancer" and spec.get("allocateLoadBalancerNodePorts"))
    ports, numbers = spec.get("ports") or [], list[int]()
    given: dict[int, int] = {}  # The same port number for TCP and UDP shares a node port.
    for index, port in enumerate(ports):
        asked = port.get("nodePort", 0)
        number = asked or given.get(port["port"]) or _asked_for(ports, port["port"])
        if number and number not in held and number not in books.granted:
            if why := books.take(number):
                raise refuse(obj, invalid(f"spec.ports[{index}].nodePort", number, why))
        elif not number and wanted:
            number = books.draw("a nodePort")
        given.setdefault(port["port"], number)
        numbers.append(number)
    health = 0
    if needs_health_check(spec):
        health = spec.get("healthCheckNodePort", 0)
        if not health:
            health = books.draw("a HealthCheck NodePort")
        elif health not in held and (why := books.take(health)):
            raise errors.failure(
                500, "", f"failed to allocate requested HealthCheck NodePort {health}: {why}"
            )
    return PortGrant(tuple(numbers), health, frozenset(books.granted))


def _asked_for(ports: list[Json], number: int) -> int:
    """The node port that a later port of the same number asks for: both get it."""
    return next((port["nodePort"] for port in ports if port["port"] == number and port.get("nodePort")), 0)


class _Books:
    """What is taken, while one Service takes."""

    def __init__(self, taken: int, random: Random) -> None:
        self._taken, self._random = taken, random
        self.granted: set[int] = set()

    def _is_free(self, number: int) -> bool:
        return not self._taken >> (number - NODE_PORTS.start) & 1 and number not in self.granted

    def take(self, number: int) -> str:
        """Why not; empty where it was given."""
        if number not in NODE_PORTS:
            bounds = f"{NODE_PORTS.start}-{NODE_PORTS.stop - 1}"
            return f"provided port is not in the valid range. The range of valid ports is {bounds}"
        if not self._is_free(number):
            return "provided port is already allocated"
        self.granted.add(number)
        return ""

    def draw(self, what: str) -> int:
        dynamic = NODE_PORTS[static_band(len(NODE_PORTS), 16, 32, 128) :]
        for _ in range(DRAWS_MAX):
            if self._is_free(number := self._random.choice(dynamic)):
                self.granted.add(number)
                return number
        free = [number for number in dynamic if self._is_free(number)]
        free = free or [number for number in NODE_PORTS if self._is_free(number)]
        if not free:
            raise errors.internal(f"failed to allocate {what}: range is full")
        self.granted.add(number := self._random.choice(free))
        return number


def bits_of(numbers: Collection[int]) -> int:
    return sum(1 << (number - NODE_PORTS.start) for number in set(numbers) if number in NODE_PORTS)
