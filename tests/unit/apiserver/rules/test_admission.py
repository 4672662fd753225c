"""What the cluster adds to Pods and Nodes, and what it forbids."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from services.api import core_v1
from services.api.errors import ApiError
from services.apiserver.rules import admission
from tests.unit.apiserver.rules.test_malformed import POD, with_value
from tests.unit.apiserver.rules.world import World, create, resource

Json = dict[str, Any]


def pod(path: str = "metadata.name", value: Any = "kubia", world: World | None = None) -> Json:
    return create(core_v1.Pod, orjson.dumps(with_value(POD, path, value)), world)


def test_a_pod_gets_an_account_a_token_tolerations_and_a_priority() -> None:
    spec = pod()["spec"]
    assert spec["serviceAccountName"] == spec["serviceAccount"] == "default"
    assert spec["priority"] == 0
    assert spec["preemptionPolicy"] == "PreemptLowerPriority"
    assert [toleration["tolerationSeconds"] for toleration in spec["tolerations"]] == [300, 300]
    mount = spec["containers"][0]["volumeMounts"][0]
    assert mount["mountPath"] == "/var/run/secrets/kubernetes.io/serviceaccount"
    assert mount["name"] == spec["volumes"][0]["name"]
    assert mount["name"].startswith("kube-api-access-")


def test_who_wants_no_token_gets_none() -> None:
    assert "volumes" not in pod("spec.automountServiceAccountToken", False)["spec"]
    world = World()
    world.objects["ServiceAccount", "default", "default"]["automountServiceAccountToken"] = False
    assert "volumes" not in pod(world=world)["spec"]
    assert "volumes" in pod("spec.automountServiceAccountToken", True, world)["spec"]


def test_pull_secrets_come_from_the_account() -> None:
    world = World()
    world.objects["ServiceAccount", "default", "default"]["imagePullSecrets"] = [{"name": "hub"}]
    assert pod(world=world)["spec"]["imagePullSecrets"] == [{"name": "hub"}]
    own = [{"name": "mine"}]
    assert pod("spec.imagePullSecrets", own, world)["spec"]["imagePullSecrets"] == own


def test_own_tolerations_stand() -> None:
    everything = [{"operator": "Exists"}]
    assert pod("spec.tolerations", everything)["spec"]["tolerations"] == everything


def test_critical_pods_outrank_others() -> None:
    assert pod("spec.priorityClassName", "system-node-critical")["spec"]["priority"] == 2000001000
    with pytest.raises(ApiError, match="must not be provided in pod spec"):
        pod("spec.priority", 7)


def test_nothing_new_in_a_namespace_that_is_going() -> None:
    world = World()
    world.objects["Namespace", "", "default"]["status"]["phase"] = "Terminating"
    with pytest.raises(ApiError) as caught:
        pod(world=world)
    assert caught.value.message == (
        'pods "kubia" is forbidden: unable to create new content in namespace default because it is being'
        " terminated"
    )
    assert caught.value.status["details"]["causes"][0]["reason"] == "NamespaceTerminating"


def test_the_clusters_own_namespaces_stay() -> None:
    target = resource(core_v1.Namespace)
    with pytest.raises(ApiError, match="this namespace may not be deleted"):
        admission.validate("delete", target, "", None, {"metadata": {"name": "kube-system"}}, World())
    admission.validate("delete", target, "", None, {"metadata": {"name": "mine"}}, World())


def test_a_new_node_takes_no_pods_yet() -> None:
    manifest = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-1"}}
    node = create(core_v1.Node, orjson.dumps(manifest))
    assert node["spec"]["taints"] == [{"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}]


def test_an_account_that_is_strict_with_its_secrets() -> None:
    world = World()
    account = world.objects["ServiceAccount", "default", "default"]
    account["metadata"]["annotations"] = {"kubernetes.io/enforce-mountable-secrets": "true"}
    account["secrets"] = [{"name": "mine"}]
    volumes = [{"name": "v", "secret": {"secretName": "mine"}}]
    pod("spec.volumes", volumes, world)
    volumes[0]["secret"] = {"secretName": "other"}
    why = "is not allowed because service account default does not reference that"
    with pytest.raises(ApiError, match=f'volume with secret.secretName="other" {why} secret'):
        pod("spec.volumes", volumes, world)
    with pytest.raises(ApiError, match=f'imagePullSecrets\\[0\\].name="x" {why} imagePullSecret'):
        pod("spec.imagePullSecrets", [{"name": "x"}], world)
    variable = {"name": "E", "valueFrom": {"secretKeyRef": {"name": "other", "key": "k"}}}
    container = {"name": "c", "image": "i", "env": [variable]}
    words = f'container c with envVar E referencing secret.secretName="other" {why} secret'
    with pytest.raises(ApiError, match=words):
        pod("spec.containers", [container], world)
    account["metadata"]["annotations"] = {}
    pod("spec.containers", [container], world)
