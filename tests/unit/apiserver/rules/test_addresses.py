"""Which addresses and node ports a Service gets: the decisions alone."""

from __future__ import annotations

import random
from ipaddress import IPv4Network
from typing import Any

import pytest

from services.api.errors import ApiError
from services.apiserver.rules import addresses

Json = dict[str, Any]
EVERYTHING = addresses.bits_of(addresses.NODE_PORTS)


def service(kind: str, *ports: Json, **spec: Any) -> Json:
    return {"metadata": {"name": "x"}, "spec": {"type": kind, "ports": list(ports), **spec}}


def grant(
    obj: Json, taken: set[int] | None = None, held: frozenset[int] = frozenset()
) -> addresses.PortGrant:
    return addresses.grant_ports(obj, held, addresses.bits_of(taken or set()), random.Random(1))


def test_the_same_port_for_two_protocols_shares_a_node_port() -> None:
    both = ({"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}, {"port": 80, "protocol": "TCP"})
    found = grant(service("NodePort", *both))
    assert found.ports[0] == found.ports[1] != found.ports[2]
    assert found.taken == set(found.ports)


def test_what_a_later_port_asks_for_the_earlier_one_of_its_number_gets() -> None:
    ports = ({"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP", "nodePort": 30053})
    assert grant(service("NodePort", *ports)).ports == (30053, 30053)


def test_what_is_held_is_not_taken_again() -> None:
    obj = service("NodePort", {"port": 80, "nodePort": 30080}, {"port": 81})
    found = grant(obj, {30080}, frozenset({30080}))
    assert found.ports[0] == 30080
    assert found.taken == {found.ports[1]}


@pytest.mark.parametrize(
    ("number", "taken", "why"),
    [
        (30080, {30080}, "provided port is already allocated"),
        (80, set(), "provided port is not in the valid range. The range of valid ports is 30000-32767"),
    ],
)
def test_refusals(number: int, taken: set[int], why: str) -> None:
    with pytest.raises(ApiError) as refusal:
        grant(service("NodePort", {"port": 80}, {"port": 81, "nodePort": number}), taken)
    expected = f'Service "x" is invalid: spec.ports[1].nodePort: Invalid value: {number}: {why}'
    assert refusal.value.message == expected


def test_a_load_balancer_may_do_without() -> None:
    bare = service("LoadBalancer", {"port": 80}, allocateLoadBalancerNodePorts=False)
    assert not addresses.needs_node_ports(bare["spec"])
    asked = service("LoadBalancer", {"port": 80, "nodePort": 30001}, {"port": 81})
    assert grant(asked).ports == (30001, 0)


def test_a_health_check_port_of_its_own() -> None:
    policy = {"externalTrafficPolicy": "Local", "allocateLoadBalancerNodePorts": True}
    found = grant(service("LoadBalancer", {"port": 80}, **policy))
    assert found.health
    assert found.health not in found.ports
    asked = service("LoadBalancer", {"port": 80}, healthCheckNodePort=30999, **policy)
    with pytest.raises(
        ApiError, match="failed to allocate requested HealthCheck NodePort 30999: provided port"
    ):
        grant(asked, {30999})


def test_those_for_static_use_come_last_and_then_nothing() -> None:
    obj = service("NodePort", {"port": 80})
    drawn = {grant(obj).ports[0] for _ in range(50)}
    assert min(drawn) >= 30086
    almost = set(addresses.NODE_PORTS) - {30003}
    assert grant(obj, almost).ports == (30003,)
    with pytest.raises(ApiError, match="failed to allocate a nodePort: range is full"):
        grant(obj, set(addresses.NODE_PORTS))


def test_every_address_of_a_range_is_a_candidate_and_no_other() -> None:
    network = IPv4Network("10.9.0.0/24")
    found = list(addresses.ip_candidates(network, random.Random(2)))
    assert set(found) == {str(ip) for ip in network.hosts()}
    assert all(int(ip.rpartition(".")[2]) > 15 for ip in found[: addresses.DRAWS_MAX])


@pytest.mark.parametrize("ip", ["10.9.0.0", "10.9.0.255", "10.8.0.1"])
def test_what_is_in_no_range_is_refused(ip: str) -> None:
    with pytest.raises(ApiError, match=f"failed to allocate IP {ip}: the provided network does not match"):
        addresses.check_in_range(service("ClusterIP"), ip, [IPv4Network("10.9.0.0/24")])
