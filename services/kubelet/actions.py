"""What to do about a Pod next: make a sandbox, start these containers, kill those.

Pure and level driven: compares the spec with what the runtime holds now. Whoever acts asks again
after each step. Upstream: `computePodActions` and `computeInitContainerActions` in
`pkg/kubelet/kuberuntime/kuberuntime_manager.go`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from services.api.core_v1 import Container, Pod
from services.kubelet import ephemeral
from services.kubelet.container_status import HEALTHY, Health
from services.kubelet.cri import ContainerRecord, ContainerState
from services.kubelet.restart_policy import restarts
from services.kubelet.runtime_config import HASH_ANNOTATION, container_hash
from services.kubelet.runtime_view import RuntimeView
from services.machinery.pods import is_restartable_init

ProbeKind = Literal["liveness", "readiness", "startup"]
NO_HEALTH: Mapping[str, Health] = {}


@dataclass(frozen=True, slots=True)
class Kill:
    """A running container that must go, and what the Pod's event says about it."""

    record: ContainerRecord
    container: Container
    message: str
    probe: ProbeKind | None = None  # the one that gave up on it; its own grace period then counts


@dataclass(frozen=True, slots=True)
class Actions:
    """At most one of `create_sandbox` and `stop_all`; containers start in the order given."""

    create_sandbox: bool = False
    attempt: int = 0
    stop_all: bool = False  # nothing will run here any more
    start: tuple[Container, ...] = ()
    kill: tuple[Kill, ...] = ()

    @property
    def nothing(self) -> bool:
        return not (self.create_sandbox or self.stop_all or self.start or self.kill)


def compute(
    pod: Pod,
    view: RuntimeView,
    *,
    failed_probe: Mapping[str, ProbeKind] | None = None,
    health: Mapping[str, Health] = NO_HEALTH,
) -> Actions:
    """`failed_probe`: which probe has given up on which container id. `health` by container name."""
    if view.ready_sandbox is None:
        return _without_sandbox(pod, view)
    kills = _unhealthy(pod, view, failed_probe or {})
    dying = {kill.record.id for kill in kills}
    debuggers = [c for c in ephemeral.containers(pod) if view.latest(c.name) is None]
    waiting, starts = _init_containers(pod, view, health, dying)
    if waiting == "failed":
        return Actions(stop_all=True)
    if waiting == "no":
        regular = [c for c in pod.spec.containers if _must_start(c, view, pod, dying)]
        if not regular and _all_over(pod, view):
            return Actions(stop_all=True)
        starts += regular
    return Actions(start=(*debuggers, *starts), kill=tuple(kills))


def _without_sandbox(pod: Pod, view: RuntimeView) -> Actions:
    """A Pod that has ended needs no new sandbox; any other one does."""
    attempt = view.sandbox.attempt + 1 if view.sandbox else 0
    never_again = pod.spec.restart_policy == "Never" and attempt and view.containers
    wanted = any(should_restart(c, view.latest(c.name), pod) for c in pod.spec.containers)
    if never_again or not wanted:
        return Actions(stop_all=True)
    return Actions(create_sandbox=True, attempt=attempt)


def should_restart(container: Container, record: ContainerRecord | None, pod: Pod) -> bool:
    """Whether it is to be started: it never was, or it has ended and its policy says so."""
    if record is None or record.state in (ContainerState.CREATED, ContainerState.UNKNOWN):
        return True
    return not record.running and restarts(container, pod, record.exit_code)


def _must_start(container: Container, view: RuntimeView, pod: Pod, dying: set[str]) -> bool:
    record = view.current.get(container.name) or view.latest(container.name)
    if record is not None and record.id in dying:
        return False  # Its end is an event, and then it is looked at again.
    return should_restart(container, record, pod)


# ---- What must go ----------------------------------------------------------------------------


def _unhealthy(pod: Pod, view: RuntimeView, failed: Mapping[str, ProbeKind]) -> list[Kill]:
    kills = []
    for container in pod.spec.init_containers:
        if is_restartable_init(container):
            kills += _kill(container, view, failed, f"Init container {container.name}", again="")
    for container in pod.spec.containers:
        # Killed, it ends with the code of a signal; that is what its policy is asked about.
        again = ", will be restarted" if restarts(container, pod, _KILLED) else ""
        kills += _kill(container, view, failed, f"Container {container.name}", again=again)
    return kills


_KILLED = 137


def _kill(
    container: Container, view: RuntimeView, failed: Mapping[str, ProbeKind], who: str, *, again: str
) -> list[Kill]:
    record = view.current.get(container.name)
    if record is None or not record.running:
        return []
    if _changed(container, record):
        return [Kill(record, container, f"{who} definition changed, will be restarted")]
    kind = failed.get(record.id)
    if kind not in ("liveness", "startup"):
        return []
    return [Kill(record, container, f"{who} failed {kind} probe{again}", kind)]


def _changed(container: Container, record: ContainerRecord) -> bool:
    made_from = record.annotations.get(HASH_ANNOTATION)
    return made_from is not None and made_from != container_hash(container)


# ---- Init containers -------------------------------------------------------------------------


def _init_containers(
    pod: Pod, view: RuntimeView, health: Mapping[str, Health], dying: set[str]
) -> tuple[Literal["no", "yes", "failed"], list[Container]]:
    """Whether the regular containers still wait for them, and which of them to start."""
    starts: list[Container] = []
    if not pod.spec.init_containers:
        return "no", starts
    if any(c.name in view.current and view.current[c.name].started_at for c in pod.spec.containers):
        # The Pod was initialized; only its sidecars are kept alive from here on.
        sidecars = [c for c in pod.spec.init_containers if is_restartable_init(c)]
        return "no", [c for c in sidecars if should_restart(c, view.current.get(c.name), pod)]
    for container in pod.spec.init_containers:
        record = view.current.get(container.name)
        if is_restartable_init(container):
            if record is None or not record.running:
                starts.append(container)
                # One that was up before and died is made again, beside what came after it.
                if _begun_after(container, pod, view):
                    continue
                return "yes", starts
            if record.id in dying or not health.get(container.name, HEALTHY).started:
                return "yes", starts
        elif record is None or record.state in (ContainerState.CREATED, ContainerState.UNKNOWN):
            return "yes", [*starts, container]
        elif record.running:
            return "yes", starts
        elif record.exit_code != 0:
            if not restarts(container, pod, record.exit_code):
                return "failed", []
            return "yes", [*starts, container]
    return "no", starts


def _begun_after(container: Container, pod: Pod, view: RuntimeView) -> bool:
    after = pod.spec.init_containers[pod.spec.init_containers.index(container) + 1 :]
    return any(other.name in view.current for other in after)


def _all_over(pod: Pod, view: RuntimeView) -> bool:
    return not any(
        (record := view.latest(container.name)) is None or record.running for container in pod.spec.containers
    )
