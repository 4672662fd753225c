"""ReplicaSet controller: keeps the number of live Pods equal to `spec.replicas`.

Level driven: `reconcile` reads what the caches say now and never asks which event woke it. What to
make and lose, and what to count, is decided in `replication`. Deleting the Pods of a deleted ReplicaSet
is left to the garbage collector. After a crash nothing is counted before the caches are complete, so
that Pods made by the predecessor are not made again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from services.api.apps_v1 import ReplicaSet, ReplicaSetCondition, ReplicaSetStatus
from services.api.core_v1 import Pod
from services.api.errors import ApiError
from services.api.object import ObjectKey
from services.client.controller import Controller, ControllerContext, For, Owns
from services.controller_manager import replication
from services.controller_manager.pace import Pace
from services.machinery import conditions, pods
from services.machinery.clock import rfc3339
from services.machinery.owners import controller_of

REPLICA_FAILURE = "ReplicaFailure"


class ReplicaSetController(Controller[ReplicaSet]):
    name = "replicaset"
    watches = (For(ReplicaSet), Owns(Pod, when=replication.concerns_owner))

    def __init__(self, context: ControllerContext) -> None:
        super().__init__(context)
        self._pace = Pace()

    async def reconcile(self, replicaset: ReplicaSet) -> None:
        wait = self._pace.wait_seconds(replicaset.key, replicaset.status.replicas, self.clock.monotonic())
        if wait:
            self.requeue_after(replicaset.key, wait)
            return
        # Asked before the Pods are read: what turns up while we adopt is not in `owned`.
        settled = self.pods.settled(replicaset)
        owned = await self.pods.claim(replicaset)
        failure: ApiError | None = None
        try:
            # Until the cache shows our own last writes, a count made from it would be wrong.
            if settled and not replicaset.metadata.deletion_timestamp:
                await self._act(replicaset, [pod for pod in owned if pods.is_active(pod)])
        except ApiError as error:
            failure = error
            raise
        finally:
            # Even a failed attempt reports what exists; the error still requeues the key.
            await self._report(replicaset, owned, failure)

    async def reconcile_deleted(self, key: ObjectKey) -> None:
        self.pods.forget(key)
        self._pace.forget(key)

    async def _act(self, replicaset: ReplicaSet, live: Sequence[Pod]) -> None:
        wanted = replicas_of(replicaset)
        todo = replication.plan(wanted, live, lambda: self._related(replicaset), self.clock.now())
        if todo.create and (template := replicaset.spec.template):
            self.log.info("Too few replicas: creating Pods", **_story(replicaset, live, todo.create))
            await self.pods.create(replicaset, template, count=todo.create)
        if todo.delete:
            self.log.info("Too many replicas: deleting Pods", **_story(replicaset, live, len(todo.delete)))
            await self.pods.delete(replicaset, todo.delete)

    def _related(self, replicaset: ReplicaSet) -> Iterable[Pod]:
        """The Pods of all ReplicaSets under the same Deployment, this one's included."""
        owner = controller_of(replicaset)
        siblings = self.store(ReplicaSet).by_index("owner-uid", owner.uid) if owner else [replicaset]
        for sibling in siblings:
            yield from self.store(Pod).by_index("owner-uid", sibling.metadata.uid or "")

    async def _report(self, replicaset: ReplicaSet, owned: Sequence[Pod], failure: ApiError | None) -> None:
        now = self.clock.now()
        min_ready_seconds = replicaset.spec.min_ready_seconds or 0
        template = replicaset.spec.template
        counts = replication.count(
            owned, template.metadata.labels if template else {}, min_ready_seconds, now
        )
        status = observe(replicaset, counts, failure, rfc3339(now))
        if status != replicaset.status:
            patch = replication.status_patch(replicaset.metadata.uid, status)
            await self.client.patch(
                ReplicaSet, replicaset.key.name, replicaset.key.namespace, patch, subresource="status"
            )
        if counts.ready > counts.available:
            ready = [pod for pod in owned if pods.is_active(pod) and pods.is_ready(pod)]
            wait = replication.next_available_seconds(ready, min_ready_seconds, now)
            if wait is not None:
                self.requeue_after(replicaset.key, wait)


def replicas_of(replicaset: ReplicaSet) -> int:
    return 1 if replicaset.spec.replicas is None else replicaset.spec.replicas


def observe(
    replicaset: ReplicaSet, counts: replication.Counts, failure: ApiError | None, moment: str
) -> ReplicaSetStatus:
    """The status that says what exists. A failure is told once, until an attempt succeeds."""
    found = replicaset.status.conditions
    if failure is None:
        found = conditions.remove(found, REPLICA_FAILURE)
    elif conditions.get(found, REPLICA_FAILURE) is None:
        missing = counts.replicas < replicas_of(replicaset)
        new = ReplicaSetCondition(
            type=REPLICA_FAILURE,
            status="True",
            reason="FailedCreate" if missing else "FailedDelete",
            message=failure.message,
            last_transition_time=moment,
        )
        found = [*found, new]
    return ReplicaSetStatus(
        replicas=counts.replicas,
        fully_labeled_replicas=counts.fully_labeled or None,
        ready_replicas=counts.ready or None,
        available_replicas=counts.available or None,
        terminating_replicas=counts.terminating,
        observed_generation=replicaset.metadata.generation,
        conditions=found,
    )


def _story(replicaset: ReplicaSet, live: Sequence[Pod], change: int) -> dict[str, object]:
    return {
        "kind": "ReplicaSet",
        "namespace": replicaset.metadata.namespace,
        "name": replicaset.metadata.name,
        "wanted": replicas_of(replicaset),
        "have": len(live),
        "change": change,
    }
