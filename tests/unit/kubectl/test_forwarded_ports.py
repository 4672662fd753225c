"""The ports of `port-forward`, in the cases that kubectl's own tests have."""

from __future__ import annotations

from typing import Any

import pytest

from services.kubectl import forwarded_ports
from services.kubectl.errors import Fail
from services.kubectl.forwarded_ports import ForwardedPort, LocalAddress

POD: dict[str, Any] = {
    "metadata": {"name": "p"},
    "spec": {
        "containers": [
            {
                "name": "c",
                "ports": [
                    {"name": "http", "containerPort": 8080},
                    {"name": "dns", "containerPort": 53, "protocol": "UDP"},
                    {"name": "both", "containerPort": 54, "protocol": "UDP"},
                    {"containerPort": 54, "protocol": "TCP"},
                ],
            }
        ]
    },
}


def service(**spec: Any) -> dict[str, Any]:
    ports = [
        {"name": "web", "port": 80, "targetPort": "http"},
        {"name": "same", "port": 443},
        {"name": "number", "port": 81, "targetPort": 8081},
        {"name": "lost", "port": 82, "targetPort": "nowhere"},
        {"name": "udp", "port": 53, "protocol": "UDP"},
    ]
    return {"metadata": {"name": "s"}, "spec": {"clusterIP": "10.96.0.9", "ports": ports, **spec}}


@pytest.mark.parametrize(
    ("word", "local", "remote"),
    [("8080", 8080, 8080), ("1:2", 1, 2), (":80", 0, 80), ("5000:http", 5000, 8080), (":http", 0, 8080)],
)
def test_ports_of_a_pod(word: str, local: int, remote: int) -> None:
    assert forwarded_ports.of_object("Pod", POD, POD, [word]) == [ForwardedPort(local, remote)]


@pytest.mark.parametrize(
    ("word", "local", "remote"),
    [
        *(("80", 80, 8080), ("8443:web", 8443, 8080), ("web", 80, 8080), (":80", 0, 8080)),
        *(("443", 443, 443), ("9:number", 9, 8081), ("81", 81, 8081), ("same", 443, 443)),
    ],
)
def test_ports_of_a_service_become_those_of_its_pod(word: str, local: int, remote: int) -> None:
    assert forwarded_ports.of_object("Service", service(), POD, [word]) == [ForwardedPort(local, remote)]


def test_a_headless_services_port_is_the_pods() -> None:
    headless = service(clusterIP="None")
    assert forwarded_ports.of_object("Service", headless, POD, ["81"]) == [ForwardedPort(81, 81)]


@pytest.mark.parametrize(
    ("word", "why"),
    [
        ("a", "Pod 'p' does not have a named port 'a'"),
        ("a:80", "error parsing local port 'a': strconv.ParseUint: parsing \"a\": invalid syntax"),
        ("1:", "remote port cannot be empty"),
        ("1:0", "remote port must be > 0"),
        ("1:2:3", "invalid port format '1:2:3'"),
        (
            "1:65536",
            "error parsing remote port '65536': strconv.ParseUint: parsing \"65536\": value out of range",
        ),
        ("1:-1", "error parsing remote port '-1': strconv.ParseUint: parsing \"-1\": invalid syntax"),
        ("53", "UDP protocol is not supported for 53"),
        ("dns", "UDP protocol is not supported for dns"),
    ],
)
def test_what_a_pod_cannot_forward(word: str, why: str) -> None:
    with pytest.raises(Fail) as failure:
        forwarded_ports.of_object("Pod", POD, POD, [word])
    assert str(failure.value) == why


@pytest.mark.parametrize(
    ("word", "why"),
    [
        ("x", "Service 's' does not have a named port 'x'"),
        ("9", "Service s does not have a service port 9"),
        ("82", "Pod 'p' does not have a named port 'nowhere'"),
        ("udp", "UDP protocol is not supported for udp"),
    ],
)
def test_what_a_service_cannot_forward(word: str, why: str) -> None:
    with pytest.raises(Fail) as failure:
        forwarded_ports.of_object("Service", service(), POD, [word])
    assert str(failure.value) == why


def test_a_port_of_both_protocols_is_forwarded() -> None:
    assert forwarded_ports.of_object("Pod", POD, POD, ["54"]) == [ForwardedPort(54, 54)]


def test_addresses_to_listen_on() -> None:
    both = [LocalAddress("127.0.0.1", optional=True), LocalAddress("::1", optional=True)]
    assert forwarded_ports.addresses(["localhost"]) == both
    assert forwarded_ports.addresses(["0.0.0.0"]) == [LocalAddress("0.0.0.0")]
    assert LocalAddress("::1").with_port(80) == "[::1]:80"
    with pytest.raises(Fail, match=r"example\.com is not a valid IP"):
        forwarded_ports.addresses(["example.com"])
