"""One look at one Pod: report its status, and take the steps that bring it nearer to its spec.

Level driven: what is to be done comes from `actions.compute` and from what the runtime holds now.
Each step may fail; the Pod is then looked at again after a while, from the start.
Upstream: `SyncPod`, `SyncTerminatingPod`, `SyncTerminatedPod` in `pkg/kubelet/kubelet.go`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from services.api.core_v1 import Container, Pod
from services.kubelet import actions, pod_status, runtime_config, termination_message
from services.kubelet.actions import Actions, Kill
from services.kubelet.container_start import ContainerStarter, StartError, next_attempt
from services.kubelet.container_status import Waiting
from services.kubelet.cri import ContainerState, CriError, PodRecord, SandboxRecord
from services.kubelet.image_manager import ImageManager
from services.kubelet.node_context import NodeContext
from services.kubelet.pod_resize import PodResizer
from services.kubelet.pod_termination import stop_container, stop_pod
from services.kubelet.pod_worker import GRACE_SECONDS, PodWorker, Stage
from services.kubelet.prober import Prober
from services.kubelet.restart_backoff import go_duration
from services.kubelet.volumes import VolumeManager

Retry = Callable[[PodWorker, float], None]  # look at it again after that many seconds

NETWORK_RETRY_SECONDS = 5.0
SANDBOX_RETRY_SECONDS = 5.0
KEPT_DEAD_CONTAINERS = 1  # of each name, beside the newest: what `logs --previous` reads


class PodSync:
    """One node's."""

    def __init__(
        self,
        context: NodeContext,
        images: ImageManager,
        prober: Prober,
        retry: Retry,
        admitted: Callable[[], Iterable[Pod]],
    ) -> None:
        """`admitted`: all Pods that hold resources here, as they were granted."""
        self._context, self._prober, self._retry = context, prober, retry
        self._images = images
        self._volumes = VolumeManager(context)
        self._starter = ContainerStarter(context, images, self._volumes)
        self._resizer = PodResizer(context, retry, admitted)

    # ---- Status ------------------------------------------------------------------------------

    def report(self, worker: PodWorker, *, terminal: bool = False) -> None:
        """Hands the Pod's status to the status manager, unless the runtime's news is on its way."""
        if worker.awaited or worker.gone:
            return
        facts = pod_status.Facts(
            host_ip=self._context.ip,
            waiting=worker.waiting,
            health=worker.probes.health(),
            terminal=terminal,
            reason=worker.reason,
            message=worker.message,
            disruption=worker.disruption,
            failed=worker.refused,
            last_words=worker.last_words,
            resize=worker.resize,
        )
        status = pod_status.generate(
            worker.granted, worker.view, facts, worker.reported, self._context.clock.now()
        )
        if status != worker.reported:
            worker.reported = status
            self._context.statuses.set(worker.pod, status)

    async def _hear(self, worker: PodWorker) -> None:
        """Reads the termination messages of what has ended since the last look."""
        if not any(c.state == ContainerState.EXITED for c in worker.view.current.values()):
            return
        ended = {c.id: c for c in worker.view.all() if c.state == ContainerState.EXITED}
        known = worker.last_words
        worker.last_words = {identifier: known[identifier] for identifier in ended if identifier in known}
        for record in ended.values():
            container = worker.container(record.name)
            if record.id not in known and container is not None:
                worker.last_words[record.id] = await termination_message.read(
                    self._context.cri, self._context.root, worker.uid, container, record
                )

    # ---- Living ------------------------------------------------------------------------------

    async def sync(self, worker: PodWorker) -> None:
        """Brings a live Pod nearer to its spec. One that has finished is sent to its end."""
        await self._hear(worker)
        self._resizer.decide(worker)
        self.report(worker)
        if worker.reported.get("phase") in pod_status.FINISHED:
            worker.terminate(worker.grace_seconds)
            return
        if self._context.network_message and not worker.pod.spec.host_network:
            message = f"network is not ready: {self._context.network_message}"
            self._context.pod_event(worker.pod, "Warning", "NetworkNotReady", message)
            self._retry(worker, NETWORK_RETRY_SECONDS)
            return
        if worker.stale_volumes or (not worker.mounted and worker.view.ready_sandbox is not None):
            await self._mount(worker)  # What it shows is old, or the kubelet was restarted.
        todo = self._compute(worker)
        if todo.nothing and not self._resizer.due(worker):
            return
        if todo.stop_all:
            # What is left are sidecars, and nobody they could help.
            await worker.interruptible(stop_pod(self._context, worker))
            return
        if todo.create_sandbox:
            if not await self._make_sandbox(worker, todo.attempt):
                return
            todo = self._compute(worker)
        for kill in todo.kill:
            await self._kill(worker, kill)
        await self._resizer.apply(worker)
        for container in todo.start:
            if worker.stage is not Stage.SYNC:
                return
            await self._start(worker, container)
        self.report(worker)

    def _compute(self, worker: PodWorker) -> Actions:
        probes = worker.probes
        return actions.compute(
            worker.granted, worker.view, failed_probe=probes.failed(), health=probes.health()
        )

    async def _make_sandbox(self, worker: PodWorker, attempt: int) -> bool:
        context, pod = self._context, worker.pod
        old = worker.view.sandbox
        if old is not None:
            message = "Pod sandbox changed, it will be killed and re-created."
            context.pod_event(pod, "Normal", "SandboxChanged", message)
            await stop_pod(context, worker)
        if not await self._mount(worker):
            return False
        try:
            handler = await self._starter.runtime_handler(pod)
            config = runtime_config.sandbox_config(pod, attempt, context.name, handler)
            identifier = await context.cri.run_sandbox(config)
        except (CriError, ValueError) as error:
            message = f"Failed to create pod sandbox: {error}"
            context.pod_event(pod, "Warning", "FailedCreatePodSandBox", message)
            self._retry(worker, SANDBOX_RETRY_SECONDS)
            return False
        known = worker.view.sandbox
        if known is None or known.id != identifier:
            sandbox = SandboxRecord(
                id=identifier,
                uid=worker.uid,
                name=config.name,
                namespace=config.namespace,
                attempt=attempt,
                ready=True,
                created_at=int(context.clock.now().timestamp() * 1e9),
            )
            worker.view.put(PodRecord(sandbox=sandbox))
        return True

    async def _mount(self, worker: PodWorker) -> bool:
        """Brings the volumes to what they shall show. Containers that run go on if that fails."""
        if not worker.pod.spec.volumes:
            worker.mounted = True
            return True

        def stale() -> None:
            worker.stale_volumes = True
            self._retry(worker, 0)

        mounted, failures = await worker.interruptible(self._volumes.mount(worker.pod, stale))
        for failure in failures:
            self._context.pod_event(worker.pod, "Warning", failure.reason, failure.message)
        worker.stale_volumes = False
        worker.mounted = mounted
        if not mounted:
            self._retry(worker, self._volumes.retry_seconds(worker.uid))
        return worker.mounted

    async def _kill(self, worker: PodWorker, kill: Kill) -> None:
        probes = {"liveness": kill.container.liveness_probe, "startup": kill.container.startup_probe}
        probe = probes.get(kill.probe or "")
        grace = probe.termination_grace_period_seconds if probe else None
        if grace is None:
            grace = worker.pod.spec.termination_grace_period_seconds
        if grace is None:
            grace = GRACE_SECONDS
        stop = stop_container(self._context, worker, kill.container, kill.record, kill.message, grace)
        await worker.interruptible(stop)

    async def _start(self, worker: PodWorker, container: Container) -> None:
        sandbox = worker.view.ready_sandbox
        now = self._context.clock.monotonic()
        if sandbox is None:
            return
        if (left := worker.not_before.get(container.name, 0.0) - now) > 0:
            self._retry(worker, left)  # Looks for other reasons neither hasten it nor put it off.
            return
        if self._backs_off(worker, container):
            return
        try:
            await self._starter.start(worker, container, sandbox)
        except StartError as error:
            self._wait(worker, container, error.waiting, error.retry_seconds)
            return
        self._resizer.started(worker, container)
        self._context.log.info(
            "Started the container",
            kind="Pod",
            namespace=worker.key.namespace,
            name=worker.key.name,
            container=container.name,
        )
        await self._remove_dead(worker, container.name)

    def _wait(self, worker: PodWorker, container: Container, why: Waiting, seconds: float) -> None:
        worker.waiting[container.name] = why
        worker.not_before[container.name] = self._context.clock.monotonic() + seconds
        self._retry(worker, seconds)

    def _backs_off(self, worker: PodWorker, container: Container) -> bool:
        """Whether it ended too lately to be started again. If so, it waits as CrashLoopBackOff."""
        latest = worker.view.latest(container.name)
        if latest is None or latest.state != ContainerState.EXITED:
            return False
        now = self._context.clock.now().timestamp()
        ended = latest.finished_at / 1e9
        left = worker.restarts.remaining(container.name, ended, now)
        if left <= 0:
            worker.restarts.grow(container.name, now, ended)
            return False
        context, pod = self._context, worker.pod
        context.container_event(
            pod,
            container,
            "Warning",
            "BackOff",
            f"Back-off restarting failed container {container.name} in pod {worker.name_with_uid}",
        )
        delay = go_duration(worker.restarts.delay(container.name))
        message = f"back-off {delay} restarting failed container={container.name} pod={worker.name_with_uid}"
        self._wait(worker, container, Waiting("CrashLoopBackOff", message), left)
        context.log.info(
            "Waiting before the container is restarted",
            kind="Pod",
            namespace=worker.key.namespace,
            name=worker.key.name,
            container=container.name,
            exit_code=latest.exit_code,
            restarts=next_attempt(worker, container) - 1,
            wait=f"{left:.0f}s",
        )
        return True

    async def _remove_dead(self, worker: PodWorker, name: str) -> None:
        """Only the newest and the one before it are kept."""
        for record in worker.view.containers.get(name, [])[1 + KEPT_DEAD_CONTAINERS :]:
            if not record.running:
                await self._context.cri.remove_container(record.id)

    # ---- Ending ------------------------------------------------------------------------------

    async def terminate(self, worker: PodWorker) -> None:
        """Stops everything, and reports how it ended."""
        self._prober.leave_readiness(worker.probes)
        await worker.interruptible(stop_pod(self._context, worker))
        self._prober.stop(worker.probes)
        for sandbox in worker.view.sandboxes:
            try:
                worker.view.put(await self._context.cri.pod(sandbox.id))
            except CriError as error:
                if error.code != "NotFound":
                    raise
                worker.view.remove(sandbox.id)
        worker.awaited.clear()
        worker.waiting.clear()
        await self._hear(worker)
        self._resizer.over(worker)
        self._volumes.release(worker.uid)
        worker.stage = Stage.TERMINATED
        self.report(worker, terminal=True)

    async def clean_up(self, worker: PodWorker) -> None:
        """Leaves nothing of a Pod on the node. Once the API server may forget it too, it is told so."""
        for sandbox in [*worker.view.sandboxes]:
            await self._context.cri.remove_sandbox(sandbox.id)
            worker.view.remove(sandbox.id)
        self._volumes.unmount(worker.uid)
        containers = [*worker.pod.spec.init_containers, *worker.pod.spec.containers]
        self._images.forget(worker.uid, containers)
