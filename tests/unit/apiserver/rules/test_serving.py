"""Kinds about serving itself, and small ones: what every cluster begins with, and what is refused."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from services.api import kinds
from services.apiserver.aggregation import availability, elsewhere, local
from services.apiserver.rules.flow_control import bootstrap_objects
from services.apiserver.rules.strategy import strategy_for
from tests.golden.rules_world import World

Json = dict[str, Any]
REFERENCE = {"name": "s", "namespace": "n", "port": 8443}
SERVICE = {"spec": {"type": "ClusterIP", "ports": [{"port": 8443, "name": "https"}]}}
READY = {"ports": [{"name": "https", "port": 8443}], "endpoints": [{"conditions": {"ready": True}}]}


def made(api_version: str, kind: str, body: Json) -> Json:
    resource = kinds.resource_of_kind(api_version, kind)
    assert resource is not None
    strategy = strategy_for(resource)
    obj = strategy.decode(orjson.dumps(body), "Strict").obj
    strategy.default(obj)
    strategy.prepare_create(obj, World())
    return obj


def faults(obj: Json, old: Json | None = None) -> list[str]:
    resource = kinds.resource_of_kind(obj["apiVersion"], obj["kind"])
    assert resource is not None
    strategy = strategy_for(resource)
    found = strategy.validate_create(obj) if old is None else strategy.validate_update(obj, old)
    return [f"{each['field']}: {each['message']}" for each in found]


@pytest.mark.parametrize(
    "body", bootstrap_objects(), ids=lambda body: f"{body['kind']}-{body['metadata']['name']}"
)
def test_what_a_cluster_begins_with_is_accepted(body: Json) -> None:
    assert faults(made(body["apiVersion"], body["kind"], body)) == []


def test_each_flow_belongs_to_a_level_that_is_there() -> None:
    bodies = bootstrap_objects()
    levels = {each["metadata"]["name"] for each in bodies if each["kind"] == "PriorityLevelConfiguration"}
    flows = [each for each in bodies if each["kind"] == "FlowSchema"]
    assert {each["spec"]["priorityLevelConfiguration"]["name"] for each in flows} <= levels
    assert (len(flows), len(levels)) == (13, 8)


def test_the_last_resort_stays_as_it_is() -> None:
    body = next(
        each
        for each in bootstrap_objects()
        if (each["kind"], each["metadata"]["name"]) == ("PriorityLevelConfiguration", "catch-all")
    )
    found = made(body["apiVersion"], body["kind"], body)
    found["spec"]["limited"]["nominalConcurrencyShares"] = 7
    assert any("Invalid value" in each for each in faults(found))


@pytest.mark.parametrize(
    ("service", "slices", "reason"),
    [
        (None, [], "ServiceNotFound"),
        ({"spec": {"type": "ClusterIP", "ports": [{"port": 443}]}}, [READY], "ServicePortError"),
        (SERVICE, [], "EndpointsNotFound"),
        (SERVICE, [{**READY, "endpoints": []}], "MissingEndpoints"),
        (SERVICE, [{**READY, "endpoints": [{"conditions": {"ready": False}}]}], "MissingEndpoints"),
        (SERVICE, [{**READY, "ports": [{"name": "http", "port": 80}]}], "MissingEndpoints"),
        (SERVICE, [{**READY, "endpoints": []}, READY], "Passed"),
        ({"spec": {"type": "ExternalName"}}, [], "Passed"),
    ],
)
def test_a_service_is_asked_only_where_it_could_answer(
    service: Json | None, slices: list[Json], reason: str
) -> None:
    status, found, _ = availability.verdict(REFERENCE, service, slices)
    assert (found, status) == (reason, "True" if reason == "Passed" else "False")


def test_each_group_version_has_its_api_service_but_that_of_api_services() -> None:
    found = local.built_in_services(kinds.SERVED)
    versions = {(each.group, each.version) for each in kinds.SERVED if each.group != "apiregistration.k8s.io"}
    assert {(each["spec"].get("group", ""), each["spec"]["version"]) for each in found.values()} == versions
    assert {"v1.", "v1.apps", "v2.autoscaling"} <= found.keys()


def test_defined_groups_have_one_for_each_served_version() -> None:
    versions = [{"name": "v1", "served": True}, {"name": "v2", "served": False}]
    definition = {"spec": {"group": "g.example.com", "versions": versions}}
    assert local.defined_service("v1.g.example.com", [definition]) is not None
    assert local.defined_service("v2.g.example.com", [definition]) is None
    assert local.defined_service("v1.other.example.com", [definition]) is None


def attributes_class(**fields: Any) -> Json:
    body = {"metadata": {"name": "a"}, "driverName": "d.example.com", "parameters": {"k": "v"}, **fields}
    return made("storage.k8s.io/v1", "VolumeAttributesClass", body)


def test_classes_of_volume_attributes() -> None:
    found = attributes_class()
    assert faults(found) == []
    assert faults(attributes_class(driverName="", parameters={})) == [
        "driverName: Required value",
        "parameters: Required value: must contain at least one key/value pair",
    ]
    assert faults(attributes_class(driverName="other", parameters={"k": "w"}), found) == [
        "driverName: Forbidden: updates to driverName are forbidden.",
        "parameters: Forbidden: updates to parameters are forbidden.",
    ]


def claim(**devices: Any) -> Json:
    body = {"metadata": {"name": "c", "namespace": "default"}, "spec": {"devices": devices}}
    return made("resource.k8s.io/v1", "ResourceClaim", body)


def test_claims_of_devices() -> None:
    request = {"name": "gpu", "exactly": {"deviceClassName": "gpu.example.com"}}
    found = claim(requests=[request])
    assert found["spec"]["devices"]["requests"][0]["exactly"]["count"] == 1
    assert faults(found) == []
    constraint = {"requests": ["nope"], "matchAttribute": "example.com/a"}
    unknown = faults(claim(requests=[request], constraints=[constraint]))
    assert any("spec.devices.constraints[0].requests[0]" in each for each in unknown)
    assert any("Duplicate" in each for each in faults(claim(requests=[request, request])))
    changed = claim(requests=[{**request, "name": "other"}])
    assert any("field is immutable" in each for each in faults(changed, found))


def test_what_is_served_elsewhere_is_told_or_stale() -> None:
    specs = [{"group": "g.example.com", "version": "v2"}, {"group": "g.example.com", "version": "v1"}]
    assert elsewhere.group(specs)["preferredVersion"] == {"groupVersion": "g.example.com/v2", "version": "v2"}
    resources = [
        {"name": "things", "namespaced": True, "kind": "Thing", "verbs": ["get"], "shortNames": ["th"]},
        {"name": "things/status", "kind": "Thing", "verbs": ["get"]},
        {"name": "nobody/status", "kind": "Thing", "verbs": ["get"]},
        "nonsense",
    ]
    told, stale = elsewhere.aggregated(specs, {"v2": elsewhere.Told({"resources": resources})})["versions"]
    assert [told["freshness"], stale["freshness"], stale["resources"]] == ["Current", "Stale", []]
    (thing,) = told["resources"]
    assert (thing["resource"], thing["scope"], thing["shortNames"]) == ("things", "Namespaced", ["th"])
    assert [part["subresource"] for part in thing["subresources"]] == ["status"]
