"""The schema's facts, spot-checked where the patch and decoding code lean on them."""

import pytest

from services.api import kinds
from services.machinery.schema import definition, schema_of


@pytest.mark.parametrize("resource", kinds.RESOURCES, ids=lambda resource: resource.kind)
def test_every_served_kind_has_a_schema(resource: kinds.Resource) -> None:
    schema = schema_of(resource.api_version, resource.kind)
    assert schema is not None
    assert schema.go_name == resource.kind
    assert schema.fields["metadata"].schema is definition("meta.v1.ObjectMeta")


def test_lists_know_how_they_merge() -> None:
    pod = schema_of("v1", "Pod")
    assert pod is not None
    containers = pod.at("spec", "containers")
    assert (containers.patch_strategies, containers.merge_key) == (("merge",), "name")
    ports = pod.at("spec", "containers", "ports")
    assert ports.merge_key == "containerPort"
    assert ports.list_map_keys == ("containerPort", "protocol")
    assert pod.at("spec", "containers", "ports", "protocol").default == "TCP"
    assert pod.at("spec", "volumes").patch_strategies == ("merge", "retainKeys")
    assert pod.at("metadata", "finalizers").list_type == "set"
    assert pod.at("spec", "containers", "args").list_type == "atomic"


def test_atomic_structs_are_told_apart() -> None:
    deployment = schema_of("apps/v1", "Deployment")
    assert deployment is not None
    assert deployment.at("spec", "selector").schema.map_type == "atomic"
    assert deployment.at("spec", "strategy").patch_strategies == ("retainKeys",)


def test_pointers_and_empty_values() -> None:
    deployment = schema_of("apps/v1", "Deployment")
    assert deployment is not None
    assert deployment.at("spec", "replicas").pointer
    assert deployment.at("spec", "minReadySeconds").omits_empty
    assert deployment.at("spec", "template", "spec", "containers").always
    pull_policy = deployment.at("spec", "template", "spec", "containers", "imagePullPolicy")
    assert pull_policy.go_type == "v1.PullPolicy"


def test_what_is_not_served_has_no_schema() -> None:
    assert schema_of("v1", "Nope") is None
    assert schema_of("nope/v1", "Pod") is None
    assert schema_of("policy/v1", "DeleteOptions") is definition("meta.v1.DeleteOptions")
    with pytest.raises(KeyError):
        definition("core.v1.Nope")
