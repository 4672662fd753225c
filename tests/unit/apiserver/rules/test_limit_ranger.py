"""LimitRanger beyond the recorded cases: init containers, sums over a Pod, claims, and what says nothing."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from services.api import kinds
from services.api.core_v1 import PersistentVolumeClaim, Pod
from services.api.errors import ApiError
from services.apiserver.rules import admission
from tests.unit.apiserver.rules.world import World, create

Json = dict[str, Any]


def world(*limits: Json) -> World:
    made = World()
    found = {"metadata": {"name": "l", "namespace": "default"}, "spec": {"limits": [*limits]}}
    made.objects["LimitRange", "default", "l"] = found
    return made


def pod(containers: list[Json], **spec: Any) -> bytes:
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}}
    return orjson.dumps({**body, "spec": {"containers": containers, **spec}})


def container(name: str = "c", **resources: Any) -> Json:
    return {"name": name, "image": "app:1", "resources": resources}


def refused(body: bytes, seen: World, kind: Any = Pod) -> str:
    with pytest.raises(ApiError) as error:
        create(kind, body, seen)
    assert error.value.code == 403
    return error.value.message.partition("is forbidden: ")[2]


def test_init_containers_get_defaults_too() -> None:
    seen = world({"type": "Container", "default": {"cpu": "2"}, "defaultRequest": {"cpu": "1"}})
    made = create(Pod, pod([container()], initContainers=[container("i", limits={"cpu": "3"})]), seen)
    wanted = {"requests": {"cpu": "1"}, "limits": {"cpu": "2"}}
    assert made["spec"]["containers"][0]["resources"] == wanted
    assert made["spec"]["initContainers"][0]["resources"]["limits"] == {"cpu": "3"}
    note = made["metadata"]["annotations"]["kubernetes.io/limit-ranger"]
    assert note.startswith("LimitRanger plugin set: cpu request for container c; cpu limit for container c")


def test_a_pod_is_judged_by_its_sum() -> None:
    seen = world({"type": "Pod", "max": {"memory": "1Gi"}})
    both = [container(name, limits={"memory": "600Mi"}) for name in "ab"]
    assert refused(pod(both), seen) == "maximum memory usage per Pod is 1Gi, but limit is 1200Mi"
    create(Pod, pod(both[:1], initContainers=[container("i", limits={"memory": "1Gi"})]), seen)
    assert refused(pod([container()]), seen) == "maximum memory usage per Pod is 1Gi.  No limit is specified"


def test_what_must_be_asked_for() -> None:
    seen = world({"type": "Container", "min": {"cpu": "1"}, "maxLimitRequestRatio": {"memory": "2"}})
    assert refused(pod([container()]), seen) == (
        "[minimum cpu usage per Container is 1.  No request is specified, memory max limit to request ratio"
        " per Container is 2, but no request is specified or request is 0]"
    )


def test_claims_and_nothing_else() -> None:
    seen = world({"type": "PersistentVolumeClaim", "min": {"storage": "1Gi"}, "max": {"storage": "2Gi"}})
    body = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "c"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "3Gi"}}},
    }
    why = "maximum storage usage per PersistentVolumeClaim is 2Gi, but request is 3Gi"
    assert refused(orjson.dumps(body), seen, PersistentVolumeClaim) == why
    create(Pod, pod([container()]), seen)


def test_reports_and_what_is_being_deleted_are_not_judged() -> None:
    seen = world({"type": "PersistentVolumeClaim", "max": {"storage": "2Gi"}})
    target = kinds.resource_of(PersistentVolumeClaim)
    old: Json = {
        "metadata": {"name": "c", "namespace": "default"},
        "spec": {"resources": {"requests": {"storage": "3Gi"}}},
    }
    admission.validate("update", target, "status", old, old, seen)
    gone = {**old, "metadata": {**old["metadata"], "deletionTimestamp": "2026-11-21T12:00:00Z"}}
    admission.validate("update", target, "", gone, {**gone, "status": {}}, seen)
    with pytest.raises(ApiError):
        admission.validate("update", target, "", old, {**old, "status": {}}, seen)


def test_without_limits_nothing_is_said() -> None:
    assert "annotations" not in create(Pod, pod([container()]))["metadata"]
