"""The table of one node: addresses of Services, and to whom a connection to one of them goes. Pure.

Kept by `put_*` and `remove_*`, which mark what they concern; `route` first brings those Services up to date,
so that a burst of changes costs each Service once. A Service and its slices may come in any order. What
is not in the table is not a Service's address: `route` answers None, and the caller dials as it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from random import Random

from services.api.core_v1 import Service
from services.api.discovery_v1 import Endpoint, EndpointSlice
from services.api.object import ObjectKey
from services.kube_proxy.affinity import Affinity
from services.kube_proxy.model import AFFINITY_SECONDS, Door, PortName, Rule, Target, Verdict
from services.kube_proxy.usable import categorize
from services.machinery.clock import Clock

SERVICE_NAME = "kubernetes.io/service-name"
PROXY_NAME = "service.kubernetes.io/service-proxy-name"
HEADLESS = "service.kubernetes.io/headless"

_Address = tuple[str, int, str]  # ip, port, protocol


@dataclass(frozen=True, slots=True)
class Route:
    """The endpoint that was chosen, or why there is none."""

    rule: Rule
    door: Door
    target: Target | None
    verdict: Verdict | None = None


class Table:
    def __init__(self, node_name: str, clock: Clock, random: Random, zone: str = "") -> None:
        self.node_name, self.zone = node_name, zone
        self._random = random
        self._affinity = Affinity(clock)
        self._services: dict[ObjectKey, Service] = {}
        self._slices: dict[ObjectKey, dict[ObjectKey, EndpointSlice]] = {}
        self._rules: dict[ObjectKey, dict[PortName, Rule]] = {}
        self._addresses: dict[_Address, tuple[Rule, Door]] = {}
        self._node_ports: dict[tuple[int, str], Rule] = {}
        self._health_ports: dict[int, Rule] = {}
        self._dirty: set[ObjectKey] = set()

    # -- what the cluster says -------------------------------------------------------------------

    def put_service(self, service: Service) -> None:
        self._services[service.key] = service
        self._dirty.add(service.key)

    def remove_service(self, key: ObjectKey) -> None:
        self._services.pop(key, None)
        self._dirty.add(key)

    def put_slice(self, slice_: EndpointSlice) -> None:
        key = _service_of(slice_)
        if key is not None:
            self._slices.setdefault(key, {})[slice_.key] = slice_
            self._dirty.add(key)

    def remove_slice(self, slice_: EndpointSlice) -> None:
        key = _service_of(slice_)
        if key is None:
            return
        found = self._slices.get(key, {})
        found.pop(slice_.key, None)
        if not found:
            self._slices.pop(key, None)
        self._dirty.add(key)

    def set_zone(self, zone: str) -> None:
        if zone != self.zone:
            self.zone = zone
            self._dirty |= self._services.keys()

    # -- asking ----------------------------------------------------------------------------------

    def route(self, ip: str, port: int, protocol: str = "TCP", source: str = "") -> Route | None:
        """For a connection from `source` to an address; None where it is not a Service's."""
        self.sync()
        found = self._addresses.get((ip, port, protocol))
        return self._choose(*found, source) if found else None

    def route_node_port(self, port: int, protocol: str = "TCP", source: str = "") -> Route | None:
        self.sync()
        rule = self._node_ports.get((port, protocol))
        return self._choose(rule, Door.NODE_PORT, source) if rule else None

    def uid(self, service: ObjectKey) -> str:
        """Of a Service that is known; for those who tell about it."""
        found = self._services.get(service)
        return (found.metadata.uid or "") if found else ""

    def rules(self) -> Iterator[Rule]:
        """By the names of their Services."""
        self.sync()
        for key in sorted(self._rules):
            yield from self._rules[key].values()

    def node_ports(self) -> dict[tuple[int, str], Rule]:
        """The ports that this node should listen on: (port, protocol) → rule."""
        self.sync()
        return self._node_ports

    def health_ports(self) -> dict[int, Rule]:
        """The ports on which load balancers ask for endpoints of this node."""
        self.sync()
        return self._health_ports

    def _choose(self, rule: Rule, door: Door, source: str) -> Route:
        if not rule.any_anywhere:
            return Route(rule, door, None, Verdict.REJECT)
        if door is Door.LOAD_BALANCER and not _allowed(rule, source):
            return Route(rule, door, None, Verdict.DROP)
        targets = rule.targets(door)
        if not targets:
            return Route(rule, door, None, Verdict.DROP)
        held = self._affinity.target(rule, source) if rule.affinity_seconds else None
        target = next((each for each in targets if str(each) == held), None)
        if target is None:
            target = self._random.choice(targets)
        if rule.affinity_seconds:
            self._affinity.hold(rule, source, str(target))
        return Route(rule, door, target)

    # -- keeping it current ----------------------------------------------------------------------

    def sync(self) -> set[ObjectKey]:
        """Brings the rules of changed Services up to date; which they were."""
        dirty, self._dirty = self._dirty, set()
        for key in dirty:
            self._forget(key)
            service = self._services.get(key)
            if service is not None and _is_proxied(service):
                self._learn(service)
        return dirty

    def _forget(self, key: ObjectKey) -> None:
        for rule in self._rules.pop(key, {}).values():
            for address, _ in _doors(rule):
                held = self._addresses.get(address)
                if held is not None and held[0] is rule:
                    del self._addresses[address]
            node_port = (rule.node_port, rule.name.protocol)
            if self._node_ports.get(node_port) is rule:
                del self._node_ports[node_port]
            if self._health_ports.get(rule.health_check_port) is rule:
                del self._health_ports[rule.health_check_port]

    def _learn(self, service: Service) -> None:
        slices = self._slices.get(service.key, {})
        rules = self._rules[service.key] = rules_of(service)
        for name, rule in rules.items():
            categorize(rule, self._targets(slices, name), self.node_name, self.zone)
            for address, door in _doors(rule):
                self._addresses.setdefault(address, (rule, door))
            if rule.node_port:
                self._node_ports.setdefault((rule.node_port, name.protocol), rule)
            if rule.health_check_port:
                self._health_ports.setdefault(rule.health_check_port, rule)
        self._affinity.keep(service.key, rules.values())

    def _targets(self, slices: dict[ObjectKey, EndpointSlice], name: PortName) -> list[Target]:
        found: dict[tuple[str, int], Target] = {}
        for slice_ in slices.values():
            for port in slice_.ports:
                if (port.name or "", port.protocol or "TCP") != (name.port, name.protocol) or not port.port:
                    continue
                for endpoint in slice_.endpoints:
                    target = self._target(endpoint, port.port)
                    # While an endpoint moves from one slice to another it may be in both.
                    if target.ready or (target.ip, target.port) not in found:
                        found[target.ip, target.port] = target
        return list(found.values())

    def _target(self, endpoint: Endpoint, port: int) -> Target:
        conditions, hints = endpoint.conditions, endpoint.hints
        ready = conditions is None or conditions.ready is not False
        serving = ready if conditions is None or conditions.serving is None else conditions.serving
        return Target(
            ip=endpoint.addresses[0],
            port=port,
            ready=ready,
            serving=serving,
            terminating=bool(conditions and conditions.terminating),
            is_local=endpoint.node_name == self.node_name,
            zones=frozenset(zone.name for zone in hints.for_zones) if hints else frozenset(),
            nodes=frozenset(node.name for node in hints.for_nodes) if hints else frozenset(),
        )


def _service_of(slice_: EndpointSlice) -> ObjectKey | None:
    name = slice_.metadata.labels.get(SERVICE_NAME)
    if not name or slice_.address_type == "FQDN" or HEADLESS in slice_.metadata.labels:
        return None
    return ObjectKey(slice_.key.namespace, name)


def _is_proxied(service: Service) -> bool:
    """Headless Services and those of another proxy have no address here; ExternalName is DNS' business."""
    spec = service.spec
    if spec.type == "ExternalName" or spec.cluster_ip in (None, "", "None"):
        return False
    return PROXY_NAME not in service.metadata.labels


def rules_of(service: Service) -> dict[PortName, Rule]:
    """A Service's ports, still without endpoints."""
    spec, rules = service.spec, {}
    config = spec.session_affinity_config
    timeout = config.client_ip.timeout_seconds if config and config.client_ip else None
    ingress = service.status.load_balancer.ingress if service.status.load_balancer else []
    for port in spec.ports:
        name = PortName(service.key, port.name or "", port.protocol or "TCP")
        rules[name] = Rule(
            name=name,
            cluster_ip=spec.cluster_ip or "",
            port=port.port,
            node_port=port.node_port or 0,
            external_ips=tuple(spec.external_ips),
            balancer_ips=tuple(each.ip for each in ingress if each.ip and each.ip_mode != "Proxy"),
            source_ranges=tuple(spec.load_balancer_source_ranges),
            affinity_seconds=(timeout or AFFINITY_SECONDS) if spec.session_affinity == "ClientIP" else 0,
            external_local=spec.external_traffic_policy == "Local",
            internal_local=spec.internal_traffic_policy == "Local",
            health_check_port=spec.health_check_node_port or 0,
        )
    return rules


def _doors(rule: Rule) -> Iterator[tuple[_Address, Door]]:
    protocol = rule.name.protocol
    yield (rule.cluster_ip, rule.port, protocol), Door.CLUSTER_IP
    for ip in rule.external_ips:
        yield (ip, rule.port, protocol), Door.EXTERNAL_IP
    for ip in rule.balancer_ips:
        yield (ip, rule.port, protocol), Door.LOAD_BALANCER


def _allowed(rule: Rule, source: str) -> bool:
    if not rule.source_ranges or not source:
        return True
    address = ip_address(source)
    return any(address in ip_network(each.strip(), strict=False) for each in rule.source_ranges)
