"""Namespace controller: deletes all content of a terminating namespace, then its finalizer.

Pods go first, everything else once they are gone, so that nothing a Pod needs disappears under it. Each
pass asks the API server itself what is left: a cache may lag, and a namespace must not go while anything
is in it. Between passes it waits as long as what remains may take; the status says what that is.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from msgspec.structs import replace

from services.api.core_v1 import Namespace, Pod
from services.api.errors import ApiError, is_conflict, is_not_found
from services.api.kinds import RESOURCES, resource_of
from services.api.object import ObjectKey
from services.client.controller import Controller, ControllerContext, For
from services.controller_manager.custom_kinds import CustomKinds
from services.controller_manager.namespace.report import Remains, conditions_of
from services.machinery import pods
from services.machinery.backoff import Backoff
from services.machinery.clock import rfc3339

FINALIZER = "kubernetes"
# Lets writers notice that the namespace ends before its content goes: upstream's delay.
GRACE_SECONDS = 5.0
RETRY_SECONDS, RETRY_SECONDS_MAX = 0.2, 5.0


class NamespaceController(Controller[Namespace]):
    name = "namespace"
    watches = (For(Namespace, when=lambda old, new: new is None or bool(new.metadata.deletion_timestamp)),)

    def __init__(self, context: ControllerContext) -> None:
        super().__init__(context)
        self._backoff = Backoff(RETRY_SECONDS, RETRY_SECONDS_MAX)
        self._not_before: dict[ObjectKey, float] = {}
        self._custom = CustomKinds(context)

    async def reconcile(self, namespace: Namespace) -> None:
        key = namespace.key
        if not namespace.metadata.deletion_timestamp or FINALIZER not in namespace.spec.finalizers:
            return
        now = self.clock.monotonic()
        if now < self._not_before.setdefault(key, now + GRACE_SECONDS):
            self.requeue_after(key, self._not_before[key] - now)
            return
        remains = await self._empty(key.name)
        namespace = await self._report(namespace, remains)
        if remains.nothing:
            self.log.info("The namespace is empty: letting it go", kind="Namespace", name=key.name)
            kept = [finalizer for finalizer in namespace.spec.finalizers if finalizer != FINALIZER]
            spec = replace(namespace.spec, finalizers=kept)
            await self.client.update(replace(namespace, spec=spec), subresource="finalize")
            return
        wait = self._backoff.next(key) if remains.errors else remains.estimate_seconds / 2 + 1
        self._not_before[key] = now + wait
        self.requeue_after(key, wait)

    async def reconcile_deleted(self, key: ObjectKey) -> None:
        self._not_before.pop(key, None)
        self._backoff.forget(key)

    async def _report(self, namespace: Namespace, remains: Remains) -> Namespace:
        found = conditions_of(namespace.status.conditions, remains, rfc3339(self.clock.now()))
        if found == namespace.status.conditions:
            return namespace
        if remains.objects:
            left = ", ".join(f"{count} {name.rstrip('.')}" for name, count in remains.objects.items())
            self.log.info(
                "The namespace still has content", kind="Namespace", name=namespace.key.name, left=left
            )
        status = replace(namespace.status, conditions=found)
        return await self.client.update(replace(namespace, status=status), subresource="status")

    async def _empty(self, name: str) -> Remains:
        remains = Remains()
        await self._delete_all(Pod, name, remains)
        if remains.objects:
            # Everything else waits for the Pods.
            waiting = Remains(estimate_seconds=remains.estimate_seconds)
            what = f"unexpected items still remain in namespace: {name} for gvr: /v1, Resource=pods"
            waiting.errors.append(what)
            return waiting
        for kind in _deletable():
            await self._delete_all(kind, name, remains)
        for kind in self._custom.all():
            if resource_of(kind).namespaced:
                await self._delete_custom(kind, name, remains)
        return remains

    async def _delete_custom(self, kind: type[Any], name: str, remains: Remains) -> None:
        """What somebody defined may go at any moment, or fail to be converted: others do not wait for it."""
        try:
            await self._delete_all(kind, name, remains)
        except ApiError as error:
            if not is_not_found(error):
                remains.errors.append(error.message)

    async def _delete_all(self, kind: type[Any], name: str, remains: Remains) -> None:
        left = await self.client.list(kind, name)
        if not left:
            return
        try:
            await self.client.delete_collection(kind, name)
        except ApiError as error:
            if not is_not_found(error) and not is_conflict(error):
                remains.errors.append(error.message)
                return
        left = await self.client.list(kind, name)
        if left:
            finalizers = [obj.metadata.finalizers for obj in left]
            remains.found(resource_of(kind), finalizers, max(_grace_seconds(obj) for obj in left))


def _deletable() -> Iterable[type[Any]]:
    """One version of each kind: it shows all objects."""
    found = (each for each in RESOURCES if each.namespaced and not each.stored_as and "list" in each.verbs)
    return [each.type for each in found if each.type is not Pod]


def _grace_seconds(obj: Any) -> int:
    """How long a Pod may still take to end."""
    if not isinstance(obj, Pod) or pods.is_terminated(obj):
        return 0
    return obj.spec.termination_grace_period_seconds or 0
