"""Which container instance's log is meant, or why there is none to show. Pure.

Upstream: `validateContainerLogStatus` in `pkg/kubelet/kubelet_pods.go`, and the choice of a
container in `pkg/registry/core/pod/strategy.go`.
"""

from __future__ import annotations

from services.api import errors
from services.api.core_v1 import Pod
from services.kubelet.container_status import Status
from services.kubelet.pod_worker import PodWorker

DEFAULT_CONTAINER = "kubectl.kubernetes.io/default-container"


def container_name(pod: Pod, asked: str) -> str:
    """ApiError 400 when it is not clear which container is meant, or there is none of that name."""
    spec = pod.spec
    everyone = [c.name for c in (*spec.containers, *spec.init_containers)]
    everyone += [c.name for c in spec.ephemeral_containers]
    name = pod.metadata.name or ""
    if asked:
        if asked not in everyone:
            raise errors.bad_request(f"container {asked} is not valid for pod {name}")
        return asked
    if len(pod.spec.containers) == 1:
        return pod.spec.containers[0].name
    chosen = pod.metadata.annotations.get(DEFAULT_CONTAINER)
    if chosen in everyone:
        return chosen
    names = " ".join(everyone)
    raise errors.bad_request(f"a container name must be specified for pod {name}, choose one of: [{names}]")


def instance(worker: PodWorker, container: str, *, previous: bool) -> str:
    """The id of the instance whose log is to be read. ApiError 400 in upstream's words."""
    status = _status_of(worker, container)
    pod = worker.pod.metadata.name
    if status is None:
        raise errors.bad_request(f'container "{container}" in pod "{pod}" is not available')
    last = _identifier(status.get("lastState") or {})
    if previous:
        if not last:
            raise errors.bad_request(f'previous terminated container "{container}" in pod "{pod}" not found')
        return last
    live = worker.view.latest(container)
    if live is not None and (live.running or live.finished_at):
        return live.id
    if last:
        return last
    waiting = (status.get("state") or {}).get("waiting") or {}
    why = {
        "ErrImagePull": "image can't be pulled",
        "ImagePullBackOff": "trying and failing to pull image",
    }.get(waiting.get("reason", ""), waiting.get("reason", "no logs yet"))
    raise errors.bad_request(f'container "{container}" in pod "{pod}" is waiting to start: {why}')


def _status_of(worker: PodWorker, container: str) -> Status | None:
    for group in ("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"):
        for status in worker.reported.get(group, ()):
            if status["name"] == container:
                found: Status = status
                return found
    return None


def _identifier(state: Status) -> str:
    uri = (state.get("terminated") or {}).get("containerID") or ""
    return str(uri).rpartition("//")[2]
