"""Jobs, and all that runs Pods to an end or one a node: what is refused, and what is filled in."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from services.api.errors import ApiError
from services.api.kinds import resource_of_kind
from services.apiserver.rules.strategy import strategy_for
from services.apiserver.rules.validation.job_policies import intervals
from services.apiserver.rules.validation.job_status import job_status_update
from services.machinery.field_errors import Causes
from tests.golden.rules_world import World

Json = dict[str, Any]
POD = {"containers": [{"name": "c", "image": "a:1"}], "restartPolicy": "Never"}
THEN, LATER = "2026-11-21T12:00:00Z", "2026-11-21T12:00:09Z"


def made(api_version: str, kind: str, spec: Json, name: str = "w", **metadata: Any) -> Json:
    """As it would be stored."""
    resource = resource_of_kind(api_version, kind)
    assert resource is not None
    strategy = strategy_for(resource)
    meta = {"name": name, "namespace": "default", "uid": "u-1", **metadata}
    obj = strategy.decode(orjson.dumps({"metadata": meta, "spec": spec}), "Strict").obj
    strategy.default(obj)
    strategy.prepare_create(obj, World())
    return obj


def faults(obj: Json, old: Json | None = None, subresource: str = "") -> list[str]:
    resource = resource_of_kind(obj["apiVersion"], obj["kind"])
    assert resource is not None
    strategy = strategy_for(resource, subresource)
    found = strategy.validate_create(obj) if old is None else strategy.validate_update(obj, old)
    return [f"{each['field']}: {each['message']}" for each in found]


def copy(obj: Json) -> Json:
    copied: Json = orjson.loads(orjson.dumps(obj))
    return copied


def job(**spec: Any) -> Json:
    return made("batch/v1", "Job", {"template": {"spec": POD}, **spec})


def test_a_job_selects_its_pods_by_its_own_uid() -> None:
    found = job()
    assert found["spec"]["selector"]["matchLabels"] == {"batch.kubernetes.io/controller-uid": "u-1"}
    labels = found["spec"]["template"]["metadata"]["labels"]
    assert labels["job-name"] == labels["batch.kubernetes.io/job-name"] == "w"
    assert found["metadata"]["labels"] == labels
    assert faults(found) == []


def test_labels_of_its_own_stay_as_they_are() -> None:
    found = made("batch/v1", "Job", {"template": {"spec": POD}}, labels={"a": "b"})
    assert found["metadata"]["labels"] == {"a": "b"}


def test_a_manual_selector_is_left_alone() -> None:
    template = {"metadata": {"labels": {"a": "b"}}, "spec": POD}
    found = job(manualSelector=True, selector={"matchLabels": {"a": "b"}}, template=template)
    assert found["spec"]["selector"] == {"matchLabels": {"a": "b"}}
    assert faults(found) == []


@pytest.mark.parametrize(
    ("spec", "wanted"),
    [
        (
            {"completionMode": "Indexed", "completions": None, "parallelism": 1},
            ["spec.completions: Required value: when completion mode is Indexed"],
        ),
        (
            {"backoffLimitPerIndex": 1},
            ["spec.backoffLimitPerIndex: Invalid value: 1: requires indexed completion mode"],
        ),
        (
            {"successPolicy": {"rules": [{"succeededCount": 1}]}},
            [
                'spec.successPolicy: Invalid value: {"rules":[{"succeededCount":1}]}:'
                " requires indexed completion mode"
            ],
        ),
        (
            {
                "completionMode": "Indexed",
                "completions": 3,
                "successPolicy": {"rules": [{"succeededIndexes": "2,1"}]},
            },
            [
                'spec.successPolicy.rules[0].succeededIndexes: Invalid value: "2,1":'
                " error parsing succeededIndexes: non-increasing order, previous: 2, current: 1"
            ],
        ),
        (
            {"podFailurePolicy": {"rules": [{"action": "Count"}]}},
            [
                "spec.podFailurePolicy.rules[0]: Invalid value:"
                " specifying one of OnExitCodes and OnPodConditions is required"
            ],
        ),
        (
            {"managedBy": "me"},
            ['spec.managedBy: Invalid value: "me": must be a domain-prefixed path (such as "acme.io/foo")'],
        ),
    ],
)
def test_refused(spec: Json, wanted: list[str]) -> None:
    assert faults(job(**spec)) == wanted


def changed(old: Json, **pod: Any) -> Json:
    """The Job with another Pod in its template."""
    new = copy(old)
    new["spec"]["template"]["spec"] |= pod
    return new


def test_a_suspended_job_that_never_started_may_be_sent_elsewhere() -> None:
    old = job(suspend=True)
    assert faults(changed(old, nodeSelector={"a": "b"}), old) == []
    away = changed(old, affinity={"nodeAffinity": {}})
    assert faults(away, old) == faults(old, away) == []
    old["status"] = {"startTime": THEN}
    new = changed(old, nodeSelector={"a": "b"})
    assert [each.partition(":")[0] for each in faults(new, old)] == ["spec.template"]


def test_a_suspended_job_without_pods_may_be_given_other_resources() -> None:
    old = job(suspend=True)
    more = {**old["spec"]["template"]["spec"]["containers"][0], "resources": {"requests": {"cpu": "4"}}}
    new = changed(old, containers=[more])
    assert faults(new, old) == []
    suspended = {"startTime": THEN, "conditions": [{"type": "Suspended", "status": "True"}]}
    assert faults(new, {**old, "status": suspended}) == []
    for status in ({"startTime": THEN}, {"active": 1}, {**suspended, "active": 1}):
        found = faults(new, {**old, "status": status})
        assert [each.partition(":")[0] for each in found] == ["spec.template"], status
    other = changed(old, containers=[{**more, "image": "a:2"}])
    assert [each.partition(":")[0] for each in faults(other, old)] == ["spec.template.spec"]
    old["spec"]["suspend"] = False
    assert [each.partition(":")[0] for each in faults(new, old)] == ["spec.template"]


def finished(**status: Any) -> Json:
    found = job()
    conditions = [{"type": kind, "status": "True"} for kind in ("SuccessCriteriaMet", "Complete")]
    found["status"] = {"startTime": THEN, "completionTime": LATER, "conditions": conditions, **status}
    return found


def told(new: Json, old: Json) -> list[str]:
    out: Causes = []
    job_status_update(new, old, out)
    return [each["message"].partition(": ")[2] for each in out]


def test_a_status_tells_one_story() -> None:
    fresh = job()
    assert told(finished(succeeded=1), fresh) == []
    assert told(finished(completionTime=None), fresh) == ["completionTime is required for Complete jobs"]
    assert told(finished(active=1), fresh) == ["1: active>0 is invalid for finished job"]
    early = finished(startTime=LATER, completionTime=THEN)
    assert told(early, fresh) == ['"2026-11-21T12:00:00Z": must be equal to or after `startTime`']


def test_a_status_only_goes_forward() -> None:
    assert told(finished(), finished(failed=2)) == ["0: cannot decrease the failed counter"]
    back = told({**finished(), "status": {"startTime": THEN}}, finished())
    assert "cannot disable the terminal Complete=True condition" in back


def test_an_index_does_not_both_succeed_and_fail() -> None:
    old = job(completionMode="Indexed", completions=100_000, parallelism=1, backoffLimitPerIndex=1)
    even, odd = (",".join(str(index) for index in range(first, 100_000, 2)) for first in (0, 1))
    assert told({**old, "status": {"completedIndexes": even, "failedIndexes": odd}}, old) == []
    both = {"completedIndexes": "0-3,x,7", "failedIndexes": "5,7-9"}
    wanted = '"5,7-9": failedIndexes and completedIndexes overlap at index: 7'
    assert wanted in told({**old, "status": both}, old)


def test_what_a_status_keeps() -> None:
    later = finished(completionTime="2026-11-21T12:00:11Z")
    assert told(later, finished()) == ['"2026-11-21T12:00:11Z": field is immutable']
    uncounted = finished(uncountedTerminatedPods={"succeeded": ["u"]})
    assert told(uncounted, job()) == ['{"succeeded":["u"]}: must be empty for finished job']


def test_lists_of_indexes() -> None:
    assert intervals("0,2-4,7", 10) == [(0, 0), (2, 4), (7, 7)]
    for text, why in (
        ("x", "cannot convert"),
        ("9", "too large"),
        ("1-2-3", "at most two parts"),
        ("3-3", "non-incr"),
    ):
        with pytest.raises(ValueError, match=why):
            intervals(text, 9)


@pytest.mark.parametrize("field", ["replicas", "readyReplicas"])
def test_a_count_below_zero_is_refused_whatever_else_is_said(field: str) -> None:
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {**POD, "restartPolicy": "Always"}}
    spec = {"selector": {"matchLabels": {"a": "b"}}, "template": template}
    old = made("apps/v1", "StatefulSet", spec)
    new = copy(old)
    new["status"] = {field: -1}
    assert faults(new, old, "status")[0] == (
        f"status.{field}: Invalid value: -1: must be greater than or equal to 0"
    )


LONG = "9" * 5000  # longer than any number that Python reads


def test_numbers_of_any_length_are_refused_in_words() -> None:
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {**POD, "restartPolicy": "Always"}}
    spec = {"selector": {"matchLabels": {"a": "b"}}, "template": template}
    rolling = {"rollingUpdate": {"maxUnavailable": f"{LONG}%"}}
    for found in (
        made("apps/v1", "Deployment", {**spec, "strategy": rolling}),
        made("apps/v1", "DaemonSet", {**spec, "updateStrategy": rolling}),
        made("policy/v1", "PodDisruptionBudget", {"minAvailable": f"{LONG}%"}),
    ):
        assert [each.rpartition(": ")[2] for each in faults(found)] == ["must not be greater than 100%"]
    costly = made("v1", "Pod", POD, annotations={"controller.kubernetes.io/pod-deletion-cost": LONG})
    assert [each.rpartition(": ")[2] for each in faults(costly)] == ["must be a 32bit integer"]
    for bad in ({"firstTimestamp": "\u00b2026-11-21T12:00:00Z"},):
        event = resource_of_kind("v1", "Event")
        assert event is not None
        with pytest.raises(ApiError, match="cannot parse"):
            strategy_for(event).decode(orjson.dumps(bad))


def test_daemon_sets_count_the_changes_of_their_template() -> None:
    spec = {"selector": {"matchLabels": {"a": "b"}}}
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {**POD, "restartPolicy": "Always"}}
    old = made("apps/v1", "DaemonSet", {**spec, "template": template})
    resource = resource_of_kind("apps/v1", "DaemonSet")
    assert resource is not None
    strategy, new = strategy_for(resource), copy(old)
    new["spec"]["template"]["spec"]["containers"][0]["image"] = "a:2"
    strategy.prepare_update(new, old, World())
    key = "deprecated.daemonset.template.generation"
    assert (old["metadata"]["annotations"][key], new["metadata"]["annotations"][key]) == ("1", "2")
    assert new["metadata"]["generation"] == 2
    with pytest.raises(ApiError, match=r"strconv\.ParseInt"):
        made("apps/v1", "DaemonSet", {**spec, "template": template}, annotations={key: "x"})


def stateful(**spec: Any) -> Json:
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {**POD, "restartPolicy": "Always"}}
    return made(
        "apps/v1",
        "StatefulSet",
        {"selector": {"matchLabels": {"a": "b"}}, "serviceName": "s", "template": template, **spec},
    )


def test_stateful_sets() -> None:
    old = stateful()
    assert faults(old) == []
    new = copy(old)
    new["spec"] |= {"replicas": 3, "minReadySeconds": 5, "revisionHistoryLimit": 2}
    assert faults(new, old) == []
    new["spec"]["serviceName"] = "other"
    assert [each.partition(":")[0] for each in faults(new, old)] == ["spec"]
    assert faults(
        stateful(updateStrategy={"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0}})
    ) == ["spec.updateStrategy.rollingUpdate.maxUnavailable: Invalid value: 0: cannot be 0"]


def test_the_volumes_of_a_stateful_set_are_those_of_its_claims_too() -> None:
    claims = [{"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"],
               "resources": {"requests": {"storage": "1Gi"}}}}]  # fmt: skip
    pod = {**POD, "restartPolicy": "Always"}
    pod["containers"] = [{"name": "c", "image": "a", "volumeMounts": [{"name": "data", "mountPath": "/d"}]}]
    template = {"metadata": {"labels": {"a": "b"}}, "spec": pod}
    assert faults(stateful(volumeClaimTemplates=claims, template=template)) == []
    assert faults(stateful(template=template)) != []


def test_cron_jobs_keep_a_time_zone_that_they_had_in_their_schedule() -> None:
    spec = {"schedule": "* * * * *", "jobTemplate": {"spec": {"template": {"spec": POD}}}}
    old = made("batch/v1", "CronJob", spec)
    assert faults(old) == []
    new = copy(old)
    new["spec"]["schedule"] = "TZ=UTC * * * * *"
    assert len(faults(new, old)) == 1
    old["spec"]["schedule"] = "TZ=UTC 0 * * * *"
    assert faults(new, old) == []
    new["spec"]["timeZone"] = "Local"
    assert len(faults(new, old)) == 2
