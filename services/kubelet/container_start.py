"""Starting one container: its image, its configuration, create, start, the postStart hook.

Each step that fails says so in an event and leaves the reason for the container's status in
`StartError`. Upstream: `startContainer` in `pkg/kubelet/kuberuntime/kuberuntime_container.go`.
"""

from __future__ import annotations

from services.api.core_v1 import Container, LifecycleHandler, Pod
from services.kubelet import downward, environment, runtime_config, volumes
from services.kubelet.container_status import Waiting
from services.kubelet.cri import ContainerRecord, ContainerState, CriError, SandboxRecord
from services.kubelet.environment import Surroundings
from services.kubelet.hooks import HookError, run_hook
from services.kubelet.image_manager import ImageError, ImageManager
from services.kubelet.node_context import NodeContext
from services.kubelet.pod_worker import PodWorker
from services.kubelet.references import ConfigError
from services.kubelet.volumes import PodDirectory

RETRY_SECONDS = 10.0  # Upstream's back-off of a Pod whose sync failed.


class StartError(Exception):
    """The container does not run. `waiting` is for its status; None: its own end will tell."""

    def __init__(self, reason: str, message: str, retry_seconds: float) -> None:
        super().__init__(message)
        self.waiting = Waiting(reason, message)
        self.retry_seconds = retry_seconds


class ContainerStarter:
    """One node's."""

    def __init__(self, context: NodeContext, images: ImageManager) -> None:
        self._context, self._images = context, images

    async def start(self, worker: PodWorker, container: Container, sandbox: SandboxRecord) -> None:
        """Raises StartError, Interrupted, or ApiError when the API server cannot be asked."""
        context, pod = self._context, worker.pod
        image = await self._image(worker, container)
        attempt = next_attempt(worker, container)
        try:
            surroundings = await self.surroundings(worker, sandbox)
            env = environment.variables(pod, container, surroundings)
            directory = PodDirectory(context.root, worker.uid)
            mounts = volumes.mounts(pod, container, directory, env)
            config = runtime_config.container_config(pod, container, attempt, image, env, mounts)
        except ConfigError as error:
            raise self._failed(pod, container, "CreateContainerConfigError", str(error)) from error
        sandbox_config = runtime_config.sandbox_config(pod, sandbox.attempt, context.name)
        try:
            identifier = await context.cri.create_container(sandbox.id, config, sandbox_config)
        except CriError as error:
            raise self._failed(pod, container, "CreateContainerError", error.message) from error
        context.container_event(pod, container, "Normal", "Created", "Container created")
        worker.awaited.add(identifier)
        worker.view.note(sandbox.id, ContainerRecord(id=identifier, name=container.name, attempt=attempt))
        try:
            await context.cri.start_container(identifier)
        except CriError as error:
            worker.awaited.discard(identifier)
            raise self._failed(pod, container, "RunContainerError", error.message) from error
        context.container_event(pod, container, "Normal", "Started", "Container started")
        self._note_running(worker, container, sandbox, identifier, attempt)
        worker.waiting.pop(container.name, None)
        if container.lifecycle and container.lifecycle.post_start:
            await self._post_start(worker, container, container.lifecycle.post_start, identifier)

    def _note_running(
        self, worker: PodWorker, container: Container, sandbox: SandboxRecord, identifier: str, attempt: int
    ) -> None:
        """Until the runtime's event comes, so that nobody starts it twice."""
        if identifier not in worker.awaited:
            return
        now = int(self._context.clock.now().timestamp() * 1e9)
        record = ContainerRecord(
            id=identifier,
            name=container.name,
            attempt=attempt,
            state=ContainerState.RUNNING,
            created_at=now,
            started_at=now,
        )
        worker.view.note(sandbox.id, record)

    async def _image(self, worker: PodWorker, container: Container) -> str:
        def emit(type: str, reason: str, message: str) -> None:
            self._context.container_event(worker.pod, container, type, reason, message)
            log = self._context.log.info if type == "Normal" else self._context.log.warning
            log(message, kind="Pod", namespace=worker.key.namespace, name=worker.key.name)

        try:
            return await worker.interruptible(self._images.ensure(worker.uid, container, emit))
        except ImageError as error:
            self._context.container_event(
                worker.pod, container, "Warning", "Failed", f"Error: {error.reason}"
            )
            raise StartError(error.reason, error.message, error.retry_seconds) from error

    async def surroundings(self, worker: PodWorker, sandbox: SandboxRecord | None) -> Surroundings:
        context, pod = self._context, worker.pod
        address = context.ip if pod.spec.host_network else (sandbox.ip if sandbox else "")
        if sandbox is not None and not address and downward.needs_pod_ip(pod):
            address = (await context.cri.pod(sandbox.id)).sandbox.ip
        return Surroundings(
            sources=await context.references.fetch(pod),
            services=environment.service_variables(pod, context.services()),
            host_ip=context.ip,
            pod_ip=address,
            allocatable=context.allocatable,
        )

    def _failed(self, pod: Pod, container: Container, reason: str, message: str) -> StartError:
        self._context.container_event(pod, container, "Warning", "Failed", f"Error: {message}")
        self._context.log.warning(
            "Could not start the container",
            kind="Pod",
            namespace=pod.metadata.namespace,
            name=pod.metadata.name,
            container=container.name,
            reason=reason,
            error=message,
        )
        return StartError(reason, message, RETRY_SECONDS)

    async def _post_start(
        self, worker: PodWorker, container: Container, hook: LifecycleHandler, identifier: str
    ) -> None:
        context, pod = self._context, worker.pod
        sandbox = worker.view.sandbox
        try:
            await worker.interruptible(
                run_hook(context, hook, container, identifier, sandbox.ip if sandbox else "")
            )
        except HookError as error:
            message = "PostStartHook failed"
            context.container_event(pod, container, "Warning", "FailedPostStartHook", message)
            context.container_event(pod, container, "Normal", "Killing", "FailedPostStartHook")
            grace = pod.spec.termination_grace_period_seconds or 0
            await context.cri.stop_container(identifier, grace)
            raise StartError("PostStartHookError", str(error), RETRY_SECONDS) from error

    async def mount(self, worker: PodWorker) -> None:
        """Puts the Pod's volumes on the node. ConfigError names the volume that cannot be."""
        pod = worker.pod
        if worker.mounted or not pod.spec.volumes:
            return
        surroundings = await self.surroundings(worker, None)
        directory = PodDirectory(self._context.root, worker.uid)
        for volume in pod.spec.volumes:
            try:
                files = volumes.contents(pod, volume, surroundings)
                if files is not None:
                    volumes.write(directory.volume(volume), files)
            except ConfigError as error:
                raise ConfigError(f'MountVolume.SetUp failed for volume "{volume.name}" : {error}') from error
        worker.mounted = True


def next_attempt(worker: PodWorker, container: Container) -> int:
    """The restart count of the instance to come. What the runtime has lost is in the last status."""
    latest = worker.view.latest(container.name)
    if latest is not None:
        return latest.attempt + 1
    for group in ("containerStatuses", "initContainerStatuses"):
        for status in worker.reported.get(group, ()):
            if status["name"] == container.name:
                # The status already counts the loss, once it has been reported.
                return int(status.get("restartCount", 0)) + ("running" in status.get("state", {}))
    return 0
