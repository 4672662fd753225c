"""Stopping what runs in a Pod: one container, or all of it for good.

The preStop hook, SIGTERM through the runtime, the grace period, SIGKILL; hook and waiting come out
of the same grace period. Sidecars are told at once, but are stopped after all others, the last one
first. Everything here can be done again after an interruption. Upstream: `killContainer`,
`killContainersWithSyncResult` and `kuberuntime_termination_order.go`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from services.api.core_v1 import Container, LifecycleHandler
from services.kubelet.cri import ContainerRecord, CriError
from services.kubelet.hooks import HookError, run_hook
from services.kubelet.node_context import NodeContext
from services.kubelet.pod_worker import PodWorker
from services.machinery.pods import is_restartable_init

LEAST_GRACE_SECONDS = 2  # What a container keeps, whatever used up its grace period.


async def stop_pod(context: NodeContext, worker: PodWorker) -> None:
    """Stops all containers, and then their sandboxes."""
    await _stop_containers(context, worker, worker.view.running())
    for sandbox in worker.view.sandboxes:
        if sandbox.ready:
            await context.cri.stop_sandbox(sandbox.id)


async def _stop_containers(context: NodeContext, worker: PodWorker, records: list[ContainerRecord]) -> None:
    """The first failure is raised; what it interrupted is tried again with it."""
    sidecars = [c.name for c in worker.pod.spec.init_containers if is_restartable_init(c)]
    stopped = {record.name: asyncio.Event() for record in records}
    failed: CriError | None = None
    try:
        async with asyncio.TaskGroup() as tasks:
            for record in records:
                container = worker.container(record.name)
                if container is None:
                    stopped[record.name].set()
                    continue
                before = _before(record.name, sidecars, stopped)
                tasks.create_task(_stop_in_turn(context, worker, container, record, before, stopped))
    except* CriError as group:
        failed = _first(group)
    if failed is not None:
        raise failed


def _before(name: str, sidecars: list[str], stopped: dict[str, asyncio.Event]) -> list[asyncio.Event]:
    """Whose end a sidecar waits for: all that are none, and the sidecars that began after it."""
    if name not in sidecars:
        return []
    earlier = sidecars[: sidecars.index(name) + 1]
    return [event for other, event in stopped.items() if other not in earlier]


async def _stop_in_turn(
    context: NodeContext,
    worker: PodWorker,
    container: Container,
    record: ContainerRecord,
    before: Sequence[asyncio.Event],
    stopped: dict[str, asyncio.Event],
) -> None:
    await stop_container(
        context, worker, container, record, f"Stopping container {record.name}", before=before
    )
    stopped[record.name].set()


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
    before: Sequence[asyncio.Event] = (),
) -> None:
    """Returns when it has ended. The event is told once, however often this is tried."""
    if record.id not in worker.killing:
        worker.killing.add(record.id)
        context.container_event(worker.pod, container, "Normal", "Killing", message)
        context.log.info(
            message, kind="Pod", namespace=worker.key.namespace, name=worker.key.name, container=record.name
        )
    grace = worker.grace_seconds if grace_seconds is None else grace_seconds
    began = context.clock.monotonic()
    if grace > 0:
        hook = container.lifecycle.pre_stop if container.lifecycle else None
        if hook is not None:
            await _pre_stop(context, worker, container, hook, record.id, grace)
        if before:
            await _wait_for_turn(context, before, grace - (context.clock.monotonic() - began))
    used = int(context.clock.monotonic() - began)
    try:
        await context.cri.stop_container(record.id, max(LEAST_GRACE_SECONDS, grace - used))
    except CriError as error:
        if error.code != "NotFound":
            raise


async def _pre_stop(
    context: NodeContext,
    worker: PodWorker,
    container: Container,
    hook: LifecycleHandler,
    identifier: str,
    grace: int,
) -> None:
    sandbox = worker.view.sandbox
    address = context.ip if worker.pod.spec.host_network else (sandbox.ip if sandbox else "")
    try:
        async with context.clock.timeout(grace):
            await run_hook(context, hook, container, identifier, address, worker.name_with_uid)
    except TimeoutError:
        named = {"kind": "Pod", "namespace": worker.key.namespace, "name": worker.key.name}
        context.log.info(
            "The preStop hook did not end in its grace period", **named, container=container.name
        )
    except HookError:
        context.container_event(worker.pod, container, "Warning", "FailedPreStopHook", "PreStopHook failed")


async def _wait_for_turn(context: NodeContext, before: Sequence[asyncio.Event], seconds: float) -> None:
    try:
        async with context.clock.timeout(max(0.0, seconds)):
            for event in before:
                await event.wait()
    except TimeoutError:
        return  # No time is left to be polite.
