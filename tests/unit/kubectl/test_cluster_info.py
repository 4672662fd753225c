"""What `ok cluster-info` says of where things are: addresses that answer, as kubectl would print them."""

from __future__ import annotations

from typing import Any

import pytest

from services.kubectl.commands.cluster import https_url, service_url

BASE = "https://127.0.0.1:6443"
PROXIED = f"{BASE}/api/v1/namespaces/kube-system/services"
RECORD = {"apiserver": "127.0.0.1:6444", "ports": {"apiserver-https": 28788}}


def service(ports: list[dict[str, Any]], ingress: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "metadata": {"name": "kube-dns", "namespace": "kube-system"},
        "spec": {"ports": ports},
        "status": {"loadBalancer": {"ingress": ingress}},
    }


@pytest.mark.parametrize(
    ("ports", "ingress", "url"),
    [
        ([{"name": "dns", "port": 53}], [], f"{PROXIED}/kube-dns:dns/proxy"),
        ([{"port": 80}], [], f"{PROXIED}/kube-dns/proxy"),
        ([], [], f"{PROXIED}/kube-dns/proxy"),
        ([{"port": 443}], [], f"{PROXIED}/https:kube-dns:/proxy"),
        ([{"name": "https", "port": 8443}], [],
         f"{PROXIED}/https:kube-dns:https/proxy"),
        ([{"port": 80}, {"port": 81}], [{"ip": "127.9.1.1"}], "http://127.9.1.1:80 http://127.9.1.1:81 "),
        ([{"port": 80}], [{"hostname": "lb.example"}], "http://lb.example:80 "),
    ],
)  # fmt: skip
def test_the_url_of_a_service(ports: list[dict[str, Any]], ingress: list[dict[str, Any]], url: str) -> None:
    assert service_url(service(ports, ingress), BASE) == url


def test_the_control_plane_is_at_its_https_port_where_that_is_known() -> None:
    assert https_url("127.0.0.1:6444", RECORD) == "https://127.0.0.1:28788"


@pytest.mark.parametrize("record", [{}, {"apiserver": "127.0.0.1:6444"}, {**RECORD, "apiserver": "h:1"}])
def test_of_another_server_only_the_grpc_port_is_known(record: dict[str, Any]) -> None:
    assert https_url("127.0.0.1:6444", record) == "grpc://127.0.0.1:6444"
