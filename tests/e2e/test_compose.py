"""The same cluster as containers, on a real Docker engine."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from services.api.core_v1 import Node, Pod, Service
from services.api.object import ObjectKey
from services.machinery.pods import is_ready
from tests.e2e.cluster import Cluster, eventually
from tests.support.ports import free_ports

ROOT = Path(__file__).parents[2]
PROJECT = "orrery-test"
REQUIRED = bool(os.environ.get("ORRERY_REQUIRE_DOCKER"))

pytestmark = [
    pytest.mark.compose,
    pytest.mark.slow,
    pytest.mark.timeout(900),
]


def engine_runs() -> bool:
    return (
        bool(shutil.which("docker"))
        and subprocess.run(("docker", "info"), capture_output=True).returncode == 0
    )


class ComposeCluster(Cluster):
    """Reached through the published port; started and broken by docker compose."""

    def __init__(self, home: Path, port: int, https_port: int, registry_port: int) -> None:
        super().__init__(home)
        self._ports = {
            "ORRERY_PORT": str(port),
            "ORRERY_HTTPS_PORT": str(https_port),
            "ORRERY_REGISTRY_PORT": str(registry_port),
        }
        self.registry_port = registry_port
        record = {"apiserver": f"127.0.0.1:{port}", "mutual_tls": True}
        (home / "cluster.json").write_text(json.dumps(record))

    def compose(self, *words: str) -> str:
        done = subprocess.run(
            ("docker", "compose", "--project-name", PROJECT, *words),
            cwd=ROOT,
            env={**os.environ, **self._ports, "DOCKER_BUILDKIT": "1"},
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert done.returncode == 0, f"docker compose {' '.join(words)}\n{done.stdout}\n{done.stderr}"
        return done.stdout


@pytest.fixture(scope="module")
def compose(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComposeCluster]:
    if not engine_runs():
        if REQUIRED:
            pytest.fail("ORRERY_REQUIRE_DOCKER is set, and no Docker engine answers")
        pytest.skip("no Docker engine runs here: start one to run the compose tests")
    # Not a cluster's spare ones: until the images are built, another cluster could take them.
    cluster = ComposeCluster(tmp_path_factory.mktemp("compose"), *free_ports(3))
    try:
        cluster.compose("up", "--build", "--detach", "--wait")
        cluster.compose("cp", "apiserver:/keys", str(cluster.home / "keys"))
        yield cluster
    finally:
        cluster.compose("down", "--volumes", "--timeout", "5")


def ready(nodes: int) -> Callable[[dict[ObjectKey, Node]], bool]:
    return lambda all_: (
        sum(
            any(c.type == "Ready" and c.status == "True" for c in node.status.conditions)
            for node in all_.values()
        )
        == nodes
    )


def test_three_nodes_and_a_deployment(compose: ComposeCluster) -> None:
    nodes = compose.until(Node, ready(3), "")
    assert {key.name for key in nodes} == {"node-1", "node-2", "node-3"}
    compose.ok("create", "deployment", "web", "--image=luksa/kubia", "--replicas=3")
    pods = compose.until(Pod, lambda pods: len(pods) == 3 and all(map(is_ready, pods.values())))
    name = next(iter(pods)).name
    assert "Kubia server starting..." in compose.ok("logs", name)
    answer = urllib.request.urlopen(f"http://127.0.0.1:{compose.registry_port}/v2/luksa/kubia/tags/list")
    assert "v1" in json.load(answer)["tags"]
    assert "ok get" not in compose.compose("exec", "-T", "apiserver", "ok", "get", "pods")
    assert "name=web" in compose.compose("logs", "scheduler") or "web-" in compose.compose(
        "logs", "scheduler"
    )


def test_a_load_balancer_answers_on_the_host_through_the_tunnel(compose: ComposeCluster) -> None:
    compose.ok("expose", "deployment", "web", "--port=8090", "--target-port=8080", "--type=LoadBalancer")
    services = compose.until(Service, lambda all_: any(addresses(each) for each in all_.values()))
    ip = next(address for each in services.values() for address in addresses(each))
    assert ip.startswith("127.19.1.")
    tunnel = subprocess.Popen(
        (sys.executable, "-m", "services.launcher", "tunnel"),
        env={**os.environ, "ORRERY_HOME": str(compose.home), "ORRERY_SERVER": compose.apiserver},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert tunnel.stdout is not None
        assert any(f"{ip}:8090 -> service default/web" in line for line in tunnel.stdout)
        eventually(lambda: all_answer(f"http://{ip}:8090"))
    finally:
        tunnel.send_signal(signal.SIGINT)
        tunnel.communicate(timeout=120)
    assert tunnel.returncode == 0


def all_answer(url: str) -> None:
    """Three Pods, one after the other."""
    assert len({ask(url) for _ in range(3)}) == 3


def ask(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=30) as answer:
        body: bytes = answer.read()
        return body


def addresses(service: Service) -> list[str]:
    status = service.status.load_balancer
    return [point.ip for point in status.ingress if point.ip] if status is not None else []


def test_nodes_can_be_added(compose: ComposeCluster) -> None:
    compose.compose("up", "--detach", "--no-recreate", "--scale", "node=5")
    compose.until(Node, ready(5), "")


def test_a_stopped_cluster_keeps_its_state(compose: ComposeCluster) -> None:
    before = compose.get("deployment", "web")["metadata"]["uid"]
    compose.compose("down", "--timeout", "5")
    compose.compose("up", "--detach", "--wait")
    assert compose.get("deployment", "web")["metadata"]["uid"] == before
    compose.until(Pod, lambda pods: sum(map(is_ready, pods.values())) == 3)
