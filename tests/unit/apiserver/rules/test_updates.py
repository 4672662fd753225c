"""What an update may change: generations, statuses, immutable fields, and the parts of a Pod."""

from __future__ import annotations

import copy
from typing import Any

import orjson
import pytest

from services.api import apps_v1, coordination_v1, core_v1
from services.api.errors import ApiError
from services.apiserver.rules.strategy import strategy_for
from tests.unit.apiserver.rules.test_malformed import DEPLOYMENT, POD, SERVICE, with_value
from tests.unit.apiserver.rules.world import create, resource, update

Json = dict[str, Any]


def created(kind: type[Any], manifest: Json) -> Json:
    obj = create(kind, orjson.dumps(manifest))
    obj["metadata"] |= {"uid": "u-1", "creationTimestamp": "2026-11-21T12:00:00Z"}
    return obj


def changed(obj: Json, path: str, value: Any) -> Json:
    return with_value(copy.deepcopy(obj), path, value)


def refused(kind: type[Any], new: Json, old: Json, subresource: str = "") -> str:
    with pytest.raises(ApiError) as caught:
        update(kind, new, old, subresource)
    return str(caught.value.message)


def test_generation_moves_with_the_spec_only() -> None:
    old = created(apps_v1.Deployment, DEPLOYMENT)
    assert old["metadata"]["generation"] == 1
    labelled = update(apps_v1.Deployment, changed(old, "metadata.labels", {"a": "b"}), old)
    assert labelled["metadata"]["generation"] == 1
    scaled = update(apps_v1.Deployment, changed(old, "spec.replicas", 3), old)
    assert scaled["metadata"]["generation"] == 2
    annotated = update(apps_v1.Deployment, changed(old, "metadata.annotations", {"a": "b"}), old)
    assert annotated["metadata"]["generation"] == 2
    asked = update(apps_v1.Deployment, changed(old, "metadata.generation", 9), old)
    assert asked["metadata"]["generation"] == 1


def test_the_status_is_not_the_callers_to_set() -> None:
    obj = created(apps_v1.Deployment, {**DEPLOYMENT, "status": {"replicas": 7}})
    assert obj["status"] == {}
    assert update(apps_v1.Deployment, changed(obj, "status.replicas", 7), obj)["status"] == {}


def test_a_status_update_leaves_spec_and_labels() -> None:
    old = created(apps_v1.Deployment, DEPLOYMENT)
    new = changed(
        changed(changed(old, "status.replicas", 1), "spec.replicas", 5), "metadata.labels", {"a": "b"}
    )
    result = update(apps_v1.Deployment, new, old, "status")
    assert result["status"] == {"replicas": 1}
    assert result["spec"] == old["spec"]
    assert "labels" not in result["metadata"]
    assert result["metadata"]["generation"] == 1
    # The controller records the revision beside the status.
    result = update(apps_v1.Deployment, changed(old, "metadata.annotations", {"a": "b"}), old, "status")
    assert result["metadata"]["annotations"] == {"a": "b"}
    assert result["metadata"]["generation"] == 1


def test_a_pods_image_may_change_and_its_name_may_not() -> None:
    old = created(core_v1.Pod, POD)
    new = update(core_v1.Pod, changed(old, "spec.containers.0.image", "luksa/kubia:v2"), old)
    assert new["metadata"]["generation"] == 2
    message = refused(core_v1.Pod, changed(old, "spec.containers.0.name", "other"), old)
    assert "pod updates may not change fields other than `spec.containers[*].image`" in message
    assert '-   "Name": "kubia",\n+   "Name": "other",' in message


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("spec.activeDeadlineSeconds", 20, "must be less than or equal to previous value"),
        ("spec.containers", [], "pod updates may not add or remove containers"),
        ("spec.tolerations", [], "existing toleration can not be modified except its tolerationSeconds"),
        ("metadata.name", "other", 'metadata.name: Invalid value: "other": field is immutable'),
        ("metadata.uid", "u-2", 'metadata.uid: Invalid value: "u-2": field is immutable'),
    ],
)
def test_what_of_a_pod_stays(path: str, value: Any, message: str) -> None:
    manifest = with_value(POD, "spec.activeDeadlineSeconds", 10)
    manifest["spec"]["tolerations"] = [{"key": "dedicated", "operator": "Exists"}]
    old = created(core_v1.Pod, manifest)
    assert message in refused(core_v1.Pod, changed(old, path, value), old)


def test_tolerations_and_deadlines_may_be_added() -> None:
    old = created(core_v1.Pod, POD)
    added = [*old["spec"]["tolerations"], {"key": "x", "operator": "Exists"}]
    new = update(
        core_v1.Pod, changed(changed(old, "spec.tolerations", added), "spec.activeDeadlineSeconds", 5), old
    )
    assert new["spec"]["activeDeadlineSeconds"] == 5


def test_gates_may_only_go() -> None:
    old = created(core_v1.Pod, with_value(POD, "spec.schedulingGates", [{"name": "a/b"}, {"name": "a/c"}]))
    new = update(core_v1.Pod, changed(old, "spec.schedulingGates", [{"name": "a/c"}]), old)
    assert new["spec"]["schedulingGates"] == [{"name": "a/c"}]
    message = refused(core_v1.Pod, changed(old, "spec.schedulingGates", [{"name": "a/d"}]), old)
    assert "spec.schedulingGates[0].name: Forbidden: only deletion is allowed" in message
    narrowed = update(core_v1.Pod, changed(old, "spec.nodeSelector", {"disk": "ssd"}), old)
    assert narrowed["spec"]["nodeSelector"] == {"disk": "ssd"}


def test_a_pods_status_keeps_its_quality_of_service_and_owners() -> None:
    old = created(core_v1.Pod, POD)
    status = {"phase": "Running", "podIPs": [{"ip": "10.244.1.2"}], "podIP": "10.244.1.2"}
    owner = [{"apiVersion": "v1", "kind": "ReplicationController", "name": "a", "uid": "b"}]
    new = update(
        core_v1.Pod, changed(changed(old, "status", status), "metadata.ownerReferences", owner), old, "status"
    )
    assert new["status"] == {**status, "qosClass": "BestEffort"}
    assert "ownerReferences" not in new["metadata"]
    message = refused(core_v1.Pod, changed(old, "status.qosClass", "Guaranteed"), old, "status")
    assert 'status.qosClass: Invalid value: "Guaranteed": field is immutable' in message


def test_what_has_ended_for_good_does_not_run_again() -> None:
    old = created(core_v1.Pod, with_value(POD, "spec.restartPolicy", "Never"))
    old["status"]["containerStatuses"] = [{"name": "kubia", "state": {"terminated": {"exitCode": 1}}}]
    again = [{"name": "kubia", "state": {"running": {"startedAt": None}}}]
    message = refused(core_v1.Pod, changed(old, "status.containerStatuses", again), old, "status")
    assert (
        "status.containerStatuses[0].state: Forbidden: may not be transitioned to non-terminated state"
        in message
    )


def test_ephemeral_containers_come_by_their_own_door() -> None:
    old = created(core_v1.Pod, POD)
    debug = {"name": "debug", "image": "busybox", "targetContainerName": "kubia"}
    new = update(core_v1.Pod, changed(old, "spec.ephemeralContainers", [debug]), old, "ephemeralcontainers")
    assert new["spec"]["ephemeralContainers"][0]["name"] == "debug"
    assert new["spec"]["containers"] == old["spec"]["containers"]
    message = refused(core_v1.Pod, changed(new, "spec.ephemeralContainers", []), new, "ephemeralcontainers")
    assert 'existing ephemeral containers "debug" may not be removed' in message


def test_resize_changes_resources_and_not_the_class() -> None:
    resources = {"requests": {"cpu": "100m", "memory": "64Mi"}}
    old = created(core_v1.Pod, with_value(POD, "spec.containers.0.resources", resources))
    more = {"requests": {"cpu": "200m", "memory": "64Mi"}}
    new = changed(changed(old, "spec.containers.0.resources", more), "spec.containers.0.image", "other")
    result = update(core_v1.Pod, new, old, "resize")
    assert result["spec"]["containers"][0]["resources"] == more
    assert result["spec"]["containers"][0]["image"] == "luksa/kubia"
    fewer = {"requests": {"cpu": "200m"}}
    message = refused(core_v1.Pod, changed(old, "spec.containers.0.resources", fewer), old, "resize")
    assert "resource requests cannot be removed" in message


def test_selectors_stay() -> None:
    old = created(apps_v1.Deployment, DEPLOYMENT)
    new = changed(old, "spec.selector.matchLabels", {"app": "x"})
    new["spec"]["template"]["metadata"]["labels"] = {"app": "x"}
    message = refused(apps_v1.Deployment, new, old)
    assert message.endswith('spec.selector: Invalid value: {"matchLabels":{"app":"x"}}: field is immutable')


def test_a_service_keeps_its_address() -> None:
    given = with_value(SERVICE, "spec.clusterIP", "10.96.1.7")
    old = create(core_v1.Service, orjson.dumps(given))
    assert old["spec"]["clusterIPs"] == ["10.96.1.7"]
    bare = copy.deepcopy(SERVICE)
    bare["metadata"]["namespace"] = "default"
    assert update(core_v1.Service, bare, old)["spec"]["clusterIP"] == old["spec"]["clusterIP"]
    moved = changed(changed(old, "spec.clusterIP", "10.96.0.77"), "spec.clusterIPs", ["10.96.0.77"])
    assert "may not change once set" in refused(core_v1.Service, moved, old)


def test_node_ports_survive_an_update_that_leaves_them_out() -> None:
    old = create(core_v1.Service, orjson.dumps(with_value(SERVICE, "spec.type", "NodePort")))
    old["spec"]["ports"][0]["nodePort"] = 30777
    bare = with_value(SERVICE, "spec.type", "NodePort")
    bare["metadata"]["namespace"] = "default"
    new = update(core_v1.Service, bare, old)
    assert new["spec"]["ports"] == old["spec"]["ports"]


def test_an_immutable_config_map_stays() -> None:
    manifest = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "c"},
        "data": {"a": "b"},
        "immutable": True,
    }
    old = created(core_v1.ConfigMap, manifest)
    message = refused(core_v1.ConfigMap, changed(old, "data", {"a": "c"}), old)
    assert "data: Forbidden: field is immutable when `immutable` is set" in message
    message = refused(core_v1.ConfigMap, changed(old, "immutable", False), old)
    assert "immutable: Forbidden: field is immutable when `immutable` is set" in message


def test_secrets_turn_text_into_data() -> None:
    manifest = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"a": "b"}}
    secret = created(core_v1.Secret, manifest)
    assert secret["data"] == {"a": "Yg=="}
    assert "stringData" not in secret
    assert "type: Invalid value" in refused(
        core_v1.Secret, changed(secret, "type", "kubernetes.io/tls"), secret
    )


def test_a_namespace_loses_its_finalizer_by_finalize_only() -> None:
    old = created(core_v1.Namespace, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n"}})
    assert old["spec"] == {"finalizers": ["kubernetes"]}
    assert old["metadata"]["labels"] == {"kubernetes.io/metadata.name": "n"}
    bare = changed(old, "spec", {})
    assert update(core_v1.Namespace, bare, old)["spec"] == old["spec"]
    assert update(core_v1.Namespace, bare, old, "finalize")["spec"] == {}


def test_no_finalizer_joins_a_deletion() -> None:
    old = created(core_v1.Pod, with_value(POD, "metadata.finalizers", ["a.io/x"]))
    old["metadata"] |= {"deletionTimestamp": "2026-11-21T12:00:00Z", "deletionGracePeriodSeconds": 0}
    message = refused(core_v1.Pod, changed(old, "metadata.finalizers", ["a.io/x", "a.io/y"]), old)
    assert 'found new finalizers []string{"a.io/y"}' in message
    kept = changed(old, "metadata.finalizers", [])
    del kept["metadata"]["deletionTimestamp"]
    assert update(core_v1.Pod, kept, old)["metadata"]["deletionTimestamp"] == "2026-11-21T12:00:00Z"


def test_kinds_say_how_they_may_be_written() -> None:
    lease = strategy_for(resource(coordination_v1.Lease))
    assert lease.allows_create_on_update
    assert not lease.allows_unconditional_update
    assert not strategy_for(resource(core_v1.Pod)).allows_create_on_update


@pytest.mark.parametrize(
    ("path", "value", "requested", "seconds"),
    [
        ("spec.nodeName", "", None, 0),
        ("spec.nodeName", "node-1", None, 30),
        ("spec.nodeName", "node-1", 5, 5),
        ("spec.nodeName", "node-1", -1, 1),
        ("status.phase", "Failed", None, 0),
    ],
)
def test_grace(path: str, value: str, requested: int | None, seconds: int) -> None:
    pod = created(core_v1.Pod, with_value(POD, "spec.nodeName", "node-1"))
    assert (
        strategy_for(resource(core_v1.Pod)).grace_seconds(with_value(pod, path, value), requested) == seconds
    )
