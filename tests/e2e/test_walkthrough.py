"""The first steps of a newcomer, typed at a running three-node cluster."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from services.api.apps_v1 import Deployment, ReplicaSet
from services.api.core_v1 import Pod, ReplicationController
from services.api.object import ObjectKey
from services.machinery.pods import is_ready
from tests.e2e.cluster import Cluster

pytestmark = [pytest.mark.slow]

Pods = dict[ObjectKey, Pod]

CHAPTERS = (
    "kubernetes-in-action/Chapter02/kubia.yaml",
    "kubernetes-in-action/Chapter03/kubia-manual.yaml",
    "kubernetes-in-action/Chapter03/kubia-manual-with-labels.yaml",
    "kubernetes-in-action/Chapter04/kubia-rc.yaml",
    "kubernetes-in-action/Chapter04/kubia-replicaset.yaml",
    "kubernetes-in-action/Chapter04/kubia-replicaset-matchexpressions.yaml",
    "kiamol/ch02/pod.yaml",
    "kiamol/ch02/deployment.yaml",
    "kiamol/ch02/lab/pod.yaml",
    "kiamol/ch02/lab/solution/deployment.yaml",
    "kiamol/ch03/sleep/sleep1.yaml",
    "kiamol/ch03/sleep/sleep2.yaml",
)


def all_ready(count: int) -> Callable[[Pods], bool]:
    return lambda pods: len(pods) == count and all(is_ready(pod) for pod in pods.values())


def test_nodes_are_ready(cluster: Cluster) -> None:
    lines = cluster.ok("get", "nodes").splitlines()
    assert re.fullmatch(r"NAME +STATUS +ROLES +AGE +VERSION", lines[0])
    assert [line.split()[:3] for line in lines[1:]] == [[f"node-{n}", "Ready", "<none>"] for n in (1, 2, 3)]


def test_run_one_pod(cluster: Cluster, namespace: str) -> None:
    said = cluster.ok("run", "kubia", "--image=luksa/kubia", "--port=8080", "-n", namespace)
    assert said == "pod/kubia created\n"
    cluster.ok("wait", "--for=condition=Ready", "pod", "kubia", "-n", namespace, "--timeout=150s")
    row = cluster.ok("get", "pod", "kubia", "-n", namespace).splitlines()[1].split()
    assert row[:4] == ["kubia", "1/1", "Running", "0"]
    assert "Kubia server starting..." in cluster.ok("logs", "kubia", "-n", namespace)
    story = cluster.ok("describe", "pod", "kubia", "-n", namespace)
    reasons = re.findall(r"^  Normal +(\w+)", story, re.M)
    assert reasons[0] == "Scheduled"
    assert reasons[-3:] == ["Pulled", "Created", "Started"]
    assert cluster.ok("exec", "kubia", "-n", namespace, "--", "hostname") == "kubia\n"


def test_look_at_a_running_pod(cluster: Cluster, namespace: str) -> None:
    cluster.ok("run", "kubia", "--image=luksa/kubia", "--port=8080", "-n", namespace)
    cluster.ok("wait", "--for=condition=Ready", "pod", "kubia", "-n", namespace, "--timeout=150s")
    pod = cluster.get("pod", "kubia", "-n", namespace)
    status = pod["status"]
    columns = "NAME:metadata.name,NODE_IP:status.hostIP,POD_IP:status.podIP"
    shown = cluster.ok("get", "pod", "kubia", "-n", namespace, "-o", f"custom-columns={columns}")
    assert [line.split() for line in shown.splitlines()] == [
        ["NAME", "NODE_IP", "POD_IP"],
        ["kubia", status["hostIP"], status["podIP"]],
    ]
    path = "jsonpath={.status.containerStatuses[0].containerID}"
    assert re.fullmatch(
        r"containerd://[0-9a-f]{64}", cluster.ok("get", "pod", "kubia", "-n", namespace, "-o", path)
    )
    assert [condition["type"] for condition in status["conditions"]] == [
        *("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")
    ]

    def inside(*command: str) -> str:
        return cluster.ok("exec", "kubia", "-n", namespace, "--", *command)

    assert inside("curl", "-s", "localhost:8080") == "You've hit kubia\n"
    assert "node app.js" in inside("ps", "aux")
    assert "kubia" in inside("cat", "/etc/hosts")
    assert "KUBERNETES_SERVICE_HOST=" in inside("env")
    assert "app.js" in inside("ls", "/")
    assert cluster.ok("get", "po", "-n", namespace, "-o", "name") == "pod/kubia\n"
    said = cluster.ok_refused("exec", "kubia", "-n", namespace, "--", "nosuch")
    assert 'exec: "nosuch": executable file not found in $PATH' in said
    said = cluster.ok("delete", "all", "--all", "-n", namespace, "--grace-period=1")
    assert said == f'pod "kubia" deleted from {namespace} namespace\n'


def test_deployment_scales_and_heals(cluster: Cluster, namespace: str) -> None:
    cluster.ok("create", "deployment", "web", "--image=nginx", "--replicas=3", "-n", namespace)
    before = cluster.until(Pod, all_ready(3), namespace)
    assert len({pod.spec.node_name for pod in before.values()}) == 3, "one on each node"
    victim = next(iter(before)).name
    cluster.ok("delete", "pod", victim, "-n", namespace, "--grace-period=1")
    after = cluster.until(
        Pod, lambda pods: victim not in {key.name for key in pods} and all_ready(3)(pods), namespace
    )
    assert len(set(after) - set(before)) == 1, "exactly one replacement"
    cluster.ok("scale", "deployment", "web", "--replicas=5", "-n", namespace)
    cluster.until(Pod, all_ready(5), namespace)
    cluster.ok("scale", "deploy/web", "--replicas=1", "-n", namespace)
    left = cluster.until(Pod, all_ready(1), namespace)
    assert set(left) <= set(after), "the oldest stay"


def test_rolling_update_and_undo(cluster: Cluster, namespace: str) -> None:
    cluster.ok("create", "deployment", "web", "--image=nginx:1.27", "--replicas=4", "-n", namespace)
    cluster.until(Pod, all_ready(4), namespace)

    def images() -> set[str | None]:
        pods = cluster.until(
            Pod,
            lambda pods: all_ready(4)(pods) and len({image(pod) for pod in pods.values()}) == 1,
            namespace,
        )
        return {image(pod) for pod in pods.values()}

    cluster.ok("set", "image", "deployment/web", "nginx=nginx:1.28", "-n", namespace)
    said = cluster.ok("rollout", "status", "deployment/web", "-n", namespace)
    assert said.endswith('deployment "web" successfully rolled out\n')
    assert images() == {"nginx:1.28"}
    cluster.ok("rollout", "undo", "deployment/web", "-n", namespace)
    cluster.ok("rollout", "status", "deployment/web", "-n", namespace)
    assert images() == {"nginx:1.27"}
    history = cluster.ok("rollout", "history", "deployment/web", "-n", namespace)
    assert re.findall(r"^(\d+) ", history, re.M) == ["2", "3"]


def image(pod: Pod) -> str | None:
    return pod.spec.containers[0].image


@pytest.mark.parametrize("path", CHAPTERS)
def test_the_books_manifests_run(cluster: Cluster, namespace: str, manifests: Path, path: str) -> None:
    text = (manifests / path).read_text()
    text = text.replace("apps/v1beta2", "apps/v1").replace("apps/v1beta1", "apps/v1")
    said = cluster.ok("create", "-f", "-", "-n", namespace, stdin=text)
    assert said.endswith(" created\n")
    wanted = sum(
        item["spec"].get("replicas", 1)
        for item in cluster.get("deploy,rs,rc,pods", "-n", namespace)["items"]
        if not item["metadata"].get("ownerReferences")
    )
    cluster.until(Pod, all_ready(wanted), namespace)


def test_a_pod_that_fits_nowhere_says_why(cluster: Cluster, namespace: str) -> None:
    manifest = (
        '{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "big"}, "spec": {"containers":'
        '[{"name": "c", "image": "luksa/kubia", "resources": {"requests": {"cpu": "1000"}}}]}}'
    )
    cluster.ok("create", "-f", "-", "-n", namespace, stdin=manifest)
    pods = cluster.until(Pod, lambda pods: any(pod.status.conditions for pod in pods.values()), namespace)
    condition = next(iter(pods.values())).status.conditions[0]
    assert (condition.type, condition.status, condition.reason) == ("PodScheduled", "False", "Unschedulable")
    assert (condition.message or "").startswith("0/3 nodes are available: 3 Insufficient cpu.")


def test_an_image_that_does_not_exist(cluster: Cluster, namespace: str) -> None:
    cluster.ok("run", "crane", "--image=crane", "-n", namespace)

    def waiting(pods: Pods) -> bool:
        statuses = [status for pod in pods.values() for status in pod.status.container_statuses]
        return any(
            status.state and status.state.waiting and status.state.waiting.reason == "ImagePullBackOff"
            for status in statuses
        )

    cluster.until(Pod, waiting, namespace)
    assert "pull access denied" in cluster.ok("describe", "pod", "crane", "-n", namespace)


def test_a_typo_is_named_and_nothing_created(cluster: Cluster, namespace: str) -> None:
    manifest = '{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "typo"}, "spec": {"contaners": []}}'
    said = cluster.ok_refused("create", "-f", "-", "-n", namespace, stdin=manifest)
    assert 'unknown field "spec.contaners"' in said
    assert cluster.get("pods", "-n", namespace)["items"] == []


def test_deleting_a_deployment_takes_its_pods_along(cluster: Cluster, namespace: str) -> None:
    cluster.ok("create", "deployment", "web", "--image=nginx", "--replicas=2", "-n", namespace)
    cluster.until(Pod, all_ready(2), namespace)
    cluster.ok("delete", "deployment", "web", "-n", namespace)
    cluster.until(ReplicaSet, lambda sets: not sets, namespace)
    cluster.until(Pod, lambda pods: not pods, namespace)


def test_a_namespace_takes_everything_in_it_along(cluster: Cluster) -> None:
    cluster.ok("create", "namespace", "doomed")
    cluster.ok("create", "deployment", "web", "--image=nginx", "--replicas=2", "-n", "doomed")
    cluster.until(Pod, all_ready(2), "doomed")
    assert cluster.ok("delete", "namespace", "doomed") == 'namespace "doomed" deleted\n'
    assert "/doomed/" not in cluster.etcd("ls")


def test_the_store_holds_what_the_server_shows(cluster: Cluster, namespace: str) -> None:
    import json

    cluster.ok("create", "configmap", "facts", "--from-literal=planet=earth", "-n", namespace)
    stored = json.loads(cluster.etcd("get", f"/registry/configmaps/{namespace}/facts"))
    shown = cluster.get("configmap", "facts", "-n", namespace)
    shown["metadata"].pop("resourceVersion")
    stored["metadata"].pop("managedFields", None)
    shown["metadata"].pop("managedFields", None)
    assert stored == shown


def test_replication_controller_is_scaled(cluster: Cluster, namespace: str, manifests: Path) -> None:
    manifest = manifests / "kubernetes-in-action/Chapter04/kubia-rc.yaml"
    assert (
        cluster.ok("create", "-f", str(manifest), "-n", namespace) == "replicationcontroller/kubia created\n"
    )
    cluster.until(Pod, all_ready(3), namespace)
    cluster.ok("scale", "rc", "kubia", "--replicas=2", "-n", namespace)
    cluster.until(
        ReplicationController,
        lambda all_: all(rc.status.ready_replicas == 2 for rc in all_.values()),
        namespace,
    )
    row = cluster.ok("get", "rc", "-n", namespace).splitlines()
    assert row[0].split() == ["NAME", "DESIRED", "CURRENT", "READY", "AGE"]
    assert row[1].split()[:4] == ["kubia", "2", "2", "2"]


def test_deployment_status_settles(cluster: Cluster, namespace: str) -> None:
    cluster.ok("create", "deployment", "web", "--image=luksa/kubia", "--replicas=2", "-n", namespace)
    cluster.until(
        Deployment, lambda all_: all(d.status.available_replicas == 2 for d in all_.values()), namespace
    )
    rows = cluster.ok("get", "deploy", "-n", namespace).splitlines()
    assert rows[0].split() == ["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE"]
    assert rows[1].split()[:4] == ["web", "2/2", "2", "2"]
