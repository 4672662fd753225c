"""The status that a Pod shows: phases, conditions and containers in upstream's words."""

from __future__ import annotations

from typing import Any

import pytest

from services.kubelet.container_status import Health, Waiting
from services.kubelet.pod_status import Facts, generate, patch
from services.kubelet.runtime_view import RuntimeView
from tests.support.clock import START
from tests.unit.kubelet.pods import UID, exited, pod, running, view

FACTS = Facts(host_ip="192.168.0.2")


def conditions(status: dict[str, Any]) -> dict[str, str]:
    return {condition["type"]: condition["status"] for condition in status["conditions"]}


def test_before_anything_runs() -> None:
    status = generate(pod(), RuntimeView(), FACTS, {}, START)
    assert status["phase"] == "Pending"
    assert status["startTime"] == "2026-01-01T00:00:00Z"
    assert status["containerStatuses"] == [
        {
            "name": "main",
            "image": "luksa/kubia",
            "imageID": "",
            "state": {"waiting": {"reason": "ContainerCreating"}},
            "lastState": {},
            "restartCount": 0,
            "ready": False,
            "started": False,
            "resources": {},
        }
    ]
    ready = next(c for c in status["conditions"] if c["type"] == "Ready")
    assert ready["reason"] == "ContainersNotReady"
    assert ready["message"] == "containers with unready status: [main]"
    assert conditions(status) == {
        "PodReadyToStartContainers": "False",
        "Initialized": "True",
        "Ready": "False",
        "ContainersReady": "False",
        "PodScheduled": "True",
    }


def test_running() -> None:
    status = generate(pod(), view(running()), FACTS, {}, START)
    assert status["phase"] == "Running"
    assert status["podIP"] == "10.244.1.7"
    assert status["podIPs"] == [{"ip": "10.244.1.7"}]
    assert status["hostIP"] == "192.168.0.2"
    assert set(conditions(status).values()) == {"True"}
    container = status["containerStatuses"][0]
    assert container["containerID"] == "containerd://main-0"
    assert container["state"] == {"running": {"startedAt": "1970-01-01T00:00:01Z"}}
    assert container["image"] == "docker.io/luksa/kubia:latest"
    assert container["imageID"] == "docker.io/luksa/kubia@sha256:abc"
    assert container["ready"]
    assert container["started"]


def test_running_but_not_ready() -> None:
    facts = Facts(host_ip="", health={"main": Health(started=True, ready=False)})
    status = generate(pod(), view(running()), facts, {}, START)
    assert status["phase"] == "Running"
    assert conditions(status)["Ready"] == "False"


def test_crash_loop() -> None:
    waiting = Waiting("CrashLoopBackOff", "back-off 10s restarting failed container=main")
    facts = Facts(host_ip="", waiting={"main": waiting})
    status = generate(pod(), view(exited(code=1, attempt=1), exited(code=1)), facts, {}, START)
    assert status["phase"] == "Running"
    container = status["containerStatuses"][0]
    assert container["state"] == {"waiting": {"reason": "CrashLoopBackOff", "message": waiting.message}}
    assert container["lastState"]["terminated"]["exitCode"] == 1
    assert container["lastState"]["terminated"]["reason"] == "Error"
    assert container["restartCount"] == 1


@pytest.mark.parametrize(
    ("policy", "codes", "phase"),
    [
        ("Never", (0,), "Succeeded"),
        ("Never", (0, 1), "Failed"),
        ("OnFailure", (0, 0), "Succeeded"),
        ("OnFailure", (0, 1), "Running"),
        ("Always", (0,), "Running"),
    ],
)
def test_phase_of_what_has_ended(policy: str, codes: tuple[int, ...], phase: str) -> None:
    containers = [{"name": f"c{i}"} for i in range(len(codes))]
    records = [exited(f"c{i}", code=code) for i, code in enumerate(codes)]
    status = generate(pod(*containers, restartPolicy=policy), view(*records), FACTS, {}, START)
    assert status["phase"] == phase


def test_a_phase_that_has_ended_never_changes_back() -> None:
    status = generate(pod(), view(running()), FACTS, {"phase": "Succeeded"}, START)
    assert status["phase"] == "Succeeded"
    ready = next(c for c in status["conditions"] if c["type"] == "Ready")
    assert (ready["status"], ready["reason"]) == ("False", "PodCompleted")


def test_the_end_of_a_deleted_pod() -> None:
    facts = Facts(host_ip="", terminal=True)
    status = generate(pod(), view(exited(code=137), ready=False), facts, {}, START)
    assert status["phase"] == "Failed"


def test_init_containers_hold_the_pod_pending() -> None:
    init = pod(initContainers=[{"name": "wait", "image": "busybox"}])
    status = generate(init, view(running("wait")), FACTS, {}, START)
    assert status["phase"] == "Pending"
    assert status["containerStatuses"][0]["state"] == {"waiting": {"reason": "PodInitializing"}}
    initialized = next(c for c in status["conditions"] if c["type"] == "Initialized")
    assert initialized["reason"] == "ContainersNotInitialized"
    assert initialized["message"] == "containers with incomplete status: [wait]"
    done = generate(init, view(exited("wait"), running()), FACTS, {}, START)
    assert done["phase"] == "Running"
    assert done["initContainerStatuses"][0]["ready"]
    assert conditions(done)["Initialized"] == "True"


def test_what_the_runtime_has_lost_counts_as_a_restart() -> None:
    old = generate(pod(), view(running()), FACTS, {}, START)
    status = generate(pod(), RuntimeView(), FACTS, old, START)
    container = status["containerStatuses"][0]
    assert container["restartCount"] == 1
    assert container["lastState"]["terminated"]["reason"] == "ContainerStatusUnknown"
    assert container["lastState"]["terminated"]["exitCode"] == 137


def test_a_pod_that_was_refused() -> None:
    facts = Facts(host_ip="", failed=True, reason="OutOfcpu", message="Pod was rejected: …")
    status = generate(pod(), RuntimeView(), facts, {}, START)
    assert status["phase"] == "Failed"
    assert status["reason"] == "OutOfcpu"
    assert "containerStatuses" not in status


def test_only_what_changed_is_written() -> None:
    first = generate(pod(), RuntimeView(), FACTS, {}, START)
    second = generate(pod(), view(running()), FACTS, first, START)
    change = patch(UID, first, second)
    assert change is not None
    assert change["metadata"] == {"uid": UID}
    assert set(change["status"]) == {
        "phase",
        "podIP",
        "podIPs",
        "containerStatuses",
        "conditions",
        "$setElementOrder/conditions",
    }
    changed = {c["type"]: c for c in change["status"]["conditions"]}
    assert set(changed) == {"PodReadyToStartContainers", "Ready", "ContainersReady"}
    assert changed["Ready"]["reason"] is None
    assert patch(UID, second, second) is None
