"""The kubelet of one node: the sync loop over what should run, what does run, and time.

Config (the Pods bound here), the runtime's events, probes and timers only poke a Pod's worker;
each worker's looks run one at a time as a task that ends when there is nothing left to do, so an
idle node has no tasks. A look that fails is repeated with back-off: this loop is where errors end.
Upstream: `syncLoopIteration` in `pkg/kubelet/kubelet.go`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from services.api.core_v1 import Container, Pod
from services.api.errors import ApiError
from services.kubelet import admission
from services.kubelet.container_status import as_data
from services.kubelet.cri import ContainerRecord, ContainerState, CriError, PodRecord, Removed
from services.kubelet.image_manager import ImageManager
from services.kubelet.node_context import NodeContext
from services.kubelet.pod_status import FINISHED
from services.kubelet.pod_sync import PodSync
from services.kubelet.pod_worker import GRACE_SECONDS, Interrupted, PodWorker, Stage
from services.kubelet.prober import PodProbes, Prober
from services.kubelet.runtime_view import RuntimeView
from services.machinery import trace
from services.machinery.backoff import Backoff
from services.machinery.clock import parse_time

_RETRY = Backoff(1, 120)


class Kubelet:
    """Fed by `Fleet`: `pod_set` and `pod_removed` from the watch, `runtime_event` from PLEG."""

    def __init__(self, context: NodeContext, images: ImageManager, prober: Prober) -> None:
        self.context = context
        self.workers: dict[str, PodWorker] = {}
        self._views: dict[str, RuntimeView] = {}  # of Pods that the API server has not shown yet
        self._of_sandbox: dict[str, str] = {}  # uid by sandbox id
        self.news = 0  # how many events there were; a list older than an event must not undo it
        self._told_at: dict[str, int] = {}  # of each sandbox: the number of its last event
        self._prober = prober
        self._sync = PodSync(context, images, prober, self._look_after, self._admitted)
        self.ended: Callable[[Pod], None] = lambda pod: None  # nothing of it is left here
        self._changed = asyncio.Event()

    # ---- Config ------------------------------------------------------------------------------

    def pod_set(self, pod: Pod, cause: str) -> None:
        """A Pod is bound here, or has changed."""
        worker = self.workers.get(pod.metadata.uid or "")
        if worker is None:
            self._add(pod, cause)
            return
        old, worker.pod = worker.pod, pod
        worker.cause = cause or worker.cause
        if pod.metadata.deletion_timestamp:
            worker.terminate(_grace_of(pod))
            if not old.metadata.deletion_timestamp or worker.stage is Stage.TERMINATED:
                self.poke(worker)
            return
        same_notes = old.metadata.labels == pod.metadata.labels
        same_notes = same_notes and old.metadata.annotations == pod.metadata.annotations
        if pod.spec.volumes and not same_notes:
            worker.stale_volumes = True  # Upstream too mounts anew whatever a Pod's update was.
            self.poke(worker)
        if old.spec.active_deadline_seconds != pod.spec.active_deadline_seconds:
            self._watch_deadline(worker)
        if old.metadata.generation != pod.metadata.generation or old.spec != pod.spec:
            self.poke(worker)
        elif pod.spec.readiness_gates and old.status.conditions != pod.status.conditions:
            self.poke(worker)  # Somebody may have opened a gate.
        elif worker.stage is Stage.SYNC:
            self.context.statuses.reconcile(pod)

    def pod_removed(self, pod: Pod, cause: str) -> None:
        """The API server has it no more: nothing of it may stay."""
        worker = self.workers.get(pod.metadata.uid or "")
        if worker is None:
            return
        worker.gone = True
        worker.cause = cause or worker.cause
        self.context.statuses.forget(worker.uid)
        worker.terminate(_grace_of(pod))
        self.poke(worker)

    def _add(self, pod: Pod, cause: str) -> None:
        uid = pod.metadata.uid or ""
        view = self._views.pop(uid, None) or RuntimeView()
        probes = PodProbes(pod, "", poke=lambda: None, tell=lambda container, reason, message: None)
        worker = PodWorker(pod, as_data(pod.status), view, probes, cause=cause)
        probes.poke = lambda: self._probed(worker)
        probes.tell = lambda container, reason, message: self._unhealthy(worker, container, reason, message)
        grace = pod.spec.termination_grace_period_seconds
        worker.grace_seconds = GRACE_SECONDS if grace is None else grace
        if pod.metadata.deletion_timestamp:
            worker.terminate(_grace_of(pod))
        elif pod.status.phase in FINISHED:
            worker.stage = Stage.TERMINATING if view.running() else Stage.TERMINATED
        elif view.empty and not any(s.container_id for s in pod.status.container_statuses):
            self._admit(worker)
        self.workers[uid] = worker
        if worker.stage is Stage.SYNC and not worker.refused:
            text = "Got a Pod to run" if view.empty else "Took over a Pod that runs already"
            self.context.log.info(text, **_named(worker), trace=trace.trace_id(cause))
        self._adopt(worker)
        self._watch_deadline(worker)
        self.poke(worker)

    def _admitted(self) -> Iterable[Pod]:
        """All Pods that hold resources here, with what they were granted."""
        return (worker.granted for worker in self.workers.values() if worker.stage is Stage.SYNC)

    def _admit(self, worker: PodWorker) -> None:
        context = self.context
        refusal = admission.admit(
            worker.pod,
            self._admitted(),
            context.allocatable,
            context.node,
            pressure=context.pressure,
            shutting_down=context.shutting_down,
        )
        if refusal is None:
            return
        worker.refused = True
        worker.reason, worker.message = refusal.reason, f"Pod was rejected: {refusal.message}"
        self.context.pod_event(worker.pod, "Warning", refusal.reason, refusal.message)
        self.context.log.warning("Refused the Pod", **_named(worker), reason=refusal.message)

    def end(self, worker: PodWorker, reason: str, message: str, grace_seconds: int) -> None:
        """The kubelet's own decision: the Pod is Failed from here on, and says why."""
        worker.refused = True
        worker.reason, worker.message, worker.disruption = reason, message, message
        worker.terminate(grace_seconds)
        self.poke(worker)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Returns when the workers meet the condition, which is asked after each look at one."""
        while not condition():
            self._changed.clear()
            await self._changed.wait()

    async def remove_dead(self) -> None:
        """Frees what finished Pods keep for those who would still read their logs."""
        for worker in [*self.workers.values()]:
            if worker.stage is not Stage.TERMINATED:
                continue
            for sandbox in [*worker.view.sandboxes]:
                await self.context.cri.remove_sandbox(sandbox.id)
                worker.view.remove(sandbox.id)

    def _adopt(self, worker: PodWorker) -> None:
        """Takes over what already runs: the kubelet was restarted, the containers were not."""
        for record in worker.view.current.values():
            if record.running:
                self._container_started(worker, record)

    def _watch_deadline(self, worker: PodWorker) -> None:
        limit = worker.pod.spec.active_deadline_seconds
        if worker.deadline is not None:
            worker.deadline.cancel()
        if limit is None:
            return
        since = worker.pod.status.start_time
        age = (self.context.clock.now() - parse_time(since)).total_seconds() if since else 0.0

        def passed() -> None:
            if worker.stage is Stage.SYNC:
                message = "Pod was active on the node longer than the specified deadline"
                worker.refused, worker.reason, worker.message = True, "DeadlineExceeded", message
                self.context.pod_event(worker.pod, "Normal", "DeadlineExceeded", message)
                self.poke(worker)

        worker.deadline = self.context.timers.after(limit - age, passed)

    # ---- PLEG --------------------------------------------------------------------------------

    def runtime_event(self, event: PodRecord | Removed) -> None:
        """The runtime says how a sandbox and its containers are now."""
        if isinstance(event, Removed):
            self._removed(event.id)
            return
        uid = event.sandbox.uid
        self.news += 1
        self._of_sandbox[event.sandbox.id] = uid
        self._told_at[event.sandbox.id] = self.news
        worker = self.workers.get(uid)
        if worker is None:
            self._views.setdefault(uid, RuntimeView()).put(event)
            return
        before = dict(worker.view.current)
        worker.view.put(event)
        worker.seen()
        self._tell_changes(worker, before)
        self.poke(worker)

    def _removed(self, identifier: str) -> None:
        uid = self._of_sandbox.pop(identifier, None)
        self._told_at.pop(identifier, None)
        if uid is None:
            return  # A container: its sandbox's next event shows what is left.
        worker = self.workers.get(uid)
        if worker is not None:
            worker.view.remove(identifier)
            worker.awaited.clear()
            self.poke(worker)
        elif uid in self._views:
            self._views[uid].remove(identifier)
            if self._views[uid].empty:
                del self._views[uid]

    def relisted(self, records: list[PodRecord], since: int) -> None:
        """A full list of the runtime: what it does not name is gone. `since`: `news` when it was begun."""
        listed = {record.sandbox.id for record in records}
        for identifier, told in [*self._told_at.items()]:
            if identifier not in listed and told <= since:
                self._removed(identifier)
        for record in records:
            if self._told_at.get(record.sandbox.id, 0) > since:
                continue
            worker = self.workers.get(record.sandbox.uid)
            if worker is None or record not in worker.view:
                self.runtime_event(record)

    def _tell_changes(self, worker: PodWorker, before: dict[str, ContainerRecord]) -> None:
        for name, record in worker.view.current.items():
            was = before.get(name)
            if record.running:
                states = worker.probes.states.get(name)
                known = was is not None and was.id == record.id and was.image and was.running
                if not known or (states and states[0].container_id != record.id):
                    self._container_started(worker, record)
            elif record.state == ContainerState.EXITED and not (
                was and was.id == record.id and was.state == ContainerState.EXITED
            ):
                self._prober.container_stopped(worker.probes, name)
                self.context.log.info(
                    f"The container exited with {record.exit_code}",
                    **_named(worker),
                    container=name,
                    reason=record.reason,
                )

    def _container_started(self, worker: PodWorker, record: ContainerRecord) -> None:
        container = worker.container(record.name)
        if container is None or not (
            container.liveness_probe or container.readiness_probe or container.startup_probe
        ):
            return
        sandbox = worker.view.sandbox
        worker.probes.address = (
            self.context.ip if worker.pod.spec.host_network else (sandbox.ip if sandbox else "")
        )
        self._prober.container_started(worker.probes, container, record.id)

    def _probed(self, worker: PodWorker) -> None:
        """A probe's result has changed. While a Pod is being stopped, that is only to be reported."""
        if worker.stage is Stage.TERMINATING:
            self._sync.report(worker)
        else:
            self.poke(worker)

    def _unhealthy(self, worker: PodWorker, container: Container, reason: str, message: str) -> None:
        self.context.container_event(worker.pod, container, "Warning", reason, message)
        self.context.log.info(message, **_named(worker), container=container.name)

    def known(self) -> set[str]:
        """The uids of all Pods that are looked after here, or that the runtime still has something of."""
        return {*self.workers, *self._views, *self._of_sandbox.values()}

    def orphans(self) -> list[str]:
        """Sandboxes of Pods that the API server does not know: for whoever cleans up."""
        return [sandbox.id for view in self._views.values() for sandbox in view.sandboxes]

    async def remove_orphans(self) -> None:
        """Asked once the first list of Pods is in: what nobody wants is stopped and removed."""
        for identifier in self.orphans():
            try:
                await self.context.cri.stop_sandbox(identifier)
                await self.context.cri.remove_sandbox(identifier)
            except CriError as error:
                self.context.log.warning(
                    "Could not remove an orphaned sandbox", id=identifier, error=str(error)
                )
            else:
                self.context.log.info("Removed the containers of a Pod that is gone", sandbox=identifier[:12])

    # ---- Looks -------------------------------------------------------------------------------

    def poke(self, worker: PodWorker) -> None:
        """Look at this Pod soon. Pokes during a look make one more look."""
        worker.dirty = True
        if not worker.active and self.workers.get(worker.uid) is worker:
            worker.active = True
            self.context.group.create_task(self._work(worker))

    def _look_after(self, worker: PodWorker, seconds: float) -> None:
        """Of all the times asked for, the soonest counts; that look then asks again."""
        due = self.context.clock.monotonic() + seconds
        if worker.retry is not None:
            if worker.retry_at <= due:
                return
            worker.retry.cancel()

        def look() -> None:
            worker.retry = None
            self.poke(worker)

        worker.retry, worker.retry_at = self.context.timers.after(seconds, look), due

    async def _work(self, worker: PodWorker) -> None:
        try:
            while worker.dirty:
                worker.dirty = False
                with trace.scope(worker.cause):
                    await self._look(worker)
        finally:
            worker.active = False
            self._changed.set()

    async def _look(self, worker: PodWorker) -> None:
        try:
            if worker.stage is Stage.SYNC:
                await self._sync.sync(worker)
            if worker.stage is Stage.TERMINATING:
                await self._sync.terminate(worker)
            if worker.stage is Stage.TERMINATED:
                await self._finish(worker)
            worker.failures = 0
        except Interrupted:
            worker.dirty = True
        except (CriError, ApiError) as error:
            delay = _RETRY.seconds(worker.failures)
            worker.failures += 1
            self.context.log.warning(
                "Could not bring the Pod further; trying again",
                **_named(worker),
                error=str(error),
                wait=f"{delay:.0f}s",
            )
            self._look_after(worker, delay)

    async def _finish(self, worker: PodWorker) -> None:
        """A finished Pod stays, with its logs, until somebody deletes it."""
        if worker.deadline is not None:
            worker.deadline.cancel()
        if not worker.gone and not worker.pod.metadata.deletion_timestamp:
            return
        if not worker.finished:
            await self._sync.clean_up(worker)
            worker.finished = True
            if worker.retry is not None:
                worker.retry.cancel()
            self.context.log.info("Stopped the Pod, and removed what was left of it", **_named(worker))
            if not worker.gone:
                self.context.statuses.delete(worker.pod)
        if worker.gone and self.workers.pop(worker.uid, None) is not None:
            self.ended(worker.pod)


def _grace_of(pod: Pod) -> int:
    grace = pod.metadata.deletion_grace_period_seconds
    if grace is None:
        grace = pod.spec.termination_grace_period_seconds
    return GRACE_SECONDS if grace is None else max(0, grace)


def _named(worker: PodWorker) -> dict[str, str]:
    return {"kind": "Pod", "namespace": worker.key.namespace, "name": worker.key.name}
