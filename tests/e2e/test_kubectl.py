"""Real kubectl, of several versions, against a cluster: what it prints, and what became of it."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import orjson
import pytest

from services.client.credentials import of_administrator
from services.pb.resource.v1 import resource_pb2 as pb
from services.pb.resource.v1 import resource_pb2_grpc
from tests.e2e.cluster import Cluster, running
from tests.support import kubectl as real

PATIENCE_SECONDS = 90.0
# The oldest that is meant to work, and newer ones; they lie side by side where the Cloud SDK is installed.
VERSIONS = ("1.27", "1.32", "1.33")
FOUND = {version: path for version, path in real.FOUND.items() if version in VERSIONS} or real.ENDS
pytestmark = [pytest.mark.slow, pytest.mark.skipif(not FOUND, reason="no kubectl here")]


class Kubectl:
    def __init__(self, path: str, cluster: Cluster, folder: Path) -> None:
        self.path, self.cluster, self.folder, self.namespace = path, cluster, folder, "default"

    def run(self, *words: str, stdin: str = "", editor: str = "") -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "HOME": str(self.folder), "TZ": "UTC", "KUBE_EDITOR": editor}
        environment["KUBECONFIG"] = str(self.cluster.home / "kubeconfig")
        command = (self.path, "--namespace", self.namespace, *words)
        return subprocess.run(
            command, env=environment, input=stdin, capture_output=True, text=True, timeout=PATIENCE_SECONDS
        )

    def __call__(self, *words: str, stdin: str = "", editor: str = "") -> str:
        """What it prints; fails the test when it fails."""
        done = self.run(*words, stdin=stdin, editor=editor)
        assert done.returncode == 0, f"kubectl {' '.join(words)}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def refused(self, *words: str, stdin: str = "") -> str:
        done = self.run(*words, stdin=stdin)
        assert done.returncode != 0, f"kubectl {' '.join(words)} should have failed:\n{done.stdout}"
        return done.stderr

    def json(self, *words: str) -> Any:
        return json.loads(self("get", *words, "-o", "json"))


@pytest.fixture(scope="module")
def kubectl_cluster() -> Iterator[Cluster]:
    with running("--nodes", "2") as cluster:
        yield cluster


@pytest.fixture(scope="module", params=FOUND)
def kubectl(
    request: pytest.FixtureRequest, kubectl_cluster: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Kubectl]:
    """One version of it, in a namespace of its own."""
    each = Kubectl(FOUND[request.param], kubectl_cluster, tmp_path_factory.mktemp("kubectl"))
    name = f"v{request.param.replace('.', '-')}"
    assert each("create", "namespace", name) == f"namespace/{name} created\n"
    each.namespace = name
    yield each
    each("delete", "namespace", name, "--wait=false")


@pytest.fixture(scope="module")
def newest(kubectl_cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubectl]:
    """The newest version, for what takes its time and does not depend on the version."""
    each = Kubectl(FOUND[next(reversed(FOUND))], kubectl_cluster, tmp_path_factory.mktemp("newest"))
    each("create", "namespace", "newest")
    each.namespace = "newest"
    yield each
    each("delete", "namespace", "newest", "--wait=false")


CONFIG_MAP = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, labels: {app: web}}
data: {colour: "red"}
"""


def test_the_cluster_introduces_itself(kubectl: Kubectl) -> None:
    assert "v1.36.2" in kubectl("version")
    assert "https://127.0.0.1:" in kubectl("cluster-info")  # in colours, with the older ones
    assert {"v1", "apps/v1", "networking.k8s.io/v1"} <= set(kubectl("api-versions").split())
    kinds = kubectl("api-resources").splitlines()
    assert kinds[0].split() == ["NAME", "SHORTNAMES", "APIVERSION", "NAMESPACED", "KIND"]
    assert ["deployments", "deploy", "apps/v1", "true", "Deployment"] in [line.split() for line in kinds]
    assert kubectl("api-resources", "--verbs=list", "--namespaced=false", "-o", "name").count("nodes") >= 1
    assert kubectl("get", "--raw", "/readyz") == "ok"
    assert "readyz check passed" in kubectl("get", "--raw", "/readyz?verbose")


def test_a_deployment_from_creation_to_deletion(newest: Kubectl) -> None:
    assert newest("create", "deployment", "web", "--image=nginx:1.27", "--replicas=2") == (
        "deployment.apps/web created\n"
    )
    assert newest("rollout", "status", "deployment", "web").endswith("successfully rolled out\n")
    assert newest("wait", "--for=condition=Available", "deploy/web", "--timeout=60s") == (
        "deployment.apps/web condition met\n"
    )
    assert newest("scale", "deploy", "web", "--replicas=3") == "deployment.apps/web scaled\n"
    newest("wait", "--for=jsonpath={.status.readyReplicas}=3", "deploy/web", "--timeout=60s")
    assert newest("set", "image", "deploy/web", "nginx=nginx:1.26") == ("deployment.apps/web image updated\n")
    newest("rollout", "status", "deployment", "web")
    history = newest("rollout", "history", "deployment", "web").splitlines()
    assert history[:2] == ["deployment.apps/web ", "REVISION  CHANGE-CAUSE"]
    assert [line.split()[0] for line in history[2:] if line] == ["1", "2"]
    assert newest("rollout", "undo", "deploy/web") == "deployment.apps/web rolled back\n"
    newest("rollout", "status", "deployment", "web")
    assert newest("get", "deploy", "web", "-o", "jsonpath={..image}") == "nginx:1.27"
    assert newest("rollout", "restart", "deploy/web") == "deployment.apps/web restarted\n"
    newest("rollout", "status", "deployment", "web")
    assert newest("expose", "deploy", "web", "--port=80") == "service/web exposed\n"
    described = newest("describe", "deploy", "web")
    assert "3 desired | 3 updated | 3 total | 3 available | 0 unavailable" in described
    assert "ScalingReplicaSet" in newest("events", "--for", "deployment/web")
    shown = newest("get", "all")
    for name in ("pod/web-", "service/web ", "deployment.apps/web ", "replicaset.apps/web-"):
        assert name in shown
    deleted = newest("delete", "deploy/web", "svc/web").splitlines()
    assert [line.split(" deleted")[0] for line in deleted] == ['deployment.apps "web"', 'service "web"']
    newest("wait", "--for=delete", "pod", "-l", "app=web", "--timeout=60s")


def test_get_in_every_form(kubectl: Kubectl) -> None:
    kubectl("create", "configmap", "forms", "--from-literal=a=1", "--from-literal=b=2")
    assert kubectl("get", "cm", "forms", "-o", "name") == "configmap/forms\n"
    lines = kubectl("get", "cm", "forms").splitlines()
    assert lines[0].split() == ["NAME", "DATA", "AGE"]
    assert lines[1].split()[:2] == ["forms", "2"]
    assert kubectl("get", "cm", "forms", "--no-headers").split()[:2] == ["forms", "2"]
    assert kubectl("get", "cm", "forms", "-o", "jsonpath={.data.a}") == "1"
    assert kubectl("get", "cm", "forms", "-o", "go-template={{.data.b}}") == "2"
    columns = kubectl("get", "cm", "forms", "-o", "custom-columns=N:.metadata.name,A:.data.a")
    assert [line.split() for line in columns.splitlines()] == [["N", "A"], ["forms", "1"]]
    text = kubectl("get", "cm", "forms", "-o", "yaml")
    assert text.startswith('apiVersion: v1\ndata:\n  a: "1"\n  b: "2"\nkind: ConfigMap\n')
    assert "managedFields" not in text
    assert "managedFields" in kubectl("get", "cm", "forms", "-o", "yaml", "--show-managed-fields")
    assert kubectl.json("cm")["kind"] == "List"
    assert "forms" in kubectl("get", "cm", "--chunk-size=1", "--sort-by=.metadata.name")
    assert "LABELS" in kubectl("get", "nodes", "--show-labels", "-o", "wide").splitlines()[0]
    assert kubectl("get", "pods", "-l", "no=where") == ""
    kubectl("delete", "cm", "forms")


def test_apply_diff_edit_replace(kubectl: Kubectl) -> None:
    file = kubectl.folder / "settings.yaml"
    file.write_text(CONFIG_MAP)
    assert kubectl("apply", "-f", str(file)) == "configmap/settings created\n"
    assert kubectl("apply", "-f", str(file)) == "configmap/settings unchanged\n"
    file.write_text(CONFIG_MAP.replace("red", "blue"))
    difference = kubectl.run("diff", "-f", str(file))
    assert difference.returncode == 1, difference.stderr
    assert "-  colour: red\n+  colour: blue" in difference.stdout
    assert kubectl("apply", "-f", str(file)) == "configmap/settings configured\n"
    assert kubectl.run("diff", "-f", str(file)).returncode == 0
    editor = kubectl.folder / "editor"
    editor.write_text('#!/bin/sh\nsed -i "s/colour: blue/colour: green/" "$1"\n')
    editor.chmod(0o700)
    assert "configmap/settings edited" in kubectl("edit", "cm", "settings", editor=str(editor))
    assert kubectl("get", "cm", "settings", "-o", "jsonpath={.data.colour}") == "green"
    assert kubectl("replace", "-f", str(file)) == "configmap/settings replaced\n"
    refused = kubectl.refused("apply", "-f", "-", stdin=CONFIG_MAP.replace("data: {c", "dota: {c"))
    assert 'unknown field "dota"' in refused
    assert "AlreadyExists" in kubectl.refused("create", "-f", str(file))
    assert kubectl("delete", "-f", str(file)).startswith('configmap "settings" deleted')


def test_server_side_apply_and_its_conflicts(kubectl: Kubectl) -> None:
    apply = ("apply", "--server-side", "-f", "-")
    assert kubectl(*apply, stdin=CONFIG_MAP) == "configmap/settings serverside-applied\n"
    other = CONFIG_MAP.replace("red", "black")
    conflict = kubectl.refused(*apply, "--field-manager=other", stdin=other)
    assert 'conflict with "kubectl": .data.colour' in conflict
    kubectl(*apply, "--field-manager=other", "--force-conflicts", stdin=other)
    managers = kubectl.json("cm", "settings", "--show-managed-fields")["metadata"]["managedFields"]
    assert [(each["manager"], each["operation"]) for each in managers] == [
        ("kubectl", "Apply"), ("other", "Apply")
    ]  # fmt: skip
    kubectl("delete", "cm", "settings")


def test_patches_labels_and_annotations(kubectl: Kubectl) -> None:
    kubectl("create", "configmap", "p", "--from-literal=a=1")
    kubectl("patch", "cm", "p", "-p", '{"data":{"b":"2"}}')
    kubectl("patch", "cm", "p", "--type=merge", "-p", '{"data":{"a":null}}')
    kubectl("patch", "cm", "p", "--type=json", "-p", '[{"op":"add","path":"/data/c","value":"3"}]')
    assert kubectl.json("cm", "p")["data"] == {"b": "2", "c": "3"}
    assert kubectl("patch", "cm", "p", "-p", "{}") == "configmap/p patched (no change)\n"
    assert kubectl("label", "cm", "p", "tier=back") == "configmap/p labeled\n"
    assert "already has a value" in kubectl.refused("label", "cm", "p", "tier=front")
    assert kubectl("label", "cm", "p", "tier=front", "--overwrite") == "configmap/p labeled\n"
    assert kubectl("label", "cm", "p", "tier-") == "configmap/p unlabeled\n"
    assert kubectl("annotate", "cm", "p", "why=because").startswith("configmap/p annotate")
    bad = kubectl.refused(
        "patch", "cm", "p", "--type=json", "-p", '[{"op":"test","path":"/data/b","value":"x"}]'
    )
    assert "the server rejected our request" in bad or "test" in bad
    kubectl("delete", "cm", "p")


def test_what_goes_wrong_is_said(kubectl: Kubectl) -> None:
    assert kubectl.refused("get", "pod", "absent") == (
        'Error from server (NotFound): pods "absent" not found\n'
    )
    assert kubectl.refused("get", "nonsense") == (
        'error: the server doesn\'t have a resource type "nonsense"\n'
    )
    wrong = kubectl.refused("create", "configmap", "Upper_Case")
    assert "a lowercase RFC 1123 subdomain must consist of" in wrong
    assert "unable to parse requirement" in kubectl.refused("get", "pods", "-l", "a in (")
    assert kubectl("delete", "cm", "absent", "--ignore-not-found") == ""


def test_dry_runs_leave_nothing(kubectl: Kubectl) -> None:
    assert kubectl("create", "cm", "dry", "--dry-run=server") == "configmap/dry created (server dry run)\n"
    assert "kind: ConfigMap" in kubectl("create", "cm", "dry", "--dry-run=client", "-o", "yaml")
    assert "NotFound" in kubectl.refused("get", "cm", "dry")


def test_pods_run_and_end(newest: Kubectl) -> None:
    assert newest("run", "one", "--image=nginx:1.27", "--labels=app=one", "--port=80") == "pod/one created\n"
    assert newest("wait", "--for=condition=Ready", "pod/one", "--timeout=60s") == "pod/one condition met\n"
    described = newest("describe", "pod", "one")
    assert re.search(r"^Status: +Running$", described, re.M)
    assert "Successfully assigned" in described
    assert newest("delete", "pod", "one", "--wait").startswith('pod "one" deleted')
    assert "NotFound" in newest.refused("get", "pod", "one")


def test_nodes_are_tainted_and_drained(newest: Kubectl) -> None:
    node = "node-2"
    assert newest("taint", "node", node, "k=v:NoSchedule") == f"node/{node} tainted\n"
    assert newest("taint", "node", node, "k-") == f"node/{node} untainted\n"
    assert newest("cordon", node) == f"node/{node} cordoned\n"
    assert "SchedulingDisabled" in newest("get", "node", node)
    assert newest("drain", node, "--ignore-daemonsets", "--force", "--delete-emptydir-data").endswith(
        f"node/{node} drained\n"
    )
    assert newest("uncordon", node) == f"node/{node} uncordoned\n"
    assert re.search(r"^Name: +node-2$", newest("describe", "node", node), re.M)


def test_the_same_object_everywhere(newest: Kubectl) -> None:
    """Over gRPC, over REST and in etcd it is the same JSON; etcd alone does not repeat its revision."""
    newest("create", "configmap", "same", "--from-literal=a=1")
    raw = newest("get", "--raw", f"/api/v1/namespaces/{newest.namespace}/configmaps/same")
    rest = orjson.loads(raw)
    target = pb.Resource(version="v1", resource="configmaps", namespace=newest.namespace, name="same")
    mine = of_administrator(newest.cluster.home)
    assert mine is not None
    with grpc.secure_channel(newest.cluster.apiserver, mine.for_channel()) as channel:
        answer = resource_pb2_grpc.ResourceServiceStub(channel).Get(pb.GetRequest(resource=target))
    key = f"/registry/configmaps/{newest.namespace}/same"
    stored = orjson.loads(newest.cluster.etcd("get", key))
    assert rest["metadata"].pop("resourceVersion") == answer.object.resource_version
    assert rest == orjson.loads(answer.object.json)
    assert rest == stored
    newest("delete", "cm", "same")
