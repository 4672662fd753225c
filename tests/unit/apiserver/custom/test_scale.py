"""A Scale of a custom object, and what is no Scale."""

from __future__ import annotations

from typing import Any

import pytest

from services.api.errors import ApiError
from services.api.kinds import resource_of_kind
from services.apiserver.registry import scale

Json = dict[str, Any]
PATHS = scale.Paths(".spec.size", ".status.size", ".status.selector")
META: Json = {"name": "a", "namespace": "default", "uid": "u"}


def test_is_read_where_the_definition_says() -> None:
    obj = {"metadata": META, "spec": {"size": 3}, "status": {"size": 2, "selector": "a=b"}}
    made = scale.of(obj, 7, PATHS)
    assert (made["spec"], made["status"]) == ({"replicas": 3}, {"replicas": 2, "selector": "a=b"})
    assert made["metadata"]["resourceVersion"] == "7"


def test_is_written_there_though_nothing_was() -> None:
    obj: Json = {"metadata": META}
    scale.set_replicas(obj, 4, PATHS)
    assert obj["spec"] == {"size": 4}


@pytest.mark.parametrize("obj", [{"spec": True}, {"spec": {"size": "many"}}, {"spec": {"size": None}}])
def test_another_thing_in_its_place_is_told(obj: Json) -> None:
    with pytest.raises(ApiError, match="accessor error"):
        scale.set_replicas(obj, 1, PATHS)
    with pytest.raises(ApiError, match="accessor error"):
        scale.of({"metadata": META, **obj}, 1, PATHS)


@pytest.mark.parametrize("part", ["metadata", "spec"])
def test_parts_that_are_no_objects_are_refused(part: str) -> None:
    deployments = resource_of_kind("apps/v1", "Deployment")
    assert deployments is not None
    given = {"apiVersion": "autoscaling/v1", "kind": "Scale", part: "x"}
    with pytest.raises(ApiError, match=rf"cannot unmarshal string into Go struct field Scale\.{part}"):
        scale.check(deployments, given, "web")
