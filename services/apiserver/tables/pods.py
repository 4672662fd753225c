"""The row of a Pod: READY, STATUS and RESTARTS, summed up from all its containers.

STATUS is the word a person should see first, not the phase: what the first unfinished init
container waits for, else what the last container with a complaint says, else the phase.
Upstream: `printPod`. Pure; a Pod that no kubelet has seen yet has empty status lists.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from services.machinery.clock import parse_time
from services.machinery.duration import human, since

Json = dict[str, Any]

COMPLETED = {
    "Succeeded": [
        {
            "type": "Completed",
            "status": "True",
            "reason": "Succeeded",
            "message": "The pod has completed successfully.",
        }
    ],
    "Failed": [
        {"type": "Completed", "status": "True", "reason": "Failed", "message": "The pod failed."},
    ],
}


@dataclass
class _Summary:
    reason: str
    ready: int = 0
    restarts: int = 0
    last_restart: str = ""

    def count(self, status: Json) -> None:
        self.restarts += status.get("restartCount", 0)
        terminated = status.get("lastState", {}).get("terminated")
        if terminated:
            self.last_restart = max(self.last_restart, terminated.get("finishedAt") or "")

    def text(self, now: datetime) -> str:
        if not self.restarts or not self.last_restart:
            return str(self.restarts)
        seconds = (now - parse_time(self.last_restart)).total_seconds()
        return f"{self.restarts} ({human(seconds)} ago)"


def conditions(pod: Json) -> list[Json]:
    """The row's conditions, by which kubectl could hide Pods that are done."""
    return COMPLETED.get(pod.get("status", {}).get("phase", ""), [])


def row(pod: Json, now: datetime) -> list[Any]:
    metadata, spec, status = pod["metadata"], pod.get("spec", {}), pod.get("status", {})
    sidecars = {c["name"] for c in spec.get("initContainers") or () if c.get("restartPolicy") == "Always"}
    summary = _summarize(pod, sidecars)
    total = len(spec.get("containers") or ()) + len(sidecars)
    addresses = status.get("podIPs") or [{}]
    return [
        metadata["name"],
        f"{summary.ready}/{total}",
        _terminating(pod) or summary.reason,
        summary.text(now),
        since(metadata.get("creationTimestamp"), now),
        addresses[0].get("ip") or "<none>",
        spec.get("nodeName") or "<none>",
        status.get("nominatedNodeName") or "<none>",
        _gates(spec, status),
    ]


def _summarize(pod: Json, sidecars: set[str]) -> _Summary:
    spec, status = pod.get("spec", {}), pod.get("status", {})
    reason = status.get("reason") or status.get("phase", "")
    if any(c["type"] == "PodScheduled" and c.get("reason") == "SchedulingGated" for c in _conditions(status)):
        reason = "SchedulingGated"
    everything = _Summary(reason)  # while init containers run, theirs are the restarts that matter
    running = _Summary(reason)  # afterwards only those of sidecars and containers are
    initializing = False
    for index, container in enumerate(status.get("initContainerStatuses") or ()):
        sidecar = container["name"] in sidecars
        everything.count(container)
        if sidecar:
            running.count(container)
        if (container.get("state", {}).get("terminated") or {}).get("exitCode", 1) == 0:
            continue
        if sidecar and container.get("started"):
            ready = int(container.get("ready", False))
            everything.ready += ready
            running.ready += ready
            continue
        everything.reason = _init_reason(container, index, len(spec.get("initContainers") or ()))
        initializing = True
        break
    if initializing and not _is_true(status, "Initialized"):
        return everything
    running.reason = everything.reason
    return _add_containers(running, status)


def _init_reason(container: Json, index: int, total: int) -> str:
    state = container.get("state", {})
    if terminated := state.get("terminated"):
        return f"Init:{_exit_reason(terminated)}"
    waiting = (state.get("waiting") or {}).get("reason", "")
    if waiting and waiting != "PodInitializing":
        return f"Init:{waiting}"
    return f"Init:{index}/{total}"


def _exit_reason(terminated: Json) -> str:
    if terminated.get("reason"):
        return str(terminated["reason"])
    if terminated.get("signal"):
        return f"Signal:{terminated['signal']}"
    return f"ExitCode:{terminated.get('exitCode', 0)}"


def _add_containers(summary: _Summary, status: Json) -> _Summary:
    has_running = False
    for container in reversed(status.get("containerStatuses") or ()):
        summary.count(container)
        state = container.get("state", {})
        if waiting := (state.get("waiting") or {}).get("reason"):
            summary.reason = waiting
        elif state.get("terminated") is not None:
            summary.reason = _exit_reason(state["terminated"])
        elif container.get("ready") and state.get("running") is not None:
            has_running = True
            summary.ready += 1
    if summary.reason == "Completed" and has_running:
        # One container is done, another still works: the Pod as a whole is not.
        summary.reason = "Running" if _is_true(status, "Ready") else "NotReady"
    return summary


def _terminating(pod: Json) -> str:
    status = pod.get("status", {})
    if not pod["metadata"].get("deletionTimestamp"):
        return ""
    if status.get("reason") == "NodeLost":
        return "Unknown"
    return "" if status.get("phase") in ("Succeeded", "Failed") else "Terminating"


def _gates(spec: Json, status: Json) -> str:
    gates = spec.get("readinessGates") or ()
    if not gates:
        return "<none>"
    passed = sum(_is_true(status, gate["conditionType"]) for gate in gates)
    return f"{passed}/{len(gates)}"


def _conditions(status: Json) -> list[Json]:
    return status.get("conditions") or []


def _is_true(status: Json, type: str) -> bool:
    return any(c["type"] == type and c.get("status") == "True" for c in _conditions(status))
