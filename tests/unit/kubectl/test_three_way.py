"""The patch of `apply`: only what the user changed."""

from __future__ import annotations

from typing import Any

import pytest

from services.kubectl import three_way
from services.machinery.patch.strategic import strategic_merge
from services.machinery.schema.schema import schema_of

DEPLOYMENT = schema_of("apps/v1", "Deployment")
CONFIG_MAP = schema_of("v1", "ConfigMap")


def deployment(**container: Any) -> dict[str, Any]:
    return {"spec": {"template": {"spec": {"containers": [{"name": "c", **container}]}}}}


def containers(patch: dict[str, Any]) -> Any:
    return patch["spec"]["template"]["spec"]["containers"]


def test_nothing_to_do() -> None:
    state = deployment(image="app:1")
    live = deployment(image="app:1", imagePullPolicy="Always")
    assert three_way.patch(state, state, live, DEPLOYMENT) == {}


def test_changed_added_and_removed_keys() -> None:
    original = {"data": {"a": "1", "b": "2"}}
    modified = {"data": {"b": "3", "c": "4"}}
    live = {"data": {"a": "1", "b": "2", "other": "kept"}}
    patch = three_way.patch(original, modified, live, CONFIG_MAP)
    assert patch == {"data": {"a": None, "b": "3", "c": "4"}}


def test_a_key_that_others_removed_already_is_not_removed_again() -> None:
    assert three_way.patch({"data": {"a": "1"}}, {"data": {}}, {"data": {}}, CONFIG_MAP) == {}


def test_lists_merge_by_name() -> None:
    original = deployment(image="app:1", env=[{"name": "A", "value": "1"}])
    modified = deployment(image="app:2", env=[{"name": "B", "value": "2"}])
    live = deployment(image="app:1", env=[{"name": "A", "value": "1"}], imagePullPolicy="Always")
    assert DEPLOYMENT is not None
    patch = three_way.patch(original, modified, live, DEPLOYMENT)
    assert containers(patch) == [
        {
            "name": "c",
            "image": "app:2",
            "$setElementOrder/env": [{"name": "B"}],
            "env": [{"name": "B", "value": "2"}, {"$patch": "delete", "name": "A"}],
        }
    ]
    merged = strategic_merge(live, patch, DEPLOYMENT)
    assert containers(merged) == [
        {"name": "c", "image": "app:2", "env": [{"name": "B", "value": "2"}], "imagePullPolicy": "Always"}
    ]


@pytest.mark.parametrize("strategy", [{"type": "Recreate"}])
def test_retained_keys_drop_what_the_other_type_needs(strategy: dict[str, Any]) -> None:
    live = {"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}}
    patch = three_way.patch({}, {"spec": {"strategy": strategy}}, live, DEPLOYMENT)
    assert patch["spec"]["strategy"] == {"type": "Recreate", "$retainKeys": ["type"]}
