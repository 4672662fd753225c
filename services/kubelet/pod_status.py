"""The status of a Pod: its phase, its conditions and the statuses of its containers.

Pure: from the spec, what the runtime holds, and what the kubelet itself knows (`Facts`). A phase that
has ended never changes back, and a condition keeps its transition time until its status changes.
Upstream: `generateAPIPodStatus`, `getPhase` and `pkg/kubelet/status/generate.go`.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from msgspec import Struct

from services.api.core_v1 import Container, Pod
from services.kubelet import ephemeral, resize, termination_message
from services.kubelet.container_status import HEALTHY, Health, Status, Waiting, container_status
from services.kubelet.resize import ResizeState
from services.kubelet.restart_policy import restarts
from services.kubelet.runtime_view import RuntimeView
from services.machinery.clock import rfc3339
from services.machinery.pods import is_restartable_init

CREATING = Waiting("ContainerCreating")
INITIALIZING = Waiting("PodInitializing")
FINISHED = ("Succeeded", "Failed")


class Facts(Struct, frozen=True, kw_only=True):
    """What the kubelet knows beside the runtime."""

    host_ip: str
    waiting: dict[str, Waiting] = {}
    health: dict[str, Health] = {}
    last_words: dict[str, str] = {}  # termination messages, by container id
    resize: ResizeState | None = None
    terminal: bool = False  # everything in it has been stopped for good
    reason: str = ""
    message: str = ""
    disruption: str = ""  # why the kubelet itself ended it: evicted, or its node shut down
    failed: bool = False  # refused or evicted: Failed whatever the containers say


def generate(pod: Pod, view: RuntimeView, facts: Facts, old: Status, now: datetime) -> Status:
    """The whole status, as plain data in JSON names. `old` is what was reported last."""
    initial = _statuses(pod, pod.spec.init_containers, view, facts, old, "initContainerStatuses")
    regular = _statuses(pod, pod.spec.containers, view, facts, old, "containerStatuses")
    debuggers = ephemeral.containers(pod)
    was = old.get("phase", "Pending")
    if was in FINISHED:
        current = was
    else:
        current = "Failed" if facts.failed else phase(pod, initial, regular, terminal=facts.terminal)
    status: Status = {"phase": current}
    if pod.metadata.generation:
        status["observedGeneration"] = pod.metadata.generation
    if facts.reason:
        status["reason"] = facts.reason
    if facts.message:
        status["message"] = facts.message
    if pod.status.qos_class:
        status["qosClass"] = pod.status.qos_class  # The API server decides it, for good.
    status["startTime"] = old.get("startTime") or rfc3339(now)
    if facts.failed and not view.containers:
        return status  # Refused at the door: nothing ever ran here, and there is nothing to report of it.
    status["hostIP"] = facts.host_ip
    status["hostIPs"] = [{"ip": facts.host_ip}]
    address = _address(pod, view, facts, old)
    if address:
        status["podIP"] = address
        status["podIPs"] = [{"ip": address}]
    if initial:
        status["initContainerStatuses"] = initial
    status["containerStatuses"] = regular
    if debuggers:
        status["ephemeralContainerStatuses"] = _debuggers(pod, debuggers, view, facts, old)
    if facts.last_words:
        _shorten([*initial, *regular])
    found = _conditions(pod, view, current, initial, regular)
    if facts.resize is not None:
        found = [*resize.conditions(facts.resize, pod.metadata.generation or 0), *found]
    if facts.disruption:
        found.append(_disrupted(facts.disruption))
    status["conditions"] = _dated(pod, found, old, now)
    return status


def _address(pod: Pod, view: RuntimeView, facts: Facts, old: Status) -> str:
    """A Pod keeps showing its last address when its sandbox has stopped."""
    if pod.spec.host_network:
        return facts.host_ip
    sandbox = view.sandbox
    if sandbox is None:
        return str(old.get("podIP", "")) if old.get("phase") in FINISHED else ""
    return sandbox.ip or str(old.get("podIP", ""))


def _statuses(
    pod: Pod, containers: list[Container], view: RuntimeView, facts: Facts, old: Status, field: str
) -> list[Status]:
    before = {status["name"]: status for status in old.get(field, ())}
    default = INITIALIZING if pod.spec.init_containers else CREATING
    in_force = facts.resize.in_force if facts.resize else {}
    return [
        container_status(
            container,
            view.containers.get(container.name, []),
            default=default,
            waiting=facts.waiting.get(container.name),
            health=facts.health.get(container.name, HEALTHY),
            old=before.get(container.name),
            initializer=field == "initContainerStatuses" and not is_restartable_init(container),
            last_words=facts.last_words,
            in_force=in_force.get(container.name),
        )
        for container in containers
    ]


def _debuggers(
    pod: Pod, containers: list[Container], view: RuntimeView, facts: Facts, old: Status
) -> list[Status]:
    """Ephemeral containers: they are never ready, and nothing waits for their start."""
    found = _statuses(pod, containers, view, facts, old, "ephemeralContainerStatuses")
    for status in found:
        status["ready"] = False
        status.pop("started", None)
    return found


def _shorten(statuses: list[Status]) -> None:
    """All termination messages of a Pod together are bounded."""
    limit = termination_message.share(len(statuses))
    for status in statuses:
        for group in (status["state"], status["lastState"]):
            ended = group.get("terminated")
            if ended and len(ended.get("message", "")) > limit:
                ended["message"] = ended["message"][:limit]


# ---- Phase -----------------------------------------------------------------------------------


class _Count(Struct):
    """How many containers are in which state, as `getPhase` counts them."""

    pending: int = 0  # to be initialized
    lost: int = 0  # init containers that failed for good
    running: int = 0
    waiting: int = 0
    stopped: int = 0
    succeeded: int = 0
    again: int = 0  # stopped, but to be started again


def phase(pod: Pod, initial: list[Status], regular: list[Status], *, terminal: bool = False) -> str:
    count = _Count()
    for container, status in zip(pod.spec.containers, regular):
        _count_regular(container, status, pod, count)
    initialized = bool(count.running or count.stopped)
    for container, status in zip(pod.spec.init_containers, initial):
        if is_restartable_init(container):
            _count_sidecar(status, count, initialized=initialized)
        elif not initialized:
            _count_init(container, status, pod, count)
    if count.lost:
        return "Failed"
    if terminal and not count.running:
        return "Succeeded" if count.stopped and count.stopped == count.succeeded == len(regular) else "Failed"
    if count.pending or count.waiting:
        return "Pending"
    if count.running or count.again:
        return "Running"
    return "Succeeded" if count.stopped == count.succeeded else "Failed"


def _count_regular(container: Container, status: Status, pod: Pod, count: _Count) -> None:
    state = status["state"]
    if "running" in state:
        count.running += 1
        return
    ended = state.get("terminated")
    if ended is None:
        ended = status["lastState"].get("terminated")
        if ended is None:
            count.waiting += 1
            return
    else:
        count.succeeded += ended["exitCode"] == 0
    count.stopped += 1
    count.again += restarts(container, pod, ended["exitCode"])


def _count_sidecar(status: Status, count: _Count, *, initialized: bool) -> None:
    """One that has ended does not keep the Pod from its phase; one that runs keeps it Running."""
    if "running" in status["state"]:
        count.running += 1
        count.pending += not initialized and not status["started"]
    elif "waiting" in status["state"] and "terminated" not in status["lastState"]:
        count.pending += not initialized


def _count_init(container: Container, status: Status, pod: Pod, count: _Count) -> None:
    state = status["state"]
    ended = state.get("terminated") or ("waiting" in state and status["lastState"].get("terminated"))
    if not ended:
        count.pending += 1
    elif ended["exitCode"] != 0:
        count.pending += 1
        count.lost += not restarts(container, pod, ended["exitCode"])


# ---- Conditions ------------------------------------------------------------------------------


def _conditions(
    pod: Pod,
    view: RuntimeView,
    current: str,
    initial: list[Status],
    regular: list[Status],
) -> list[Status]:
    containers_ready = _containers_ready(pod, current, initial, regular)
    return [
        {"type": "PodReadyToStartContainers", "status": _word(view.ready_sandbox is not None)},
        _initialized(pod, current, initial, regular),
        _ready(pod, containers_ready),
        {"type": "ContainersReady", **containers_ready},
        {"type": "PodScheduled", "status": "True"},
    ]


def _disrupted(message: str) -> Status:
    return {
        "type": "DisruptionTarget",
        "status": "True",
        "reason": "TerminationByKubelet",
        "message": message,
    }


def _dated(pod: Pod, found: list[Status], old: Status, now: datetime) -> list[Status]:
    before = {condition["type"]: condition for condition in old.get("conditions", ())}
    for condition in found:
        was = before.get(condition["type"])
        same = was is not None and was["status"] == condition["status"]
        condition["lastTransitionTime"] = (same and was and was.get("lastTransitionTime")) or rfc3339(now)
        if pod.metadata.generation:
            condition.setdefault("observedGeneration", pod.metadata.generation)
    return found


def _word(truth: bool) -> str:
    return "True" if truth else "False"


def _list_text(names: Iterable[str]) -> str:
    """A list as Go prints it."""
    return "[" + " ".join(names) + "]"


def _initialized(pod: Pod, current: str, initial: list[Status], regular: list[Status]) -> Status:
    if current == "Succeeded":
        return {"type": "Initialized", "status": "True", "reason": "PodCompleted"}
    begun = any("running" in s["state"] or s.get("containerID") for s in regular)
    incomplete = (
        [] if begun else [s["name"] for s, c in zip(initial, pod.spec.init_containers) if not _done(s, c)]
    )
    if not incomplete:
        return {"type": "Initialized", "status": "True"}
    return {
        "type": "Initialized",
        "status": "False",
        "reason": "ContainersNotInitialized",
        "message": f"containers with incomplete status: {_list_text(incomplete)}",
    }


def _done(status: Status, container: Container) -> bool:
    return bool(status["started"] if is_restartable_init(container) else status["ready"])


def _containers_ready(pod: Pod, current: str, initial: list[Status], regular: list[Status]) -> Status:
    """status, reason and message, without the type: Ready repeats them."""
    if current in FINISHED:
        return {"status": "False", "reason": "PodCompleted" if current == "Succeeded" else "PodFailed"}
    sidecars = [s for s, c in zip(initial, pod.spec.init_containers) if is_restartable_init(c)]
    unready = [s["name"] for s in (*sidecars, *regular) if not s["ready"]]
    if not unready:
        return {"status": "True"}
    message = f"containers with unready status: {_list_text(unready)}"
    return {"status": "False", "reason": "ContainersNotReady", "message": message}


def _ready(pod: Pod, containers_ready: Status) -> Status:
    if containers_ready["status"] == "False" or not pod.spec.readiness_gates:
        return {"type": "Ready", **containers_ready}
    by_type = {condition.type: condition for condition in pod.status.conditions}
    lacking = []
    for gate in pod.spec.readiness_gates:
        name = gate.condition_type
        condition = by_type.get(name)
        if condition is None:
            lacking.append(f'corresponding condition of pod readiness gate "{name}" does not exist.')
        elif condition.status != "True":
            lacking.append(f'the status of pod readiness gate "{name}" is not "True", but {condition.status}')
    if not lacking:
        return {"type": "Ready", "status": "True"}
    message = ", ".join(lacking)
    return {"type": "Ready", "status": "False", "reason": "ReadinessGatesNotReady", "message": message}


# ---- What to write ---------------------------------------------------------------------------


def patch(uid: str, old: Status, new: Status) -> dict[str, Any] | None:
    """The strategic merge patch that turns one status into the other; None when nothing changed.

    Conditions merge by type on the server, so that others' conditions survive; all other lists
    are replaced as a whole.
    """
    changes: Status = {}
    for key, value in new.items():
        if old.get(key) != value and key != "conditions":
            changes[key] = value
    for key in old:
        if key not in new and key in ("reason", "message", "podIP", "podIPs"):
            changes[key] = None
    before = {condition["type"]: condition for condition in old.get("conditions", ())}
    conditions = []
    for condition in new.get("conditions", ()):
        was = before.get(condition["type"])
        if was != condition:
            gone = {k: None for k in ("reason", "message") if was and k in was and k not in condition}
            conditions.append({**condition, **gone})
    kept = {condition["type"] for condition in new.get("conditions", ())}
    for kind in (resize.PENDING, resize.IN_PROGRESS):
        if kind in before and kind not in kept:
            conditions.append({"type": kind, "$patch": "delete"})
    if conditions:
        changes["conditions"] = conditions
        changes["$setElementOrder/conditions"] = [{"type": c["type"]} for c in new["conditions"]]
    if not changes:
        return None
    return {"metadata": {"uid": uid}, "status": changes}
