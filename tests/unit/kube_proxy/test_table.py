"""Where connections to Services go: the table of one node."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

import pytest
from msgspec.structs import replace

from services.api.core_v1 import (
    ClientIPConfig,
    LoadBalancerIngress,
    LoadBalancerStatus,
    Service,
    ServicePort,
    ServiceSpec,
    ServiceStatus,
    SessionAffinityConfig,
)
from services.api.discovery_v1 import (
    Endpoint,
    EndpointConditions,
    EndpointHints,
    EndpointPort,
    EndpointSlice,
    ForNode,
    ForZone,
)
from services.api.meta_v1 import ObjectMeta
from services.api.object import ObjectKey
from services.kube_proxy import rules_text
from services.kube_proxy.model import PortName, Verdict
from services.kube_proxy.table import SERVICE_NAME, Table
from tests.support.clock import ManualClock

IP = "10.96.0.10"
BALANCER = "192.0.2.7"


def service(name: str = "web", ip: str = IP, **fields: Any) -> Service:
    ports = [ServicePort(name="http", port=80, protocol="TCP")]
    spec = ServiceSpec(type="ClusterIP", cluster_ip=ip, ports=ports)
    return Service(metadata=ObjectMeta(name=name, namespace="default"), spec=replace(spec, **fields))


def balanced(**fields: Any) -> Service:
    ports = [ServicePort(name="http", port=80, protocol="TCP", node_port=30080)]
    made = service(type="LoadBalancer", ports=ports, **fields)
    status = ServiceStatus(load_balancer=LoadBalancerStatus(ingress=[LoadBalancerIngress(ip=BALANCER)]))
    return replace(made, status=status)


def endpoint(
    number: int,
    node: str = "n1",
    *,
    ready: bool = True,
    terminating: bool = False,
    serving: bool | None = None,
    hints: EndpointHints | None = None,
) -> Endpoint:
    conditions = EndpointConditions(
        ready=ready, serving=ready if serving is None else serving, terminating=terminating
    )
    return Endpoint(addresses=[f"10.244.0.{number}"], node_name=node, conditions=conditions, hints=hints)


def slice_(*endpoints: Endpoint, of: str = "web", name: str = "web-1") -> EndpointSlice:
    metadata = ObjectMeta(name=name, namespace="default", labels={SERVICE_NAME: of})
    port = EndpointPort(name="http", port=8080, protocol="TCP")
    return EndpointSlice(metadata=metadata, address_type="IPv4", endpoints=[*endpoints], ports=[port])


def table(*services: Service, slices: tuple[EndpointSlice, ...] = (), zone: str = "") -> Table:
    made = Table("n1", ManualClock(), Random(1), zone)
    for each in services:
        made.put_service(each)
    for found in slices:
        made.put_slice(found)
    return made


def reached(made: Table, ip: str = IP, source: str = "10.244.0.99", tries: int = 200) -> set[str]:
    found = set()
    for _ in range(tries):
        route = made.route(ip, 80, source=source)
        assert route is not None
        found.add(str(route.target) if route.target else str(route.verdict))
    return found


def test_connections_spread_over_ready_endpoints() -> None:
    made = table(service(), slices=(slice_(endpoint(1), endpoint(2), endpoint(3, ready=False)),))
    counted = Counter(str(r.target) for _ in range(1000) if (r := made.route(IP, 80)))
    assert set(counted) == {"10.244.0.1:8080", "10.244.0.2:8080"}
    assert min(counted.values()) > 400


def test_what_is_no_service_is_not_routed() -> None:
    made = table(service(), slices=(slice_(endpoint(1)),))
    assert made.route("10.244.0.1", 8080) is None
    assert made.route(IP, 81) is None
    assert made.route(IP, 80, "UDP") is None


def test_without_endpoints_it_is_refused() -> None:
    assert reached(table(service())) == {str(Verdict.REJECT)}
    assert reached(table(service(), slices=(slice_(endpoint(1, ready=False)),))) == {str(Verdict.REJECT)}


def test_those_that_end_but_serve_are_the_last_resort() -> None:
    ending = endpoint(1, ready=False, terminating=True, serving=True)
    assert reached(table(service(), slices=(slice_(ending),))) == {"10.244.0.1:8080"}
    assert reached(table(service(), slices=(slice_(ending, endpoint(2)),))) == {"10.244.0.2:8080"}


def test_an_endpoint_that_goes_gets_nothing_from_then_on() -> None:
    made = table(service(), slices=(slice_(endpoint(1), endpoint(2)),))
    assert len(reached(made)) == 2
    made.put_slice(slice_(endpoint(2)))
    assert reached(made) == {"10.244.0.2:8080"}
    made.remove_service(ObjectKey("default", "web"))
    assert made.route(IP, 80) is None


def test_slices_before_their_service_and_in_any_number() -> None:
    made = table(slices=(slice_(endpoint(1)), slice_(endpoint(2), name="web-2")))
    assert made.route(IP, 80) is None
    made.put_service(service())
    assert len(reached(made)) == 2


def test_an_endpoint_in_two_slices_counts_once() -> None:
    made = table(service(), slices=(slice_(endpoint(1)), slice_(endpoint(1, ready=False), name="web-2")))
    (rule,) = made.rules()
    assert [str(target) for target in rule.cluster] == ["10.244.0.1:8080"]
    assert rule.cluster[0].ready


def test_a_local_policy_never_leaves_the_node() -> None:
    local = service(internal_traffic_policy="Local")
    both = (slice_(endpoint(1, "n1"), endpoint(2, "n2")),)
    assert reached(table(local, slices=both)) == {"10.244.0.1:8080"}
    assert reached(table(local, slices=(slice_(endpoint(2, "n2")),))) == {str(Verdict.DROP)}


def test_an_external_policy_counts_at_external_doors_only() -> None:
    made = table(balanced(external_traffic_policy="Local"), slices=(slice_(endpoint(2, "n2")),))
    assert reached(made, BALANCER) == {str(Verdict.DROP)}
    assert reached(made) == {"10.244.0.2:8080"}
    route = made.route_node_port(30080)
    assert route is not None
    assert route.verdict is Verdict.DROP


def test_source_ranges_of_a_load_balancer() -> None:
    made = table(balanced(load_balancer_source_ranges=["203.0.113.0/24"]), slices=(slice_(endpoint(1)),))
    assert reached(made, BALANCER, "203.0.113.5") == {"10.244.0.1:8080"}
    assert reached(made, BALANCER, "198.51.100.1") == {str(Verdict.DROP)}


def test_a_client_keeps_its_endpoint_until_it_is_gone_or_forgotten() -> None:
    config = SessionAffinityConfig(client_ip=ClientIPConfig(timeout_seconds=60))
    made = service(session_affinity="ClientIP", session_affinity_config=config)
    clock = ManualClock()
    found = Table("n1", clock, Random(3))
    found.put_service(made)
    found.put_slice(slice_(*(endpoint(n) for n in range(1, 20))))
    assert len(reached(found, source="10.0.0.1")) == 1
    held = reached(found, source="10.0.0.1")
    assert {*reached(found, source="10.0.0.2")} != held or len(held) == 1
    found.put_slice(slice_(*(endpoint(n) for n in range(1, 20) if f"10.244.0.{n}:8080" not in held)))
    moved = reached(found, source="10.0.0.1")
    assert len(moved) == 1
    assert moved != held


async def test_affinity_ends_with_its_timeout() -> None:
    config = SessionAffinityConfig(client_ip=ClientIPConfig(timeout_seconds=60))
    clock = ManualClock()
    found = Table("n1", clock, Random(3))
    found.put_service(service(session_affinity="ClientIP", session_affinity_config=config))
    found.put_slice(slice_(*(endpoint(n) for n in range(1, 20))))
    seen = set()
    for _ in range(30):
        seen |= reached(found, source="10.0.0.1", tries=1)
        await clock.advance(61)
    assert len(seen) > 1


@pytest.mark.parametrize(
    ("hints", "zone", "wanted"),
    [
        (
            [EndpointHints(for_zones=[ForZone(name="a")]), EndpointHints(for_zones=[ForZone(name="b")])],
            "a",
            1,
        ),
        ([EndpointHints(for_zones=[ForZone(name="a")]), None], "a", 2),
        ([EndpointHints(for_zones=[ForZone(name="b")])] * 2, "a", 2),
        (
            [EndpointHints(for_nodes=[ForNode(name="n1")]), EndpointHints(for_nodes=[ForNode(name="n2")])],
            "",
            1,
        ),
    ],
)
def test_hints_keep_traffic_near_when_they_are_complete(
    hints: list[EndpointHints | None], zone: str, wanted: int
) -> None:
    endpoints = [endpoint(n + 1, hints=hint) for n, hint in enumerate(hints)]
    assert len(reached(table(service(), slices=(slice_(*endpoints),), zone=zone))) == wanted


def test_a_change_touches_its_own_service_only() -> None:
    services = [service(f"s{n}", f"10.96.1.{n}") for n in range(50)]
    made = table(*services, slices=tuple(slice_(endpoint(1), of=s.key.name) for s in services))
    assert len(made.sync()) == 50
    made.put_slice(slice_(endpoint(2), of="s7"))
    assert made.sync() == {ObjectKey("default", "s7")}


def test_headless_and_external_names_have_no_rules() -> None:
    made = table(
        service(cluster_ip="None"),
        service("out", type="ExternalName", cluster_ip=None, external_name="example.com"),
        slices=(slice_(endpoint(1)),),
    )
    assert list(made.rules()) == []


def test_the_chains_have_the_names_that_kube_proxy_gives() -> None:
    name = PortName(ObjectKey("default", "kubernetes"), "https", "TCP")
    assert name.chain("KUBE-SVC-") == "KUBE-SVC-NPX46M4PTMTKRN6Y"


def test_the_table_reads_like_iptables() -> None:
    shown = rules_text.text(table(service(), slices=(slice_(endpoint(1), endpoint(2)),)).rules())
    assert (
        '-A KUBE-SERVICES -d 10.96.0.10/32 -p tcp -m comment --comment "default/web:http cluster IP" '
        "-m tcp --dport 80 -j KUBE-SVC-" in shown
    )
    assert (
        '"default/web:http -> 10.244.0.1:8080" -m statistic --mode random --probability 0.50000000000'
        in shown
    )
    assert "-j DNAT --to-destination 10.244.0.2:8080" in shown
    nobody = rules_text.text(table(service()).rules())
    assert '"default/web:http has no endpoints" -m tcp --dport 80 -j REJECT' in nobody
