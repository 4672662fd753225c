"""What the server says it serves, item by item, against the documents recorded from a real server.

Only resources and subresources that are served here are compared; what upstream has besides is listed at the
end, so that the list cannot grow unnoticed.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from services.apiserver.fronts.discovery import version_document
from services.apiserver.fronts.rest import discovery
from services.apiserver.fronts.rest.about import root_paths, wants_aggregated

Json = dict[str, Any]
GOLDEN = Path(os.environ.get("ORRERY_GOLDEN", Path(__file__).parents[2] / ".." / "shared" / "golden"))
DISCOVERY = GOLDEN / "discovery"
if not DISCOVERY.is_dir():
    pytest.skip(f"no golden data at {GOLDEN}", allow_module_level=True)

LISTS = discovery.every_list()


def recorded(name: str) -> Any:
    return json.loads((DISCOVERY / f"{name}.json").read_text())


@pytest.mark.parametrize("ours", LISTS, ids=[each["groupVersion"] for each in LISTS])
def test_resources(ours: Json) -> None:
    group, _, version = ours["groupVersion"].rpartition("/")
    theirs = recorded(f"resources_apis_{group}_{version}" if group else f"resources_api_{version}")
    expected = {each["name"]: each for each in theirs["resources"]}
    for each in ours["resources"]:
        assert each == expected[each["name"]]
    head = {key: value for key, value in ours.items() if key != "resources"}
    assert head == {key: value for key, value in theirs.items() if key != "resources"}
    names = [each["name"] for each in ours["resources"]]
    assert names == sorted(names)


@pytest.mark.parametrize("name", discovery.group_names())
def test_group(name: str) -> None:
    ours, theirs = discovery.one_group(name), recorded(f"group_{name}")
    assert ours is not None
    served = {each["version"] for each in ours["versions"]}
    theirs["versions"] = [each for each in theirs["versions"] if each["version"] in served]
    theirs["preferredVersion"] = theirs["versions"][0]
    assert ours == theirs


def test_groups_come_in_upstreams_order() -> None:
    theirs = [each["name"] for each in recorded("apis")["groups"]]
    names = discovery.group_names()
    assert names == [name for name in theirs if name in names]


def test_the_versions_of_the_core_group() -> None:
    ours, theirs = discovery.legacy_versions("192.0.2.2:26440"), recorded("api")
    assert ours == theirs


@pytest.mark.parametrize("legacy", [True, False])
def test_aggregated(legacy: bool) -> None:
    ours = discovery.aggregated(legacy)
    theirs = recorded("aggregated_api" if legacy else "aggregated_apis")
    assert {**ours, "items": []} == {**theirs, "items": []}
    expected = {each["metadata"].get("name", ""): each for each in theirs["items"]}
    for item in ours["items"]:
        group = expected[item["metadata"].get("name", "")]
        assert item["metadata"] == group["metadata"]
        versions = {each["version"]: each for each in group["versions"]}
        for version in item["versions"]:
            resources = {each["resource"]: each for each in versions[version["version"]]["resources"]}
            assert version["freshness"] == "Current"
            for resource in version["resources"]:
                _compare_aggregated(resource, resources[resource["resource"]])


def _compare_aggregated(ours: Json, theirs: Json) -> None:
    assert {**ours, "subresources": []} == {**theirs, "subresources": []}
    expected = {each["subresource"]: each for each in theirs.get("subresources", ())}
    for part in ours.get("subresources", ()):
        assert part == expected[part["subresource"]]


def test_version_has_upstreams_fields() -> None:
    ours, theirs = version_document(), recorded("version")
    assert set(ours) == set(theirs)
    built_elsewhere = {"buildDate", "compiler", "gitCommit", "goVersion", "platform"}
    for name in set(ours) - built_elsewhere:
        assert ours[name] == theirs[name]


def test_root_paths_are_upstreams() -> None:
    ours = set(root_paths())
    # etcd and the informers are checked under more of the paths here than upstream.
    assert ours - set(recorded("root_paths")["paths"]) <= {"/readyz/etcd"}


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        ("", False),
        ("application/json", False),
        ("application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json", True),
        ("application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json", False),
        ("application/json; as=APIGroupDiscoveryList; v=v2; g=apidiscovery.k8s.io", True),
        (
            "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList;q=0.1,application/json",
            False,
        ),
        ("application/json;g=other;v=v2;as=APIGroupDiscoveryList", False),
    ],
)
def test_the_aggregated_document_goes_to_those_who_ask_for_it(accept: str, wanted: bool) -> None:
    assert wants_aggregated(accept) is wanted
