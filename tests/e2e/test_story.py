"""What happened in the background: one trace id through all components, and no process left behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil
import pytest

from services.api.core_v1 import Pod
from services.machinery.pods import is_ready
from tests.e2e.cluster import PATIENCE_SECONDS, Cluster

pytestmark = [pytest.mark.slow]


def test_one_trace_tells_the_story_of_one_create(cluster: Cluster, namespace: str) -> None:
    cluster.ok("create", "deployment", "story", "--image=luksa/kubia", "--replicas=1", "-n", namespace)
    pods = cluster.until(Pod, lambda pods: bool(pods) and all(map(is_ready, pods.values())), namespace)
    line = cluster.told("apiserver", "kind=Deployment", "name=story", f"namespace={namespace}")
    trace = re.search(r"trace=[0-9a-f]{8}", line)
    assert trace
    for kind in ("Deployment", "ReplicaSet"):
        cluster.told("controller-manager", trace[0], f"kind={kind}")
    for component in ("scheduler", next(iter(pods.values())).spec.node_name or ""):
        cluster.told(component, trace[0], "kind=Pod")


def test_an_idle_cluster_says_nothing(cluster: Cluster) -> None:
    """No component chatters: every line at info belongs to something that happened."""
    for component in ("scheduler", "controller-manager"):
        for row in cluster.log(component).splitlines():
            assert "heartbeat" not in row.lower()
            assert "Traceback" not in row


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_ending_the_foreground_leaves_no_process_behind(number: signal.Signals) -> None:
    with tempfile.TemporaryDirectory(prefix="orrery-e2e-") as folder:
        argv = (sys.executable, "-m", "services.launcher", "up", "--nodes", "1")
        environment = {**os.environ, "ORRERY_HOME": folder}
        with subprocess.Popen(
            argv, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                if "The cluster is up" in line:
                    break
            children = [psutil.Process(pid) for pid in processes_of(folder)]
            assert len(children) >= 6
            process.send_signal(number)
            process.stdout.read()
        # The kernel ends the children of a killed supervisor, an instant after it.
        psutil.wait_procs(children, timeout=PATIENCE_SECONDS)
        assert processes_of(folder) == set()


def processes_of(home: str) -> set[int]:
    """Processes that were started for that home, by their environment."""
    found = set()
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and f"ORRERY_HOME={home}".encode() in (
                entry / "environ"
            ).read_bytes().split(b"\0"):
                found.add(int(entry.name))
        except (PermissionError, FileNotFoundError, ProcessLookupError):
            continue
    return found
