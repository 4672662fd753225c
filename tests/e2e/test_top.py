"""`top`: `ok` and kubectl show the same numbers, and what the containers really use."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from services.api.core_v1 import Pod
from services.machinery.pods import is_ready
from tests.e2e.cluster import PATIENCE_SECONDS, Cluster
from tests.support import kubectl as real

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
API = "/apis/metrics.k8s.io/v1beta1"


def until_measured(cluster: Cluster, *words: str, lines: int) -> None:
    """`top` shows so many: each kubelet has been asked twice by then."""
    top = (sys.executable, "-m", "services.kubectl", "top", *words, "--no-headers")
    loop = 'want=$1; shift; until [ "$("$@" 2>/dev/null | wc -l)" = "$want" ]; do sleep 1; done'
    until = ("bash", "-c", loop, "until", str(lines), *top)
    subprocess.run(until, env=environment(cluster), timeout=PATIENCE_SECONDS, check=True)


def environment(cluster: Cluster) -> dict[str, str]:
    return {**os.environ, "ORRERY_HOME": str(cluster.home), "KUBECONFIG": str(cluster.home / "kubeconfig")}


def test_what_is_used(cluster: Cluster, namespace: str) -> None:
    cluster.ok("run", "web", "--image=nginx", "-n", namespace, "--labels=a=b")
    cluster.ok("run", "never", "--image=doesnotexist", "-n", namespace, "--labels=never=runs")
    assert "etrics not available" in cluster.ok_refused("top", "pods", "-n", namespace, "-l", "never=runs")
    cluster.until(Pod, lambda pods: any(map(is_ready, pods.values())), namespace=namespace)
    until_measured(cluster, "pod", "web", "-n", namespace, lines=1)
    until_measured(cluster, "nodes", lines=3)
    measured = json.loads(cluster.ok("get", "--raw", f"{API}/namespaces/{namespace}/pods"))
    assert (measured["kind"], [each["metadata"]["name"] for each in measured["items"]]) == (
        "PodMetricsList",
        ["web"],
    )
    (container,) = measured["items"][0]["containers"]
    assert container["usage"]["memory"].endswith("i")
    lines = cluster.ok("top", "nodes").splitlines()
    assert lines[0].split() == ["NAME", "CPU(cores)", "CPU(%)", "MEMORY(bytes)", "MEMORY(%)"]
    assert [line.split()[0] for line in lines[1:]] == ["node-1", "node-2", "node-3"]
    for words in ("pods", "pods --containers --sort-by=cpu --sum", "pod web", "pods -l a=b --no-headers"):
        shown = cluster.ok("top", *words.split(), "-n", namespace)
        assert "web" in shown
        if real.NEWEST:
            done = subprocess.run(
                (real.NEWEST, "top", *words.split(), "-n", namespace),
                env=environment(cluster), capture_output=True, text=True, timeout=PATIENCE_SECONDS,
            )  # fmt: skip
            assert without_numbers(done.stdout) == without_numbers(shown), done.stderr
    assert 'pods "nope" not found' in cluster.ok_refused("top", "pod", "nope", "-n", namespace)


def without_numbers(text: str) -> list[list[str]]:
    """They change while they are looked at."""
    return [[word for word in line.split() if not word[:1].isdigit()] for line in text.splitlines()]
