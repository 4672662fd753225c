"""Which number a Pod gets from the name of its class."""

from __future__ import annotations

from typing import Any

import pytest

from services.api import core_v1, scheduling_v1
from services.api.errors import ApiError
from services.api.kinds import resource_of
from services.apiserver.rules import priority_admission
from tests.golden.rules_world import World

Json = dict[str, Any]
PODS, CLASSES = resource_of(core_v1.Pod), resource_of(scheduling_v1.PriorityClass)


def class_(name: str, value: int, **more: Any) -> Json:
    return {"metadata": {"name": name}, "value": value, "preemptionPolicy": "PreemptLowerPriority", **more}


def pod(**spec: Any) -> Json:
    return {"metadata": {"name": "p"}, "spec": spec}


def completed(world: World, **spec: Any) -> Json:
    obj = pod(**spec)
    priority_admission.complete(PODS, obj, world)
    found: Json = obj["spec"]
    return found


def test_a_pod_gets_the_number_of_its_class() -> None:
    world = World()
    world.put("PriorityClass", class_("high", 7, preemptionPolicy="Never"))
    assert completed(world, priorityClassName="high") == {
        "priorityClassName": "high",
        "priority": 7,
        "preemptionPolicy": "Never",
    }
    assert completed(world, priorityClassName="system-node-critical")["priority"] == 2_000_001_000
    assert completed(world) == {"priority": 0, "preemptionPolicy": "PreemptLowerPriority"}
    for wrong in ({"priorityClassName": "nope"}, {"priority": 5}, {"preemptionPolicy": "Never"}):
        with pytest.raises(ApiError):
            completed(world, **wrong)


def test_the_default_class_counts_where_none_is_named_and_there_is_only_one() -> None:
    world = World()
    world.put("PriorityClass", class_("usual", 3, globalDefault=True))
    assert completed(world)["priorityClassName"] == "usual"
    assert completed(world)["priority"] == 3
    priority_admission.only_default(CLASSES, class_("usual", 3, globalDefault=True), world)
    priority_admission.only_default(CLASSES, class_("other", 4), world)
    with pytest.raises(ApiError, match="Only one default can exist"):
        priority_admission.only_default(CLASSES, class_("other", 4, globalDefault=True), world)
