"""NodeRestriction: a kubelet's own Node, its own Pods, and nothing of anybody else."""

from __future__ import annotations

from typing import Any

import pytest

from services.api import coordination_v1, core_v1
from services.api.errors import ApiError
from services.api.kinds import resource_of
from services.apiserver.authentication.users import User
from services.apiserver.rules import node_restriction
from tests.unit.apiserver.rules.world import World

Json = dict[str, Any]
NODE = {"metadata": {"name": "n1", "uid": "u1"}, "spec": {}, "status": {}}


def world(user: User | None = None) -> World:
    made = World()
    made.user = user or User("system:node:n1", ("system:nodes",))
    made.objects["Node", "", "n1"] = NODE
    return made


def ask(
    verb: Any, kind: Any, obj: Json | None, old: Json | None = None, part: str = "", seen: World | None = None
) -> str:
    try:
        node_restriction.admit(verb, resource_of(kind), part, obj, old, seen or world())
    except ApiError as error:
        return error.message
    return ""


def pod(node: str = "n1", **meta: Any) -> Json:
    return {"metadata": {"name": "p", "namespace": "default", **meta}, "spec": {"nodeName": node}}


def mirror(**owner: Any) -> Json:
    reference = {"apiVersion": "v1", "kind": "Node", "name": "n1", "uid": "u1", "controller": True, **owner}
    return pod(annotations={"kubernetes.io/config.mirror": "x"}, ownerReferences=[reference])


def with_spec(**spec: Any) -> Json:
    return {**mirror(), "spec": {"nodeName": "n1", **spec}}


def node(labels: Json | None = None, name: str = "n1", **spec: Any) -> Json:
    return {"metadata": {"name": name, "labels": labels or {}}, "spec": spec}


def test_who_is_no_kubelet_is_not_restricted() -> None:
    for user in (User("admin", ("system:nodes",)), User("system:node:n1")):
        assert ask("create", core_v1.Pod, pod("n2"), seen=world(user)) == ""


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (mirror(), ""),
        (pod(), 'pod does not have "kubernetes.io/config.mirror" annotation'),
        (pod(annotations={"kubernetes.io/config.mirror": "x"}), "with an owner reference set to itself"),
        (mirror(name="n2"), "with an owner reference set to itself"),
        (mirror(controller=False), "with a controller owner reference set to itself"),
        (mirror(blockOwnerDeletion=True), "must not set blockOwnerDeletion on an owner reference"),
        (mirror(uid="other"), "node n1 UID mismatch: expected u1 got other"),
        ({**mirror(), "spec": {"nodeName": "n2"}}, "with spec.nodeName set to itself"),
        ({**mirror(), "spec": {"nodeName": "n1", "serviceAccountName": "x"}}, "reference a service account"),
        (with_spec(volumes=[{"secret": {"secretName": "s"}}]), "that reference secrets"),
        (with_spec(volumes=[{"projected": {"sources": [{"secret": {"name": "s"}}]}}]), "reference secrets"),
        (with_spec(imagePullSecrets=[{"name": "s"}]), "that reference secrets"),
        (with_spec(containers=[{"envFrom": [{"secretRef": {"name": "s"}}]}]), "that reference secrets"),
        (
            with_spec(
                initContainers=[{"env": [{"valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}}]}]
            ),
            "that reference configmaps",
        ),
        (
            with_spec(volumes=[{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}]),
            "that reference persistentvolumeclaims",
        ),
        (with_spec(volumes=[{"name": "v", "ephemeral": {}}]), "that reference persistentvolumeclaims"),
        (with_spec(resourceClaims=[{"name": "r"}]), "that reference resourceclaims"),
    ],
)
def test_a_kubelet_creates_mirror_pods_only(made: Json, words: str) -> None:
    told = ask("create", core_v1.Pod, made)
    assert words in told
    assert bool(told) == bool(words)


def test_pods_of_others() -> None:
    assert ask("delete", core_v1.Pod, None, pod()) == ""
    assert "can only delete pods with spec.nodeName set to itself" in ask(
        "delete", core_v1.Pod, None, pod("n2")
    )
    assert ask("update", core_v1.Pod, pod(), pod(), "status") == ""
    assert "can only update pod status" in ask("update", core_v1.Pod, pod("n2"), pod("n2"), "status")
    labelled = pod(labels={"a": "b"})
    assert "cannot update labels" in ask("update", core_v1.Pod, labelled, pod(), "status")
    assert 'unexpected operation "UPDATE"' in ask("update", core_v1.Pod, pod(), pod())
    assert 'unexpected pod subresource "resize"' in ask("update", core_v1.Pod, pod(), pod(), "resize")
    with pytest.raises(ApiError, match="can only evict pods"):
        node_restriction.evict(pod("n2"), world().user)


@pytest.mark.parametrize(
    ("label", "allowed"),
    [
        ("mine", True),
        ("example.com/x", True),
        ("kubernetes.io/hostname", True),
        ("topology.kubernetes.io/zone", True),
        ("node.kubernetes.io/instance-type", True),
        ("x.kubelet.kubernetes.io/y", True),
        ("node-role.kubernetes.io/control-plane", False),
        ("node-restriction.kubernetes.io/x", False),
        ("a.node-restriction.kubernetes.io/x", False),
        ("kubernetes.io/other", False),
        ("x.k8s.io/other", False),
    ],
)
def test_labels_that_a_kubelet_may_give_its_node(label: str, allowed: bool) -> None:
    wanted = "" if allowed else f'nodes "n1" is forbidden: is not allowed to modify labels: {label}'
    assert ask("update", core_v1.Node, node({label: "x"}), node()) == wanted
    assert bool(ask("create", core_v1.Node, node({label: "x"}))) != allowed


def test_tokens_are_for_the_pods_of_the_node() -> None:
    bound, mine = {"kind": "Pod", "name": "p", "uid": "u"}, world().user
    node_restriction.token(bound, pod(), "default", mine)
    node_restriction.token(None, None, "default", User("admin"))
    for reference, found, words in (
        (None, None, "not bound to a pod"),
        ({"kind": "Secret", "name": "s"}, None, "not bound to a pod"),
        ({"kind": "Pod", "name": "p"}, pod(), "without a uid"),
        (bound, pod("n2"), "bound to a pod scheduled on a different node"),
    ):
        with pytest.raises(ApiError, match=words):
            node_restriction.token(reference, found, "default", mine)


def test_nodes_and_leases_of_others() -> None:
    assert 'is not allowed to modify node "n2"' in ask(
        "update", core_v1.Node, node(name="n2"), node(name="n2")
    )
    tainted = node(taints=[{"key": "a", "effect": "NoSchedule"}])
    assert "is not allowed to modify taints" in ask("update", core_v1.Node, tainted, node())
    assert ask("create", core_v1.Node, tainted) == ""
    lease = {"metadata": {"name": "n2", "namespace": "kube-node-lease"}, "spec": {}}
    assert "with the same name as the requesting node" in ask("update", coordination_v1.Lease, lease, lease)
