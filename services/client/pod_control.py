"""How a controller handles its Pods: claim, create, delete, and not count too early.

`claim` gives the Pods that belong to an owner, adopting orphans that its selector matches and
releasing Pods that it no longer matches. Creation starts slowly (1, 2, 4, … at once), so that
a refusal that would hit all of them costs one request and not a thousand. Every creation and
deletion is expected in the cache before `settled` says that counting makes sense again.
Upstream: `PodControllerRefManager`, `RealPodControl`, `slowStartBatch`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace

from services.api.core_v1 import Pod, PodTemplateSpec
from services.api.errors import ApiError, is_not_found
from services.api.meta_v1 import LabelSelector, ObjectMeta
from services.api.object import Object, ObjectKey
from services.client.client import Client
from services.client.expectations import Expectations
from services.client.log import Logger
from services.client.store import Store
from services.client.transport import PatchType
from services.machinery import labels
from services.machinery.clock import Clock
from services.machinery.owners import controller_of, new_controller_ref
from services.machinery.pods import is_active

if TYPE_CHECKING:
    from services.client.recorder import EventRecorder

BATCH_FIRST = 1
AT_ONCE_MAX = 64  # Requests under way at the same time; more would only wait in the server.
_PREFIX_LENGTH_MAX = 253


def selector_of(owner: Any) -> labels.Selector:
    """Of anything with `spec.selector`, be it a LabelSelector or a map (ReplicationController)."""
    selector = owner.spec.selector
    if isinstance(selector, LabelSelector):
        return _parsed(msgspec.json.encode(selector))
    return labels.from_map(selector) if selector else labels.NOTHING


@lru_cache(maxsize=1024)
def _parsed(encoded: bytes) -> labels.Selector:
    return labels.from_label_selector(msgspec.json.decode(encoded, type=LabelSelector))


class PodControl:
    """For owners of one kind. Errors of the API rise; what did work stays done and expected."""

    def __init__(
        self,
        client: Client,
        pods: Store[Pod],
        owner_kind: type[Object],
        recorder: EventRecorder,
        clock: Clock,
        log: Logger,
    ) -> None:
        self._client, self._store, self._owner_kind = client, pods, owner_kind
        self._recorder, self._log = recorder, log
        self.expectations = Expectations(clock)

    # Claiming

    async def claim(self, owner: Any) -> list[Pod]:
        """The owner's Pods, finished and terminating ones too, after adopting and releasing."""
        selector = selector_of(owner)
        claimed, strangers = [], []
        for pod in self._store.by_index("owner-uid", owner.metadata.uid or ""):
            if selector.matches(pod.metadata.labels):
                claimed.append(pod)
            elif owner.metadata.deletion_timestamp is None:
                strangers.append(pod)
        for pod in strangers:
            await self._release(owner, pod)
        return claimed + await self._adopt_all(owner, selector)

    async def _adopt_all(self, owner: Any, selector: labels.Selector) -> list[Pod]:
        if owner.metadata.deletion_timestamp is not None or selector.empty:
            return []
        orphans = [
            pod
            for pod in self._store.by_index("orphan", owner.metadata.namespace or "")
            if selector.matches(pod.metadata.labels) and is_active(pod)
        ]
        if not orphans:
            return []
        # The cache may show an owner that is deleted already: ask before taking anything for it.
        fresh = await self._client.get(self._owner_kind, owner.metadata.name, owner.metadata.namespace)
        if fresh.metadata.uid != owner.metadata.uid or fresh.metadata.deletion_timestamp is not None:
            return []
        adopted = [await self._adopt(owner, pod) for pod in orphans]
        return [pod for pod in adopted if pod is not None]

    async def _adopt(self, owner: Any, pod: Pod) -> Pod | None:
        reference = msgspec.to_builtins(new_controller_ref(owner))
        patch = {"metadata": {"ownerReferences": [reference], "uid": pod.metadata.uid}}
        self._log.debug("Adopting a Pod", kind="Pod", namespace=pod.key.namespace, name=pod.key.name)
        try:
            return await self._patch(pod, patch)
        except ApiError as error:
            if is_not_found(error):
                return None  # Gone already; its event will come.
            raise

    async def _release(self, owner: Any, pod: Pod) -> None:
        reference = {"$patch": "delete", "uid": owner.metadata.uid}
        patch = {"metadata": {"ownerReferences": [reference], "uid": pod.metadata.uid}}
        self._log.debug("Releasing a Pod", kind="Pod", namespace=pod.key.namespace, name=pod.key.name)
        try:
            await self._patch(pod, patch)
        except ApiError as error:
            # Gone, or another Pod of that name (the uid is immutable): nothing is left to release.
            if not is_not_found(error) and error.reason != "Invalid":
                raise

    async def _patch(self, pod: Pod, patch: dict[str, Any]) -> Pod:
        key = pod.key
        return await self._client.patch(Pod, key.name, key.namespace, patch, patch_type=PatchType.STRATEGIC)

    # Creating

    async def create(self, owner: Any, template: PodTemplateSpec, count: int) -> int:
        """Makes `count` Pods; the number that was made. The first refusal ends it and rises at the end."""
        if count <= 0:
            return 0
        pod = pod_from_template(owner, template)
        key = owner.key
        self.expectations.expect_creations(key, count)
        made, remaining, batch = 0, count, BATCH_FIRST
        while remaining > 0:
            size = min(batch, remaining)
            errors = await self._create_batch(owner, pod, size)
            made += size - len(errors)
            remaining -= size
            if errors:
                # Never asked for, or refused: they will not show up in the cache.
                self.expectations.creation_observed(key, len(errors) + remaining)
                if not all(_namespace_ends(error) for error in errors):
                    raise errors[0]
                return made
            batch *= 2
        return made

    async def _create_batch(self, owner: Any, pod: Pod, size: int) -> list[ApiError]:
        if size == 1:
            return [error for error in [await self._create_one(owner, pod)] if error]
        limit = asyncio.Semaphore(AT_ONCE_MAX)

        async def one() -> ApiError | None:
            async with limit:
                return await self._create_one(owner, pod)

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one()) for _ in range(size)]
        return [error for task in tasks if (error := task.result())]

    async def _create_one(self, owner: Any, pod: Pod) -> ApiError | None:
        try:
            created = await self._client.create(pod)
        except ApiError as error:
            if not _namespace_ends(error):
                self._recorder.event(owner, "Warning", "FailedCreate", f"Error creating: {error.message}")
            return error
        name = created.metadata.name
        self._recorder.event(owner, "Normal", "SuccessfulCreate", f"Created pod: {name}")
        self._log.info(
            f"Created a Pod for {self._owner_kind.kind} {owner.metadata.name}",
            kind="Pod", namespace=created.metadata.namespace, name=name,
        )  # fmt: skip
        return None

    # Deleting

    async def delete(self, owner: Any, pods: Iterable[Pod]) -> None:
        """Deletes these Pods, all at once up to a bound; the first refusal rises at the end."""
        doomed = tuple(pods)
        if not doomed:
            return
        self.expectations.expect_deletions(owner.key, [pod.metadata.uid or "" for pod in doomed])
        limit = asyncio.Semaphore(AT_ONCE_MAX)

        async def one(pod: Pod) -> ApiError | None:
            async with limit:
                return await self._delete_one(owner, pod)

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(pod)) for pod in doomed]
        for task in tasks:
            if error := task.result():
                raise error

    async def _delete_one(self, owner: Any, pod: Pod) -> ApiError | None:
        key = pod.key
        try:
            await self._client.delete(Pod, key.name, key.namespace)
        except ApiError as error:
            self.expectations.deletion_observed(owner.key, pod.metadata.uid or "")
            if is_not_found(error):
                return None
            self._recorder.event(owner, "Warning", "FailedDelete", f"Error deleting: {error.message}")
            return error
        self._recorder.event(owner, "Normal", "SuccessfulDelete", f"Deleted pod: {key.name}")
        self._log.info(
            f"Deleted a Pod of {self._owner_kind.kind} {owner.metadata.name}",
            kind="Pod", namespace=key.namespace, name=key.name,
        )  # fmt: skip
        return None

    # Expecting

    def settled(self, owner: Object) -> bool:
        """Whether the cache shows what was asked for, so that a count made from it is right."""
        return self.expectations.settled(owner.key)

    def forget(self, key: ObjectKey) -> None:
        """The owner is gone."""
        self.expectations.forget(key)

    def observe_added(self, pod: Pod) -> None:
        key = self._owner_key(pod)
        if key is None:
            return
        if pod.metadata.deletion_timestamp is not None:
            self.expectations.deletion_observed(key, pod.metadata.uid or "")
        else:
            self.expectations.creation_observed(key)

    def observe_updated(self, old: Pod, new: Pod) -> None:
        """A Pod that starts to terminate counts as deleted: it is no replica any more."""
        if new.metadata.deletion_timestamp is not None and old.metadata.deletion_timestamp is None:
            self.observe_deleted(new)

    def observe_deleted(self, pod: Pod) -> None:
        key = self._owner_key(pod)
        if key is not None:
            self.expectations.deletion_observed(key, pod.metadata.uid or "")

    def _owner_key(self, pod: Pod) -> ObjectKey | None:
        reference = controller_of(pod)
        if reference is None or reference.kind != self._owner_kind.kind:
            return None
        if reference.api_version != self._owner_kind.api_version:
            return None
        return ObjectKey(pod.metadata.namespace or "", reference.name)


def pod_from_template(owner: Any, template: PodTemplateSpec) -> Pod:
    """The Pod to post: the template's spec and labels, the owner's name and reference."""
    metadata = ObjectMeta(
        generate_name=f"{owner.metadata.name}-"[:_PREFIX_LENGTH_MAX],
        namespace=owner.metadata.namespace,
        labels=template.metadata.labels,
        annotations=template.metadata.annotations,
        finalizers=template.metadata.finalizers,
        owner_references=[new_controller_ref(owner)],
    )
    return Pod(metadata=metadata, spec=replace(template.spec))


def _namespace_ends(error: ApiError) -> bool:
    """Refused because the namespace is being deleted: nothing to report, the owner goes too."""
    causes: Sequence[dict[str, str]] = error.status.get("details", {}).get("causes", [])
    return any(cause.get("reason") == "NamespaceTerminating" for cause in causes)
