"""READY, STATUS and RESTARTS: one word for many containers."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from services.apiserver.tables import pods

NOW = datetime(2026, 1, 1, 0, 10, tzinfo=UTC)


def pod(*statuses: dict[str, Any], spec: Any = None, deleted: bool = False, **status: Any) -> dict[str, Any]:
    metadata = {"name": "kubia", "creationTimestamp": "2026-01-01T00:00:00Z"}
    if deleted:
        metadata["deletionTimestamp"] = "2026-01-01T00:09:00Z"
    containers = [{"name": str(index)} for index, _ in enumerate(statuses)]
    named = [{"name": str(index), **entry} for index, entry in enumerate(statuses)]
    return {
        "metadata": metadata,
        "spec": {"containers": containers, **(spec or {})},
        "status": {"phase": "Running", "containerStatuses": named, **status},
    }


RUNNING = {"ready": True, "state": {"running": {}}}
DONE = {"state": {"terminated": {"exitCode": 0, "reason": "Completed"}}}
CRASHED = {
    "restartCount": 5,
    "state": {"waiting": {"reason": "CrashLoopBackOff"}},
    "lastState": {"terminated": {"exitCode": 1, "finishedAt": "2026-01-01T00:05:00Z"}},
}
READY: dict[str, Any] = {"conditions": [{"type": "Ready", "status": "True"}]}


@pytest.mark.parametrize(
    ("given", "ready", "status", "restarts"),
    [
        (pod(RUNNING), "1/1", "Running", "0"),
        (pod(RUNNING, RUNNING), "2/2", "Running", "0"),
        (pod(CRASHED), "0/1", "CrashLoopBackOff", "5 (5m ago)"),
        (pod({"state": {"waiting": {"reason": "ImagePullBackOff"}}}), "0/1", "ImagePullBackOff", "0"),
        (pod(DONE, phase="Succeeded"), "0/1", "Completed", "0"),
        (pod(DONE, RUNNING, **READY), "1/2", "Running", "0"),
        (pod(DONE, RUNNING), "1/2", "NotReady", "0"),
        (pod({"state": {"terminated": {"exitCode": 3}}}), "0/1", "ExitCode:3", "0"),
        (pod({"state": {"terminated": {"exitCode": 137, "signal": 9}}}), "0/1", "Signal:9", "0"),
        (pod(RUNNING, deleted=True), "1/1", "Terminating", "0"),
        (pod(DONE, deleted=True, phase="Succeeded"), "0/1", "Completed", "0"),
        (pod(RUNNING, deleted=True, reason="NodeLost"), "1/1", "Unknown", "0"),
        (pod(phase="Failed", reason="Evicted"), "0/0", "Evicted", "0"),
    ],
)
def test_rows(given: dict[str, Any], ready: str, status: str, restarts: str) -> None:
    assert pods.row(given, NOW)[1:4] == [ready, status, restarts]


@pytest.mark.parametrize(
    ("state", "status"),
    [
        ({"waiting": {"reason": "PodInitializing"}}, "Init:0/2"),
        ({"running": {}}, "Init:0/2"),
        ({"waiting": {"reason": "ImagePullBackOff"}}, "Init:ImagePullBackOff"),
        ({"terminated": {"exitCode": 5}}, "Init:ExitCode:5"),
        ({"terminated": {"exitCode": 1, "reason": "Error"}}, "Init:Error"),
    ],
)
def test_init_containers(state: dict[str, Any], status: str) -> None:
    spec = {"initContainers": [{"name": "i"}, {"name": "j"}]}
    given = pod({}, spec=spec, phase="Pending", initContainerStatuses=[{"name": "i", "state": state}])
    assert pods.row(given, NOW)[2] == status


def test_a_sidecar_counts_as_a_container() -> None:
    spec = {"initContainers": [{"name": "side", "restartPolicy": "Always"}]}
    statuses = [{"name": "side", "started": True, "ready": True, "restartCount": 2, "state": {"running": {}}}]
    assert pods.row(pod(RUNNING, spec=spec, initContainerStatuses=statuses), NOW)[1:4] == [
        "2/2",
        "Running",
        "2",
    ]


def test_readiness_gates_are_counted() -> None:
    spec = {"readinessGates": [{"conditionType": "a"}, {"conditionType": "b"}]}
    given = pod(RUNNING, spec=spec, conditions=[{"type": "a", "status": "True"}])
    assert pods.row(given, NOW)[8] == "1/2"
