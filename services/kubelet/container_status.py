"""The status of one container: what the runtime holds of it, in the words of the API.

Pure. Builds plain data in JSON names, for it goes straight into a patch. Upstream:
`convertToAPIContainerStatuses` in `pkg/kubelet/kubelet_pods.go`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import Struct

from services.api.core_v1 import Container, ResourceRequirements
from services.kubelet.cri import ContainerRecord, ContainerState
from services.machinery import quantity
from services.machinery.clock import rfc3339

Status = dict[str, Any]
NO_WORDS: Mapping[str, str] = {}

RUNTIME = "containerd"
UNKNOWN_EXIT_CODE = 137
_NANO = 1_000_000_000
# A container that the runtime has lost: it died with its runtime, and nobody saw how.
LOST_REASON = "ContainerStatusUnknown"
LOST_MESSAGE = (
    "The container could not be located when the pod was deleted.  The container used to be Running"
)


class Waiting(Struct, frozen=True):
    """Why a container does not run yet, or not again."""

    reason: str
    message: str = ""


class Health(Struct, frozen=True):
    """What the probes say of a running container."""

    started: bool = True
    ready: bool = True


HEALTHY = Health()


def time_text(nanoseconds: int) -> str:
    """A time of the runtime as `metav1.Time`; what has not happened is 1970, as upstream writes it."""
    return rfc3339(datetime.fromtimestamp(nanoseconds // _NANO, UTC))


def container_uri(identifier: str) -> str:
    return f"{RUNTIME}://{identifier}"


def terminated(record: ContainerRecord, last_words: str = "") -> Status:
    """`last_words` is what the container itself said of its end."""
    state: Status = {
        "exitCode": record.exit_code,
        "reason": record.reason or ("Completed" if record.exit_code == 0 else "Error"),
        "startedAt": time_text(record.started_at),
        "finishedAt": time_text(record.finished_at),
        "containerID": container_uri(record.id),
    }
    if record.message or last_words:
        state["message"] = ": ".join(text for text in (record.message, last_words) if text)
    return {"terminated": state}


def container_state(record: ContainerRecord, default: Waiting, last_words: str = "") -> Status:
    match record.state:
        case ContainerState.RUNNING:
            return {"running": {"startedAt": time_text(record.started_at)}}
        case ContainerState.EXITED:
            return terminated(record, last_words)
        case _:
            return waiting_state(default)


def waiting_state(waiting: Waiting) -> Status:
    state = {"reason": waiting.reason}
    if waiting.message:
        state["message"] = waiting.message
    return {"waiting": state}


def container_status(
    container: Container,
    history: list[ContainerRecord],
    *,
    default: Waiting,
    waiting: Waiting | None = None,
    health: Health = HEALTHY,
    old: Status | None = None,
    initializer: bool = False,
    last_words: Mapping[str, str] = NO_WORDS,
    in_force: ResourceRequirements | None = None,
) -> Status:
    """One entry of `containerStatuses`.

    `history` is newest first. `waiting` is what kept the kubelet from starting it; `default` is said
    while nothing has. `old` is what was last reported, for containers that the runtime has lost.
    `initializer`: ready means that it has completed. `last_words`: termination messages by id.
    `in_force`: its resources where they are not those of the spec yet.
    """
    if not history:
        return _without_record(container, default, waiting, old)
    newest = history[0]
    state = container_state(newest, waiting or default, last_words.get(newest.id, ""))
    last: Status = {}
    if len(history) > 1 and history[1].finished_at:
        last = terminated(history[1], last_words.get(history[1].id, ""))
    if waiting is not None and not newest.running:
        if "terminated" in state:
            last = state
        state = waiting_state(waiting)
    done = newest.state == ContainerState.EXITED and newest.exit_code == 0
    status: Status = {
        "name": container.name,
        "image": newest.image or container.image or "",
        "imageID": newest.image_ref,
        "containerID": container_uri(newest.id),
        "state": state,
        "lastState": last,
        "restartCount": newest.attempt,
        "ready": done if initializer else (newest.running and health.started and health.ready),
        "started": newest.running and health.started,
    }
    _add_resources(status, container, in_force)
    if newest.user is not None and newest.running:
        uid, gid, groups = newest.user
        status["user"] = {"linux": {"uid": uid, "gid": gid, "supplementalGroups": list(groups)}}
    return status


def _without_record(
    container: Container, default: Waiting, waiting: Waiting | None, old: Status | None
) -> Status:
    status: Status = {
        "name": container.name,
        "image": container.image or "",
        "imageID": "",
        "state": waiting_state(waiting or default),
        "lastState": {},
        "restartCount": 0,
        "ready": False,
        "started": False,
    }
    _add_resources(status, container)
    if old is None:
        return status
    was = old.get("state") or {}
    if "terminated" in was and waiting is None:
        return _whole(old)
    status["restartCount"] = old.get("restartCount", 0)
    status["lastState"] = _whole(old)["lastState"]
    if "running" in was:
        lost = {"exitCode": UNKNOWN_EXIT_CODE, "reason": LOST_REASON, "message": LOST_MESSAGE}
        # Go prints the zero time as null; what is not known is left out here.
        status["lastState"] = {"terminated": lost}
        status["restartCount"] += 1
    elif "terminated" in was:
        status["lastState"] = _whole(old)["state"]
    return status


def _whole(told: Status) -> Status:
    """A status as the API server gave it back, where what is 0, false or empty is left out."""
    found = {"state": {}, "lastState": {}, "restartCount": 0, "ready": False, "started": False, **told}
    for field in ("state", "lastState"):
        if "terminated" in found[field]:
            found[field] = {"terminated": {"exitCode": 0, **found[field]["terminated"]}}
    return found


def _add_resources(
    status: Status, container: Container, in_force: ResourceRequirements | None = None
) -> None:
    """The shape that in-place resize gives it: what the node granted, and what is in force."""
    granted, actual = container.resources, in_force or container.resources
    status["resources"] = {}
    if granted is not None and granted.requests:
        status["allocatedResources"] = _canonical(granted.requests)
    if actual is not None:
        if actual.requests:
            status["resources"]["requests"] = _canonical(actual.requests)
        if actual.limits:
            status["resources"]["limits"] = _canonical(actual.limits)
    if container.volume_mounts:
        status["volumeMounts"] = [
            _mount_status(m.name, m.mount_path, bool(m.read_only)) for m in container.volume_mounts
        ]


def _canonical(quantities: dict[str, str]) -> dict[str, str]:
    return {name: quantity.canonical(str(text)) for name, text in quantities.items()}


def _mount_status(name: str, path: str, read_only: bool) -> Status:
    status: Status = {"name": name, "mountPath": path}
    if read_only:
        status |= {"readOnly": True, "recursiveReadOnly": "Disabled"}
    return status


def as_data(value: object) -> Any:
    """A typed status as plain data in JSON names."""
    return msgspec.to_builtins(value)
