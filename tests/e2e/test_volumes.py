"""Volumes as people use them, on a running three-node cluster."""

from __future__ import annotations

import base64
import json

import pytest

from services.api.core_v1 import Event, PersistentVolume, PersistentVolumeClaim, Pod
from services.api.object import ObjectKey
from services.machinery.pods import is_ready
from tests.e2e.cluster import Cluster

pytestmark = [pytest.mark.slow]

CLAIM = """
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
"""
USER = """
apiVersion: v1
kind: Pod
metadata: {name: NAME}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - {name: c, image: busybox, command: [sleep, "100000"], volumeMounts: [{name: v, mountPath: /v}]}
  volumes: [{name: v, VOLUME}]
"""


def user(name: str, volume: str) -> str:
    return USER.replace("NAME", name).replace("VOLUME", volume)


def run(cluster: Cluster, namespace: str, manifest: str, name: str) -> None:
    cluster.ok("create", "-f", "-", "-n", namespace, stdin=manifest)
    cluster.ok("wait", "--for=condition=Ready", "pod", name, "-n", namespace, "--timeout=150s")


def test_data_outlives_its_pod(cluster: Cluster, namespace: str) -> None:
    cluster.ok("create", "-f", "-", "-n", namespace, stdin=CLAIM)
    claim = "persistentVolumeClaim: {claimName: data}"
    run(cluster, namespace, user("first", claim), "first")
    cluster.ok("exec", "first", "-n", namespace, "--", "sh", "-c", "echo kept > /v/file")
    cluster.ok("delete", "pod", "first", "-n", namespace)
    run(cluster, namespace, user("second", claim), "second")
    assert cluster.ok("exec", "second", "-n", namespace, "--", "cat", "/v/file") == "kept\n"
    assert "data " in cluster.ok("get", "pvc", "-n", namespace)
    # In use, it only begins to go.
    cluster.ok("delete", "pvc", "data", "-n", namespace, "--wait=false")
    assert cluster.ok("get", "pvc", "data", "-n", namespace).splitlines()[1].split()[1] == "Terminating"
    volume = cluster.ok("get", "pvc", "data", "-n", namespace, "-o", "jsonpath={.spec.volumeName}")
    cluster.ok("delete", "pod", "second", "-n", namespace)
    cluster.until(PersistentVolumeClaim, lambda claims: not claims, namespace)
    cluster.until(PersistentVolume, lambda volumes: ObjectKey("", volume) not in volumes, "")


def test_a_config_map_that_comes_late_and_changes(cluster: Cluster, namespace: str) -> None:
    cluster.ok("create", "-f", "-", "-n", namespace, stdin=user("p", "configMap: {name: settings}"))
    message = 'MountVolume.SetUp failed for volume "v" : configmap "settings" not found'
    cluster.until(Event, lambda events: any(e.message == message for e in events.values()), namespace)
    cluster.ok("create", "configmap", "settings", "--from-literal=colour=blue", "-n", namespace)
    cluster.until(Pod, lambda pods: all(is_ready(pod) for pod in pods.values()), namespace)
    assert cluster.ok("exec", "p", "-n", namespace, "--", "cat", "/v/colour") == "blue"
    listing = cluster.ok("exec", "p", "-n", namespace, "--", "ls", "-la", "/v")
    assert "colour -> ..data/colour" in listing
    assert "..data -> ..20" in listing


def test_a_token_says_whose_it_is(cluster: Cluster, namespace: str) -> None:
    run(cluster, namespace, user("p", "emptyDir: {}"), "p")
    folder = "/var/run/secrets/kubernetes.io/serviceaccount"
    token = cluster.ok("exec", "p", "-n", namespace, "--", "cat", f"{folder}/token")
    payload = token.split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    assert claims["sub"] == f"system:serviceaccount:{namespace}:default"
    assert claims["kubernetes.io"]["pod"]["name"] == "p"
    authority = cluster.ok("exec", "p", "-n", namespace, "--", "cat", f"{folder}/ca.crt")
    assert authority.startswith("-----BEGIN CERTIFICATE-----")
    assert cluster.ok("create", "token", "default", "-n", namespace).count(".") == 2


def test_pods_of_one_node_share_its_folders(cluster: Cluster, namespace: str) -> None:
    volume = "hostPath: {path: /opt/shared, type: DirectoryOrCreate}"
    on_one = "spec:\n  nodeName: node-1"
    for name in ("a", "b"):
        run(cluster, namespace, user(name, volume).replace("spec:", on_one, 1), name)
    cluster.ok("exec", "a", "-n", namespace, "--", "sh", "-c", "echo hello > /v/note")
    assert cluster.ok("exec", "b", "-n", namespace, "--", "cat", "/v/note") == "hello\n"
    wrong = user("c", "hostPath: {path: /opt/shared, type: File}").replace("spec:", on_one, 1)
    cluster.ok("create", "-f", "-", "-n", namespace, stdin=wrong)
    why = "hostPath type check failed: /opt/shared is not a file"
    message = f'MountVolume.SetUp failed for volume "v" : {why}'
    cluster.until(Event, lambda events: any(e.message == message for e in events.values()), namespace)
