"""Services and what balances in front of them: what is refused, and what stays once it is set."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.apiserver.rules.test_jobs import copy, faults
from tests.unit.apiserver.rules.test_storage_kinds import stored

Json = dict[str, Any]
PORTS = [{"port": 80}]
RANGES = "service.beta.kubernetes.io/load-balancer-source-ranges"
ONLY_BALANCED = "Forbidden: may only be used when `type` is 'LoadBalancer'"


def service(annotations: Json | None = None, **spec: Any) -> Json:
    made = stored("v1", "Service", spec={"ports": PORTS, **spec})
    if annotations:
        made["metadata"]["annotations"] = annotations
    return made


def balanced(**spec: Any) -> Json:
    return service(type="LoadBalancer", **spec)


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        (service({RANGES: "10.0.0.0/8"}), [f"metadata.annotations[{RANGES}]: {ONLY_BALANCED}"]),
        (service({RANGES: " "}, type="LoadBalancer"), []),
        (service({RANGES: "10.0.0.0/8, 1.2.3.4/32"}, type="LoadBalancer"), []),
        (
            service({RANGES: "10.0.0.0"}, type="LoadBalancer"),
            [
                f'metadata.annotations[{RANGES}]: Invalid value: "10.0.0.0": must be a valid CIDR value,'
                " (e.g. 10.9.8.0/24 or 2001:db8::/64)"
            ],
        ),
        (
            service(
                {
                    "service.kubernetes.io/topology-mode": "Auto",
                    "service.kubernetes.io/topology-aware-hints": "no",
                }
            ),
            [
                'metadata.annotations[service.kubernetes.io/topology-mode]: Invalid value: "Auto": must match'
                " annotations[service.kubernetes.io/topology-aware-hints] when both are specified"
            ],
        ),
        (
            balanced(externalTrafficPolicy="Local", healthCheckNodePort=70000),
            ["spec.healthCheckNodePort: Invalid value: 70000: must be between 1 and 65535, inclusive"],
        ),
    ],
)
def test_services(found: Json, wanted: list[str]) -> None:
    assert faults(found) == wanted


def test_the_class_of_a_balancer_is_set_once() -> None:
    old, new = balanced(loadBalancerClass="a.io/b"), balanced(loadBalancerClass="a.io/c")
    assert faults(new, old) == ['spec.loadBalancerClass: Invalid value: "a.io/c": may not change once set']
    assert faults(balanced(), old) == ["spec.loadBalancerClass: Invalid value: null: may not change once set"]


V4, V6 = "10.0.0.1", "fd00::1"


@pytest.mark.parametrize(
    ("before", "after", "policy", "wanted"),
    [
        ([V4], [V4, V6], "PreferDualStack", []),
        ([V4, V6], [V4], "SingleStack", []),
        (
            [V4, V6],
            [V4],
            "PreferDualStack",
            [
                '[0]: Invalid value: ["10.0.0.1"]: `ipFamilyPolicy` must be set to'
                " 'SingleStack' when releasing the secondary clusterIP"
            ],
        ),
        (
            [V4, V6],
            [V4, "fd00::2"],
            None,
            ['[1]: Invalid value: ["10.0.0.1","fd00::2"]: may not change once set'],
        ),
        ([V4], [], None, ["[0]: Invalid value: null: primary clusterIP can not be unset"]),
    ],
)
def test_addresses_stay(before: list[str], after: list[str], policy: str | None, wanted: list[str]) -> None:
    old, new = service(), service()
    for obj, ips in ((old, before), (new, after)):
        if ips:
            obj["spec"] |= {"clusterIP": ips[0], "clusterIPs": ips}
    if policy:
        new["spec"]["ipFamilyPolicy"] = policy
    assert faults(new, old) == [f"spec.clusterIPs{each}" for each in wanted]


@pytest.mark.parametrize(
    ("ingress", "wanted"),
    [
        ({"ip": "1.2.3.4", "ipMode": "VIP"}, []),
        ({"ip": "1.2.3.4"}, [".ipMode: Required value: must be specified when `ip` is set"]),
        ({"ipMode": "VIP"}, [".ipMode: Forbidden: may not be specified when `ip` is not set"]),
        (
            {"ip": "1.2.3.4", "ipMode": "Odd"},
            ['.ipMode: Unsupported value: "Odd": supported values: "Proxy", "VIP"'],
        ),
        (
            {"hostname": "1.2.3.4"},
            ['.hostname: Invalid value: "1.2.3.4": must be a DNS name, not an IP address'],
        ),
    ],
)
def test_where_a_service_is_balanced(ingress: Json, wanted: list[str]) -> None:
    old = balanced()
    new = copy(old)
    new["status"] = {"loadBalancer": {"ingress": [ingress]}}
    assert faults(new, old, "status") == [f"status.loadBalancer.ingress[0]{each}" for each in wanted]


def test_the_parameters_of_an_ingress_class() -> None:
    given = {"apiGroup": "A", "kind": "a/b", "name": "%", "scope": "Namespace", "namespace": "A.b"}
    found = stored("networking.k8s.io/v1", "IngressClass", spec={"controller": "x.io/y", "parameters": given})
    assert [each.partition(": ")[0] for each in faults(found)] == [
        f"spec.parameters.{field}" for field in ("apiGroup", "kind", "name", "namespace")
    ]
