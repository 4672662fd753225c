"""NetworkPolicies between Pods of two namespaces."""

from __future__ import annotations

import pytest

from services.api.core_v1 import Container, ContainerPort, Namespace, Pod, PodIP, PodSpec, PodStatus
from services.api.meta_v1 import LabelSelector, LabelSelectorRequirement, ObjectMeta
from services.api.networking_v1 import (
    IPBlock,
    NetworkPolicy,
    NetworkPolicyEgressRule,
    NetworkPolicyIngressRule,
    NetworkPolicyPeer,
    NetworkPolicyPort,
    NetworkPolicySpec,
)
from services.node.network.policies import Policies

WEB, DB, OTHER, OUTSIDE = "10.244.1.1", "10.244.2.2", "10.244.3.3", "203.0.113.7"


def pod(name: str, ip: str, namespace: str = "default") -> Pod:
    container = Container(name="c", ports=[ContainerPort(name="sql", container_port=5432)])
    return Pod(
        metadata=ObjectMeta(name=name, namespace=namespace, labels={"app": name}),
        spec=PodSpec(containers=[container]),
        status=PodStatus(phase="Running", pod_ips=[PodIP(ip=ip)]),
    )


def selector(**wanted: str) -> LabelSelector:
    return LabelSelector(match_labels=wanted)


def policies(*specs: NetworkPolicySpec) -> Policies:
    made = Policies()
    for found in (pod("web", WEB), pod("db", DB), pod("other", OTHER, "team")):
        made.put_pod(found)
    for name in ("default", "team"):
        made.put_namespace(Namespace(metadata=ObjectMeta(name=name, labels={"name": name})))
    for number, spec in enumerate(specs):
        made.put_policy(NetworkPolicy(metadata=ObjectMeta(name=f"p{number}", namespace="default"), spec=spec))
    return made


def into_db(*peers: NetworkPolicyPeer, ports: tuple[NetworkPolicyPort, ...] = ()) -> NetworkPolicySpec:
    rule = NetworkPolicyIngressRule(from_=[*peers], ports=[*ports])
    return NetworkPolicySpec(pod_selector=selector(app="db"), policy_types=["Ingress"], ingress=[rule])


def test_without_a_policy_all_is_open() -> None:
    assert policies().allows_ingress(OTHER, DB, 5432)
    assert policies().allows_egress(WEB, OUTSIDE, 443)
    assert not policies()


def test_a_policy_without_rules_shuts_the_pods_it_selects() -> None:
    made = policies(NetworkPolicySpec(pod_selector=LabelSelector(), policy_types=["Ingress"]))
    assert not made.allows_ingress(WEB, DB, 5432)
    assert made.allows_egress(DB, WEB, 80), "of the other direction it says nothing"
    assert made.allows_ingress(WEB, OTHER, 80), "nor of other namespaces"
    assert made.allows_ingress(DB, DB, 5432), "a Pod reaches itself"


@pytest.mark.parametrize(
    ("peer", "allowed"),
    [
        (NetworkPolicyPeer(pod_selector=selector(app="web")), {WEB}),
        (NetworkPolicyPeer(pod_selector=LabelSelector()), {WEB}),
        (NetworkPolicyPeer(namespace_selector=selector(name="team")), {OTHER}),
        (NetworkPolicyPeer(namespace_selector=LabelSelector()), {WEB, OTHER}),
        (
            NetworkPolicyPeer(namespace_selector=selector(name="team"), pod_selector=selector(app="web")),
            set(),
        ),
        (
            NetworkPolicyPeer(
                pod_selector=LabelSelector(
                    match_expressions=[LabelSelectorRequirement(key="app", operator="NotIn", values=["web"])]
                )
            ),
            set(),
        ),
        (NetworkPolicyPeer(ip_block=IPBlock(cidr="10.244.0.0/16", except_=["10.244.3.0/24"])), {WEB}),
        (NetworkPolicyPeer(ip_block=IPBlock(cidr="203.0.113.0/24")), {OUTSIDE}),
    ],
)
def test_peers(peer: NetworkPolicyPeer, allowed: set[str]) -> None:
    made = policies(into_db(peer))
    assert {ip for ip in (WEB, OTHER, OUTSIDE) if made.allows_ingress(ip, DB, 5432)} == allowed


@pytest.mark.parametrize(
    ("port", "numbers"),
    [
        (NetworkPolicyPort(port=5432, protocol="TCP"), {5432}),
        (NetworkPolicyPort(port="sql", protocol="TCP"), {5432}),
        (NetworkPolicyPort(port=5000, end_port=6000, protocol="TCP"), {5000, 5432}),
        (NetworkPolicyPort(protocol="TCP"), {80, 5000, 5432}),
        (NetworkPolicyPort(port=5432, protocol="UDP"), set()),
    ],
)
def test_ports(port: NetworkPolicyPort, numbers: set[int]) -> None:
    made = policies(into_db(ports=(port,)))
    assert {each for each in (80, 5000, 5432) if made.allows_ingress(WEB, DB, each)} == numbers


def test_policies_add_up() -> None:
    web, team = selector(app="web"), selector(name="team")
    made = policies(
        into_db(NetworkPolicyPeer(pod_selector=web)), into_db(NetworkPolicyPeer(namespace_selector=team))
    )
    assert made.allows_ingress(WEB, DB, 1)
    assert made.allows_ingress(OTHER, DB, 1)
    assert not made.allows_ingress(OUTSIDE, DB, 1)


def test_egress_is_judged_where_it_leaves() -> None:
    rule = NetworkPolicyEgressRule(to=[NetworkPolicyPeer(pod_selector=selector(app="db"))])
    spec = NetworkPolicySpec(pod_selector=selector(app="web"), policy_types=["Egress"], egress=[rule])
    made = policies(spec)
    assert made.allows_egress(WEB, DB, 5432)
    assert not made.allows_egress(WEB, OUTSIDE, 443)
    assert made.allows_ingress(OUTSIDE, WEB, 80)


def test_what_is_gone_counts_no_more() -> None:
    made = policies(into_db(NetworkPolicyPeer(pod_selector=selector(app="web"))))
    assert not made.allows_ingress(OTHER, DB, 1)
    key = NetworkPolicy(metadata=ObjectMeta(name="p0", namespace="default")).key
    made.remove_policy(key)
    assert made.allows_ingress(OTHER, DB, 1)
