"""Scale, binding, locations, continue tokens, discovery, the mapping of errors."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.api import apps_v1, core_v1, errors
from services.api.errors import ApiError
from services.api.kinds import RESOURCES, resource_of
from services.apiserver.fronts.discovery import resource_lists
from services.apiserver.fronts.events import framed
from services.apiserver.fronts.status import code_of
from services.apiserver.registry import binding, continue_token, keys, pod_location, scale
from services.apiserver.registry.continue_token import Token
from services.pb.resource.v1 import resource_pb2 as pb

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PODS = resource_of(core_v1.Pod)
DEPLOYMENTS = resource_of(apps_v1.Deployment)


@given(st.integers(1, 2**62), st.text("abc-./", min_size=1))
def test_a_token_survives_the_journey(revision: int, start: str) -> None:
    token = Token(revision, "a" + start.replace("..", "."))
    if ".." not in token.start.split("/"):
        assert continue_token.decode(continue_token.encode(token)) == token


@given(st.text())
def test_a_foreign_token_is_refused_in_words(text: str) -> None:
    message = "continue key is not valid"
    try:
        continue_token.decode(text)
    except ValueError as error:
        message = str(error)
    assert message.startswith("continue key is not valid")


def test_historic_kinds_live_where_upstream_keeps_them() -> None:
    assert keys.key(PODS, "default", "p") == "/registry/pods/default/p"
    assert keys.key(resource_of(core_v1.Node), "", "n") == "/registry/minions/n"
    assert keys.prefix(resource_of(core_v1.Service)) == "/registry/services/specs/"


def workload(replicas: int) -> dict[str, Any]:
    return {
        "metadata": {"name": "w", "namespace": "d", "uid": "u"},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"b": "2", "a": "1"}}},
        "status": {"replicas": 1},
    }


def test_a_scale_is_read_out_of_a_workload() -> None:
    made = scale.of(workload(3), 9)
    assert made["spec"] == {"replicas": 3}
    assert made["status"] == {"replicas": 1, "selector": "a=1,b=2"}
    assert made["metadata"]["resourceVersion"] == "9"
    assert scale.of(workload(0), 9)["spec"] == {}


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"spec": {"replicas": -1}}, 422),
        ({"spec": {"replicas": "3"}}, 400),
        ({"kind": "Pod"}, 400),
        ({"metadata": {"name": "other"}}, 400),
    ],
)
def test_a_bad_scale_is_refused(change: dict[str, Any], code: int) -> None:
    with pytest.raises(ApiError) as refusal:
        scale.check(DEPLOYMENTS, {**scale.of(workload(1), 1), **change}, "w")
    assert refusal.value.code == code


def pod(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "p", "uid": "u", "generation": 1}, "spec": spec, "status": {}}


def test_binding_puts_a_pod_on_a_node_once() -> None:
    one = pod()
    binding.bind(PODS, one, {"metadata": {"annotations": {"a": "b"}}}, "n1", NOW)
    assert one["spec"]["nodeName"] == "n1"
    assert one["metadata"]["annotations"] == {"a": "b"}
    assert [c["type"] for c in one["status"]["conditions"]] == ["PodScheduled"]
    with pytest.raises(ApiError, match='pod p is already assigned to node "n1"') as refusal:
        binding.bind(PODS, one, {}, "n2", NOW)
    assert errors.is_conflict(refusal.value)


def test_a_container_must_be_named_where_there_are_several() -> None:
    several = pod(containers=[{"name": "a"}, {"name": "b"}], initContainers=[{"name": "i"}])
    with pytest.raises(ApiError, match=r"choose one of: \[a b\] or one of the init containers: \[i\]"):
        pod_location.container_of(several, "")
    assert pod_location.container_of(several, "i") == "i"
    with pytest.raises(ApiError, match="container x is not valid for pod p"):
        pod_location.container_of(several, "x")


def test_nothing_runs_on_no_node() -> None:
    with pytest.raises(ApiError, match="pod p does not have a host assigned"):
        pod_location.node_for_streams(pod(), command=True)
    ended = {**pod(nodeName="n"), "status": {"phase": "Succeeded"}}
    with pytest.raises(
        ApiError, match="cannot exec into a container in a completed pod; current phase is Succ"
    ):
        pod_location.node_for_streams(ended, command=True)
    assert pod_location.node_for_streams(ended, command=False) == "n"


def test_a_node_says_where_its_kubelet_is() -> None:
    status = {
        "addresses": [{"type": "Hostname", "address": "n1"}, {"type": "InternalIP", "address": "10.0.0.1"}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
    }
    assert pod_location.address_of({"metadata": {"name": "n1"}, "status": status}) == "10.0.0.1:10250"
    with pytest.raises(ApiError, match="no preferred addresses found"):
        pod_location.address_of({"metadata": {"name": "n1"}})


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.not_found(PODS, "p"), grpc.StatusCode.NOT_FOUND),
        (errors.already_exists(PODS, "p"), grpc.StatusCode.ALREADY_EXISTS),
        (errors.conflict(PODS, "p", "x"), grpc.StatusCode.ABORTED),
        (errors.invalid("", "Pod", "p", []), grpc.StatusCode.INVALID_ARGUMENT),
        (errors.expired("x"), grpc.StatusCode.OUT_OF_RANGE),
        (errors.forbidden(PODS, "p", "x"), grpc.StatusCode.PERMISSION_DENIED),
        (errors.too_many_requests("x"), grpc.StatusCode.RESOURCE_EXHAUSTED),
        (errors.internal("x"), grpc.StatusCode.INTERNAL),
    ],
)
def test_each_refusal_has_its_code(error: ApiError, code: grpc.StatusCode) -> None:
    assert code_of(error) is code


def test_discovery_lists_each_group_version_once() -> None:
    lists = resource_lists(RESOURCES)
    assert [each["groupVersion"] for each in lists][:2] == ["v1", "apiregistration.k8s.io/v1"]
    pods = {entry["name"]: entry for entry in lists[0]["resources"]}
    assert pods["pods"]["shortNames"] == ["po"]
    assert pods["pods/eviction"]["group"] == "policy"


@given(st.lists(st.binary(max_size=400), max_size=5))
def test_events_framed_one_by_one_are_one_message(bodies: list[bytes]) -> None:
    events = [pb.WatchEvent(object=pb.Object(json=body)) for body in bodies]
    joined = b"".join(framed(event.SerializeToString()) for event in events)
    assert joined == pb.WatchResponse(events=events).SerializeToString()


def test_a_bound_pod_knows_where_its_node_is() -> None:
    one: dict[str, Any] = {"metadata": {"labels": {"a": "b", "topology.kubernetes.io/zone": "old"}}}
    zone, region = "topology.kubernetes.io/zone", "topology.kubernetes.io/region"
    binding.give_topology(one, {zone: "z1", region: "r1", "kubernetes.io/os": "linux"})
    assert one["metadata"]["labels"] == {"a": "b", zone: "z1", region: "r1"}
    other: dict[str, Any] = {"metadata": {}}
    binding.give_topology(other, {})
    assert other == {"metadata": {}}
