"""Starting one container: its image, its configuration, create, start, the postStart hook.

Each step that fails says so in an event and leaves the reason for the container's status in
`StartError`. Upstream: `startContainer` in `pkg/kubelet/kuberuntime/kuberuntime_container.go`.
"""

from __future__ import annotations

import os

from services.api import errors
from services.api.core_v1 import Container, LifecycleHandler, Pod
from services.api.node_v1 import RuntimeClass
from services.kubelet import (
    downward,
    environment,
    ephemeral,
    pull_secrets,
    runtime_config,
    termination_message,
)
from services.kubelet.container_status import Waiting
from services.kubelet.cri import (
    ContainerConfig,
    ContainerRecord,
    ContainerState,
    CriError,
    ImageRecord,
    Mount,
    SandboxRecord,
)
from services.kubelet.environment import Surroundings
from services.kubelet.hooks import HookError, run_hook
from services.kubelet.image_manager import ImageError, ImageManager
from services.kubelet.node_context import NodeContext
from services.kubelet.pod_termination import LEAST_GRACE_SECONDS
from services.kubelet.pod_worker import GRACE_SECONDS, PodWorker
from services.kubelet.references import ConfigError
from services.kubelet.volumes import VolumeManager

HOSTS_PATH = "/etc/hosts"
RETRY_SECONDS = 10.0  # Upstream's back-off of a Pod whose sync failed.


class StartError(Exception):
    """The container does not run. `waiting` is for its status. 0 seconds: its own end brings it back."""

    def __init__(self, reason: str, message: str, retry_seconds: float) -> None:
        super().__init__(message)
        self.waiting = Waiting(reason, message)
        self.retry_seconds = retry_seconds


class ContainerStarter:
    """One node's."""

    def __init__(self, context: NodeContext, images: ImageManager, volumes: VolumeManager) -> None:
        self._context, self._images, self._volumes = context, images, volumes

    async def start(self, worker: PodWorker, container: Container, sandbox: SandboxRecord) -> None:
        """Raises StartError, Interrupted, or ApiError when the API server cannot be asked."""
        context, pod = self._context, worker.pod
        image = await self._image(worker, container)
        attempt = next_attempt(worker, container)
        config = await self._config(worker, container, sandbox, image, attempt)
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
            # Its end counts for the back-off, and the event that tells of it may come later.
            worker.view.put(await context.cri.pod(sandbox.id))
            raise self._failed(pod, container, "RunContainerError", error.message, 0) from error
        context.container_event(pod, container, "Normal", "Started", "Container started")
        self._note_running(worker, container, sandbox, identifier, attempt)
        worker.waiting.pop(container.name, None)
        if container.lifecycle and container.lifecycle.post_start:
            await self._post_start(worker, container, container.lifecycle.post_start, identifier)

    async def _config(
        self,
        worker: PodWorker,
        container: Container,
        sandbox: SandboxRecord,
        image: ImageRecord,
        attempt: int,
    ) -> ContainerConfig:
        """What the runtime is asked for. StartError when the Pod cannot be served as it is written."""
        pod = worker.pod
        try:
            if refusal := runtime_config.must_not_be_root(pod, container, image):
                raise ConfigError(refusal)
            surroundings = await self.surroundings(worker, sandbox)
            env = environment.variables(pod, container, surroundings)
            mounts = self._volumes.mounts(pod, container, env)
            mounts += await self._own_files(worker, container, sandbox, attempt, mounts)
            target = worker.view.current.get(ephemeral.target_of(pod, container.name))
            return runtime_config.container_config(
                pod, container, attempt, image.id, env, mounts, target.id if target else ""
            )
        except ConfigError as error:
            raise self._failed(pod, container, "CreateContainerConfigError", str(error)) from error

    async def _own_files(
        self,
        worker: PodWorker,
        container: Container,
        sandbox: SandboxRecord,
        attempt: int,
        mounts: tuple[Mount, ...],
    ) -> tuple[Mount, ...]:
        """The kubelet's own: the termination log, and /etc/hosts where the Pod adds to it."""
        context, pod = self._context, worker.pod
        try:
            found = (termination_message.mount(context.root, worker.uid, container, attempt),)
            taken = any(mount.container_path == HOSTS_PATH for mount in mounts)
            if taken or not (pod.spec.host_aliases or pod.spec.subdomain):
                return found
            path = f"{context.root}/pods/{worker.uid}/etc-hosts"
            text = runtime_config.hosts_file(pod, await self.address(worker, sandbox), context.name)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
            try:
                os.write(descriptor, text or b"")
            finally:
                os.close(descriptor)
        except OSError as error:
            raise ConfigError(f"cannot write the Pod's files: {error.strerror}") from error
        return (*found, Mount(container_path=HOSTS_PATH, host_path=path))

    async def address(self, worker: PodWorker, sandbox: SandboxRecord) -> str:
        """The Pod's; the runtime is asked where its event has not told it yet."""
        if worker.pod.spec.host_network:
            return self._context.ip
        return sandbox.ip or (await self._context.cri.pod(sandbox.id)).sandbox.ip

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

    async def _image(self, worker: PodWorker, container: Container) -> ImageRecord:
        def emit(type: str, reason: str, message: str) -> None:
            self._context.container_event(worker.pod, container, type, reason, message)
            log = self._context.log.info if type == "Normal" else self._context.log.warning
            log(message, kind="Pod", namespace=worker.key.namespace, name=worker.key.name)

        try:
            keys = await self._keys(worker.pod)
            return await worker.interruptible(self._images.ensure(worker.uid, container, emit, keys))
        except ImageError as error:
            self._context.container_event(
                worker.pod, container, "Warning", "Failed", f"Error: {error.reason}"
            )
            raise StartError(error.reason, error.message, error.retry_seconds) from error

    async def runtime_handler(self, pod: Pod) -> str:
        """That of its RuntimeClass. ValueError when there is no such class."""
        name = pod.spec.runtime_class_name
        if not name:
            return ""
        try:
            return (await self._context.client.get(RuntimeClass, name)).handler
        except errors.ApiError as error:
            if not errors.is_not_found(error):
                raise
            raise ValueError(f'runtimeclass.node.k8s.io "{name}" not found') from error

    async def _keys(self, pod: Pod) -> pull_secrets.Keyring:
        if not pod.spec.image_pull_secrets:
            return []
        keys, failed = await pull_secrets.fetch(self._context.client, pod)
        if failed:
            message = (
                f"Unable to retrieve some image pull secrets ({', '.join(failed)}); "
                "attempting to pull the image may not succeed."
            )
            self._context.pod_event(pod, "Warning", "FailedToRetrieveImagePullSecret", message)
        return keys

    async def surroundings(self, worker: PodWorker, sandbox: SandboxRecord | None) -> Surroundings:
        context, pod = self._context, worker.pod
        address = context.ip if pod.spec.host_network else (sandbox.ip if sandbox else "")
        if sandbox is not None and not address and downward.needs_pod_ip(pod):
            address = await self.address(worker, sandbox)
        return Surroundings(
            sources=await context.references.fetch(pod),
            services=environment.service_variables(pod, context.services()),
            host_ip=context.ip,
            pod_ip=address,
            allocatable=context.allocatable,
        )

    def _failed(
        self,
        pod: Pod,
        container: Container,
        reason: str,
        message: str,
        retry_seconds: float = RETRY_SECONDS,
    ) -> StartError:
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
        return StartError(reason, message, retry_seconds)

    async def _post_start(
        self, worker: PodWorker, container: Container, hook: LifecycleHandler, identifier: str
    ) -> None:
        context, pod = self._context, worker.pod
        sandbox = worker.view.sandbox
        address = await self.address(worker, sandbox) if hook.http_get and sandbox else ""
        try:
            await worker.interruptible(
                run_hook(context, hook, container, identifier, address, worker.name_with_uid)
            )
        except HookError as error:
            message = "PostStartHook failed"
            context.container_event(pod, container, "Warning", "FailedPostStartHook", message)
            context.container_event(pod, container, "Normal", "Killing", "FailedPostStartHook")
            grace = pod.spec.termination_grace_period_seconds
            grace = GRACE_SECONDS if grace is None else max(LEAST_GRACE_SECONDS, grace)
            await worker.interruptible(context.cri.stop_container(identifier, grace))
            raise StartError("PostStartHookError", str(error), 0) from error


def next_attempt(worker: PodWorker, container: Container) -> int:
    """The restart count of the instance to come. What the runtime has lost is in the last status."""
    latest = worker.view.latest(container.name)
    if latest is not None:
        return latest.attempt + 1
    for group in ("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"):
        for status in worker.reported.get(group, ()):
            if status["name"] == container.name:
                # The status already counts the loss, once it has been reported.
                state = status.get("state", {})
                return int(status.get("restartCount", 0)) + ("running" in state or "terminated" in state)
    return 0
