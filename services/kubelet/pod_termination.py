"""Stopping what runs in a Pod: one container, or all of it for good.

SIGTERM through the runtime, the grace period, SIGKILL; preStop hooks first, out of the same grace
period. Everything here can be done again after an interruption. Upstream: `killContainer` and
`SyncTerminatingPod`.
"""

from __future__ import annotations

import asyncio

from services.api.core_v1 import Container
from services.kubelet.cri import ContainerRecord, CriError
from services.kubelet.hooks import HookError, run_hook
from services.kubelet.node_context import NodeContext
from services.kubelet.pod_worker import PodWorker
from services.machinery.pods import is_restartable_init

LEAST_GRACE_SECONDS = 2  # What a container keeps after a preStop hook has used up its grace period.


async def stop_pod(context: NodeContext, worker: PodWorker) -> None:
    """Stops all containers together, sidecars after the rest, and then their sandboxes."""
    sidecars = {c.name for c in worker.pod.spec.init_containers if is_restartable_init(c)}
    running = worker.view.running()
    await _stop_together(context, worker, [r for r in running if r.name not in sidecars])
    await _stop_together(context, worker, [r for r in running if r.name in sidecars])
    for sandbox in worker.view.sandboxes:
        if sandbox.ready:
            await context.cri.stop_sandbox(sandbox.id)


async def _stop_together(context: NodeContext, worker: PodWorker, records: list[ContainerRecord]) -> None:
    """The first failure is raised; what it interrupted is tried again with it."""
    failed: CriError | None = None
    try:
        async with asyncio.TaskGroup() as tasks:
            for record in records:
                container = worker.container(record.name)
                if container is not None:
                    message = f"Stopping container {record.name}"
                    tasks.create_task(stop_container(context, worker, container, record, message))
    except* CriError as group:
        failed = _first(group)
    if failed is not None:
        raise failed


def _first(group: BaseExceptionGroup[CriError]) -> CriError:
    first = group.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first


async def stop_container(
    context: NodeContext,
    worker: PodWorker,
    container: Container,
    record: ContainerRecord,
    message: str,
    grace_seconds: int | None = None,
) -> None:
    """Returns when it has ended. The event is told once, however often this is tried."""
    if record.id not in worker.killing:
        worker.killing.add(record.id)
        context.container_event(worker.pod, container, "Normal", "Killing", message)
        context.log.info(
            message, kind="Pod", namespace=worker.key.namespace, name=worker.key.name, container=record.name
        )
    grace = worker.grace_seconds if grace_seconds is None else grace_seconds
    hook = container.lifecycle.pre_stop if container.lifecycle else None
    if hook is not None and grace > 0:
        started = context.clock.monotonic()
        sandbox = worker.view.sandbox
        try:
            async with context.clock.timeout(grace):
                await run_hook(context, hook, container, record.id, sandbox.ip if sandbox else "")
        except (TimeoutError, HookError):
            context.container_event(
                worker.pod, container, "Warning", "FailedPreStopHook", "PreStopHook failed"
            )
        used = int(context.clock.monotonic() - started)
        grace = max(LEAST_GRACE_SECONDS, grace - used)
    try:
        await context.cri.stop_container(record.id, grace)
    except CriError as error:
        if error.code != "NotFound":
            raise
