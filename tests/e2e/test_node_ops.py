"""Nodes that come, go, fail and fill up, and a shell on each: what `orrery node` and `orrery ssh` do."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator

import pytest

from services.api.core_v1 import Event, Node, Pod
from services.api.object import ObjectKey
from services.machinery.pods import is_ready
from tests.e2e.cluster import Cluster, running

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

STATIC = """
apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  terminationGracePeriodSeconds: 1
  containers: [{name: web, image: nginx}]
"""
MEMORY_TAINT = "node.kubernetes.io/memory-pressure"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    transition = "--node-flag=--eviction-pressure-transition-period=1s"
    with running("--nodes", "2", transition) as cluster:
        yield cluster


def refused(cluster: Cluster, *words: str) -> str:
    with pytest.raises(AssertionError) as caught:
        cluster.orrery(*words)
    return str(caught.value)


def nodes(wanted: Callable[[dict[str, Node]], bool]) -> Callable[[dict[ObjectKey, Node]], bool]:
    return lambda found: wanted({key.name: node for key, node in found.items()})


def status_of(node: Node, kind: str) -> str:
    return next((c.status or "" for c in node.status.conditions if c.type == kind), "")


def run_on(cluster: Cluster, name: str, node: str) -> Pod:
    """A Pod bound by hand, running."""
    overrides = f'{{"spec":{{"nodeName":"{node}","terminationGracePeriodSeconds":1}}}}'
    cluster.ok("run", name, "--image=luksa/kubia", f"--overrides={overrides}")
    return cluster.until(Pod, lambda pods: is_running(pods, name))[ObjectKey("default", name)]


def is_running(pods: dict[ObjectKey, Pod], name: str, restarts: int = 0) -> bool:
    pod = pods.get(ObjectKey("default", name))
    return bool(pod and is_ready(pod) and pod.status.container_statuses[0].restart_count == restarts)


# ---- The shell -------------------------------------------------------------------------------


def test_the_shell_is_the_nodes_own(cluster: Cluster) -> None:
    assert cluster.orrery("ssh", "node-1", "hostname") == "node-1\n"
    listed = cluster.orrery("ssh", "node-1", "ps", "aux")
    assert "/usr/bin/kubelet --config=" in listed
    assert "/usr/bin/containerd\n" in listed
    assert cluster.orrery("ssh", "node-1", "ls /etc/kubernetes; cat /etc/hostname") == "manifests\nnode-1\n"
    assert "/dev/vda1" in cluster.orrery("ssh", "node-1", "df -h")
    assert "active (running)" in cluster.orrery("ssh", "node-1", "systemctl status kubelet")
    assert "Registered the node" in cluster.orrery("ssh", "node-1", "journalctl -u kubelet")
    assert 'node "nowhere" not found' in refused(cluster, "ssh", "nowhere", "true")


def test_its_exit_code_and_input_pass_through(cluster: Cluster) -> None:
    assert "→ 7" in refused(cluster, "ssh", "node-2", "exit 7")
    for number in range(5):  # What is typed and how it ends must not outrun each other.
        assert cluster.orrery("ssh", "node-2", f"cat; echo {number}") == f"{number}\n"


def test_a_container_deleted_behind_kubernetes_back_comes_back(cluster: Cluster) -> None:
    run_on(cluster, "behind", "node-1")
    head, *rows = cluster.orrery("ssh", "node-1", "crictl ps").splitlines()
    assert head.split("  ")[0] == "CONTAINER"
    assert any("behind" in row and "Running" in row for row in rows)
    assert "k8s_POD_behind_default_" in cluster.orrery("ssh", "node-1", "docker ps")
    find = "docker container ls -q --filter label=io.kubernetes.container.name=behind"
    cluster.orrery("ssh", "node-1", f"docker rm -f $({find})")
    cluster.until(Pod, lambda pods: is_running(pods, "behind", restarts=1))
    cluster.orrery("ssh", "node-1", f"kill -9 $(crictl inspect $({find}) | grep pid | tr -dc 0-9)")
    cluster.until(Pod, lambda pods: is_running(pods, "behind", restarts=2))


def test_a_command_keeps_its_exit_code_while_input_still_comes(cluster: Cluster) -> None:
    run_on(cluster, "typed", "node-1")
    script = "head -c 1 >/dev/null; exit 0"
    for _ in range(3):  # the end of the command and the rest of its input cross on every hop
        assert cluster.ok("exec", "-i", "typed", "--", "sh", "-c", script, stdin="y\n" * 1_000_000) == ""
        cluster.ok_refused("exec", "-i", "typed", "--", "sh", "-c", "exit 7", stdin="y\n" * 1_000_000)
    assert cluster.ok("exec", "-i", "typed", "--", "sh", stdin="echo hi\nread x || true\n") == "hi\n"


def test_a_kubelet_that_is_away_leaves_its_containers_alone(cluster: Cluster) -> None:
    run_on(cluster, "kept", "node-2")
    before = cluster.orrery("ssh", "node-2", "crictl ps -q --name kept")
    cluster.orrery("ssh", "node-2", "systemctl stop kubelet")
    assert "inactive" in refused(cluster, "ssh", "node-2", "systemctl is-active kubelet")
    assert cluster.orrery("ssh", "node-2", "crictl ps -q --name kept") == before
    cluster.orrery("ssh", "node-2", "systemctl start kubelet")
    cluster.ok("delete", "pod", "kept")
    assert cluster.orrery("ssh", "node-2", "crictl ps -a -q --name kept") == ""
    cluster.told("node-2", "Took over a Pod that runs already")


# ---- Static Pods -----------------------------------------------------------------------------


def test_a_static_pod_lives_by_its_file(cluster: Cluster) -> None:
    manifest = cluster.home / "nodes" / "node-1" / "etc" / "kubernetes" / "manifests" / "web.yaml"
    manifest.write_text(STATIC)
    first = cluster.until(Pod, lambda pods: is_running(pods, "web-node-1"))[
        ObjectKey("default", "web-node-1")
    ]
    cluster.ok("delete", "pod", "web-node-1", "--wait=false")

    def again(pods: dict[ObjectKey, Pod]) -> bool:
        uid = pods[ObjectKey("default", "web-node-1")].metadata.uid if is_running(pods, "web-node-1") else ""
        return uid not in ("", first.metadata.uid)

    cluster.until(Pod, again)
    assert "start worker process" in cluster.ok("logs", "web-node-1")
    cluster.orrery("ssh", "node-1", "rm /etc/kubernetes/manifests/web.yaml")
    cluster.until(Pod, lambda pods: ObjectKey("default", "web-node-1") not in pods)


# ---- Pressure --------------------------------------------------------------------------------


def test_memory_pressure_taints_and_evicts_and_passes(cluster: Cluster) -> None:
    run_on(cluster, "greedy", "node-2")
    assert "eviction threshold: 100Mi" in cluster.orrery(
        "node", "pressure", "node-2", "memory", "--leave=60Mi"
    )
    pods = cluster.until(Pod, lambda pods: pods[ObjectKey("default", "greedy")].status.phase == "Failed")
    status = pods[ObjectKey("default", "greedy")].status
    assert status.reason == "Evicted"
    assert status.message is not None
    assert status.message.startswith(
        "The node was low on resource: memory. Threshold quantity: 100Mi, available: "
    )
    cluster.until(Node, nodes(lambda found: MEMORY_TAINT in [t.key for t in found["node-2"].spec.taints]), "")
    assert "stress-ng" in cluster.orrery("ssh", "node-2", "ps aux")
    cluster.orrery("node", "pressure", "node-2", "memory", "--clear")
    cluster.until(Node, nodes(lambda found: status_of(found["node-2"], "MemoryPressure") == "False"), "")
    cluster.until(Node, nodes(lambda found: not found["node-2"].spec.taints), "")
    wanted = {"EvictionThresholdMet", "NodeHasInsufficientMemory"}
    cluster.until(Event, lambda events: wanted <= {
        event.reason for event in events.values() if event.involved_object.name == "node-2"
    })  # fmt: skip


# ---- Machines --------------------------------------------------------------------------------


def test_a_reboot_loses_containers_and_starts_them_again(cluster: Cluster) -> None:
    run_on(cluster, "rebooted", "node-1")
    before = cluster.get("node", "node-1")["status"]["nodeInfo"]["bootID"]
    cluster.orrery("node", "reboot", "node-1")
    cluster.until(Pod, lambda pods: is_running(pods, "rebooted", restarts=1))
    after = cluster.get("node", "node-1")["status"]["nodeInfo"]["bootID"]
    assert after != before
    cluster.until(Event, lambda events: any(
        event.reason == "Rebooted" and after in (event.message or "") for event in events.values()
    ))  # fmt: skip


def test_a_node_is_added_stopped_kept_and_removed(cluster: Cluster) -> None:
    assert cluster.orrery("node", "add", "--cpu=2", "--labels=disk=ssd") == "node/node-3 added\n"
    added = cluster.get("node", "node-3")
    assert added["metadata"]["labels"]["disk"] == "ssd"
    assert added["status"]["capacity"]["cpu"] == "2"
    run_on(cluster, "polite", "node-3")
    cluster.orrery("node", "stop", "node-3", "--graceful")
    polite = cluster.get("pod", "polite")["status"]
    assert (polite["reason"], polite["phase"]) == ("Terminated", "Failed")
    cluster.orrery("down")
    cluster.orrery("up", "-d")
    assert "node-3   stopped" in cluster.orrery("node", "list")
    cluster.orrery("node", "start", "node-3")
    assert cluster.orrery("node", "remove", "node-3") == "node/node-3 removed\n"
    assert "node-3" not in cluster.ok("get", "nodes")
    assert not (cluster.home / "nodes" / "node-3").exists()


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("stop", "node-9"), 'node "node-9" not found'),
        (("pressure", "node-9", "memory"), 'node "node-9" not found'),
        (("pressure", "node-1", "memory", "--leave=much"), "'much' is no quantity"),
        (("add", "--name=node-1"), 'node "node-1" already exists'),
        (("add", "--name=No_Name"), '"No_Name" is no name for a node'),
        (("add", "--cpu=many"), "--cpu: 'many' is no quantity"),
        (("start", "node-1"), 'node "node-1" is running already'),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_sentence(
    cluster: Cluster, words: tuple[str, ...], text: str
) -> None:
    said = refused(cluster, "node", *words)
    assert f"orrery: {text}" in said or text in said
    assert "Traceback" not in said


def test_an_interactive_shell_has_a_prompt(cluster: Cluster) -> None:
    """Through a terminal of the system's, as a person would have it."""
    import os
    import pty
    import sys

    leader, follower = pty.openpty()
    environment = {**os.environ, "ORRERY_HOME": str(cluster.home)}
    shell = subprocess.Popen(
        (sys.executable, "-m", "services.launcher", "ssh", "node-1"),
        stdin=follower, stdout=follower, stderr=follower, env=environment,
    )  # fmt: skip
    os.close(follower)
    seen = b""
    while b"# " not in seen:
        seen += os.read(leader, 4096)
    os.write(leader, b"echo on-$(hostname); exit 3\r")
    while b"\non-node-1" not in seen:
        seen += os.read(leader, 4096)
    assert shell.wait(60) == 3
    os.close(leader)
