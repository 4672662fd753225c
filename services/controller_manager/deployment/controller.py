"""Deployment controller: brings the ReplicaSets of a Deployment to the sizes that its rollout allows.

`reconcile` takes one step, reports, and is woken by what the step changed: the ReplicaSets' statuses
drive the rollout on. All state is in the objects: a manager that takes over in the middle of a rollout
goes on from where the sizes are, and a write made from a stale cache is refused and tried again. Pods are
the ReplicaSets' business; they are looked at only for Recreate, which waits until every old one is gone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from msgspec.structs import replace

from services.api.apps_v1 import Deployment, DeploymentStatus, ReplicaSet
from services.api.core_v1 import Pod
from services.api.errors import ApiError, is_already_exists
from services.api.object import ObjectKey
from services.client.controller import Controller, ControllerContext, For, Owns, Stores, Watches
from services.controller_manager.deployment import revisions, sizes, status
from services.controller_manager.deployment.claim import claim
from services.controller_manager.deployment.revisions import REVISION
from services.controller_manager.deployment.sizes import Resize, size, wanted
from services.controller_manager.deployment.status import View
from services.controller_manager.written import Written
from services.machinery import pods
from services.machinery.owners import controller_of, is_controlled_by


def _waiting_for_old_pods(pod: Pod, stores: Stores) -> Iterable[ObjectKey]:
    """The Recreate Deployment that this Pod belongs to; a rolling one does not look at Pods."""
    replicaset = _controller(pod, ReplicaSet, stores)
    deployment = _controller(replicaset, Deployment, stores) if replicaset else None
    return [deployment.key] if deployment and not sizes.is_rolling(deployment) else []


def _controller(obj: Any, kind: type[Any], stores: Stores) -> Any:
    reference = controller_of(obj)
    if reference is None or reference.kind != kind.kind:
        return None
    return stores[kind].get(ObjectKey(obj.key.namespace, reference.name))


def _is_gone(old: Pod | None, new: Pod | None) -> bool:
    return new is None or pods.is_terminated(new)


class DeploymentController(Controller[Deployment]):
    name = "deployment"
    watches = (
        For(Deployment),
        Owns(ReplicaSet),
        Watches(Pod, map=_waiting_for_old_pods, when=_is_gone),
    )

    def __init__(self, context: ControllerContext) -> None:
        super().__init__(context)
        self._written: Written[Deployment] = Written()

    async def reconcile_deleted(self, key: ObjectKey) -> None:
        self._written.forget(key)

    async def reconcile(self, deployment: Deployment) -> None:
        deployment = self._written.newest(deployment)
        replicasets = await claim(self.client, self.store(ReplicaSet), deployment)
        paused = status.paused_or_resumed(deployment, self.clock.now())
        if paused is not None and not deployment.metadata.deletion_timestamp:
            deployment = await self._write_status(paused)
        view = await self._view(deployment, replicasets)
        if view.deployment.metadata.deletion_timestamp:
            await self._report(view, status.observe(view, self.clock.now()))
        elif deployment.spec.paused or sizes.is_scaling_event(deployment, view.everything):
            await self._scale(view)
        elif sizes.is_rolling(deployment):
            await self._roll(view)
        else:
            await self._recreate(view)

    # One step of each way

    async def _scale(self, view: View) -> None:
        await self._resize(view, sizes.scale(view.deployment, view.new, view.old))
        if view.deployment.spec.paused:
            await self._drop_history(view)
        await self._report(view, status.observe(view, self.clock.now()))

    async def _roll(self, view: View) -> None:
        view, new = await self._with_new(view)
        deployment = view.deployment
        # One side a step: what the other may do depends on what this one's change brings about.
        scaled = await self._resize(view, sizes.grow_new(deployment, new, view.everything))
        if not scaled:
            scaled = await self._resize(view, sizes.shrink_old(deployment, new, view.old))
        if not scaled and status.is_complete(deployment, deployment.status):
            await self._drop_history(view)
        await self._report(view, status.observe_rollout(view, self.clock.now()))

    async def _recreate(self, view: View) -> None:
        scaled = await self._resize(view, sizes.to_zero(view.old))
        if not scaled and not self._old_pods_exist(view):
            view, new = await self._with_new(view)
            if size(new) != wanted(view.deployment):
                await self._resize(view, [Resize(new, wanted(view.deployment))])
            if status.is_complete(view.deployment, view.deployment.status):
                await self._drop_history(view)
        await self._report(view, status.observe_rollout(view, self.clock.now()))

    def _old_pods_exist(self, view: View) -> bool:
        """Terminating ones count: two versions must never run side by side."""
        if any(replicaset.status.replicas for replicaset in view.old):
            return True
        of = self.store(Pod)
        return any(
            not pods.is_terminated(pod)
            for replicaset in view.old
            for pod in of.by_index("owner-uid", replicaset.metadata.uid or "")
        )

    # The ReplicaSet of the present template

    async def _view(self, deployment: Deployment, replicasets: Sequence[ReplicaSet]) -> View:
        """Finds the ReplicaSet of the present template, and brings its annotations up to date."""
        new = revisions.find_new(deployment, replicasets)
        old = [replicaset for replicaset in replicasets if replicaset is not new]
        if new is None:
            return View(deployment, None, old)
        new = await self._refresh(deployment, new, revisions.next_revision(old))
        changed = _with_revision(deployment, new.metadata.annotations.get(REVISION, ""))
        if status.has_deadline(changed) and status.progressing(changed) is None:
            message = f'Found new replica set "{new.metadata.name}"'
            changed = self._progressing(changed, "True", "FoundNewReplicaSet", message)
        if changed != deployment:
            deployment = await self._write_status(changed)
        return View(deployment, new, old)

    async def _refresh(self, deployment: Deployment, new: ReplicaSet, revision: int) -> ReplicaSet:
        notes = revisions.annotations_to_write(deployment, new, revision)
        patch: dict[str, Any] = {"metadata": {"annotations": notes}} if notes else {}
        seconds = deployment.spec.min_ready_seconds or 0
        if (new.spec.min_ready_seconds or 0) != seconds:
            patch["spec"] = {"minReadySeconds": seconds}
        return await self._patch(new, patch) if patch else new

    async def _with_new(self, view: View) -> tuple[View, ReplicaSet]:
        """The view with a ReplicaSet for the present template, made if there is none."""
        if view.new is not None:
            return view, view.new
        deployment = view.deployment
        replicas = sizes.new_size(deployment, None, view.old)
        revision = revisions.next_revision(view.old)
        most = wanted(deployment) + sizes.max_surge(deployment)
        form = revisions.new_replicaset(deployment, replicas, revision, most)
        try:
            new = await self.client.create(form)
        except ApiError as error:
            new = await self._creation_failed(deployment, form, error)
        else:
            if replicas:
                self._tell(deployment, f"Scaled up replica set {new.metadata.name} from 0 to {replicas}")
        changed = _with_revision(deployment, str(revision))
        if status.has_deadline(deployment):
            message = f'Created new replica set "{new.metadata.name}"'
            changed = self._progressing(changed, "True", "NewReplicaSetCreated", message)
        if changed != deployment:
            deployment = await self._write_status(changed)
        return View(deployment, new, view.old), new

    async def _creation_failed(self, deployment: Deployment, form: ReplicaSet, error: ApiError) -> ReplicaSet:
        """Our own ReplicaSet that the cache does not show yet; otherwise reports, and raises."""
        name, namespace = form.metadata.name or "", form.metadata.namespace or ""
        if is_already_exists(error):
            found = await self.client.get(ReplicaSet, name, namespace)
            if is_controlled_by(found, deployment) and revisions.same_template(deployment, found):
                return found
            # The hash names somebody else's ReplicaSet: the next attempt hashes with another count.
            count = (deployment.status.collision_count or 0) + 1
            await self._write_status(
                replace(deployment, status=replace(deployment.status, collision_count=count))
            )
        elif not _namespace_ends(error):
            message = f'Failed to create new replica set "{name}": {error.message}'
            if status.has_deadline(deployment):
                failed = self._progressing(deployment, "False", "ReplicaSetCreateError", message)
                if failed != deployment:
                    await self._write_status(failed)
            self.recorder.event(deployment, "Warning", "ReplicaSetCreateError", message)
        raise error

    # Acting

    async def _resize(self, view: View, resizes: Sequence[Resize]) -> bool:
        """Whether there was anything to do. One ReplicaSet may be resized more than once."""
        latest: dict[str | None, ReplicaSet] = {}
        for resize in resizes:
            uid = resize.replicaset.metadata.uid
            replicaset = latest.get(uid, resize.replicaset)
            latest[uid] = await self._resize_one(view.deployment, replicaset, resize.replicas)
        return bool(resizes)

    async def _resize_one(self, deployment: Deployment, replicaset: ReplicaSet, replicas: int) -> ReplicaSet:
        most = wanted(deployment) + sizes.max_surge(deployment)
        have = replicaset.metadata.annotations
        computed = revisions.size_annotations(deployment, most).items()
        notes = {key: value for key, value in computed if have.get(key) != value}
        before = size(replicaset)
        patch: dict[str, Any] = {"metadata": {"annotations": notes}} if notes else {}
        if before != replicas:
            patch["spec"] = {"replicas": replicas}
        if not patch:
            return replicaset
        replicaset = await self._patch(replicaset, patch)
        if before != replicas:
            way = "up" if replicas > before else "down"
            name = replicaset.metadata.name
            self._tell(deployment, f"Scaled {way} replica set {name} from {before} to {replicas}")
        return replicaset

    def _tell(self, deployment: Deployment, message: str) -> None:
        self.recorder.event(deployment, "Normal", "ScalingReplicaSet", message)
        key = deployment.key
        self.log.info(message, kind="Deployment", namespace=key.namespace, name=key.name)

    async def _drop_history(self, view: View) -> None:
        for replicaset in revisions.beyond_history(view.deployment, view.old):
            key = replicaset.key
            self.log.info(
                "Deleting a ReplicaSet beyond revisionHistoryLimit",
                kind="ReplicaSet", namespace=key.namespace, name=key.name,
            )  # fmt: skip
            await self.client.delete(ReplicaSet, key.name, key.namespace, uid=replicaset.metadata.uid or "")

    async def _patch(self, replicaset: ReplicaSet, patch: dict[str, Any]) -> ReplicaSet:
        """Refused when the ReplicaSet is no longer what the decision was made from."""
        key = replicaset.key
        guarded = {"resourceVersion": replicaset.metadata.resource_version}
        patch = {**patch, "metadata": {**patch.get("metadata", {}), **guarded}}
        return await self.client.patch(ReplicaSet, key.name, key.namespace, patch)

    # Reporting

    async def _report(self, view: View, observed: DeploymentStatus) -> None:
        deployment = view.deployment
        if observed != deployment.status:
            await self._write_status(replace(deployment, status=observed))
        if deployment.metadata.deletion_timestamp or deployment.spec.paused:
            return
        wait = status.next_check_seconds(deployment, observed, self.clock.now())
        if wait is not None:
            self.requeue_after(deployment.key, wait)

    async def _write_status(self, deployment: Deployment) -> Deployment:
        return self._written.remember(await self.client.update(deployment, subresource="status"))

    def _progressing(self, deployment: Deployment, value: str, reason: str, message: str) -> Deployment:
        return status.with_progressing(deployment, value, reason, message, self.clock.now())


def _with_revision(deployment: Deployment, revision: str) -> Deployment:
    annotations = deployment.metadata.annotations
    if not revision or annotations.get(REVISION) == revision:
        return deployment
    metadata = replace(deployment.metadata, annotations={**annotations, REVISION: revision})
    return replace(deployment, metadata=metadata)


def _namespace_ends(error: ApiError) -> bool:
    causes = error.status.get("details", {}).get("causes", [])
    return any(cause.get("reason") == "NamespaceTerminating" for cause in causes)
