"""ReplicationController controller: the ReplicaSet's elder, with a selector that is a plain map.

It plans and counts as the ReplicaSet controller does (`replication`), and belongs to no Deployment.
"""

from __future__ import annotations

from collections.abc import Sequence

from services.api.core_v1 import (
    Pod,
    ReplicationController,
    ReplicationControllerCondition,
    ReplicationControllerStatus,
)
from services.api.errors import ApiError
from services.api.object import ObjectKey
from services.client.controller import Controller, ControllerContext, For, Owns
from services.controller_manager import replication
from services.controller_manager.pace import Pace
from services.machinery import conditions, pods
from services.machinery.clock import rfc3339

REPLICA_FAILURE = "ReplicaFailure"


class ReplicationManager(Controller[ReplicationController]):
    name = "replicationcontroller"
    event_source = "replication-controller"
    watches = (For(ReplicationController), Owns(Pod, when=replication.concerns_owner))

    def __init__(self, context: ControllerContext) -> None:
        super().__init__(context)
        self._pace = Pace()

    async def reconcile(self, controller: ReplicationController) -> None:
        wait = self._pace.wait_seconds(controller.key, controller.status.replicas, self.clock.monotonic())
        if wait:
            self.requeue_after(controller.key, wait)
            return
        # Asked before the Pods are read: what turns up while we adopt is not in `owned`.
        settled = self.pods.settled(controller)
        owned = await self.pods.claim(controller)
        failure: ApiError | None = None
        try:
            if settled and not controller.metadata.deletion_timestamp:
                await self._act(controller, [pod for pod in owned if pods.is_active(pod)])
        except ApiError as error:
            failure = error
            raise
        finally:
            await self._report(controller, owned, failure)

    async def reconcile_deleted(self, key: ObjectKey) -> None:
        self.pods.forget(key)
        self._pace.forget(key)

    async def _act(self, controller: ReplicationController, live: Sequence[Pod]) -> None:
        todo = replication.plan(replicas_of(controller), live, lambda: live, self.clock.now())
        if todo.create and (template := controller.spec.template):
            self.log.info("Too few replicas: creating Pods", **_story(controller, live, todo.create))
            await self.pods.create(controller, template, count=todo.create)
        if todo.delete:
            self.log.info("Too many replicas: deleting Pods", **_story(controller, live, len(todo.delete)))
            await self.pods.delete(controller, todo.delete)

    async def _report(
        self, controller: ReplicationController, owned: Sequence[Pod], failure: ApiError | None
    ) -> None:
        now = self.clock.now()
        min_ready_seconds = controller.spec.min_ready_seconds or 0
        template = controller.spec.template
        counts = replication.count(
            owned, template.metadata.labels if template else {}, min_ready_seconds, now
        )
        status = observe(controller, counts, failure, rfc3339(now))
        if status != controller.status:
            patch = replication.status_patch(controller.metadata.uid, status)
            await self.client.patch(
                ReplicationController,
                controller.key.name,
                controller.key.namespace,
                patch,
                subresource="status",
            )
        if counts.ready > counts.available:
            ready = [pod for pod in owned if pods.is_active(pod) and pods.is_ready(pod)]
            wait = replication.next_available_seconds(ready, min_ready_seconds, now)
            if wait is not None:
                self.requeue_after(controller.key, wait)


def replicas_of(controller: ReplicationController) -> int:
    return 1 if controller.spec.replicas is None else controller.spec.replicas


def observe(
    controller: ReplicationController, counts: replication.Counts, failure: ApiError | None, moment: str
) -> ReplicationControllerStatus:
    found = controller.status.conditions
    if failure is None:
        found = conditions.remove(found, REPLICA_FAILURE)
    elif conditions.get(found, REPLICA_FAILURE) is None:
        missing = counts.replicas < replicas_of(controller)
        new = ReplicationControllerCondition(
            type=REPLICA_FAILURE,
            status="True",
            reason="FailedCreate" if missing else "FailedDelete",
            message=failure.message,
            last_transition_time=moment,
        )
        found = [*found, new]
    return ReplicationControllerStatus(
        replicas=counts.replicas,
        fully_labeled_replicas=counts.fully_labeled or None,
        ready_replicas=counts.ready or None,
        available_replicas=counts.available or None,
        observed_generation=controller.metadata.generation,
        conditions=found,
    )


def _story(controller: ReplicationController, live: Sequence[Pod], change: int) -> dict[str, object]:
    return {
        "kind": "ReplicationController",
        "namespace": controller.metadata.namespace,
        "name": controller.metadata.name,
        "wanted": replicas_of(controller),
        "have": len(live),
        "change": change,
    }
