"""Traffic as people see it: from the host through load balancers and node ports to Pods, and among Pods.

Real sockets on the host's side, three nodes in processes of their own. What is asked after a change is asked
once each node has been told of it (`settled`), so that no answer depends on how fast this machine is.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from services.api.core_v1 import Pod, Service
from services.api.discovery_v1 import EndpointSlice
from services.api.object import ObjectKey
from services.kube_proxy.table import SERVICE_NAME
from services.machinery.pods import is_ready
from tests.e2e.cluster import MANIFESTS, PATIENCE_SECONDS, Cluster, eventually, running
from tests.e2e.load import ask, load, one

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

CALLS = 30
REPLICAS = 3
PORT = 8080
UNREADY = "/tmp/unready"
DRAIN_SECONDS = 10  # as long as the nodes of a slow machine need to hear that a Pod ends

APP: dict[str, Any] = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "kubia"},
    "spec": {
        "replicas": REPLICAS,
        "selector": {"matchLabels": {"app": "kubia"}},
        "strategy": {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
        "template": {
            "metadata": {"labels": {"app": "kubia"}},
            "spec": {
                "containers": [
                    {
                        "name": "main",
                        "image": "luksa/kubia",
                        "ports": [{"containerPort": PORT}],
                        "readinessProbe": {
                            "exec": {"command": ["sh", "-c", f"! ls {UNREADY}"]},
                            "periodSeconds": 1,
                            "failureThreshold": 1,
                        },
                        "lifecycle": {"preStop": {"sleep": {"seconds": DRAIN_SECONDS}}},
                    }
                ]
            },
        },
    },
}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with running("--nodes", "3") as cluster:
        cluster.ok("apply", "-f", "-", stdin=json.dumps(APP))
        cluster.ok("expose", "deployment", "kubia", "--type=LoadBalancer", f"--port={PORT}")
        cluster.ok("rollout", "status", "deployment/kubia")
        yield cluster


@pytest.fixture(scope="module")
def balancer(cluster: Cluster) -> str:
    return external_ip(cluster, "kubia")


def external_ip(cluster: Cluster, name: str, namespace: str = "default") -> str:
    """The address of a load balancer, once it is there."""

    def given(services: dict[ObjectKey, Service]) -> str:
        service = services.get(ObjectKey(namespace, name))
        status = service.status.load_balancer if service else None
        return next((each.ip or "" for each in status.ingress), "") if status else ""

    return given(cluster.until(Service, lambda services: bool(given(services)), namespace))


def node_ips(cluster: Cluster) -> dict[str, str]:
    nodes = cluster.get("nodes")["items"]
    return {node["metadata"]["name"]: node["status"]["addresses"][0]["address"] for node in nodes}


def pods_of(cluster: Cluster, app: str) -> dict[str, str]:
    """Ready Pods that are not ending, and their nodes."""
    found = cluster.until(Pod, lambda pods: True)
    return {
        pod.key.name: pod.spec.node_name or ""
        for pod in found.values()
        if pod.metadata.labels.get("app") == app and is_ready(pod) and not pod.metadata.deletion_timestamp
    }


Endpoints = dict[str, bool]  # by the names of their Pods: whether they are ready


def endpoints_are(cluster: Cluster, service: str, wanted: Callable[[Endpoints], bool]) -> None:
    """Waits for a Service's endpoints, and for all nodes to know them."""

    def holds(slices: dict[ObjectKey, EndpointSlice]) -> bool:
        return wanted(
            {
                endpoint.target_ref.name or "": bool(endpoint.conditions and endpoint.conditions.ready)
                for slice_ in slices.values()
                if slice_.metadata.labels.get(SERVICE_NAME) == service
                for endpoint in slice_.endpoints
                if endpoint.target_ref
            }
        )

    cluster.until(EndpointSlice, holds)
    settled(cluster)


def settled(cluster: Cluster, nodes: set[str] | None = None) -> None:
    """Every node has applied what was written before: a later EndpointSlice leads somewhere on each."""
    name = f"marker-{uuid.uuid4().hex[:8]}"
    found = cluster.get("pods", "-l", "app=kubia", "--field-selector=status.phase=Running")["items"]
    pod = next(each for each in found if nodes is None or each["spec"]["nodeName"] in nodes)
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"type": "NodePort", "ports": [{"port": 1}]},
    }
    slice_ = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": name, "labels": {SERVICE_NAME: name}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [pod["status"]["podIP"]]}],
        "ports": [{"name": "", "port": PORT}],
    }
    cluster.ok("apply", "-f", "-", stdin=json.dumps(service))
    port = cluster.get("service", name)["spec"]["ports"][0]["nodePort"]
    cluster.ok("apply", "-f", "-", stdin=json.dumps(slice_))
    for node, ip in node_ips(cluster).items():
        if nodes is None or node in nodes:
            eventually(lambda ip=ip: ask(ip, port))  # type: ignore[misc]
    cluster.ok("delete", "service", name)


def calls(host: str, port: int = PORT, count: int = CALLS) -> set[str]:
    """Who answered."""
    return {ask(host, port).strip().removeprefix("You've hit ") for _ in range(count)}


# ---- Scale and reach it ----------------------------------------------------------------------


def test_thirty_calls_hit_all_three(cluster: Cluster, balancer: str) -> None:
    endpoints_are(cluster, "kubia", lambda found: sum(found.values()) == REPLICAS)
    assert calls(balancer) == set(pods_of(cluster, "kubia"))
    assert len(set(pods_of(cluster, "kubia").values())) == REPLICAS, "one on each node"


def test_a_pod_ip_does_not_answer_from_outside(cluster: Cluster, balancer: str) -> None:
    pod = cluster.get("pods", "-l", "app=kubia")["items"][0]["status"]["podIP"]
    # Whatever this host's own network makes of such an address: no Pod answers.
    assert "You've hit" not in one(pod, PORT, timeout=1.0).body


def test_a_pod_that_turns_unready_gets_nothing(cluster: Cluster, balancer: str) -> None:
    first = sorted(pods_of(cluster, "kubia"))[0]
    with load(balancer, PORT) as asked:
        cluster.ok("exec", first, "--", "touch", UNREADY)
        endpoints_are(cluster, "kubia", lambda found: found.get(first) is False)
        gone = time.monotonic()
        assert first not in calls(balancer)
    assert asked.failed == []
    assert not any(first in each.body for each in asked.since(gone))
    cluster.ok("exec", first, "--", "rm", UNREADY)
    endpoints_are(cluster, "kubia", lambda found: found.get(first) is True)
    assert first in calls(balancer)


def test_a_pod_that_is_deleted_gets_nothing(cluster: Cluster, balancer: str) -> None:
    first = sorted(pods_of(cluster, "kubia"))[0]
    with load(balancer, PORT) as asked:
        cluster.ok("delete", "pod", first, "--wait=false")
        endpoints_are(cluster, "kubia", lambda found: not found.get(first))
        gone = time.monotonic()
        assert first not in calls(balancer)
        endpoints_are(cluster, "kubia", lambda found: first not in found and sum(found.values()) == REPLICAS)
    assert asked.failed == []
    assert not any(first in each.body for each in asked.since(gone))


def test_a_rolling_update_loses_no_request(cluster: Cluster, balancer: str) -> None:
    before = set(pods_of(cluster, "kubia"))
    with load(balancer, PORT) as asked:
        cluster.ok("rollout", "restart", "deployment/kubia")
        cluster.ok("rollout", "status", "deployment/kubia")
        endpoints_are(cluster, "kubia", lambda found: not before & found.keys())
    assert asked.failed == []
    assert not before & calls(balancer)


# ---- Two tiers -------------------------------------------------------------------------------


@contextmanager
def cordoned(cluster: Cluster, node: str) -> Iterator[None]:
    cluster.ok("cordon", node)
    try:
        yield
    finally:
        cluster.ok("uncordon", node)


@pytest.fixture(scope="module")
def numbers(cluster: Cluster) -> str:
    """The load balancer of the web site, whose API is on another node."""
    folder = MANIFESTS / "kiamol" / "ch03" / "numbers"
    if not folder.exists():
        pytest.skip(f"the books' manifests are not at {MANIFESTS}")
    cluster.ok("apply", "-f", str(folder / "api.yaml"), "-f", str(folder / "api-service.yaml"))
    cluster.ok("rollout", "status", "deployment/numbers-api")
    with cordoned(cluster, node_of(cluster, "numbers-api")):
        cluster.ok("apply", "-f", str(folder / "web.yaml"), "-f", str(folder / "web-service.yaml"))
        cluster.ok("rollout", "status", "deployment/numbers-web")
    assert node_of(cluster, "numbers-api") != node_of(cluster, "numbers-web")
    endpoints_are(cluster, "numbers-web", lambda found: any(found.values()))
    return external_ip(cluster, "numbers-web")


def node_of(cluster: Cluster, app: str) -> str:
    return next(iter(pods_of(cluster, app).values()))


def roll(host: str) -> str:
    """Presses the button."""
    body = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    with socket.create_connection((host, PORT), timeout=PATIENCE_SECONDS) as peer:
        peer.sendall(body)
        return b"".join(iter(lambda: peer.recv(65536), b"")).decode()


def why_not(cluster: Cluster, host: str) -> str:
    """That there is no number, and the reason in the web site's log."""
    assert "RNG service unavailable!" in roll(host)
    return cluster.ok("logs", "deployment/numbers-web").splitlines()[-1]


def test_the_web_site_finds_its_api_by_name(numbers: str) -> None:
    assert re.search(r"Here it is: \d+", roll(numbers))


def test_an_api_without_endpoints_refuses(cluster: Cluster, numbers: str) -> None:
    cluster.ok("scale", "deployment/numbers-api", "--replicas=0")
    endpoints_are(cluster, "numbers-api", lambda found: not any(found.values()))
    assert "Connection refused" in why_not(cluster, numbers)
    cluster.ok("scale", "deployment/numbers-api", "--replicas=1")
    endpoints_are(cluster, "numbers-api", lambda found: any(found.values()))
    assert re.search(r"Here it is: \d+", roll(numbers))


def replaced(cluster: Cluster, manifest: str) -> None:
    """Another Service of that name, as the chapter does it."""
    cluster.ok("delete", "service", "numbers-api")
    folder: Path = MANIFESTS / "kiamol" / "ch03" / "numbers-services"
    cluster.ok("apply", "-f", str(folder / manifest))


def test_an_external_name_leads_out_of_the_cluster(cluster: Cluster, numbers: str) -> None:
    replaced(cluster, "api-service-externalName.yaml")
    eventually(lambda: unavailable(numbers))


def unavailable(host: str) -> None:
    assert "RNG service unavailable!" in roll(host)


def test_an_address_written_by_hand_leads_nowhere(cluster: Cluster, numbers: str) -> None:
    replaced(cluster, "api-service-headless.yaml")
    settled(cluster)
    assert "No route to host" in why_not(cluster, numbers)


# ---- A node that is cut off ------------------------------------------------------------------


@contextmanager
def kept_open(cluster: Cluster) -> Iterator[dict[str, socket.socket]]:
    """A connection to the Pod of each node, through that node's own port."""
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "local"},
        "spec": {
            "type": "NodePort",
            "externalTrafficPolicy": "Local",
            "selector": {"app": "kubia"},
            "ports": [{"port": PORT}],
        },
    }
    cluster.ok("apply", "-f", "-", stdin=json.dumps(service))
    port = cluster.get("service", "local")["spec"]["ports"][0]["nodePort"]
    endpoints_are(cluster, "local", lambda found: sum(found.values()) == REPLICAS)
    peers = {}
    for node, ip in node_ips(cluster).items():
        peers[node] = socket.create_connection((ip, port), timeout=PATIENCE_SECONDS)
        assert answers(peers[node])
    yield peers
    for peer in peers.values():
        peer.close()


def answers(peer: socket.socket) -> bool:
    peer.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    return peer.recv(65536).startswith(b"HTTP/1.1 200")


def test_a_node_that_is_cut_off_takes_only_its_own_connections(cluster: Cluster, balancer: str) -> None:
    lost, others = "node-3", {"node-1", "node-2"}
    pods = pods_of(cluster, "kubia")
    theirs = {pod for pod, node in pods.items() if node == lost}
    assert set(pods.values()) >= {lost, *others}
    pid = cluster.pids()[lost]
    with kept_open(cluster) as peers:
        os.kill(pid, signal.SIGSTOP)
        try:
            assert all(answers(peers[node]) for node in others)
            # Its Pods turn unready once its lease has run out.
            endpoints_are_without(cluster, theirs, others)
            assert all(one(balancer, PORT).fault == "" for _ in range(CALLS))
            assert not theirs & calls(balancer)
            assert all(answers(peers[node]) for node in others)
        finally:
            os.kill(pid, signal.SIGCONT)
        assert answers(peers[lost]), "what was cut off goes on where it was"
    endpoints_are(cluster, "kubia", lambda found: sum(found.values()) == REPLICAS)


def endpoints_are_without(cluster: Cluster, gone: set[str], nodes: set[str]) -> None:
    def holds(slices: dict[ObjectKey, EndpointSlice]) -> bool:
        return not any(
            endpoint.conditions and endpoint.conditions.ready
            for slice_ in slices.values()
            if slice_.metadata.labels.get(SERVICE_NAME) == "kubia"
            for endpoint in slice_.endpoints
            if endpoint.target_ref and endpoint.target_ref.name in gone
        )

    cluster.until(EndpointSlice, holds)
    settled(cluster, nodes)
