"""What the tunnel listens on, and which Pods it leads to."""

from __future__ import annotations

from services.api.core_v1 import (
    LoadBalancerIngress,
    LoadBalancerStatus,
    ObjectReference,
    Service,
    ServicePort,
    ServiceSpec,
    ServiceStatus,
)
from services.api.discovery_v1 import Endpoint, EndpointConditions, EndpointPort, EndpointSlice
from services.api.meta_v1 import ObjectMeta
from services.api.object import ObjectKey
from services.launcher.tunnel import Place, Way, places, ways


def service(kind: str, ip: str = "") -> Service:
    ports = [
        ServicePort(name="http", port=80, protocol="TCP"),
        ServicePort(name="dns", port=53, protocol="UDP"),
    ]
    given = LoadBalancerStatus(ingress=[LoadBalancerIngress(ip=ip)] if ip else [])
    return Service(
        metadata=ObjectMeta(name="web", namespace="default"),
        spec=ServiceSpec(type=kind, ports=ports),
        status=ServiceStatus(load_balancer=given),
    )


def test_every_tcp_port_of_an_address_that_was_given() -> None:
    way = Way(ObjectKey("default", "web"), "http")
    assert ways([service("LoadBalancer", "127.19.1.1")]) == {("127.19.1.1", 80): way}
    assert ways([service("LoadBalancer"), service("ClusterIP", "127.19.1.1")]) == {}
    assert str(way) == "service default/web:http"


def endpoint(pod: str, *, ready: bool) -> Endpoint:
    target = ObjectReference(kind="Pod", name=pod, namespace="default") if pod else None
    return Endpoint(addresses=["10.0.0.1"], conditions=EndpointConditions(ready=ready), target_ref=target)


def test_only_ready_pods_behind_the_port() -> None:
    slice_ = EndpointSlice(
        metadata=ObjectMeta(name="web-1", namespace="default"),
        address_type="IPv4",
        ports=[EndpointPort(name="http", port=8080)],
        endpoints=[endpoint(name, ready=name != "c") for name in ("b", "a", "c", "")],
    )
    assert places([slice_], "http") == [Place("default", "a", 8080), Place("default", "b", 8080)]
    assert places([slice_], "other") == []
