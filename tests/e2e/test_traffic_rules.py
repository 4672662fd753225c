"""Who may reach whom, and through which address: policies, the host's own ports, Local, taken ports.

Three nodes in processes of their own; questions are asked by curl inside Pods and by sockets on the host.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from services.api.core_v1 import Pod
from services.machinery.pods import is_ready
from tests.e2e.cluster import PATIENCE_SECONDS, Cluster, eventually, running
from tests.e2e.load import ask, one
from tests.e2e.test_traffic import node_ips

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

TIMED_OUT, REFUSED = 28, 7  # curl's exit codes
AGNHOST = "registry.k8s.io/e2e-test-images/agnhost:2.53"


def pod(name: str, node: str, spec: dict[str, Any] | None = None, **container: Any) -> dict[str, Any]:
    main = {"name": "main", "image": "orrery/well", **container}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {
            "nodeName": node,
            "terminationGracePeriodSeconds": 1,
            "containers": [main],
            **(spec or {}),
        },
    }


def service(name: str, app: str, port: int = 8080, **spec: Any) -> dict[str, Any]:
    ports = [{"port": 80, "targetPort": port}]
    whole = {"type": "NodePort", "selector": {"app": app}, "ports": ports, **spec}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": whole}


def policy(name: str, app: str, **spec: Any) -> dict[str, Any]:
    whole = {"podSelector": {"matchLabels": {"app": app}}, **spec}
    metadata = {"name": name}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata,
        "spec": whole,
    }


PROBE = {"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 1, "failureThreshold": 1}
OBJECTS = [
    pod("server", "node-1", readinessProbe=PROBE),
    pod("beside", "node-1"),
    pod("away", "node-2"),
    pod("stranger", "node-3"),
    pod("host", "node-2", {"hostNetwork": True}, image=AGNHOST, args=["netexec", "--http-port=9090"]),
    pod("published", "node-1", ports=[{"containerPort": 8080, "hostPort": 9999}]),
    service("server", "server"),
    service("local", "server", type="LoadBalancer", externalTrafficPolicy="Local"),
    service("inner", "server", internalTrafficPolicy="Local"),
    service("host", "host", 9090),
]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with running("--nodes", "3") as cluster:
        apply(cluster, *OBJECTS)
        cluster.until(Pod, lambda pods: len(pods) == 6 and all(map(is_ready, pods.values())))
        for name in ("beside", "away", "stranger"):
            eventually(lambda name=name: from_pod(cluster, name, "http://server"))  # type: ignore[misc]
        yield cluster


def apply(cluster: Cluster, *objects: dict[str, Any]) -> None:
    whole = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
    cluster.ok("apply", "-f", "-", stdin=json.dumps(whole))


def from_pod(cluster: Cluster, name: str, url: str) -> str:
    """The answer that a Pod gets; AssertionError with curl's exit code where there is none."""
    return cluster.ok("exec", name, "--", "curl", "-s", "-m", "30", url).strip()


def refused(cluster: Cluster, name: str, url: str, code: int) -> None:
    said = cluster.ok_refused("exec", name, "--", "curl", "-s", "-m", "2", url)
    assert f"exit code {code}" in said


def unanswered(ip: str, port: int, fault: str) -> None:
    """Once all is as it should be: rules are taken in a moment after they are written."""
    assert fault in one(ip, port).fault


def port_of(cluster: Cluster, name: str, field: str = "nodePort") -> int:
    spec = cluster.get("service", name)["spec"]
    return int(spec[field] if field in spec else spec["ports"][0][field])


def is_ready_now(cluster: Cluster, name: str) -> bool:
    return any(is_ready(pod) for key, pod in cluster.until(Pod, lambda _: True).items() if key.name == name)


def test_policies_hold_across_nodes_and_let_probes_pass(cluster: Cluster) -> None:
    apply(cluster, policy("deny", "server", policyTypes=["Ingress"]))
    for name in ("beside", "away", "stranger"):
        eventually(lambda name=name: refused(cluster, name, "http://server", TIMED_OUT))  # type: ignore[misc]
    assert is_ready_now(cluster, "server")
    peers = [{"podSelector": {"matchLabels": {"app": app}}} for app in ("beside", "away")]
    apply(cluster, policy("allow", "server", ingress=[{"from": peers}]))
    for name in ("beside", "away"):
        assert eventually(lambda name=name: from_pod(cluster, name, "http://server")) == "hello from server"  # type: ignore[misc]
    refused(cluster, "stranger", "http://server", TIMED_OUT)
    ip = cluster.get("pod", "server")["status"]["podIP"]
    apply(cluster, policy("no-egress", "away", policyTypes=["Egress"]))
    eventually(lambda: refused(cluster, "away", f"http://{ip}:8080", TIMED_OUT))
    assert from_pod(cluster, "beside", "http://server") == "hello from server"
    cluster.ok("delete", "networkpolicy", "--all")
    for name in ("away", "stranger"):
        eventually(lambda name=name: from_pod(cluster, name, "http://server"))  # type: ignore[misc]
    assert is_ready_now(cluster, "server")


def test_pods_of_the_host_network_answer_at_the_nodes_address(cluster: Cluster) -> None:
    ips = node_ips(cluster)
    assert eventually(lambda: ask(ips["node-2"], 9090)).startswith("NOW: ")
    url = f"http://{ips['node-2']}:9090/hostname"
    assert {from_pod(cluster, name, url) for name in ("beside", "away")} == {"node-2"}
    assert eventually(lambda: from_pod(cluster, "beside", "http://host/hostname")) == "node-2"
    assert eventually(lambda: ask(ips["node-1"], port_of(cluster, "host"))).startswith("NOW: ")


def test_a_host_port_leads_into_its_pod_as_long_as_it_lives(cluster: Cluster) -> None:
    ip = node_ips(cluster)["node-1"]
    assert eventually(lambda: ask(ip, 9999)) == "hello from published\n"
    assert from_pod(cluster, "away", f"http://{ip}:9999") == "hello from published"
    cluster.ok("delete", "pod", "published", "--now")
    eventually(lambda: unanswered(ip, 9999, "Connection"))


def test_local_traffic_stays_on_its_node(cluster: Cluster) -> None:
    ips, check = node_ips(cluster), port_of(cluster, "local", "healthCheckNodePort")
    assert '"localEndpoints":1' in eventually(lambda: ask(ips["node-1"], check))
    eventually(lambda: unanswered(ips["node-2"], check, "503"))
    door = port_of(cluster, "local")
    assert eventually(lambda: ask(ips["node-1"], door)) == "hello from server\n"
    with pytest.raises(TimeoutError):
        ask(ips["node-2"], door, timeout=1.0)
    assert eventually(lambda: from_pod(cluster, "beside", "http://inner")) == "hello from server"
    refused(cluster, "away", "http://inner", TIMED_OUT)
    assert '"nodeEligible":true' in health(ips["node-3"])


def health(ip: str) -> str:
    with socket.create_connection((ip, 10256), timeout=PATIENCE_SECONDS) as peer:
        peer.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        return b"".join(iter(lambda: peer.recv(65536), b"")).decode()


def test_nobody_behind_a_service_refuses(cluster: Cluster) -> None:
    apply(cluster, service("nobody", "nobody"))
    eventually(lambda: refused(cluster, "beside", "http://nobody", REFUSED))
    eventually(lambda: unanswered(node_ips(cluster)["node-1"], port_of(cluster, "nobody"), "Connection"))


def test_a_port_that_somebody_has_is_told_and_taken_once_it_is_free(cluster: Cluster) -> None:
    ip, port = node_ips(cluster)["node-3"], 30999
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind((ip, port))
        taken.listen()
        ports = [{"port": 80, "targetPort": 8080, "nodePort": port}]
        apply(cluster, service("wanted", "server", ports=ports))
        eventually(lambda: told(cluster, f"({ip}:{port}/tcp): listen: bind: address already in use"))
        assert eventually(lambda: ask(node_ips(cluster)["node-1"], port)) == "hello from server\n"
    assert eventually(lambda: ask(ip, port)) == "hello from server\n"


def told(cluster: Cluster, words: str) -> None:
    assert words in cluster.ok("describe", "service", "wanted")


def test_silent_clients_and_resets_leave_no_trace(cluster: Cluster) -> None:
    ip, port = node_ips(cluster)["node-1"], port_of(cluster, "server")
    silent = [socket.create_connection((ip, port), timeout=PATIENCE_SECONDS) for _ in range(300)]
    for peer in silent[::2]:
        peer.sendall(b"GET / HT")  # and no more
    for peer in silent[::3]:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # closing resets
    for peer in silent:
        peer.close()
    assert ask(ip, port) == "hello from server\n"
    assert "Traceback" not in cluster.log("node-1")
