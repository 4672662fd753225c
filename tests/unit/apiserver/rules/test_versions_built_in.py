"""Kinds that are served in two versions: nothing is lost on the way, and each says what it can say itself."""

from __future__ import annotations

import copy
from random import Random
from typing import Any

import pytest

from services.api import kinds
from services.api.errors import ApiError
from services.apiserver.rules import autoscaling_versions, event_versions
from services.apiserver.rules.defaults_autoscaling import autoscaler
from services.apiserver.rules.versions import rules_of
from services.machinery.field_errors import Causes
from services.machinery.schema import schema_of
from tests.unit.apiserver.rules.test_anything import anything

Json = dict[str, Any]
CPU = {
    "type": "Resource",
    "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 7}},
}
MEMORY = {
    "type": "Resource",
    "resource": {"name": "memory", "target": {"type": "AverageValue", "averageValue": "1Gi"}},
}


def scaler(**spec: Any) -> Json:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "w"}
    made = {
        "metadata": {"name": "h", "namespace": "default", "annotations": {"mine": "kept"}},
        "spec": {"scaleTargetRef": target, "maxReplicas": 3, **spec},
        "status": {"currentMetrics": None, "desiredReplicas": 0},
    }
    autoscaler(made)
    return made


def test_what_the_old_version_knows_it_says_itself() -> None:
    shown = autoscaling_versions.from_stored(scaler(metrics=[CPU]))
    assert shown["spec"]["targetCPUUtilizationPercentage"] == 7
    assert shown["metadata"]["annotations"] == {"mine": "kept"}


def test_the_rest_travels_in_annotations() -> None:
    rules = {"scaleDown": {"stabilizationWindowSeconds": 5}}
    shown = autoscaling_versions.from_stored(scaler(metrics=[MEMORY, CPU], behavior=rules))
    annotations = shown["metadata"]["annotations"]
    assert annotations["autoscaling.alpha.kubernetes.io/metrics"] == (
        '[{"type":"Resource","resource":{"name":"memory","targetAverageValue":"1Gi"}}]'
    )
    assert annotations["autoscaling.alpha.kubernetes.io/behavior"].startswith(
        '{"ScaleUp":{"StabilizationWindowSeconds":0,"SelectPolicy":"Max","Policies":[{"Type":"Pods","Value":4,'
    )
    assert autoscaling_versions.to_stored(shown) == scaler(metrics=[MEMORY, CPU], behavior=rules)


def test_unreadable_annotations_are_passed_over() -> None:
    shown = autoscaling_versions.from_stored(scaler(metrics=[CPU]))
    shown["metadata"]["annotations"]["autoscaling.alpha.kubernetes.io/metrics"] = "no JSON"
    assert autoscaling_versions.to_stored(shown) == scaler(metrics=[CPU])


PREFIX = "autoscaling.alpha.kubernetes.io/"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("behavior", '{"ScaleUp":5}'),
        ("behavior", '{"ScaleUp":{"Policies":5}}'),
        ("behavior", '{"ScaleUp":{"Policies":[5,{"Type":4,"Value":"x"}]}}'),
        ("behavior", '{"ScaleUp":{"Policies":' * 450 + "1" + "}}" * 450),
        ("metrics", '[{"type":5}]'),
        ("metrics", '[{"type":"Pods","pods":5}]'),
        ("metrics", '[{"type":"Pods","pods":{"metricName":5,"targetAverageValue":"1"}}]'),
        ("metrics", '[{"type":"Pods","pods":{"metricName":"m","targetAverageValue":"zz"}}]'),
        ("metrics", '[{"type":"Resource","resource":{"name":"m","targetAverageUtilization":"80"}}]'),
        ("current-metrics", '[{"type":[]}]'),
        ("conditions", '[{"type":"A","status":"True","lastTransitionTime":"noon"}]'),
    ],
)
def test_annotations_of_another_form_are_passed_over(name: str, text: str) -> None:
    """Anybody may write them; what they hold must not get into an object unseen."""
    old = autoscaling_versions.from_stored(scaler())
    old["metadata"]["annotations"][PREFIX + name] = text
    assert autoscaling_versions.to_stored(old) == scaler()


@pytest.mark.parametrize("seed", range(60))
def test_no_autoscaler_loses_anything(seed: int) -> None:
    schema, resource = (
        schema_of("autoscaling/v2", "HorizontalPodAutoscaler"),
        kinds.resource_named("autoscaling", "v2", "horizontalpodautoscalers"),
    )
    assert schema is not None
    assert resource is not None
    strategy = rules_of(resource)
    try:
        obj = strategy.decode_object({**anything(schema, Random(seed)), "kind": resource.kind}).obj
    except ApiError:
        return
    strategy.default(obj)
    before = copy.deepcopy(obj)
    shown = autoscaling_versions.from_stored(obj)
    assert obj == before, "what is stored is not touched"
    once = autoscaling_versions.to_stored(shown)
    assert autoscaling_versions.to_stored(autoscaling_versions.from_stored(once)) == once


def event(**fields: Any) -> Json:
    return {"metadata": {"name": "e"}, "involvedObject": {}, "source": {}, "reportingComponent": "",
            "reportingInstance": "", "eventTime": None, **fields}  # fmt: skip


def test_events_bear_other_names() -> None:
    stored = event(message="m", count=2, reportingComponent="c")
    shown = event_versions.from_stored(stored)
    assert (shown["note"], shown["deprecatedCount"], shown["reportingController"]) == ("m", 2, "c")
    assert "reportingInstance" not in shown
    assert event_versions.to_stored(shown) == stored


def test_new_events_may_not_say_what_is_old() -> None:
    resource = kinds.resource_named("events.k8s.io", "v1", "events")
    assert resource is not None
    out: Causes = rules_of(resource).validate_create(event_versions.from_stored({
        **event(type="Normal", eventTime="2026-11-21T12:00:00.000000Z", action="A", reason="R", count=1,
                reportingComponent="a/b", reportingInstance="i"),
        "metadata": {"name": "e", "namespace": "default"},
    }))  # fmt: skip
    assert [each["field"] for each in out] == ["count"]
