"""Carries out what `resize` decides: grants, the runtime's new limits, restarts, and the events of each.

A resize that has to wait is asked for again when a Pod of the node ends or shrinks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from services.api.core_v1 import Container, Pod
from services.kubelet import resize, runtime_config
from services.kubelet.cri import ContainerRecord, CriError
from services.kubelet.node_context import NodeContext
from services.kubelet.pod_termination import stop_container
from services.kubelet.pod_worker import GRACE_SECONDS, PodWorker

RETRY_SECONDS = 10.0
Retry = Callable[[PodWorker, float], None]


class PodResizer:
    """One node's."""

    def __init__(self, context: NodeContext, retry: Retry, admitted: Callable[[], Iterable[Pod]]) -> None:
        self._context, self._retry, self._admitted = context, retry, admitted
        self._deferred: set[PodWorker] = set()

    def decide(self, worker: PodWorker) -> None:
        """Grants what the spec newly asks for, or notes why not."""
        state, pod = worker.resize, worker.pod
        if state is None:
            state = worker.resize = resize.initial(pod)
        wanted = resize.wanted(pod)
        if wanted == state.granted:
            state.refused = None
            self._deferred.discard(worker)
            return
        others = (other for other in self._admitted() if other.metadata.uid != worker.uid)
        refused = resize.refusal(pod, others, self._context.allocatable)
        if refused:
            self._refuse(worker, state, refused)
            return
        for name, before in state.granted.items():
            if wanted.get(name) != before and name in worker.view.current:
                state.in_force.setdefault(name, before)
        state.granted, state.refused, state.error = wanted, None, ""
        self._deferred.discard(worker)
        if state.in_force:
            state.generation = pod.metadata.generation or 0
            text = resize.event_text("started", pod, state.generation)
            self._context.pod_event(pod, "Normal", "ResizeStarted", text)
            self._wake()

    def _refuse(self, worker: PodWorker, state: resize.ResizeState, refused: tuple[str, str]) -> None:
        if refused[0] == "Deferred":
            self._deferred.add(worker)
        if state.refused == refused:
            return
        state.refused = refused
        reason, message = refused
        text = resize.event_text(reason, worker.pod, worker.pod.metadata.generation or 0, message)
        self._context.pod_event(worker.pod, "Warning", f"Resize{reason}", text)

    def due(self, worker: PodWorker) -> bool:
        return bool(worker.resize and worker.resize.in_force)

    async def apply(self, worker: PodWorker) -> None:
        """Puts into force what was granted; containers that must restart for it are stopped."""
        state = worker.resize
        if state is None or not state.in_force:
            return
        for name in [*state.in_force]:
            container, record = _of(worker.granted, name), worker.view.current.get(name)
            if container is None or record is None or not record.running:
                continue  # The next start has it.
            if resize.needs_restart(container, state.in_force[name]):
                await self._restart(worker, container, record)
            elif await self._update(worker, state, container, record):
                self.started(worker, container)

    async def _restart(self, worker: PodWorker, container: Container, record: ContainerRecord) -> None:
        grace = worker.pod.spec.termination_grace_period_seconds
        message = f"Container {container.name} resize requires restart"
        await worker.interruptible(
            stop_container(
                self._context, worker, container, record, message, GRACE_SECONDS if grace is None else grace
            )
        )

    async def _update(
        self, worker: PodWorker, state: resize.ResizeState, container: Container, record: ContainerRecord
    ) -> bool:
        """Whether the runtime has taken the new values."""
        try:
            error = await self._too_small(container, state, record)
            if not error:
                granted = runtime_config.resources(container.resources)
                await self._context.cri.update_resources(record.id, granted)
                return True
        except CriError as fault:
            error = str(fault)
        if state.error != error:
            state.error = error
            text = resize.event_text("error", worker.granted, state.generation, error)
            self._context.pod_event(worker.pod, "Warning", "ResizeError", text)
        self._retry(worker, RETRY_SECONDS)
        return False

    async def _too_small(
        self, container: Container, state: resize.ResizeState, record: ContainerRecord
    ) -> str:
        """A limit below what is in use would kill the container: it is not set."""
        limit = resize.shrinks_memory(container, state.in_force[container.name])
        if not limit:
            return ""
        usage = await self._context.cri.usage()
        used = next((one.memory_bytes for one in usage if one.container_id == record.id), 0)
        if used < limit:
            return ""
        return f"attempting to set container memory limit ({limit}) below current usage ({used})"

    def started(self, worker: PodWorker, container: Container) -> None:
        """This container has what it was granted."""
        state = worker.resize
        if state is None or state.in_force.pop(container.name, None) is None or state.in_force:
            return
        text = resize.event_text("completed", worker.granted, state.generation)
        self._context.pod_event(worker.pod, "Normal", "ResizeCompleted", text)
        state.generation, state.error = 0, ""

    def over(self, worker: PodWorker) -> None:
        """The Pod has ended, and others may have what it had."""
        self._deferred.discard(worker)
        if worker.resize is not None:
            worker.resize.refused, worker.resize.generation = None, 0
        self._wake()

    def _wake(self) -> None:
        for waiting in self._deferred:
            self._retry(waiting, 0)


def _of(pod: Pod, name: str) -> Container | None:
    everyone = (*pod.spec.containers, *pod.spec.init_containers)
    return next((container for container in everyone if container.name == name), None)
